"""Reader of idx files, the format in which MNIST is published.

A file is a header and the bytes of one array: two zero bytes, 8 for the type (unsigned byte), the
number of dimensions, and each dimension as a big-endian 32-bit number. It may be compressed with
gzip. Nothing that a file says is believed: the header must be the expected one, the length must
be exact, and the sha256 of the decompressed bytes must be the published one. (Of the decompressed
bytes, since a copy that was compressed again is a different .gz with the same contents.)
"""

import gzip
import hashlib
import math
import os
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..arrays import Bytes
from ..errors import DataError

GZIP_MAGIC = b"\x1f\x8b"
KINDS = {1: "label", 3: "image"}  # by number of dimensions


@dataclass(frozen=True)
class IdxFile:
    """A published idx file: its name without .gz, the shape of its array, and its sha256."""

    name: str
    shape: tuple[int, ...]
    sha256: str

    @property
    def header(self) -> bytes:
        """The bytes with which the decompressed file begins."""
        return bytes([0, 0, 8, len(self.shape)]) + b"".join(n.to_bytes(4) for n in self.shape)

    @property
    def size(self) -> int:
        """Bytes of the decompressed file."""
        return len(self.header) + math.prod(self.shape)

    def find(self, folder: Path) -> Path | None:
        """The file in that folder, compressed or not, under either of the two usual names."""
        dotted = self.name.replace("-idx", ".idx")
        for name in (self.name, f"{self.name}.gz", dotted, f"{dotted}.gz"):
            if os.path.lexists(folder / name):  # a dangling link counts: it is to be reported
                return folder / name
        return None

    def read(self, path: Path) -> Bytes:
        """The array in that file, read-only. DataError unless it is exactly the published one."""
        content = self._decompressed(path)
        if content[:4] != self.header[:4]:
            raise DataError(f"{path}: {self._describe(content)}", self._fix(path))
        if len(content) < len(self.header):
            raise DataError(f"{path} is incomplete: it ends in its header", self._fix(path))
        if content[: len(self.header)] != self.header:
            counts = np.frombuffer(content, ">u4", count=len(self.shape), offset=4)
            raise DataError(
                f"{path}: its header says {' x '.join(map(str, counts))}, "
                f"not {' x '.join(map(str, self.shape))}",
                self._fix(path),
            )
        if len(content) < self.size:
            raise DataError(
                f"{path} is incomplete: {len(content):,} of {self.size:,} bytes", self._fix(path)
            )
        if len(content) > self.size:
            raise DataError(f"{path} is longer than {self.size:,} bytes", self._fix(path))
        if hashlib.sha256(content).hexdigest() != self.sha256:
            raise DataError(
                f"{path} has the form of {self.name}, but other contents (sha256 differs)",
                self._fix(path),
            )
        return np.frombuffer(content, np.uint8, offset=len(self.header)).reshape(self.shape)

    def _decompressed(self, path: Path) -> bytes:
        """At most one byte more than the file should have, so that no bomb fills the memory."""
        try:
            if not path.is_file():
                raise DataError(f"{path} is not a regular file", self._fix(path))
            with path.open("rb") as file:
                is_gzip = file.read(2) == GZIP_MAGIC
                file.seek(0)
                if not is_gzip:
                    return file.read(self.size + 1)
                with gzip.GzipFile(fileobj=file) as decompressed:
                    return decompressed.read(self.size + 1)
        except EOFError:
            raise DataError(f"{path} is incomplete: it ends too early", self._fix(path)) from None
        except (gzip.BadGzipFile, zlib.error) as error:
            raise DataError(f"{path} is damaged ({error})", self._fix(path)) from None
        except OSError as error:
            fix = f"make {path} readable"
            raise DataError(f"{path} cannot be read ({error.strerror})", fix) from None

    def _describe(self, content: bytes) -> str:
        """What a file with a wrong beginning seems to be."""
        expected = f"expected the {KINDS[len(self.shape)]} file {self.name}"
        if not content:
            return "the file is empty"
        if content.lstrip()[:1] == b"<":
            return "this is a web page, not an idx file"
        if content[:2] == GZIP_MAGIC:
            return "the file was compressed twice"
        if content[3:4] == b"\x00" and content[0] in KINDS:
            return "the header is little-endian; idx headers are big-endian"
        if content[:3] == self.header[:3] and len(content) > 3 and content[3] in KINDS:
            return f"this is a file of {KINDS[content[3]]}s, {expected}"
        return f"this is not an idx file, {expected}"

    def _fix(self, path: Path) -> str:
        return f"replace {path} by the published {self.name} or {self.name}.gz"
