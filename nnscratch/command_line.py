"""What all commands share: how flags are read, and how errors reach the user."""

import argparse
import math
import os
import re
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from .errors import NnscratchError, UsageError
from .hyper import Interval

WHOLE = re.compile(r"[+-]?[0-9]+")
REAL = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")


def run(command: Callable[[Sequence[str]], None], argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    A NnscratchError becomes two lines on stderr: what is wrong, and what to do. Exit codes: 0
    done, 2 usage, 3 data, 5 diverged, 6 could not write, 130 Ctrl-C, 141 the reader of stdout is
    gone. Any other exception is a bug and keeps its traceback (1).
    """
    warnings.showwarning = _show_warning  # type: ignore[assignment]
    try:
        command(sys.argv[1:] if argv is None else argv)
        sys.stdout.flush()
    except NnscratchError as error:
        print(f"nnscratch: error: {error.what}\nfix: {error.fix}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("nnscratch: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # what is still in the buffer has no reader: let Python's last flush go nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return 0


def _show_warning(message: Warning | str, *_: Any) -> None:
    print(f"nnscratch: warning: {message}", file=sys.stderr)


class Parser(argparse.ArgumentParser):
    """A parser whose errors are UsageErrors, and which takes no abbreviated flags."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=_HelpFormatter, **kwargs)

    def error(self, message: str) -> NoReturn:
        raise UsageError(message.removeprefix("argument "), f"see {self.prog} --help")

    def flags(self) -> list[str]:
        """All flags that this parser knows."""
        return list(self._option_string_actions)


class _HelpFormatter(argparse.HelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=28, width=100)


def refuse_repeated(argv: Sequence[str]) -> None:
    """UsageError if a flag stands there twice; argparse would silently take the last one."""
    flags = [token.partition("=")[0] for token in argv if token.startswith("--")]
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
        help=f"{meaning}, in {interval}" + ("" if default is None else " (default %(default)s)"),
    )


def flag(name: str) -> str:
    """The flag of a setting: batch_size -> --batch-size."""
    return "--" + name.replace("_", "-")


def number(kind: type, interval: Interval) -> Callable[[str], float]:
    """A reader of numbers in the usual notation and in that range, as argparse wants it."""
    what = "a whole number" if kind is int else "a number"
    notation = WHOLE if kind is int else REAL

    def read(text: str) -> float:
        value = kind(text) if notation.fullmatch(text) else math.nan
        if value not in interval:
            raise argparse.ArgumentTypeError(
                f"must be {what} in {interval}, got {text!r}{_hint(text, kind)}"
            )
        return value

    return read


def numbers(kind: type, interval: Interval) -> Callable[[str], tuple[float, ...]]:
    """A reader of such numbers, separated by commas."""
    read = number(kind, interval)
    return lambda text: tuple(read(part.strip()) for part in text.split(","))


def _hint(text: str, kind: type) -> str:
    """What the writer of something like a number may have meant."""
    for found, meant in ((",", "."), ("_", "")):
        if found in text and REAL.fullmatch(text.replace(found, meant)):
            return f"; write {text.replace(found, meant)}"
    if kind is int and REAL.fullmatch(text) and float(text).is_integer():
        return f"; write {int(float(text))}"
    return ""
