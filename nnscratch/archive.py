"""Named arrays and one JSON text in one file: npz without pickle, which is believed in nothing.

A file may hold arrays of numbers and the text; only members that are stored as they are, so that
none is larger than the file; no name in it becomes a path or a class. What numpy.load would do
with it, evaluate a header, or pickle, is not done.
"""

import hashlib
import io
import json
import math
import os
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from .arrays import aligned_zeros
from .environment import version
from .errors import CheckpointError, UsageError
from .hyper import Interval, checked

DESCRIPTION = "description"
LARGEST_DESCRIPTION = 64_000_000  # bytes
LARGEST_DIRECTORY = 1_000_000  # bytes of the list of members
DTYPE = re.compile(r"\|b1|[<|][iu][1248]|<f[48]")
NPY_MAGIC = b"\x93NUMPY\x01\x00"
NAME = re.compile(r"[A-Za-z0-9_.]{1,200}")
KINDS = {"checkpoint": "progress", "network": "unit"}  # and what the description of each has
Content = TypeVar("Content")


class Unreadable(Exception):
    """Says in what a file is no such archive."""


# --- writing -------------------------------------------------------------------------------------


def packed(description: Mapping[str, Any], arrays: Mapping[str, Any], number: int) -> bytes:
    """The content of a file with format `number`: equal arrays and texts give equal bytes.

    Arrays may be NumPy's scalars, too. TypeError or ValueError for a description that JSON cannot
    hold, UsageError for one that is too long.
    """
    members = {name: _npy(np.asarray(array)) for name, array in arrays.items()}
    text = json.dumps(
        {
            "format": number,
            "nnscratch": version("nnscratch"),
            **description,
            "arrays": {
                name: {
                    "dtype": array.dtype.str,
                    "shape": list(array.shape),
                    "is_scalar": isinstance(array, np.generic),
                    "sha256": hashlib.sha256(members[name]).hexdigest(),
                }
                for name, array in arrays.items()
            },
        }
    ).encode()
    if len(text) > LARGEST_DESCRIPTION - 1000 or 100 * len(members) > LARGEST_DIRECTORY:
        what = "the history, or the number of arrays in the states, is too long for a file"
        raise UsageError(what, "save less of the history, or train in more than one run")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in {DESCRIPTION: _npy(np.frombuffer(text, np.uint8)), **members}.items():
            member = zipfile.ZipInfo(f"{name}.npy")  # dated 1980: same run, same bytes
            archive.writestr(member, content)
    return buffer.getvalue()


def can_hold(array: NDArray[Any] | np.generic) -> bool:
    """Whether it is of numbers of a usual type."""
    return DTYPE.fullmatch(array.dtype.str) is not None


def _npy(array: NDArray[Any]) -> bytes:
    """The array as numpy.save writes it, row after row."""
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.asarray(array, order="C"), (1, 0), allow_pickle=False)
    return buffer.getvalue()


# --- reading -------------------------------------------------------------------------------------


def read(path: Path, kind: str, fix: str, reader: Callable[[IO[bytes], int], Content]) -> Content:
    """What the reader makes of a file and its size in bytes.

    CheckpointError, with that fix, for a file that is missing or that the reader finds Unreadable;
    `kind` says what it should be.
    """
    try:
        if not path.is_file():
            raise CheckpointError(f"there is no {kind} {path}", f"give the file of a {kind}")
        with path.open("rb") as file:
            return reader(file, os.fstat(file.fileno()).st_size)
    except OSError as error:
        what = f"{path} cannot be read ({error.strerror})"
        raise CheckpointError(what, f"make {path} readable") from None
    except Unreadable as error:
        what = f"{path} is no {kind} that can be read: {error}"
        raise CheckpointError(what, fix) from None


