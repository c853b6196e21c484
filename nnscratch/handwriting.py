"""From any picture of a digit to the one that the network knows: cut out, scaled and centred.

Its limits: one digit in a picture and nothing else on it; paper that is lit more or less evenly,
and shows along the border.
"""

import math

import numpy as np

from .arrays import Array, Bytes
from .datasets import digits
from .errors import DataError

SIDE, BOX = 28, 20  # pixels: MNIST's pictures, and the digits in them
FAINT = 0.1  # of the strongest ink: less is a shade of the paper, or a ghost around an edge
NOISE = 3  # times the paper's median deviation from its own shade
CONTRAST = 0.1  # between paper and ink, of that between black and white
DIRT = 0.02  # of the largest stroke: what is smaller belongs to no digit
SMALLEST = 8  # pixels of ink


def as_mnist(grey: Array) -> Bytes:
    """The digit in a picture as MNIST has it: (28, 28), bytes, light on dark.

    It is scaled to fit into 20 x 20 with its proportions kept and grey levels at its edges, and
    moved by whole pixels until its centre of mass is as near to pixel (14, 14) as that allows; no
    part of it leaves the picture. `grey`, shape (height, width), is 0 for black and 1 for white,
    the digit dark on light or light on dark. Raises DataError if nothing is on it.

    Source: LeCun, Bottou, Bengio and Haffner, Proceedings of the IEEE 86(11), 1998, section III.A.
    """
    digit = _fitted(ink(grey), BOX)
    picture = np.zeros((SIDE, SIDE))
    top, left = (
        int(np.clip(_rounded(SIDE / 2 - _middle(digit.sum(axis=1 - axis))), 0, SIDE - size))
        for axis, size in enumerate(digit.shape)
    )
    picture[top : top + digit.shape[0], left : left + digit.shape[1]] = digit
    return np.rint(255 * picture).astype(np.uint8)


def as_digits(grey: Array) -> Bytes:
    """The digit in a picture as the digits of scikit-learn are, 8 x 8 made larger: (28, 28), bytes.

    Its longer side has 8 pixels, and it stands in the middle; where that leaves an odd pixel, as in
    most of that set, it is on the left. Otherwise as `as_mnist`.
    """
    digit = _fitted(ink(grey), digits.SIDE)
    room = [digits.SIDE - size for size in digit.shape]
    padded = np.pad(digit, [(extra - extra // 2, extra // 2) for extra in room])
    picture: Bytes = digits.enlarged(padded[np.newaxis])[0]
    return picture


def ink(grey: Array) -> Array:
    """The strokes alone: how far they are from the paper's shade, and 0 where there is none.

    The paper's shade is the median along the border. Which way the ink differs from it is told by
    the sign of the summed cubes, in which a few far pixels count more than many near ones. Raises
    DataError if nothing differs enough.
    """
    from scipy.ndimage import label  # takes 0.2 s to import

    border = np.concatenate([grey[0], grey[-1], grey[1:-1, 0], grey[1:-1, -1]])
    paper = np.median(border)
    depth = grey - paper
    depth *= np.sign(np.sum(depth**3))
    noise = NOISE * np.median(np.abs(border - paper))
    strongest = depth.max()
    strokes = depth > max(noise, FAINT * strongest)
    numbers, _ = label(strokes, np.ones((3, 3)))  # 0 where there is no stroke
    sizes = np.bincount(numbers.ravel())
    sizes[0] = 0
    if strongest < CONTRAST or sizes.max() < SMALLEST:
        what = "nothing is drawn on it, or hardly darker or lighter than its border"
        fix = "give a picture of one digit on plain paper in even light, with a margin around it"
        raise DataError(what, fix)
    return np.where((sizes >= DIRT * sizes.max())[numbers], depth, 0)


def _fitted(strokes: Array, side: int) -> Array:
    """The strokes cut out, their longer side scaled to that many pixels; from 0 to 1.

    Each new pixel is the mean of what it covers, of the pixels at its edge the parts that it does.
    """
    rows, columns = (np.flatnonzero(strokes.any(axis=axis)) for axis in (1, 0))
    cut = strokes[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    down, across = (
        _shares(size, max(1, _rounded(side * size / max(cut.shape)))) for size in cut.shape
    )
    scaled = down @ cut @ across.T
    fitted: Array = scaled / scaled.max()
    return fitted


def _shares(many: int, few: int) -> Array:
    """How much of each of `many` lengths in a row lies on each of the `few` that cover the row."""
    edges = np.arange(many + 1) * (few / many)
    place = np.arange(few)[:, np.newaxis]
    shares: Array = np.diff(np.clip(edges, place, place + 1))
    return shares


def _rounded(number: float) -> int:
    """To the nearest whole number; a half, or what rounding made of one, down.

    Symmetric digits have a half. They then stand in the middle, in demo.html too, whose sums are
    rounded in another order.
    """
    return math.ceil(number - 0.5 - 1e-4)


def _middle(mass: Array) -> float:
    """The centre of mass, as a place in the vector."""
    return float(mass @ np.arange(len(mass)) / mass.sum())
