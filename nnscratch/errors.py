"""Errors that a user can mend: one line says what is wrong, one says what to do."""

from collections.abc import Sequence
from typing import ClassVar


class NnscratchWarning(UserWarning):
    """Something that the user should know, and that goes on all the same.

    >>> import warnings
    >>> warnings.simplefilter("error", nn.NnscratchWarning)         # or have it end there
    >>> pixels = nn.Split(np.full((2, 4), 255.0), np.array([0, 1]))
    >>> list(nn.fit(nn.MLP([4, 2]), "sgd", nn.batch(pixels), epochs=1))
    Traceback (most recent call last):
        ...
    nnscratch.errors.NnscratchWarning: inputs go up to 255: scale them to about 1; ...
    """


class NnscratchError(Exception):
    """An error with its cure.

    `what` says what is wrong, `fix` what to do about it; each is one line. A command that ends
    with this error prints both and leaves with `exit_code`.

    >>> try:
    ...     nn.MLP([784])
    ... except nn.NnscratchError as error:
    ...     print(error.what)
    ...     print(error.fix)
    sizes must be two or more numbers of units, got [784]
    write the units of each layer from inputs to outputs, like [784, 1000, 10]
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(what, fix)
        self.what = what
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.what} (fix: {self.fix})"


class UsageError(NnscratchError, ValueError):
    """A wrong argument: an unknown name, a number out of its range, arrays that do not fit.

    >>> nn.OPTIMIZERS["adam"](lr=-1)
    Traceback (most recent call last):
        ...
    nnscratch.errors.UsageError: adam: lr must be a number in (0, inf), got -1 (fix: ...)
    """

    exit_code = 2


class DataError(NnscratchError):
    """A data file that is missing, damaged, or not what its name says.

    >>> nn.load_dataset("mnist", data_dir="nowhere")
    Traceback (most recent call last):
        ...
    nnscratch.errors.DataError: nowhere is no folder (fix: put train-images-idx3-ubyte, ...)
    """

    exit_code = 3


class CheckpointError(NnscratchError):
    """A checkpoint that is damaged, no checkpoint, or one of another run.

    >>> nn.load_checkpoint("nowhere.npz")
    Traceback (most recent call last):
        ...
    nnscratch.errors.CheckpointError: there is no checkpoint nowhere.npz (fix: ...)
    """

    exit_code = 4


class DivergedError(NnscratchError, ArithmeticError):
    """A training run whose loss is no longer a finite number, or beyond all bounds.

    >>> loader = nn.batch(nn.Split(np.eye(2), np.array([0, 1])))
    >>> list(nn.fit(nn.MLP([2, 2]), nn.OPTIMIZERS["sgd"](lr=1e9, weight_decay=1), loader, 9))
    Traceback (most recent call last):
        ...
    nnscratch.errors.DivergedError: training diverged: after 1 updates of sgd with lr 1e+09 ...
    """

    exit_code = 5


class WriteError(NnscratchError):
    """A result that could not be written.

    >>> nn.save_checkpoint("no such folder/run.npz", nn.MLP([2, 2]), nn.Progress())
    Traceback (most recent call last):
        ...
    nnscratch.errors.WriteError: no such folder/run.npz cannot be written (No such file ...
    """

    exit_code = 6


def missing(package: str) -> UsageError:
    """The error for an optional package that is not installed; its extra has its name."""
    what = f"this needs the optional package {package!r}"
    return UsageError(what, f'pip install "nnscratch[{package}]"')


class TrialsFailedError(NnscratchError):
    """Trials of a study that ended with an error, or whose workers died."""

    exit_code = 7


class ContractError(NnscratchError):
    """An optimizer that breaks the contract; `failures` has one sentence for each way it does.

    >>> class Lost(nn.Optimizer):
    ...     def update(self, w, dw, state):
    ...         return w - 0.1 * dw
    >>> try:
    ...     nn.check_optimizer(Lost)
    ... except nn.ContractError as error:
    ...     print(error.failures[0])
    update returned another array, float64[4, 3] in update 1; expected the w that it was given; ...
    """

    exit_code = 2

    def __init__(self, name: str, failures: Sequence[str]) -> None:
        count = f"{len(failures)} place{'s' if len(failures) > 1 else ''}"
        super().__init__(
            f"{name} breaks the contract of an optimizer in {count}:\n  - "
            + "\n  - ".join(failures),
            "mend the first one first: the others may follow from it",
        )
        self.failures = list(failures)