def unpacked(
    file: IO[bytes], size: int, kind: str, known: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The description and the arrays in a file of that many bytes, each on a cache line.

    Raises Unreadable for anything that `packed` did not write, or wrote for something else than
    that kind (see KINDS), or in another format than `known`.
    """
    start = file.read(2)
    if not start:
        raise Unreadable("it is empty")
    if start != b"PK":
        raise Unreadable("it is of another kind, and should be an npz file")
    _check_directory(file, size)
    try:
        with sensible(), zipfile.ZipFile(file) as archive:
            members = _members(archive, size)
            if DESCRIPTION not in members:
                raise Unreadable(f"it has no {DESCRIPTION}")
            if members[DESCRIPTION].file_size > LARGEST_DESCRIPTION:
                raise Unreadable(f"its {DESCRIPTION} is too large")
            _, text = _content(members, DESCRIPTION, archive)
            description = json.loads(bytes(text))
            if KINDS[kind] not in description:
                others = [other for other, entry in KINDS.items() if entry in description]
                raise Unreadable(f"it is a {others[0]}" if others else f"it has no {KINDS[kind]}")
            check_format(description["format"], description["nnscratch"], known)
            about = description["arrays"]
            if {DESCRIPTION, *about} != set(members):
                odd = sorted({DESCRIPTION, *about} ^ set(members))
                what = f"its description does not fit its members: {shown(', '.join(odd))}"
                raise Unreadable(what)
            arrays = {name: _array(name, of, members, archive) for name, of in about.items()}
            return description, arrays
    except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, OSError) as error:
        raise Unreadable(f"it is damaged ({str(error)!r:.80})") from None
    except (NotImplementedError, RuntimeError) as error:  # an archive with a password, and such
        raise Unreadable(f"no such file was written so ({str(error)!r:.80})") from None


@contextmanager
def sensible() -> Iterator[None]:
    """Unreadable for what fails in the block because a description makes no sense."""
    try:
        yield
    except UsageError as error:
        raise Unreadable(f"its description makes no sense: {error.what}") from None
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        what = f"its description makes no sense ({type(error).__name__}: {str(error)!r:.80})"
        raise Unreadable(what) from None


def check_format(number: Any, made_by: Any, known: int) -> None:
    if not isinstance(number, int) or number < 1:
        raise Unreadable(f"its format is {number!r:.80}")
    if number != known:
        cure = (
            "upgrade" if number > known else "read it with the state that wrote it, or train anew"
        )
        raise Unreadable(
            f"it has format {number} of nnscratch {made_by!r:.80}, and this is nnscratch "
            f"{version('nnscratch')}, which reads format {known}: {cure}"
        )


def _check_directory(file: IO[bytes], size: int) -> None:
    """Refuse a list of members so long that reading it would fill the memory.

    zipfile reads all of it at once. It ends with 22 bytes; those of large archives with more.
    """
    file.seek(max(0, size - 42))
    end = file.read(42)
    if end[-22:-18] != b"PK\5\6":
        raise Unreadable("it is cut off, or something was added at its end")
    length = int.from_bytes(end[-10:-6], "little")
    if length > LARGEST_DIRECTORY or (end[:4] == b"PK\6\7" and size < 2**31):
        raise Unreadable("it has too many members")
    file.seek(0)


def _members(archive: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    """The members by name without .npy, if all are stored as they are and are no larger than it."""
    members = {}
    for info in archive.infolist():
        name = info.filename.removesuffix(".npy")
        if not NAME.fullmatch(name) or name == info.filename or name in members:
            raise Unreadable(f"no such file has a member {info.filename[:80]!r} like this")
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
            raise Unreadable(f"its member {name[:80]} is compressed")
        members[name] = info
    if sum(info.file_size for info in members.values()) > size:
        raise Unreadable("its members are larger than the file")
    return members


def _content(
    members: Mapping[str, zipfile.ZipInfo], name: str, archive: zipfile.ZipFile
) -> tuple[bytes, memoryview]:
    """A member, and in it the bytes of its array, behind a header that is not looked at."""
    content = archive.read(members[name])
    if not content.startswith(NPY_MAGIC):
        raise Unreadable(f"its {name} is no array")
    return content, memoryview(content)[10 + int.from_bytes(content[8:10], "little") :]


def _array(
    name: str,
    about: Mapping[str, Any],
    members: Mapping[str, zipfile.ZipInfo],
    archive: zipfile.ZipFile,
) -> Any:
    """The array of that name, on a cache line, if it is the one that was written."""
    if not DTYPE.fullmatch(about["dtype"]):
        raise Unreadable(f"its {name} holds {about['dtype']!r:.80}, not numbers")
    dtype = np.dtype(about["dtype"])
    shape = tuple(checked("a size", n, int, Interval("[0, inf)"), "") for n in about["shape"])
    content, body = _content(members, name, archive)
    if len(body) != math.prod(shape) * dtype.itemsize:
        raise Unreadable(f"its {name} has {len(body):,} bytes, which is not {dtype}{list(shape)}")
    if hashlib.sha256(content).hexdigest() != about["sha256"]:
        raise Unreadable(f"its {name} is not what was written (sha256 differs)")
    array = aligned_zeros(shape, dtype.newbyteorder("="))
    array[...] = np.frombuffer(body, dtype).reshape(shape)
    return array[()] if about["is_scalar"] else array


def shown(name: str) -> str:
    """A name out of a file, fit to be printed: it may hold what moves the cursor."""
    return name if name.isprintable() and len(name) < 200 else repr(name)[:200]
