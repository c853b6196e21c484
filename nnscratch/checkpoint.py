"""Checkpoints: a training run between two updates, as one file; npz without pickle.

A file is believed in nothing. It may hold arrays of numbers and one JSON text; only members that
are stored as they are, so that none is larger than the file; no name in it becomes a path or a
class. What numpy.load would do with it, evaluate a header, or pickle, is not done.
"""

import hashlib
import io
import json
import math
import os
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from .arrays import Array, aligned_zeros
from .environment import version
from .errors import CheckpointError, UsageError
from .files import write_whole
from .hyper import Interval, checked
from .loop import Progress, Record, arrays_to_update
from .model import MLP
from .optim import Optimizer, State
from .optim.base import copied, leaves

FORMAT = 1  # version of the file
DESCRIPTION = "description"
LARGEST_DESCRIPTION = 64_000_000  # bytes
LARGEST_DIRECTORY = 1_000_000  # bytes of the list of members
DTYPE = re.compile(r"\|b1|[<|][iu][1248]|<f[48]")
NPY_MAGIC = b"\x93NUMPY\x01\x00"
NAME = re.compile(r"[A-Za-z0-9_.]{1,200}")
NUMBERS = [  # of a Progress, as JSON holds them
    *("update", "examples", "seed", "optimizer", "loader", "first_epoch"),
    *("first_loss", "loss_sum", "seen", "seconds"),
]
NATURAL = Interval("[0, inf)")


@dataclass
class Checkpoint:
    """A training run between two updates.

    network    what the network is (see MLP.description)
    w          the weights where the next gradient is wanted
    progress   where the run stands, the optimizer's states among it
    history    the records at the ends of its epochs
    about      what else the run wants to find again, as JSON can hold it
    """

    network: dict[str, Any]
    w: Array
    progress: Progress
    history: list[Record] = field(default_factory=list)
    about: dict[str, Any] = field(default_factory=dict)

    def restore(self, model: MLP, optimizer: Optimizer) -> Progress:
        """Give the model the weights, and return a progress for `fit` to go on with.

        The weights are those where the next gradient is wanted; `fit` brings back those to
        evaluate, where an optimizer has others. CheckpointError, before anything changes, if the
        network or the optimizer is another one, or a number is not finite.
        """
        now = json.loads(json.dumps(model.description))
        names = {**self.network, **now}
        other = [
            f"{shown(name)} was {json.dumps(self.network.get(name))} and is "
            f"{json.dumps(now.get(name))}"
            for name in names
            if self.network.get(name) != now.get(name)
        ]
        if other or self.w.shape != model.w.shape or self.w.dtype != model.w.dtype:
            raise CheckpointError(
                f"the checkpoint is of another network: {'; '.join(other) or 'other weights'}",
                "make the network as it was",
            )
        _check_finite("weights", self.w)
        if not self.progress.is_new:
            self._check_states(optimizer, [w for w, _ in arrays_to_update(model, optimizer)])
        model.w = self.w
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

        progress = nn.Progress()
        for record in nn.fit(model, optimizer, loader, 10, progress=progress):
            nn.save_checkpoint("run.npz", model, progress)

    Raises WriteError where the file cannot be written, UsageError for a state that holds anything
    but arrays, numbers, strings and dicts of these, or that was left in the middle of an update.
    """
    write_whole(Path(path), to_bytes(model, progress, history, about or {}))


def load_checkpoint(path: str | Path) -> Checkpoint:
    """The run in a file, to go on with in the same place or another:

        checkpoint = nn.load_checkpoint("run.npz")
        progress = checkpoint.restore(model, optimizer)
        for record in nn.fit(model, optimizer, loader, 10, progress=progress): ...

    Raises CheckpointError for a file that is missing, damaged, no checkpoint, or of a newer format.
    """
    path = Path(path)
    try:
        if not path.is_file():
            raise CheckpointError(f"there is no checkpoint {path}", "give the file of a checkpoint")
        with path.open("rb") as file:
            return _from_file(file, os.fstat(file.fileno()).st_size)
    except OSError as error:
        what = f"{path} cannot be read ({error.strerror})"
        raise CheckpointError(what, f"make {path} readable") from None
    except _Unreadable as error:
        raise CheckpointError(
            f"{path} is no checkpoint that can be read: {error}",
            "use an earlier checkpoint, or begin the run anew",
        ) from None


def to_bytes(
    model: MLP, progress: Progress, history: Sequence[Record], about: Mapping[str, Any]
) -> bytes:
    """The content of a checkpoint's file."""
    if not progress.is_whole:
        what = f"the run was broken off in the middle of update {progress.update + 1}"
        raise UsageError(what, "save it while a record is held")
    arrays: dict[str, Any] = {"w": progress.gradient_point(model)}
    states = [_coded(state, f"{k}", arrays) for k, state in enumerate(progress.states)]
    members = {name: _npy(np.asarray(array)) for name, array in arrays.items()}
    description = {
        "format": FORMAT,
        "nnscratch": version("nnscratch"),
        "network": model.description,
        "progress": {name: getattr(progress, name) for name in NUMBERS},
        "states": states,
        "arrays": {
            name: {
                "dtype": array.dtype.str,
                "shape": list(array.shape),
                "is_scalar": isinstance(array, np.generic),
                "sha256": hashlib.sha256(members[name]).hexdigest(),
            }
            for name, array in arrays.items()
        },
        "history": [asdict(record) for record in history],
        "about": about,
    }
    try:
        text = np.frombuffer(json.dumps(description).encode(), np.uint8)
    except (TypeError, ValueError) as error:
        raise UsageError(f"about is nothing that JSON can hold ({error})", "leave it out") from None
    if len(text) > LARGEST_DESCRIPTION - 1000 or 100 * len(members) > LARGEST_DIRECTORY:
        what = "the history, or the number of arrays in the states, is too long for a checkpoint"
        raise UsageError(what, "save less of the history, or train in more than one run")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in {DESCRIPTION: _npy(text), **members}.items():
            member = zipfile.ZipInfo(f"{name}.npy")  # dated 1980: same run, same bytes
            archive.writestr(member, content)
    return buffer.getvalue()


