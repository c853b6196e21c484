"""A network with PyTorch's names and shapes, to go from one to the other and back.

A file of ours holds what torch.nn.Sequential(Linear, activation, Linear, ...) calls its state,
"0.weight", "0.bias", "2.weight", ..., and in its metadata the rest of the network. With batch
normalization that is Sequential(Linear(bias=False), BatchNorm1d, activation, Linear, ...), and each
Dropout has a place, too: wherever `layers` of the network has one. PyTorch writes tensors alone:
activation, loss, and what is dropped out are in no such file.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import archive
from ..activations import Activation
from ..archive import Unreadable, check_format, sensible
from ..arrays import Array
from ..environment import version
from ..errors import missing
from ..layers import BatchNorm, Dense
from ..losses import Loss
from ..model import MLP
from . import native

FORMAT = 2  # version of what the metadata say
KEY = "nnscratch"  # of the metadata
FIX = (
    "use a copy, or save the state of a torch.nn.Sequential of Linear, perhaps BatchNorm1d, and an "
    "activation, in float32 or float64"
)
BATCH_NORM = ("weight", "bias", "running_mean", "running_var")  # gamma, beta, mean, variance
COUNTER = "num_batches_tracked"  # of a BatchNorm1d; what it counts plays no part here


@dataclass(frozen=True)
class Weights:
    """W1, b1, W2, ... of a network whose activation and loss its file does not say.

    The arrays fit each other, are all float32 or all float64, and finite.
    """

    arrays: Mapping[str, Array]

    def network(self, activation: str | Activation, loss: str | Loss) -> MLP:
        """The network with these weights. How they began nobody knows: `init` says zeros."""
        matrices = [array for name, array in self.arrays.items() if name.startswith("W")]
        model = MLP(
            [len(matrices[0]), *(W.shape[1] for W in matrices)],
            activation,
            "zeros",
            loss,
            bias=f"b{len(matrices)}" in self.arrays,
            batch_norm="gamma1" in self.arrays,
            dtype=matrices[0].dtype,
        )
        for name, array in native.arrays_of(model).items():
            array[...] = self.arrays[name]
        return model


def to_bytes(model: MLP) -> bytes:
    """The content of the file: tensors of shape (out, in) and (out,), and the description."""
    network = native.description(model)
    about = {
        "format": FORMAT,
        "nnscratch": version("nnscratch"),
        "network": network,
        "sha256": _hash(network, native.arrays_of(model)),
    }
    content: bytes = _library().numpy.save(_tensors(model), {KEY: json.dumps(about)})
    return content


def _tensors(model: MLP) -> dict[str, NDArray[Any]]:
    """The state of the torch.nn.Sequential with these layers."""
    found: dict[str, NDArray[Any]] = {}
    for k, layer in enumerate(model.layers):
        if isinstance(layer, Dense):
            found[f"{k}.weight"] = np.ascontiguousarray(layer.W.T)
            if layer.b is not None:
                found[f"{k}.bias"] = layer.b
        if isinstance(layer, BatchNorm):
            vectors = (layer.gamma, layer.beta, layer.mean, layer.variance)
            found |= {f"{k}.{kind}": v for kind, v in zip(BATCH_NORM, vectors, strict=True)}
            found[f"{k}.{COUNTER}"] = np.zeros((), np.int64)
    return found


def read(path: Path) -> MLP | Weights:
    """The network in a file of ours, the weights in one of PyTorch's.

    There `*.weight` and `*.bias` belong to layers in the natural order of their names, 2 before
    10. A BatchNorm1d has to follow at once on each linear layer but the last, as 1 does on 0: names
    tell nothing else of the order. Its eps is in no file, and taken for 1e-5, PyTorch's default.
    The bias of a linear layer before it is subtracted from its running mean: the network is the
    same, also for training, and has no such bias.

    Raises CheckpointError for a file that is missing, damaged, or of anything but linear layers
    with biases for all or none and such batch normalization, and UsageError without the package
    safetensors.
    """
    library = _library()

    def reader(*_: Any) -> MLP | Weights:
        try:
            with library.safe_open(path, framework="numpy") as file:  # maps it: reads what is asked
                return _content(file)
        except library.SafetensorError as error:
            raise Unreadable(f"it is damaged, or of another kind ({str(error)!r:.80})") from None

    return archive.read(path, "network", FIX, reader)


def _library() -> Any:
    try:
        import safetensors.numpy
    except ImportError:
        raise missing("safetensors") from None
    return safetensors


def _hash(network: Mapping[str, Any], arrays: Mapping[str, Array]) -> str:
    """Of the whole network: safetensors itself has no checksums."""
    found = hashlib.sha256(json.dumps(network).encode())
    for array in arrays.values():
        found.update(array.tobytes())
    return found.hexdigest()


def _content(file: Any) -> MLP | Weights:
    with sensible():
        arrays = _arrays(file)
        metadata = file.metadata() or {}
        if KEY not in metadata:
            return Weights(arrays)
        about = json.loads(metadata[KEY])
        check_format(about["format"], about["nnscratch"], FORMAT)
        if about["sha256"] != _hash(about["network"], arrays):
            raise Unreadable("it is not what was written (sha256 differs)")
        return native.filled(about["network"], arrays)


def _arrays(file: Any) -> dict[str, Array]:
    """The arrays of a network under our names, if the tensors are those of layers that fit."""
    kinds: dict[str, set[str]] = {}  # of the tensors of each layer, whose name ends with a dot
    for name in sorted(file.keys(), key=_natural):
        kind = name.rpartition(".")[2]
        kinds.setdefault(name.removesuffix(kind), set()).add(kind)
    norms = [layer for layer in kinds if "running_mean" in kinds[layer]]
    layers = [layer for layer in kinds if layer not in norms]
    _check_kinds(kinds, layers, norms)
    if norms and norms != [_next(layer) for layer in layers[:-1]]:
        what = f"its batch normalizations {archive.shown(', '.join(norms))} do not each follow at"
        raise Unreadable(f"{what} once on a linear layer, as 1 does on 0, on all but the last")

    names = [layer + kind for layer in kinds for kind in sorted(kinds[layer] - {COUNTER})]
    tensors = {name: file.get_slice(name) for name in names}
    if (dtypes := {tensor.get_dtype() for tensor in tensors.values()}) not in ({"F32"}, {"F64"}):
        what = f"its numbers are {', '.join(sorted(dtypes))}"
        raise Unreadable(f"{what}, not all F32 (float32) or all F64")
    shapes = [tuple(tensors[layer + "weight"].get_shape()) for layer in layers]
    if not all(len(shape) == 2 and min(shape) > 0 for shape in shapes):
        raise Unreadable(f"its weights have the shapes {shapes!r:.80}, not (outputs, inputs)")
    if any(below[0] != above[1] for below, above in pairwise(shapes)):
        raise Unreadable(f"its layers {shapes!r:.80}, (outputs, inputs), do not fit each other")

    def vector(name: str, outputs: int) -> Array:
        if (shape := tuple(tensors[name].get_shape())) != (outputs,):
            raise Unreadable(f"its {archive.shown(name)} has shape {shape}, for {outputs} outputs")
        return np.asarray(file.get_tensor(name))

    arrays: dict[str, Array] = {}
    moving: dict[str, Array] = {}
    for k, (layer, (outputs, _)) in enumerate(zip(layers, shapes, strict=True), start=1):
        arrays[f"W{k}"] = file.get_tensor(layer + "weight").T
        bias = {f"b{k}": vector(layer + "bias", outputs)} if "bias" in kinds[layer] else {}
        if norms and k < len(layers):
            gamma, beta, mean, variance = (
                vector(norms[k - 1] + kind, outputs) for kind in BATCH_NORM
            )
            arrays |= {f"gamma{k}": gamma, f"beta{k}": beta}
            if bias:
                with np.errstate(over="ignore", invalid="ignore"):  # checked below
                    mean = mean - bias[f"b{k}"]
            moving |= {f"mean{k}": mean, f"variance{k}": variance}
        else:
            arrays |= bias
    arrays |= moving
    for name, array in arrays.items():
        native.check_numbers(name, array)
    return arrays


def _check_kinds(
    kinds: Mapping[str, set[str]], layers: Sequence[str], norms: Sequence[str]
) -> None:
    """Unreadable for tensors that belong to other layers than linear ones and BatchNorm1d."""
    for norm in norms:
        if (found := kinds[norm] - {COUNTER}) != set(BATCH_NORM):
            what = f"its batch normalization has {archive.shown(', '.join(sorted(found)))}"
            raise Unreadable(f"{what}, which should be {', '.join(BATCH_NORM)}")
    biased = [layer for layer in layers if "bias" in kinds[layer]]
    linear = all(kinds[layer] in ({"weight"}, {"weight", "bias"}) for layer in layers)
    if not layers or not linear or (not norms and biased not in ([], layers)):
        names = ", ".join(layer + kind for layer in kinds for kind in sorted(kinds[layer]))
        what = f"its tensors {archive.shown(names)} are not a weight for each layer"
        raise Unreadable(f"{what}, and a bias for each or for none")


def _next(layer: str) -> str:
    """The name of what follows at once on a layer, 1. on 0.; its own where no number tells."""
    match = re.fullmatch(r"(|.*\.)([0-9]+)\.", layer)
    return f"{match[1]}{int(match[2]) + 1}." if match else layer


def _natural(name: str) -> list[str | int]:
    """A key to sort by in which 2 comes before 10."""
    parts = re.split(r"([0-9]+)", name)  # text and digits take turns
    return [int(part) if k % 2 else part for k, part in enumerate(parts)]
