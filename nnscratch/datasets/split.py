"""Images and their labels; images stay bytes and become floats as they are read."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import seeds
from ..arrays import Array, Labels, RowBuffer
from ..errors import UsageError


class Pixels:
    """Images that look like a float matrix of shape (n, pixels), and are divided when sliced.

        x = image / unit

    So a batch of any size costs no more memory than the rows that are read at a time, and the
    network reads them 1,024 at a time. numpy.asarray(x) gives the whole matrix. With a `buffer`,
    a slice lies in it, and holds until the next slice is read.
    """

    def __init__(
        self,
        images: NDArray[Any],
        unit: float,
        dtype: str,
        rows: NDArray[np.intp] | None = None,
        buffer: "PixelBuffer | None" = None,
    ) -> None:
        self.images = images
        self.unit = unit
        self.dtype = np.dtype(dtype)
        self.rows = rows  # which images, in which order; None: all, as they lie
        self.buffer = buffer

    def __len__(self) -> int:
        return len(self.images if self.rows is None else self.rows)

    @property
    def shape(self) -> tuple[int, int]:
        """(number of images, pixels of an image)."""
        return len(self), self.images.shape[1]

    def __getitem__(self, key: Any) -> Array:
        """The rows, as floats; slices, whole numbers and index arrays as in NumPy."""
        if self.buffer is not None and isinstance(key, slice):
            return self.buffer.read(self, key)
        chosen = self.images[key] if self.rows is None else self.images[self.rows[key]]
        divided: Array = np.divide(chosen, self.unit, dtype=self.dtype)
        return divided

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        everything = np.arange(len(self))
        return self[everything].astype(dtype or self.dtype, copy=False)


class PixelBuffer:
    """The memory in which a loader's batches take shape, one after another."""

    def __init__(self, pixels: int, images_dtype: np.dtype[Any], dtype: str) -> None:
        self._gathered = RowBuffer(pixels, images_dtype)
        self._divided = RowBuffer(pixels, dtype)

    def read(self, x: Pixels, key: slice) -> Array:
        """The rows of x, gathered and divided here; overwritten by the next call."""
        rows = np.arange(len(x))[key] if x.rows is None else x.rows[key]
        gathered = self._gathered.rows(len(rows))
        # mode="clip" lets NumPy write straight into out; all rows are in range anyway
        np.take(x.images, rows, axis=0, out=gathered, mode="clip")
        divided = self._divided.rows(len(gathered))
        np.divide(gathered, x.unit, out=divided, dtype=divided.dtype)
        return divided


@dataclass(frozen=True, eq=False)
class Split:
    """Images with their labels, read-only: a training, validation or test set.

    images   (n, pixels), bytes or floats
    labels   (n,), whole numbers from 0 on
    unit     the pixel value that the network sees as 1: 255 for bytes, 1 to leave them raw
    dtype    of what the network sees: float32 or float64
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
        for name, array in [("images", images.view()), ("labels", labels.astype(np.intp))]:
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def x(self) -> Pixels:
        """The images as the network sees them."""
        return Pixels(self.images, self.unit, self.dtype)

    def __getitem__(self, rows: Any) -> "Split":
        """The split of these rows alone."""
        return Split(self.images[rows], self.labels[rows], self.unit, self.dtype)


def stratified(labels: Labels, size: int, seed: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Positions to keep and positions to set aside, `size` of them, alike in their classes.

    Both in ascending order; which ones depends on the seed. UsageError if there are too few for
    one of each class on both sides (but 0 is allowed).
    """
    everything = np.arange(len(labels))
    if size == 0:
        return everything, everything[:0]
    classes = len(np.unique(labels))
    if not classes <= size <= len(labels) - classes:
        raise UsageError(
            f"cannot set aside {size} of {len(labels)} images",
            f"choose 0, or a number from {classes} to {len(labels) - classes}",
        )
    from sklearn.model_selection import train_test_split  # takes 0.7 s to import

    generator = np.random.MT19937(seeds.stream(seed, seeds.SPLIT))
    kept, set_aside = train_test_split(
        everything, test_size=size, stratify=labels, random_state=np.random.RandomState(generator)
    )
    return np.sort(kept), np.sort(set_aside)
