"""Errors that a user can mend: one line says what is wrong, one says what to do."""

from collections.abc import Sequence
from typing import ClassVar


class NnscratchWarning(UserWarning):
    """Something that the user should know, and that goes on all the same."""


class NnscratchError(Exception):
    """An error with its cure.

    `what` says what is wrong, `fix` what to do about it; each is one line. A command that ends
    with this error prints both and leaves with `exit_code`.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(what, fix)
        self.what = what
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.what} (fix: {self.fix})"


class UsageError(NnscratchError, ValueError):
    """A wrong argument: an unknown name, a number out of its range, arrays that do not fit."""

    exit_code = 2


class DataError(NnscratchError):
    """A data file that is missing, damaged, or not what its name says."""

    exit_code = 3


class CheckpointError(NnscratchError):
    """A checkpoint that is damaged, no checkpoint, or one of another run."""

    exit_code = 4


class DivergedError(NnscratchError, ArithmeticError):
    """A training run whose loss is no longer a finite number."""

    exit_code = 5


class WriteError(NnscratchError):
    """A result that could not be written."""

    exit_code = 6


class TrialsFailedError(NnscratchError):
    """Trials of a study that ended with an error, or whose workers died."""

    exit_code = 7


class ContractError(NnscratchError):
    """An optimizer that breaks the contract; `failures` has one sentence for each way it does."""

    exit_code = 2

    def __init__(self, name: str, failures: Sequence[str]) -> None:
        count = f"{len(failures)} place{'s' if len(failures) > 1 else ''}"
        super().__init__(
            f"{name} breaks the contract of an optimizer in {count}:\n  - "
            + "\n  - ".join(failures),
            "mend the first one first: the others may follow from it",
        )
        self.failures = list(failures)