def _coded(value: Any, name: str, arrays: dict[str, Any]) -> Any:
    """A state, or an entry of one, as JSON: an array is put aside, and is a list with its name."""
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: _coded(entry, f"{name}.{key}", arrays) for key, entry in value.items()}
    if isinstance(value, np.ndarray | np.generic) and DTYPE.fullmatch(value.dtype.str):
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


def _npy(array: NDArray[Any]) -> bytes:
    """The array as numpy.save writes it, row after row."""
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.asarray(array, order="C"), (1, 0), allow_pickle=False)
    return buffer.getvalue()


class _Unreadable(Exception):
    """Says in what a file is no checkpoint."""


def _from_file(file: IO[bytes], size: int) -> Checkpoint:
    start = file.read(2)
    if not start:
        raise _Unreadable("it is empty")
    if start != b"PK":
        raise _Unreadable("it is of another kind; a checkpoint is an npz file")
    _check_directory(file, size)
    try:
        with zipfile.ZipFile(file) as archive:
            members = _members(archive, size)
            if DESCRIPTION not in members:
                raise _Unreadable(f"it has no {DESCRIPTION}")
            if members[DESCRIPTION].file_size > LARGEST_DESCRIPTION:
                raise _Unreadable(f"its {DESCRIPTION} is too large")
            _, text = _content(members, DESCRIPTION, archive)
            return _from_description(json.loads(bytes(text)), members, archive)
    except _Unreadable:
        raise
    except UsageError as error:
        raise _Unreadable(f"its description makes no sense: {error.what}") from None
    except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, OSError) as error:
        raise _Unreadable(f"it is damaged ({error})") from None
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        what = f"its description makes no sense ({type(error).__name__}: {str(error)!r:.80})"
        raise _Unreadable(what) from None
    except (NotImplementedError, RuntimeError) as error:  # an archive with a password, and such
        raise _Unreadable(f"no checkpoint was written so ({error})") from None


