"""What all commands share: how flags are read, and how errors reach the user."""

import argparse
import errno
import io
import math
import os
import re
import shutil
import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from .errors import NnscratchError, NnscratchWarning, UsageError
from .hyper import Interval, requirement
from .signals import Interrupted, ending

WHOLE = re.compile(r"[+-]?[0-9]+")
REAL = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")


def run(command: Callable[[Sequence[str]], int | None], argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code, which is the number that the command returns, if any.

    A NnscratchError becomes two lines on stderr: what is wrong, and what to do. Exit codes: 0
    done, 2 usage, 3 data, 4 checkpoint, 5 diverged, 6 could not write, 7 trials of a comparison
    failed, 130 Ctrl-C, 143 SIGTERM, 129 SIGHUP, 141 the reader of stdout is gone. Any other
    exception is a bug and keeps its traceback (1).
    """
    warnings.showwarning = _show_warning  # type: ignore[assignment]
    warnings.filterwarnings("always", category=NnscratchWarning)  # also under python -W error
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that knows no u-umlaut is no error
            stream.reconfigure(errors="backslashreplace")
    try:
        with ending():
            code = command(sys.argv[1:] if argv is None else argv)
        print(end="", flush=True)
    except NnscratchError as error:
        return tell(error)
    except MemoryError as error:
        fix = "fix: choose fewer units or another optimizer, or end other programs"
        return _tell(f"nnscratch: error: out of memory ({error})", fix, 1)
    except Interrupted as stop:
        return _tell(f"nnscratch: {stop.what}", stop.fix, stop.exit_code)
    except OSError as error:
        if error.filename is not None or error.errno not in (errno.EPIPE, errno.EIO, errno.ENOSPC):
            raise
        # stdout has no reader, no terminal or no room: let Python's last flush go nowhere
        _discard_stdout()
        if error.errno == errno.ENOSPC:
            return _tell("nnscratch: error: no room for the output", "fix: make room", 6)
        return 141 if error.errno == errno.EPIPE else 129
    return code or 0


def _discard_stdout() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def tell(error: NnscratchError) -> int:
    """Say on stderr what is wrong and what to do; the exit code."""
    return _tell(f"nnscratch: error: {error.what}", f"fix: {error.fix}", error.exit_code)


def _tell(what: str, fix: str, code: int) -> int:
    """Say both on stderr, if there still is one; the code."""
    with suppress(OSError):
        print(f"{what}\n{fix}", file=sys.stderr, flush=True)
    return code


def _show_warning(message: Warning | str, *_: Any) -> None:
    print(f"nnscratch: warning: {message}", file=sys.stderr)


class Parser(argparse.ArgumentParser):
    """A parser whose errors are UsageErrors, and which takes no abbreviated flags."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=_HelpFormatter, **kwargs)
        # what argparse takes for a negative number and not for a flag: also -1e-3
        self._negative_number_matcher = re.compile(
            r"-([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
        )

    def error(self, message: str) -> NoReturn:
        raise UsageError(message.removeprefix("argument "), f"see {self.prog} --help")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        for token in args or ():
            if token.startswith("--") and token.endswith("=--"):  # argparse would make [] of it
                self.error(f"argument {token.removesuffix('=--')}: expected one argument")
        return super().parse_known_args(args, namespace)

    def flags(self) -> list[str]:
        """All flags that this parser knows."""
        return list(self._option_string_actions)


class _HelpFormatter(argparse.HelpFormatter):
    def __init__(self, prog: str) -> None:
        width = min(100, shutil.get_terminal_size().columns - 2)
        super().__init__(prog, max_help_position=28, width=width)


def refuse_repeated(argv: Sequence[str]) -> None:
    """UsageError if a flag stands there twice; argparse would silently take the last one."""
    flags = [token.partition("=")[0] for token in argv if token.startswith("--")]
    flags = [flag.replace("--no-", "--", 1) for flag in flags]
    if repeated := [flag for flag in flags if flags.count(flag) > 1]:
        raise UsageError(f"{repeated[0]} is given twice", "keep one of the two")


def add_number(
    group: "argparse._ArgumentGroup",
    name: str,
    kind: type,
    interval: Interval,
    meaning: str,
    default: float | None,
) -> None:
    """A flag for one number of that kind and range."""
    group.add_argument(
        flag(name),
        type=number(kind, interval),
        default=default,
        metavar="N" if kind is int else "X",
        help=f"{meaning.replace('%', '%%')}, in {interval}"
        + ("" if default is None else " (default %(default)s)"),
    )


def folder(text: str) -> Path:
    """A path, ~ for the home folder in it; as argparse wants it."""
    if not text.strip():
        raise argparse.ArgumentTypeError("must be the path of a folder, got nothing")
    if "\0" in text:
        raise argparse.ArgumentTypeError(f"{text!r} is no path")
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise argparse.ArgumentTypeError(f"{text!r} names the home of nobody") from None


def flag(name: str) -> str:
    """The flag of a setting: batch_size -> --batch-size."""
    return "--" + name.replace("_", "-")


def number(kind: type, interval: Interval) -> Callable[[str], float]:
    """A reader of numbers in the usual notation and in that range, as argparse wants it."""
    notation = WHOLE if kind is int else REAL

    def read(text: str) -> float:
        value = kind(text) if notation.fullmatch(text) else math.nan
        if value not in interval:
            meant = _meant(text, kind)
            hint = f"; write {meant}" if meant is not None and meant in interval else ""
            message = f"must be {requirement(kind, interval)}, got {text!r}{hint}"
            raise argparse.ArgumentTypeError(message)
        return value

    return read


def numbers(kind: type, interval: Interval) -> Callable[[str], tuple[float, ...]]:
    """A reader of such numbers, separated by commas."""
    read = number(kind, interval)
    return lambda text: tuple(read(part.strip()) for part in text.split(","))


def _meant(text: str, kind: type) -> float | None:
    """The number that the writer of something else may have meant: 0,01 or 1_000 or 1e3."""
    for found, meant in ((",", "."), ("_", "")):
        candidate = text.replace(found, meant)
        if REAL.fullmatch(candidate):
            value = float(candidate)
            return int(value) if value.is_integer() else None if kind is int else value
    return None
