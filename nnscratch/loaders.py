"""Loaders: in which portions the training images reach the network."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from . import seeds
from .arrays import Labels
from .datasets.split import PixelBuffer, Pixels, Split
from .errors import UsageError
from .hyper import Interval, checked


class Loader:
    """The images of a split in batches: each pass over it is one epoch.

    x has shape (batch, pixels) and is read as described in `Pixels`. In every epoch each image
    comes once; the last batch is smaller if the batch size does not divide the number of images.
    With a seed the order is a permutation that depends on the seed and the number of the epoch
    alone; without one the images come as they lie. A loader goes on where it was: the second pass
    is the second epoch, whoever asks for it, so each run wants a loader of its own.

    Raises UsageError for a split without images, and for a batch size beyond their number.

    >>> loader = nn.Loader(nn.Split(np.eye(5), np.arange(5)), batch_size=2, seed=None)
    >>> for x, labels in loader:
    ...     print(x.shape, labels)
    (2, 5) [0 1]
    (2, 5) [2 3]
    (1, 5) [4]
    """

    def __init__(self, split: Split, batch_size: int, seed: int | None) -> None:
        if not isinstance(split, Split):
            what = f"the images are {type(split).__name__}, not a split"
            raise UsageError(what, "give nn.Split(x, labels)")
        if len(split) == 0:
            raise UsageError("there are no images to load", "give a split with some images")
        fix = f"choose at most {len(split)}, or the batch loader, which takes all images at once"
        sizes = Interval(f"[1, {len(split)}]")
        self.batch_size: int = checked("batch_size", batch_size, int, sizes, fix)
        self.split = split
        self.seed = seed
        self.epochs_begun = 0
        self._buffer = PixelBuffer(split.images.shape[1], split.images.dtype, split.dtype)

    def __repr__(self) -> str:
        return f"<Loader of {len(self)} batches of {self.batch_size} from {self.split}>"

    @property
    def origin(self) -> str:
        """What decides which images come in which batch, in words."""
        return f"batches of {self.batch_size} from {len(self.split)} images, seed {self.seed}"

    def __len__(self) -> int:
        """Batches, that is updates, in an epoch."""
        return -(-len(self.split) // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Pixels, Labels]]:
        yield from self.batches(self.epochs_begun)

    def batches(self, epoch: int, first: int = 0) -> Iterator[tuple[Pixels, Labels]]:
        """The batches of an epoch, both counted from 0, from `first` on; the next pass is the next
        epoch."""
        order = self.order(epoch)
        self.epochs_begun = epoch + 1
        split = self.split
        labels = split.labels[order]
        for start in range(first * self.batch_size, len(order), self.batch_size):
            batch = slice(start, start + self.batch_size)
            x = Pixels(split.images, split.unit, split.dtype, order[batch], self._buffer)
            yield x, labels[batch]

    def order(self, epoch: int) -> NDArray[np.intp]:
        """The images of that epoch, counted from 0, in the order of their coming."""
        if self.seed is None:
            return np.arange(len(self.split))
        rng = np.random.default_rng(seeds.stream(self.seed, seeds.SHUFFLE, epoch))
        return rng.permutation(len(self.split))


def batch(split: Split, seed: int = 0) -> Loader:
    """Batch gradient descent: all images at once, one update an epoch.

    The seed plays no part. Raises UsageError for a split without images.

    >>> nn.batch(nn.Split(np.eye(5), np.arange(5)))
    <Loader of 1 batches of 5 from <Split of 5 images of 5 pixels>>
    """
    return Loader(split, len(split), seed=None)


def mini_batch(split: Split, batch_size: int | None = None, seed: int = 0) -> Loader:
    """Mini-batch gradient descent: a few images at a time, shuffled anew in each epoch.

    Without a batch size it is 128, or all images if they are fewer. Raises UsageError for a split
    without images, and for a batch size beyond their number.

    >>> nn.mini_batch(nn.Split(np.eye(5), np.arange(5)), batch_size=2, seed=1)
    <Loader of 3 batches of 2 from <Split of 5 images of 5 pixels>>
    """
    return Loader(split, min(128, len(split)) if batch_size is None else batch_size, seed)


def stochastic(split: Split, seed: int = 0) -> Loader:
    """Stochastic gradient descent: one image at a time, shuffled anew in each epoch.

    Raises UsageError for a split without images.

    >>> nn.stochastic(nn.Split(np.eye(5), np.arange(5)))
    <Loader of 5 batches of 1 from <Split of 5 images of 5 pixels>>
    """
    return Loader(split, 1, seed)


LOADERS: dict[str, Callable[..., Loader]] = {
    "batch": batch,
    "mini_batch": mini_batch,
    "stochastic": stochastic,
}