def _check_directory(file: IO[bytes], size: int) -> None:
    """Refuse a list of members so long that reading it would fill the memory.

    zipfile reads all of it at once. It ends with 22 bytes; those of large archives with more.
    """
    file.seek(max(0, size - 42))
    end = file.read(42)
    if end[-22:-18] != b"PK\5\6":
        raise _Unreadable("it is cut off, or something was added at its end")
    length = int.from_bytes(end[-10:-6], "little")
    if length > LARGEST_DIRECTORY or (end[:4] == b"PK\6\7" and size < 2**31):
        raise _Unreadable("it has too many members")
    file.seek(0)


def _members(archive: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    """The members by name without .npy, if all are stored as they are and are no larger than it."""
    members = {}
    for info in archive.infolist():
        name = info.filename.removesuffix(".npy")
        if not NAME.fullmatch(name) or name == info.filename or name in members:
            raise _Unreadable(f"no checkpoint has a member {info.filename[:80]!r} like this")
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
            raise _Unreadable(f"its member {name[:80]} is compressed")
        members[name] = info
    if sum(info.file_size for info in members.values()) > size:
        raise _Unreadable("its members are larger than the file")
    return members


def _content(
    members: Mapping[str, zipfile.ZipInfo], name: str, archive: zipfile.ZipFile
) -> tuple[bytes, memoryview]:
    """A member, and in it the bytes of its array, behind a header that is not looked at."""
    content = archive.read(members[name])
    if not content.startswith(NPY_MAGIC):
        raise _Unreadable(f"its {name} is no array")
    return content, memoryview(content)[10 + int.from_bytes(content[8:10], "little") :]


def _from_description(
    description: dict[str, Any], members: Mapping[str, zipfile.ZipInfo], archive: zipfile.ZipFile
) -> Checkpoint:
    number, made_by = description["format"], description["nnscratch"]
    if not isinstance(number, int) or number < 1:
        raise _Unreadable(f"its format is {number!r:.80}")
    if number > FORMAT:
        raise _Unreadable(
            f"it has format {number} of nnscratch {made_by!r:.80}, and this is nnscratch "
            f"{version('nnscratch')}, which knows up to {FORMAT}: upgrade"
        )
    about = description["arrays"]
    if {DESCRIPTION, *about} != set(members):
        odd = sorted({DESCRIPTION, *about} ^ set(members))
        raise _Unreadable(f"its description does not fit its members: {shown(', '.join(odd))}")
    json.dumps([description["history"], description["about"]], allow_nan=False)  # JSON has no nan
    arrays = {name: _array(name, of, members, archive) for name, of in about.items()}
    w = arrays.pop("w")
    states = description["states"]
    if not all(isinstance(state, dict) for state in states):
        raise _Unreadable("its states are none")
    decoded = [_decoded(state, arrays) for state in states]
    if arrays:
        raise _Unreadable(f"its states do not have {', '.join(sorted(arrays))}")
    return Checkpoint(
        network=dict(description["network"]),
        w=w,
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
    return Record(**{**entry, "ends_epoch": bool(entry["ends_epoch"])})


def _array(
    name: str,
    about: Mapping[str, Any],
    members: Mapping[str, zipfile.ZipInfo],
    archive: zipfile.ZipFile,
) -> Any:
    """The array of that name, on a cache line, if it is the one that was written."""
    if not DTYPE.fullmatch(about["dtype"]):
        raise _Unreadable(f"its {name} holds {about['dtype']!r:.80}, not numbers")
    dtype = np.dtype(about["dtype"])
    shape = tuple(checked("a size", n, int, NATURAL, "") for n in about["shape"])
    content, body = _content(members, name, archive)
    if len(body) != math.prod(shape) * dtype.itemsize:
        raise _Unreadable(f"its {name} has {len(body):,} bytes, which is not {dtype}{list(shape)}")
    if hashlib.sha256(content).hexdigest() != about["sha256"]:
        raise _Unreadable(f"its {name} is not what was written (sha256 differs)")
    array = aligned_zeros(shape, dtype.newbyteorder("="))
    array[...] = np.frombuffer(body, dtype).reshape(shape)
    return array[()] if about["is_scalar"] else array


def shown(name: str) -> str:
    """A name out of a file, fit to be printed: it may hold what moves the cursor."""
    return name if name.isprintable() and len(name) < 200 else repr(name)[:200]


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
