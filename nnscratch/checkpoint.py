"""Checkpoints: a training run between two updates, as one file."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from .archive import NAME, Unreadable, can_hold, packed, read, sensible, shown, unpacked
from .arrays import Array
from .diagnosis import LayerHealth
from .errors import CheckpointError, UsageError
from .files import write_whole
from .hyper import Interval, checked
from .model import MLP
from .optim import Optimizer, State
from .optim.base import copied, leaves
from .progress import Progress, Record
from .slots import arrays_to_update

FORMAT = 2  # version of the file
NUMBERS = [  # of a Progress, as JSON holds them
    *("update", "examples", "seed", "optimizer", "loader", "first_epoch"),
    *("first_loss", "loss_sum", "seen", "seconds"),
]
NATURAL = Interval("[0, inf)")


@dataclass
class Checkpoint:
    """A training run between two updates.

    network      what the network is (see MLP.description)
    w            the weights where the next gradient is wanted
    statistics   the means and variances of its batch normalizations
    progress     where the run stands, the optimizer's states among it
    history      the records at the ends of its epochs
    about        what else the run wants to find again, as JSON can hold it

    >>> model, loader = nn.MLP([3, 3]), nn.batch(nn.Split(np.eye(3), np.arange(3)))
    >>> progress = nn.Progress()
    >>> record = next(nn.fit(model, "sgd", loader, 9, progress=progress))
    >>> nn.save_checkpoint("run.npz", model, progress)
    >>> checkpoint = nn.load_checkpoint("run.npz")
    >>> checkpoint.network["sizes"], checkpoint.progress.update
    ([3, 3], 1)
    """

    network: dict[str, Any]
    w: Array
    statistics: Array
    progress: Progress
    history: list[Record] = field(default_factory=list)
    about: dict[str, Any] = field(default_factory=dict)

    def restore(self, model: MLP, optimizer: Optimizer) -> Progress:
        """Give the model the weights, and return a progress for `fit` to go on with.

        The weights are those where the next gradient is wanted; `fit` brings back those to
        evaluate, where an optimizer has others. CheckpointError, before anything changes, if the
        network or the optimizer is another one, or a number is not finite; UsageError for an
        optimizer that cannot train such a network.
        """
        now = json.loads(json.dumps(model.description))
        names = {**self.network, **now}
        other = [
            f"{shown(name)} was {json.dumps(self.network.get(name))} and is "
            f"{json.dumps(now.get(name))}"
            for name in names
            if self.network.get(name) != now.get(name)
        ]
        arrays = [("weights", self.w, model.w), ("statistics", self.statistics, model.statistics)]
        if other or any((a.shape, a.dtype) != (b.shape, b.dtype) for _, a, b in arrays):
            raise CheckpointError(
                f"the checkpoint is of another network: {'; '.join(other) or 'other weights'}",
                "make the network as it was",
            )
        for name, array, _ in arrays:
            _check_finite(name, array)
        if not self.progress.is_new:
            self._check_states(optimizer, [w for w, _ in arrays_to_update(model, optimizer)])
        model.w, model.statistics[...] = self.w, self.statistics
        states = [copied(state) for state in self.progress.states]
        return replace(self.progress, states=states)

    def _check_states(self, optimizer: Optimizer, arrays: list[Array]) -> None:
        """CheckpointError unless there is a state of that optimizer for each array."""
        was, states = self.progress.optimizer, self.progress.states
        fix = "go on with the optimizer that the run began with"
        if was != optimizer.full_name:
            what = f"the checkpoint is of {was!r:.80}, and this is {optimizer.full_name}"
            raise CheckpointError(what, fix)
        if len(states) != len(arrays):
            what = f"the checkpoint has {len(states)} states, and there are {len(arrays)} arrays"
            raise CheckpointError(what, fix)
        for w, state in zip(arrays, states, strict=True):
            _check_state(optimizer, optimizer.init(w), state)


def save_checkpoint(
    path: str | Path,
    model: MLP,
    progress: Progress,
    history: Sequence[Record] = (),
    about: Mapping[str, Any] | None = None,
) -> None:
    """Write a run to a file, whole or not at all, while one of its records is held.

    >>> model, loader = nn.MLP([3, 3]), nn.batch(nn.Split(np.eye(3), np.arange(3)))
    >>> progress = nn.Progress()
    >>> for record in nn.fit(model, "adam", loader, 2, progress=progress):
    ...     nn.save_checkpoint("run.npz", model, progress)

    Raises WriteError where the file cannot be written, UsageError for a state that holds anything
    but arrays, numbers, strings and dicts of these, or that was left in the middle of an update.
    """
    write_whole(Path(path), to_bytes(model, progress, history, about or {}))


def load_checkpoint(path: str | Path) -> Checkpoint:
    """The run in a file, to go on with in the same place or another.

    >>> adam, loader = nn.OPTIMIZERS["adam"](), nn.batch(nn.Split(np.eye(3), np.arange(3)))
    >>> model, progress = nn.MLP([3, 3]), nn.Progress()
    >>> record = next(nn.fit(model, adam, loader, 3, progress=progress))
    >>> nn.save_checkpoint("run.npz", model, progress)

    >>> model, loader = nn.MLP([3, 3]), nn.batch(loader.split)      # another day
    >>> progress = nn.load_checkpoint("run.npz").restore(model, adam)
    >>> [record.epoch for record in nn.fit(model, adam, loader, 3, progress=progress)]
    [2, 3]

    Raises CheckpointError for a file that is missing, damaged, no checkpoint, or of a newer format.
    """
    fix = "use an earlier checkpoint, or begin the run anew"
    return read(Path(path), "checkpoint", fix, from_file)


def to_bytes(
    model: MLP, progress: Progress, history: Sequence[Record], about: Mapping[str, Any]
) -> bytes:
    """The content of a checkpoint's file."""
    if not progress.is_whole:
        what = f"the run was broken off in the middle of update {progress.update + 1}"
        raise UsageError(what, "save it while a record is held")
    arrays: dict[str, Any] = {
        "w": progress.gradient_point(model),
        "statistics": progress.statistics(model),
    }
    states = [_coded(state, f"{k}", arrays) for k, state in enumerate(progress.states)]
    description = {
        "network": model.description,
        "progress": {name: getattr(progress, name) for name in NUMBERS},
        "states": states,
        "history": [asdict(record) for record in history],
        "about": about,
    }
    try:
        return packed(description, arrays, FORMAT)
    except (TypeError, ValueError) as error:
        raise UsageError(f"about is nothing that JSON can hold ({error})", "leave it out") from None


