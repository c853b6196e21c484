"""A network with PyTorch's names and shapes, to go from one to the other and back.

A file of ours holds what torch.nn.Sequential(Linear, activation, Linear, ...) calls its state,
"0.weight", "0.bias", "2.weight", ..., and in its metadata the rest of the network. PyTorch writes
tensors alone: activation and loss are in no such file.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from .. import archive
from ..activations import Activation
from ..archive import Unreadable, check_format, sensible
from ..arrays import Array
from ..environment import version
from ..errors import missing
from ..losses import Loss
from ..model import MLP
from . import native

FORMAT = 1  # version of what the metadata say
KEY = "nnscratch"  # of the metadata
FIX = "use a copy, or save the weights of torch.nn.Linear layers alone, in float32 or float64"


@dataclass(frozen=True)
class Weights:
    """W1, b1, W2, ... of a network whose activation and loss its file does not say.

    The arrays fit each other, are all float32 or all float64, and finite.
    """

    arrays: Mapping[str, Array]

    def network(self, activation: str | Activation, loss: str | Loss) -> MLP:
        """The network with these weights. How they began nobody knows: `init` says zeros."""
        matrices = [array for name, array in self.arrays.items() if name.startswith("W")]
        sizes = [len(matrices[0]), *(W.shape[1] for W in matrices)]
        bias, dtype = "b1" in self.arrays, matrices[0].dtype
        model = MLP(sizes, activation, "zeros", loss, bias=bias, dtype=dtype)
        for parameter in model.parameters:
            parameter.w[...] = self.arrays[parameter.name]
        return model


def to_bytes(model: MLP) -> bytes:
    """The content of the file: tensors of shape (out, in) and (out,), and the description."""
    arrays = {parameter.name: parameter.w for parameter in model.parameters}
    network = native.description(model)
    about = {
        "format": FORMAT,
        "nnscratch": version("nnscratch"),
        "network": network,
        "sha256": _hash(network, arrays),
    }
    tensors = {_torch_name(name): np.ascontiguousarray(w.T) for name, w in arrays.items()}
    content: bytes = _library().numpy.save(tensors, {KEY: json.dumps(about)})
    return content


def read(path: Path) -> MLP | Weights:
    """The network in a file of ours, the weights in one of PyTorch's.

    There `*.weight` and `*.bias` belong to layers in the natural order of their names, 2 before
    10. Raises CheckpointError for a file that is missing, damaged, or of anything but linear
    layers with biases for all or none, and UsageError without the package safetensors.
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


def _torch_name(name: str) -> str:
    """W1 is 0.weight and b2 is 2.bias: between two linear layers there is an activation."""
    return f"{2 * (int(name[1:]) - 1)}.{'weight' if name[0] == 'W' else 'bias'}"


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
    """W1, b1, W2, ... if the tensors are those of linear layers, each of which fits the next."""
    tensors = {name: file.get_slice(name) for name in sorted(file.keys(), key=_natural)}
    layers = [name.removesuffix("weight") for name in tensors if re.search(r"(^|\.)weight$", name)]
    bias = any(layer + "bias" in tensors for layer in layers)
    kinds = ("weight", "bias") if bias else ("weight",)
    if not layers or {layer + kind for layer in layers for kind in kinds} != set(tensors):
        what = f"its tensors {archive.shown(', '.join(tensors))} are not a weight for each layer"
        raise Unreadable(f"{what}, and a bias for each or for none")
    if (dtypes := {tensor.get_dtype() for tensor in tensors.values()}) not in ({"F32"}, {"F64"}):
        what = f"its numbers are {', '.join(sorted(dtypes))}"
        raise Unreadable(f"{what}, not all F32 (float32) or all F64")
    shapes = [tuple(tensors[layer + "weight"].get_shape()) for layer in layers]
    if not all(len(shape) == 2 and min(shape) > 0 for shape in shapes):
        raise Unreadable(f"its weights have the shapes {shapes!r:.80}, not (outputs, inputs)")
    if any(below[0] != above[1] for below, above in pairwise(shapes)):
        raise Unreadable(f"its layers {shapes!r:.80}, (outputs, inputs), do not fit each other")
    arrays: dict[str, Array] = {}
    for k, (layer, (outputs, _)) in enumerate(zip(layers, shapes, strict=True), start=1):
        arrays[f"W{k}"] = file.get_tensor(layer + "weight").T
        if bias:
            arrays[f"b{k}"] = file.get_tensor(layer + "bias")
            if arrays[f"b{k}"].shape != (outputs,):
                shape = arrays[f"b{k}"].shape
                raise Unreadable(f"its bias {k} has shape {shape}, for {outputs} outputs")
    for name, array in arrays.items():
        native.check_finite(name, array)
    return arrays


def _natural(name: str) -> list[str | int]:
    """A key to sort by in which 2 comes before 10."""
    parts = re.split(r"([0-9]+)", name)  # text and digits take turns
    return [int(part) if k % 2 else part for k, part in enumerate(parts)]
