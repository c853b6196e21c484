"""Networks as files: ours, and those of others."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from ..errors import UsageError
from ..files import write_whole
from ..model import MLP
from . import native

Function = TypeVar("Function")
WRITERS: dict[str, Callable[[MLP], bytes]] = {
    ".npz": lambda model: native.to_bytes(native.Saved(model)),
}
READERS: dict[str, Callable[[Path], MLP]] = {
    ".npz": lambda path: native.read(path).model,
}


def save_model(path: str | Path, model: MLP) -> None:
    """Write a network to a file, whole or not at all; the ending of its name says which kind.

        .npz            ours: everything, read by `load_model`, the arrays also by numpy.load

    >>> model = nn.MLP([64, 20, 10])
    >>> nn.save_model("digits.npz", model)
    >>> nn.load_model("digits.npz")
    <MLP 64-20-10 sigmoid, softmax_cross_entropy, 1,510 weights, float32>

    Raises UsageError for another ending, WriteError where the file cannot be written.
    """
    write_whole(Path(path), _of_kind(WRITERS, Path(path))(model))


def load_model(path: str | Path) -> MLP:
    """The network in a file that `save_model` wrote, or in the folder of a run.

    No file is unpickled or run: it is read as numbers and one JSON text. Activation, initializer
    and loss are found by name in their registries, where one's own have to be first.

    Raises CheckpointError for a file that is missing, damaged or of another kind.
    """
    path = Path(path)
    return native.read(path).model if path.is_dir() else _of_kind(READERS, path)(path)


def _of_kind(kinds: Mapping[str, Function], path: Path) -> Function:
    if path.suffix not in kinds:
        what = f"{path} has the ending {path.suffix!r}"
        raise UsageError(what, f"name it with one of these: {', '.join(kinds)}")
    return kinds[path.suffix]