def _coded(value: Any, name: str, arrays: dict[str, Any]) -> Any:
    """A state, or an entry of one, as JSON: an array is put aside, and is a list with its name."""
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: _coded(entry, f"{name}.{key}", arrays) for key, entry in value.items()}
    if isinstance(value, np.ndarray | np.generic) and can_hold(value):
        if name in arrays or not NAME.fullmatch(name):
            what = f"the optimizer's state has an entry {name}, which can be no name in a file"
            raise UsageError(what, "name entries with letters, digits and _")
        if not value.flags.c_contiguous:  # another order of sums gives other bits
            what = f"the optimizer's state has {name} in another order than row after row"
            raise UsageError(what, "make it with np.zeros, or np.ascontiguousarray")
        arrays[name] = value
        return [name]
    if isinstance(value, bool | int | float | str):
        return value
    raise UsageError(
        f"the optimizer's state holds {type(value).__name__} as {name}",
        "keep only arrays of numbers, numbers, strings and dicts of these in a state, under names",
    )


def _decoded(value: Any, arrays: dict[str, Any]) -> Any:
    """The state that `_coded` made JSON of; each array is in one place alone."""
    if isinstance(value, dict):
        return {key: _decoded(entry, arrays) for key, entry in value.items()}
    if isinstance(value, list):
        return arrays.pop(value[0])
    return value


