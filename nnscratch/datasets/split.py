"""Images and their labels; images stay bytes and become floats as they are read."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .. import seeds
from ..arrays import Array, Labels, RowBuffer
from ..errors import UsageError
from ..hyper import Interval, checked


class Pixels:
    """Images that look like a float matrix of shape (n, pixels), and are divided when read.

        x = image / unit

    So a batch of any size costs no more memory than the rows that are read at a time; the network
    reads 1,024. Indexing gives new arrays, as does numpy.asarray(x) for the whole matrix; `read`
    writes into memory that it is given.
    """

    def __init__(
        self,
        images: NDArray[Any],
        unit: float,
        dtype: DTypeLike,
        rows: NDArray[np.intp] | None = None,
        buffer: "PixelBuffer | None" = None,
    ) -> None:
        self.images = images
        self.unit = unit
        self.dtype = np.dtype(dtype)
        self.rows = np.arange(len(images)) if rows is None else rows  # which, in which order
        self._buffer = buffer or PixelBuffer(images.shape[1], images.dtype, dtype)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def shape(self) -> tuple[int, int]:
        """(number of images, pixels of an image)."""
        return len(self), self.images.shape[1]

    def __getitem__(self, key: Any) -> Array:
        """Some rows as a new array; slices, whole numbers and index arrays as in NumPy."""
        divided: Array = np.divide(self.images[self.rows[key]], self.unit, dtype=self.dtype)
        return divided

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        return self[:].astype(dtype or self.dtype, copy=False)

    def read(self, rows: slice) -> Array:
        """Some rows, in memory that the next call overwrites: for one pass through a network."""
        chosen = self.rows[rows]
        gathered, divided = self._buffer.lend(len(chosen))
        # mode="clip" lets NumPy write straight into out; all rows are in range anyway
        np.take(self.images, chosen, axis=0, out=gathered, mode="clip")
        np.copyto(divided, gathered, casting="same_kind")
        divided /= self.unit
        return divided


class PixelBuffer:
    """The memory in which batches take shape, one after another: bytes, and then floats."""

    def __init__(self, pixels: int, images: DTypeLike, floats: DTypeLike) -> None:
        self._gathered = RowBuffer(pixels, images)
        self._divided = RowBuffer(pixels, floats)

    def lend(self, n: int) -> tuple[NDArray[Any], Array]:
        """Room for n images as they are stored, and for n as the network sees them."""
        return self._gathered.rows(n), self._divided.rows(n)


@dataclass(frozen=True, eq=False)
class Split:
    """Images with their labels, read-only: a training, validation or test set.

    images   (n, pixels), bytes or floats
    labels   (n,), whole numbers from 0 on
    unit     the pixel value that the network sees as 1: 255 for bytes, 1 to leave them raw
    dtype    of what the network sees: float32 or float64

    Raises UsageError for arrays that are not that, and for images and labels of unequal number.

    >>> split = nn.Split(np.array([[0, 255], [51, 0]], np.uint8), np.array([1, 0]), unit=255)
    >>> split.x[:]                          # as the network sees them, shape (n, pixels)
    array([[0. , 1. ],
           [0.2, 0. ]], dtype=float32)
    >>> split[1:].labels                    # the split of some of the rows
    array([0])
    """

    images: NDArray[Any]
    labels: Labels
    unit: float = 1.0
    dtype: str = "float32"

    def __post_init__(self) -> None:
        images, labels = np.asarray(self.images), np.asarray(self.labels)
        if images.ndim != 2 or labels.ndim != 1:
            raise UsageError(
                f"images have shape {images.shape}, labels {labels.shape}",
                "give images as (n, pixels), labels as (n,); images.reshape(len(images), -1) helps",
            )
        if images.dtype.kind not in "fiu" or (
            images.dtype.kind == "f" and not np.isfinite(images).all()
        ):
            raise UsageError(
                f"images of type {images.dtype} are not all finite numbers",
                "give bytes, or floats without nan",
            )
        if len(images) != len(labels):
            raise UsageError(
                f"there are {len(images)} images but {len(labels)} labels",
                "give one label for each image",
            )
        if labels.dtype.kind not in "iu" or (len(labels) and labels.min() < 0):
            raise UsageError(
                f"labels of type {labels.dtype} are not class numbers",
                "give whole numbers from 0 on, the class of each image",
            )
        fix = "255 makes bytes numbers from 0 to 1, and 1 leaves them as they are"
        checked("unit", self.unit, float, Interval("(0, inf)"), fix)
        if np.dtype(self.dtype) not in (np.float32, np.float64):
            raise UsageError(f"dtype is {self.dtype!r}", "choose float32 or float64")
        for name, array in [("images", images.view()), ("labels", labels.astype(np.intp))]:
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        return f"<Split of {len(self):,} images of {self.images.shape[1]} pixels>"

    @property
    def x(self) -> Pixels:
        """The images as the network sees them."""
        return Pixels(self.images, self.unit, self.dtype)

    def __getitem__(self, rows: Any) -> "Split":
        """The split of these rows alone."""
        return Split(self.images[rows], self.labels[rows], self.unit, self.dtype)


def data_hash(splits: Mapping[str, Split]) -> str:
    """The hash of all images and labels, and of how they reach the network."""
    digest = hashlib.sha256()
    for name, split in splits.items():
        digest.update(f"{name} {split.images.shape} {split.unit} {split.dtype}".encode())
        digest.update(np.ascontiguousarray(split.images).data)
        digest.update(split.labels.astype("<i8").tobytes())
    return digest.hexdigest()[:16]


def stratified(labels: Labels, size: int, seed: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Positions to keep and positions to set aside, `size` of them, alike in their classes.

    Both in ascending order; which ones depends on the seed. UsageError if there are too few for
    one of each class on both sides (but 0 is allowed).
    """
    everything = np.arange(len(labels))
    classes = len(np.unique(labels))
    fix = f"choose 0, or a number from {classes} to {len(labels) - classes}"
    if checked("val_size", size, int, Interval("[0, inf)"), fix) == 0:
        return everything, everything[:0]
    if not classes <= size <= len(labels) - classes:
        raise UsageError(f"cannot set aside {size} of {len(labels)} images", fix)
    from sklearn.model_selection import train_test_split  # takes 0.7 s to import

    generator = np.random.MT19937(seeds.stream(seed, seeds.SPLIT))
    kept, set_aside = train_test_split(
        everything, test_size=size, stratify=labels, random_state=np.random.RandomState(generator)
    )
    return np.sort(kept), np.sort(set_aside)
