"""Where the images come from, and how they are split into training, validation and test sets."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..arrays import Bytes
from ..errors import NnscratchWarning, UsageError
from ..hyper import Interval, checked, known_name
from . import digits, mnist
from .split import Pixels, Split, stratified

__all__ = ["DATASETS", "Dataset", "DatasetWarning", "Pixels", "Split", "load_dataset"]


WHERE = "--data-dir or NNSCRATCH_DATA name a folder with the four files of MNIST"


class DatasetWarning(NnscratchWarning):
    """Another data set is used than the one that was wished for.

    >>> import warnings
    >>> warnings.simplefilter("error", nn.DatasetWarning)  # rather no training than one on digits
    """


@dataclass(frozen=True)
class Dataset:
    """A data set in three read-only splits, under its true name: "mnist" or "digits".

    >>> dataset = nn.load_dataset("digits")
    >>> dataset.name, dataset.classes
    ('digits', 10)
    >>> dataset.train
    <Split of 1,250 images of 784 pixels>
    """

    name: str
    classes: int
    train: Split
    val: Split
    test: Split


def load_dataset(
    name: str = "auto",
    *,
    data_dir: str | Path | None = None,
    seed: int = 0,
    val_size: int | None = None,
    limit: int | None = None,
    raw_pixels: bool = False,
    dtype: str = "float32",
) -> Dataset:
    """MNIST or digits, as bytes, with a part of the training images set aside for validation.

        name         "mnist", "digits", or "auto": MNIST, and digits with a DatasetWarning if the
                     four files are neither on this machine nor to be had over the network
        data_dir     the folder with the four MNIST files, and then the only place searched
        seed         chooses the validation images, the same share of every class
        val_size     how many those are; by default one sixth, 10,000 of MNIST's 60,000
        limit        keeps only so many of the training images that are left after that
        raw_pixels   shows the network pixels of 0 to 255; otherwise they are divided by 255
        dtype        of what the network sees

    Raises DataError for files that are missing or wrong, UsageError for a wrong argument. Digits
    never replace files that are there but wrong, nor files whose place was given (`data_dir`,
    $NNSCRATCH_DATA).

    >>> data = nn.load_dataset("digits", val_size=100)
    >>> len(data.train), len(data.val), len(data.test)
    (1400, 100, 297)
    """
    name, arrays = DATASETS[known_name(DATASETS, "data set", name)](data_dir)
    images, labels, test_images, test_labels = arrays
    unit = 1.0 if raw_pixels else 255.0
    train = Split(images.reshape(len(images), -1), labels, unit, dtype)
    test = Split(test_images.reshape(len(test_images), -1), test_labels, unit, dtype)
    kept, set_aside = stratified(labels, len(train) // 6 if val_size is None else val_size, seed)
    if limit is not None:
        fix = f"{len(kept)} training images are left after {len(set_aside)} for validation"
        limit = checked("limit", limit, int, Interval(f"[1, {len(kept)}]"), fix)
    classes = int(labels.max()) + 1
    return Dataset(name, classes, train[kept[:limit]], train[set_aside], test)


def _auto(data_dir: str | Path | None) -> tuple[str, list[Bytes]]:
    try:
        return _mnist(data_dir)
    except mnist.Unavailable as error:
        message = f"{error.what}: using the small digits set, which is not MNIST ({WHERE})"
        warnings.warn(message, DatasetWarning, stacklevel=3)
        return _digits(None)


def _mnist(data_dir: str | Path | None) -> tuple[str, list[Bytes]]:
    return "mnist", mnist.load(data_dir)


def _digits(data_dir: str | Path | None) -> tuple[str, list[Bytes]]:
    if data_dir:
        raise UsageError("digits lie inside scikit-learn, not in a folder", "leave out data_dir")
    return "digits", digits.load()


DATASETS: dict[str, Callable[[str | Path | None], tuple[str, list[Bytes]]]] = {
    "auto": _auto,
    "mnist": _mnist,
    "digits": _digits,
}
