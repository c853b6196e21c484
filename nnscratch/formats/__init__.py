"""Networks as files: ours, and those of others."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from ..activations import Activation
from ..archive import shown
from ..errors import CheckpointError, UsageError
from ..files import write_whole
from ..losses import Loss
from ..model import MLP
from . import native, onnx, safetensors

Function = TypeVar("Function")
WRITERS: dict[str, Callable[[MLP], bytes]] = {
    ".npz": lambda model: native.to_bytes(native.Saved(model)),
    ".safetensors": safetensors.to_bytes,
    ".onnx": onnx.to_bytes,
}
READERS: dict[str, Callable[[Path], MLP | safetensors.Weights]] = {
    ".npz": lambda path: native.read(path).model,
    ".safetensors": safetensors.read,
    ".onnx": onnx.read,
}


def save_model(path: str | Path, model: MLP) -> None:
    """Write a network to a file, whole or not at all; the ending of its name says which kind.

        .npz            ours: everything, read by `load_model`, the arrays also by numpy.load
        .safetensors    for PyTorch: the names and shapes of torch.nn.Sequential(Linear, activation,
                        Linear, ...), with BatchNorm1d and Dropout where the network has them, and
                        in its metadata everything; `load_model` reads it
        .onnx           for onnxruntime and others: the graph from x to the probabilities, batch
                        normalization as part of the weights; of the activations in nn.ACTIVATIONS
                        (GELU in float32 only); not read back

    >>> model = nn.MLP([64, 20, 10])
    >>> nn.save_model("digits.npz", model)
    >>> nn.load_model("digits.npz")
    <MLP 64-20-10 sigmoid, softmax_cross_entropy, 1,510 weights, float32>

    The last two want the packages of the extras [safetensors] and [onnx]. Raises UsageError for
    another ending, a package that is missing, and a network that a format cannot hold; WriteError
    where the file cannot be written.
    """
    if not isinstance(model, MLP):
        what = f"{type(model).__name__} is no network"
        raise UsageError(what, "give an nn.MLP; that of an NNClassifier is its model_")
    write_whole(Path(path), _of_kind(WRITERS, Path(path))(model))


def load_model(
    path: str | Path, *, activation: str | Activation | None = None, loss: str | Loss | None = None
) -> MLP:
    """The network in a file that `save_model` wrote, or in the folder of a run, or of PyTorch.

    >>> nn.save_model("digits.npz", nn.MLP([64, 20, 10]))
    >>> nn.load_model("digits.npz").sizes
    (64, 20, 10)

    No file is unpickled or run: it is read as numbers and one JSON text. Activation, initializer
    and loss are found by name in their registries, where one's own have to be first.

    A .safetensors file that PyTorch wrote holds the weights of torch.nn.Linear layers, perhaps with
    a BatchNorm1d after each but the last, and does not say what lies between them: `activation`
    does, and `loss` what the output is, softmax with cross-entropy unless told. For every other
    file they are in it, and not to be given. The eps of a BatchNorm1d is taken for PyTorch's
    default, and what a Dropout does is in no such file.

        safetensors.torch.save_file(torch_model.state_dict(), "theirs.safetensors")
        model = nn.load_model("theirs.safetensors", activation="relu")

    Raises CheckpointError for a file that is missing, damaged or of another kind, UsageError for
    an `activation` that is missing or too much.
    """
    path = Path(path)
    if not _is_there(path):
        what = f"there is no network {shown(str(path))}"
        raise CheckpointError(what, "give the file of a network, or the folder of a run")
    found = native.read(path).model if path.is_dir() else _of_kind(READERS, path)(path)
    if isinstance(found, MLP):
        if activation is not None or loss is not None:
            what = f"{path} says itself what activation and loss its network has"
            raise UsageError(what, "leave out activation and loss")
        return found
    if activation is None:
        what = f"{path} holds weights, and does not say which activation lies between them"
        whole = 'nn.save_model("whole.npz", nn.load_model(path, activation="relu"))'
        raise UsageError(what, f"say which, for good as here: {whole}")
    return found.network(activation, "softmax_cross_entropy" if loss is None else loss)


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # what can be no path: too long, or with a zero in it
        return False


def _of_kind(kinds: Mapping[str, Function], path: Path) -> Function:
    if path.suffix not in kinds:
        what = f"{path} has the ending {path.suffix!r}"
        raise UsageError(what, f"name it with one of these: {', '.join(kinds)}")
    return kinds[path.suffix]
