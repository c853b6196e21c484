"""A trained network as one file: npz without pickle, each array with its hash."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

import numpy as np

from .. import archive
from ..activations import ACTIVATIONS
from ..archive import Unreadable, packed, sensible, unpacked
from ..arrays import Array
from ..errors import CheckpointError
from ..hyper import Interval, checked, described, rebuilt
from ..initializers import INITIALIZERS
from ..losses import LOSSES
from ..model import MLP
from ..regularization import Regularization

FORMAT = 3  # version of the file
FILE = "model.npz"  # in the folder of a run


@dataclass(frozen=True)
class Saved:
    """A network as it was saved, and what its inputs are.

    dataset     "mnist" or "digits": what it was trained on; None if nobody said so
    unit        the pixel value that it sees as 1: 255, or 1 for raw pixels and other inputs
    """

    model: MLP
    dataset: str | None = None
    unit: float = 1.0


def description(model: MLP) -> dict[str, Any]:
    """The network but for its weights, as JSON can hold it; `network` reads it."""
    return {**model.description, "init": described(model.init), "seed": model.seed}


def network(about: Mapping[str, Any]) -> MLP:
    """The network of that description, but for its weights, which are zeros.

    CheckpointError for a part that is in no registry; UsageError, ValueError, KeyError or
    TypeError for what is no description.
    """
    model = MLP(
        about["sizes"],
        _part("ACTIVATIONS", ACTIVATIONS, about["activation"]),
        "zeros",  # to draw weights that are overwritten at once may take seconds
        _part("LOSSES", LOSSES, about["loss"]),
        about["seed"],
        bias=bool(about["bias"]),
        batch_norm=bool(about["batch_norm"]),
        regularization=rebuilt(Regularization, about["regularization"]),
        dtype=str(about["dtype"]),
    )
    model.init = _part("INITIALIZERS", INITIALIZERS, about["init"])
    return model


def _part(title: str, registry: Mapping[str, Any], about: Mapping[str, Any]) -> Any:
    name = about["name"]
    if name not in registry:
        what = f"the network has a part {name!r:.80}, which is not in nn.{title}"
        raise CheckpointError(what, f"put its class there first, as in nn.{title}[Own.name] = Own")
    return rebuilt(registry[name], about)


def filled(about: Mapping[str, Any], arrays: Mapping[str, Array]) -> MLP:
    """The network of that description with these weights; Unreadable if they are not such ones.

    What `network` raises, besides.
    """
    shapes = [list(array.shape) for name, array in arrays.items() if name.startswith("W")]
    # before it is made: a file cannot ask for more memory than it has bytes
    if shapes != [list(pair) for pair in pairwise(about["sizes"])]:
        raise Unreadable(f"its matrices are {shapes!r:.80}, which do not fit its layers")
    model = network(about)
    own = arrays_of(model)
    if {name: (array.shape, array.dtype) for name, array in own.items()} != {
        name: (array.shape, array.dtype) for name, array in arrays.items()
    }:
        names = archive.shown(", ".join(arrays))
        raise Unreadable(f"its arrays {names} are not those of its network")
    for name, array in own.items():
        check_numbers(name, arrays[name])
        array[...] = arrays[name]
    return model


def arrays_of(model: MLP) -> dict[str, Array]:
    """All that a trained network is made of, as views: W1, b1, ..., and mean1, variance1, ..."""
    return {parameter.name: parameter.w for parameter in model.parameters} | model.moving


def check_numbers(name: str, array: Array) -> None:
    """Unreadable for an array of that name with numbers that no trained network has."""
    if not np.isfinite(array).all():
        raise Unreadable(f"its {name} has numbers that are not finite")
    if name.startswith("variance") and (array < 0).any():
        raise Unreadable(f"its {name} has numbers below 0")


def to_bytes(saved: Saved) -> bytes:
    """The content of the file: the arrays W1, b1, ... and `description`, a JSON text in bytes.

    With batch normalization gamma1, beta1, mean1, variance1, ... are among them. NumPy reads it
    too: numpy.load("model.npz")["W1"], shape (inputs, units).
    """
    about = {
        "network": description(saved.model),
        "dataset": saved.dataset,
        "unit": saved.unit,
    }
    return packed(about, arrays_of(saved.model), FORMAT)


def read(path: Path) -> Saved:
    """The network in a file, or in the folder of a run that is complete.

    Raises CheckpointError for a file that is missing, damaged, of another kind, or of another
    format, and where an activation, initializer or loss is in no registry.
    """
    if path.is_dir():
        if not (path / FILE).exists():
            what = f"there is no trained network in {path}"
            if any(path.glob("checkpoint-*.npz")):
                fix = f"the run has not come to its end: python -m nnscratch.train --resume {path}"
                raise CheckpointError(what, fix)
            raise CheckpointError(what, f"give a folder in which a run came to its end with {FILE}")
        path /= FILE
    return archive.read(path, "network", "use the file model.npz of a run, or a copy", from_file)


def from_file(file: IO[bytes], size: int) -> Saved:
    """The network in a file of that many bytes; Unreadable if it is none."""
    about, arrays = unpacked(file, size, "network", FORMAT)
    with sensible():
        model = filled(about["network"], arrays)
        dataset = about["dataset"]
        if dataset is not None and not isinstance(dataset, str):
            raise Unreadable(f"its data set is {dataset!r:.80}")
        unit = checked("unit", about["unit"], float, Interval("(0, inf)"), "")
        return Saved(model, dataset, unit)
