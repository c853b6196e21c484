"""A loader whose images are distorted anew in every epoch, in the background."""

import math
import os
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from itertools import islice
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from . import seeds
from .arrays import Array, Labels
from .datasets.split import PixelBuffer, Pixels
from .distortions import DISTORTIONS, Distortion, at_a_time
from .errors import UsageError
from .hyper import as_part, in_words
from .loaders import Loader

NICE = 10  # of 19: the priority of the second thread, below that of the others
AHEAD = 4  # portions made before they are asked for, besides those of the next batch

T = TypeVar("T")


class DistortedLoader(Loader):
    """The batches of another loader, each image distorted, and differently in every epoch.

    A second thread works ahead while the network learns. What an image comes to depends on the
    seed, the number of the epoch and its place in that alone, and not on the batch size or on who
    was faster: a run that goes on sees the images that it would have seen. They are computed in
    float32, or float64 where the split's images need it, and read in the dtype of the split.

    Raises UsageError for images that are not square, and for a loader that makes its batches
    itself, such as another DistortedLoader.

    >>> split = nn.Split(np.random.default_rng(0).random((5, 9)), np.arange(5))
    >>> loader = nn.DistortedLoader(nn.mini_batch(split, 2), "elastic")
    >>> for x, labels in loader:
    ...     print(x.shape, labels)
    (2, 9) [1 3]
    (2, 9) [2 0]
    (1, 9) [4]
    """

    def __init__(self, loader: Loader, distortion: str | Distortion, seed: int = 0) -> None:
        if not isinstance(loader, Loader) or type(loader).batches is not Loader.batches:
            what = f"{loader!r:.80} is no loader of batches that can be distorted"
            raise UsageError(what, "give a loader such as nn.mini_batch(nn.Split(x, labels))")
        super().__init__(loader.split, loader.batch_size, loader.seed)
        self.loader = loader
        self.epochs_begun = loader.epochs_begun
        self.distortion = as_part(Distortion, DISTORTIONS, distortion)  # type: ignore[type-abstract]
        seeds.stream(seed)  # refuses what is no seed
        self.distortion_seed = seed
        pixels = loader.split.images.shape[1]
        self._side = math.isqrt(pixels)
        if self._side**2 != pixels:
            what = f"images of {pixels} pixels are not square, and cannot be distorted"
            raise UsageError(what, "give images of side x side pixels, such as those of MNIST")
        self._dtype = np.result_type(loader.split.images.dtype, np.float32)
        self._buffer = PixelBuffer(pixels, self._dtype, loader.split.dtype)

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]}, distorted by {in_words(self.distortion)}>"

    @property
    def origin(self) -> str:
        """What decides which images come in which batch, in words."""
        how = f"{in_words(self.distortion)}, seed {self.distortion_seed}"
        return f"{super().origin}, distorted by {how}"

    def order(self, epoch: int) -> NDArray[np.intp]:
        """That of the loader whose images are distorted."""
        return self.loader.order(epoch)

    def batches(self, epoch: int, first: int = 0) -> Iterator[tuple[Pixels, Labels]]:
        order = self.order(epoch)
        self.epochs_begun = epoch + 1
        split, size = self.split, self.batch_size
        labels = split.labels[order]
        portion = at_a_time(self._side)

        def distorted(start: int) -> Array:
            """The images of the portion that begins there."""
            key = seeds.stream(self.distortion_seed, seeds.DISTORT, epoch, start)
            images = split.images[order[start : start + portion]]
            square = images.reshape(-1, self._side, self._side)
            return self.distortion.distorted(square, np.random.default_rng(key)).reshape(
                images.shape
            )

        begin = first * size
        starts = range(begin // portion * portion, len(order), portion)
        with closing(made_ahead(distorted, starts, AHEAD + size // portion)) as portions:
            for start in range(begin, len(order), size):
                stop = min(start + size, len(order))
                images = np.empty((stop - start, split.images.shape[1]), self._dtype)
                row = start
                while row < stop:
                    if row == begin or row % portion == 0:
                        made = next(portions)
                    some = made[row % portion :][: stop - row]
                    images[row - start :][: len(some)] = some
                    row += len(some)
                x = Pixels(images, split.unit, split.dtype, buffer=self._buffer)
                yield x, labels[start:stop]


def step_back() -> None:
    """Let the network go first.

    Its products are shared out between all cores, and wait for the one that is held up: so an epoch
    is a tenth to a fifth shorter.
    """
    if sys.platform == "linux":  # elsewhere it would be the priority of the whole process
        os.nice(NICE)


def made_ahead(
    make: Callable[[int], T], arguments: Sequence[int], ahead: int
) -> Generator[T, None, None]:
    """What `make` makes of each argument, in order, in a second thread that works ahead."""
    worker = ThreadPoolExecutor(1, thread_name_prefix="nnscratch-ahead", initializer=step_back)
    waiting: deque[Future[T]] = deque()
    rest = iter(arguments)
    try:
        for argument in islice(rest, ahead):
            waiting.append(worker.submit(make, argument))
        while waiting:
            result = waiting.popleft().result()
            for argument in islice(rest, 1):
                waiting.append(worker.submit(make, argument))
            yield result
    finally:
        worker.shutdown(cancel_futures=True)
