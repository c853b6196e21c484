"""MNIST: the four files, where they are looked for, and where they come from.

Source: LeCun, Bottou, Bengio and Haffner, Proceedings of the IEEE 86(11), 1998. 60,000 training
and 10,000 test images of 28 x 28 bytes.
"""

import os
import shutil
import socket
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from http.client import HTTPException
from pathlib import Path

from ..arrays import Bytes
from ..cache import user_cache
from ..errors import DataError
from .idx import IdxFile

FILES = (
    IdxFile(
        "train-images-idx3-ubyte",
        (60_000, 28, 28),
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    ),
    IdxFile(
        "train-labels-idx1-ubyte",
        (60_000,),
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    ),
    IdxFile(
        "t10k-images-idx3-ubyte",
        (10_000, 28, 28),
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    ),
    IdxFile(
        "t10k-labels-idx1-ubyte",
        (10_000,),
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
)
MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
LOCAL = Path("data") / "mnist"
SIZE = "11 MB"  # of the four compressed files
PROBE_SECONDS = 5.0  # to find a mirror; both are asked at the same time
A_DAY = 24 * 60 * 60.0  # seconds
STALL_SECONDS = 30.0  # without a byte, after which a transfer is given up


def load(data_dir: str | Path | None = None) -> list[Bytes]:
    """The four arrays, in the order of FILES: train images, train labels, test images, labels.

    They are read from `data_dir`, else from $NNSCRATCH_DATA; where one of these is given, nowhere
    else. Otherwise from ./data/mnist, else from the user's cache, which a download fills first if
    need be. Raises DataError for files that are missing, damaged, or not MNIST.
    """
    if given := data_dir or os.environ.get("NNSCRATCH_DATA"):
        return read(Path(given).expanduser(), FILES)
    if any(file.find(LOCAL) for file in FILES):
        return read(LOCAL, FILES)
    try:
        cache = user_cache() / "mnist"
    except OSError as error:
        raise Unavailable(str(error.strerror)) from None
    if not all(file.find(cache) for file in FILES):
        download(cache, FILES, MIRRORS)
    try:
        return read(cache, FILES)
    except DataError as error:
        raise DataError(error.what, f"delete {cache}, which is then downloaded anew") from None


def read(folder: Path, files: Sequence[IdxFile]) -> list[Bytes]:
    """The arrays of those files in that folder; DataError names every file that is missing."""
    try:
        if not folder.is_dir():
            raise DataError(f"{folder} is no folder", where_to_put(files, folder))
        paths = [file.find(folder) for file in files]
    except OSError as error:
        what = f"{folder} cannot be searched ({error.strerror})"
        raise DataError(what, f"make {folder} readable, or name another folder") from None
    missing = [file.name for file, path in zip(files, paths, strict=True) if path is None]
    if missing:
        raise DataError(f"{folder} has no {', '.join(missing)}", where_to_put(files, folder))
    return [file.read(path) for file, path in zip(files, paths, strict=True) if path is not None]


def where_to_put(files: Sequence[IdxFile], folder: Path) -> str:
    """The instruction for someone without the files."""
    return f"put {', '.join(file.name for file in files)} (plain or .gz) into {folder}"


class Unavailable(DataError):
    """MNIST is not on this machine, and cannot be downloaded now."""

    def __init__(self, reason: str) -> None:
        place = where_to_put(FILES, LOCAL)
        super().__init__(
            f"MNIST is not in {LOCAL.absolute()} nor in the user's cache, and {reason}",
            f"{place}, or name their folder with --data-dir or $NNSCRATCH_DATA",
        )


def download(folder: Path, files: Sequence[IdxFile], mirrors: Sequence[str]) -> None:
    """Fetch the files into the folder; each appears there only when it is whole and verified.

    Every mirror that answers within PROBE_SECONDS is tried for every file. Raises Unavailable if
    none answers, if none has the right bytes, or if the folder cannot be written.
    """
    mirrors = _answering(mirrors, files[0])
    if not mirrors:
        raise Unavailable("no mirror of it answers")
    print(f"downloading MNIST ({SIZE}) from {mirrors[0]} to {folder}", file=sys.stderr)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(folder)
        with tempfile.TemporaryDirectory(dir=folder, prefix="download-") as part:
            for file in files:
                path = _fetch(file, mirrors, Path(part))
                path.replace(folder / path.name)
    except OSError as error:
        raise Unavailable(f"{folder} cannot be written ({error.strerror})") from None


def _remove_abandoned(folder: Path) -> None:
    """Remove what downloads that were killed have left; one of today may still be under way."""
    for part in folder.glob("download-*"):
        with suppress(OSError):  # another process may be removing it, too
            if time.time() - part.stat().st_mtime > A_DAY:
                shutil.rmtree(part)


def _fetch(file: IdxFile, mirrors: Sequence[str], folder: Path) -> Path:
    """The file, fetched from the first mirror that sends the right bytes."""
    from sklearn.datasets import fetch_file  # takes 0.7 s to import

    path = folder / f"{file.name}.gz"
    reasons = []
    for mirror in mirrors:
        try:
            with _stall_limit():
                fetch_file(mirror + path.name, folder, path.name, n_retries=1)
            file.read(path)
            return path
        except DataError as error:
            path.unlink()
            reasons.append(error.what.replace(str(path), mirror + path.name))
        except (OSError, HTTPException) as error:  # urllib's errors are OSErrors
            reasons.append(f"{mirror + path.name}: {error}")
    raise Unavailable(f"no download of it succeeded: {'; '.join(reasons)}")


def _answering(mirrors: Sequence[str], file: IdxFile) -> list[str]:
    """The mirrors that answer within PROBE_SECONDS, in the given order.

    Asked in threads, because the time that a name server takes can be limited in no other way.
    """
    answers: list[str] = []

    def ask(mirror: str) -> None:
        request = urllib.request.Request(f"{mirror}{file.name}.gz", method="HEAD")
        try:
            with urllib.request.urlopen(request, timeout=PROBE_SECONDS):
                answers.append(mirror)
        except (OSError, HTTPException):
            pass  # no answer, or none that makes sense

    threads = [threading.Thread(target=ask, args=(mirror,), daemon=True) for mirror in mirrors]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + PROBE_SECONDS
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [mirror for mirror in mirrors if mirror in answers]


@contextmanager
def _stall_limit() -> Iterator[None]:
    """Sockets give up after STALL_SECONDS without a byte; fetch_file has no such argument."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(STALL_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