def from_file(file: IO[bytes], size: int) -> Checkpoint:
    """The checkpoint in a file of that many bytes; Unreadable if it is none."""
    description, arrays = unpacked(file, size, "checkpoint", FORMAT)
    with sensible():
        json.dumps([description["history"], description["about"]], allow_nan=False)  # has no nan
        w, statistics = arrays.pop("w"), arrays.pop("statistics")
        states = description["states"]
        if not all(isinstance(state, dict) for state in states):
            raise Unreadable("its states are none")
        decoded = [_decoded(state, arrays) for state in states]
        if arrays:
            raise Unreadable(f"its states do not have {', '.join(sorted(arrays))}")
        return Checkpoint(
            network=dict(description["network"]),
            w=w,
            statistics=statistics,
            progress=_progress(description["progress"], decoded),
            history=[_record(entry) for entry in description["history"]],
            about=dict(description["about"]),
        )


def _progress(numbers: Mapping[str, Any], states: list[State]) -> Progress:
    for name in ("update", "examples", "seed", "first_epoch", "seen"):
        checked(name, numbers[name], int, NATURAL, "")
    for name in ("loss_sum", "seconds"):
        checked(name, numbers[name], float, NATURAL, "")
    if numbers["first_loss"] is not None:
        checked("first_loss", numbers["first_loss"], float, NATURAL, "")
    return Progress(**{name: numbers[name] for name in NUMBERS}, states=states)


def _record(entry: Mapping[str, Any]) -> Record:
    for name in ("epoch", "update", "examples"):
        checked(name, entry[name], int, NATURAL, "")
    for name in ("train_loss", "seconds"):
        checked(name, entry[name], float, NATURAL, "")
    for name in ("lr", "val_loss", "val_accuracy"):
        if entry[name] is not None:
            checked(name, entry[name], float, NATURAL, "")
    layers = entry.get("layers")  # none in the files of the versions that knew no diagnosis
    if layers is not None:
        layers = [_layer(layer) for layer in layers]
    return Record(**{**entry, "ends_epoch": bool(entry["ends_epoch"]), "layers": layers})


def _layer(entry: Mapping[str, Any]) -> LayerHealth:
    for name, value in entry.items():
        if value is not None or name == "gradient":
            checked(name, value, float, NATURAL, "")
    return LayerHealth(**entry)


def _check_state(optimizer: Optimizer, new: State, state: State) -> None:
    """CheckpointError unless the state has what a new one has, and no number that is none."""
    fix = "go on with the optimizer that the run began with, or begin the run anew"
    expected, found = dict(leaves(new)), dict(leaves(state))
    if lacking := expected.keys() - found.keys():
        what = f"the state of {optimizer.full_name} lacks {', '.join(sorted(lacking))}"
        raise CheckpointError(what, fix)
    for name, value in expected.items():
        was, wanted = found[name], value
        if name.rpartition(".")[2] != "of":  # whose state it is stays, word for word
            was, wanted = _kind(was), _kind(wanted)
        if was != wanted:
            what = f"{optimizer.full_name}: {name} is {was!r:.80}, not {wanted!r}"
            raise CheckpointError(what, fix)
        if name.rpartition(".")[2] == "t" and not found[name] >= 0:
            raise CheckpointError(f"{optimizer.full_name}: {name} is {found[name]!r}", fix)
    for name, value in found.items():
        if isinstance(value, np.ndarray) and np.isnan(value).any():
            raise _not_finite(f"{optimizer.full_name}: {name}")


def _kind(value: Any) -> str:
    """What may stand in the place of a value, in words."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype}{list(value.shape)}"
    return "a string" if isinstance(value, str) else "a number"


def _check_finite(name: str, array: NDArray[Any]) -> None:
    if not np.isfinite(array).all():
        raise _not_finite(name)


def _not_finite(name: str) -> CheckpointError:
    return CheckpointError(
        f"the checkpoint has numbers that are not finite in {name}",
        "use an earlier checkpoint: the run had diverged",
    )
