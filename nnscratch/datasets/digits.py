"""The digits set that ships inside scikit-learn, enlarged to the size of MNIST's images.

Source: Alpaydin and Kaynak, UCI repository, 1998: 1,797 images of 8 x 8 with 17 grey levels. It
is here so that everything runs without any file and any network. It is not MNIST: results on it
say nothing about results there.
"""

import numpy as np

from ..arrays import Array, Bytes
from .split import stratified

SIDE = 8  # pixels
ENLARGE = 3  # 8 x 8 -> 24 x 24
MARGIN = 2  # on each side: 28 x 28, as MNIST, whose digits keep a margin too
BRIGHTEST = 16
TEST_SIZE = 297  # leaves 1,500 to train and to validate; always the same images


def load() -> list[Bytes]:
    """Train images (n, 28, 28) with bytes of 0 to 255, train labels, test images, test labels."""
    from sklearn.datasets import load_digits  # takes 0.7 s to import

    digits = load_digits()
    images = enlarged(digits.images / BRIGHTEST)
    labels = digits.target.astype(np.uint8)
    train, test = stratified(labels, TEST_SIZE, seed=0)
    return [images[train], labels[train], images[test], labels[test]]


def enlarged(grey: Array) -> Bytes:
    """Images (n, 8, 8) with numbers of 0 to 1 as bytes (n, 28, 28)."""
    pixels = np.rint(255 * grey).astype(np.uint8).repeat(ENLARGE, axis=1).repeat(ENLARGE, axis=2)
    return np.pad(pixels, ((0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN)))
