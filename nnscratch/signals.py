"""Ctrl-C and the like: the first one asks to stop at the next good moment, the second one stops."""

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

NAMES = ("SIGINT", "SIGTERM", "SIGHUP")  # Ctrl-C, a batch system or kill, a closed terminal


class Interrupted(BaseException):
    """A command that was stopped before its end, and two lines for the user.

    Like KeyboardInterrupt no Exception, so that nobody takes it for an error.
    """

    def __init__(self, exit_code: int, what: str, fix: str) -> None:
        super().__init__(what, fix)
        self.exit_code = exit_code
        self.what = what
        self.fix = fix


class Signals:
    """Remembers the first signal as `caught`; raises Interrupted at the second."""

    def __init__(self) -> None:
        self.caught: signal.Signals | None = None

    def handle(self, number: int, frame: FrameType | None) -> None:
        if self.caught is None:
            self.caught = signal.Signals(number)
        else:
            what = f"stopped at once ({signal.Signals(number).name})"
            raise Interrupted(128 + number, what, "what was saved before is whole")


@contextmanager
def watched() -> Iterator[Signals]:
    """The signals that come until the end of the block; afterwards all is as before."""
    signals = Signals()
    with _handled(NAMES, signals.handle):
        yield signals


@contextmanager
def ending() -> Iterator[None]:
    """Interrupted at the first signal, so that whatever is open is closed."""

    def handle(number: int, frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        raise Interrupted(128 + number, f"stopped ({name})", "the same command begins anew")

    with _handled(NAMES, handle):
        yield


@contextmanager
def _handled(
    names: Sequence[str], handle: Callable[[int, FrameType | None], None]
) -> Iterator[None]:
    """In the block the signals go there; in a thread other than the main one Python sees none."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        for number, handler in before.items():
            if handler is not signal.SIG_IGN:  # nohup, and the background of a shell
                signal.signal(number, handle)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
