"""Files that appear whole or not at all."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import WriteError


def write_whole(path: Path, content: bytes) -> None:
    """Give a file that content; whatever happens, it is the old file or the new one.

    Written beside it under another name, flushed to the disk, read back, and renamed. Raises
    WriteError where one of these is not possible.
    """
    if not path.name:
        raise WriteError(f"{str(path)!r} is no name of a file", "give the path of a file")
    part = path.with_name(f".{path.name}.part")
    with writing(path):
        try:
            with part.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            if part.read_bytes() != content:
                raise WriteError(f"{path} does not read back as it was written", "check the disk")
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        _flush_names(path.parent)


def _flush_names(folder: Path) -> None:
    """Flush the folder itself, which holds the names: a rename is not on the disk before that."""
    if os.name != "posix":  # elsewhere a folder cannot be opened
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # a file system that has no such thing
            raise
    finally:
        os.close(descriptor)


@contextmanager
def writing(
    path: Path, fix: str = "choose a folder that is there and can be written, or make room"
) -> Iterator[Path]:
    """The path; WriteError where the disk refuses."""
    try:
        yield path
    except OSError as error:
        raise WriteError(f"{path} cannot be written ({error.strerror})", fix) from None
