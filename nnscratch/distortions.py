"""Distortions: new images of the same digits, each pixel read a little beside its place."""

import math
from abc import abstractmethod
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .arrays import Array, scratch
from .errors import UsageError
from .hyper import Part, hyper

PIXELS = 128 * 28 * 28  # distorted at a time: what is computed for them stays in the cache


class Distortion(Part):
    """A random displacement d for each pixel of each image.

        distorted(p) = image(p + d(p))        p = (row, column), d in pixels

    Between four pixels the image is interpolated, linearly in both directions, and outside of its
    frame it is 0. Raises UsageError for a hyper-parameter out of its range.

    >>> class Left(nn.Distortion):
    ...     def field(self, rng, n, side):      # every pixel is read one column to its right
    ...         return np.stack([np.zeros((n, side, side)), np.ones((n, side, side))])
    >>> image = np.array([[1, 2], [3, 4]], np.uint8)
    >>> Left().distorted(image[np.newaxis], np.random.default_rng(0))
    array([[[2., 0.],
            [4., 0.]]], dtype=float32)
    """

    @abstractmethod
    def field(self, rng: np.random.Generator, n: int, side: int) -> Array:
        """d for n images of side x side pixels, shape (2, n, side, side): rows, then columns.

        It may lie in memory that the next call overwrites.
        """

    def distorted(self, images: NDArray[Any], rng: np.random.Generator) -> Array:
        """New images of the same shape, (n, side, side), with a field of its own for each.

        They are float32, or float64 where the old ones need it. Raises UsageError for images of
        another shape.
        """
        if images.ndim != 3 or images.shape[1] != images.shape[2]:
            what = f"images have shape {images.shape}"
            raise UsageError(what, "give square ones, as (n, side, side)")
        side = images.shape[2]
        new = np.empty(images.shape, np.result_type(images.dtype, np.float32))
        n = at_a_time(side)
        for start in range(0, len(images), n):
            some = images[start : start + n]
            interpolate(some, self.field(rng, len(some), side), out=new[start : start + n])
        return new


@dataclass(frozen=True)
class Undistorted(Distortion):
    """d = 0: the images as they are."""

    name = "none"

    def field(self, rng: np.random.Generator, n: int, side: int) -> Array:
        return np.zeros((2, n, side, side), np.float32)


@dataclass(frozen=True)
class Affine(Distortion):
    """Digits that are turned, scaled, slanted and shifted.

        d(p) = (A - 1)(p - c) + t        A = R(angle) diag(1 + v1, 1 + v2) [[1, 0], [slant, 1]]

    R = [[cos, -sin], [sin, cos]], and c is the middle of the image. The angle, v1, v2, the slant
    and the two parts of t are uniform between plus and minus what the hyper-parameters say, and
    drawn for each image. A and t tell where a pixel is read, and the digit itself goes the other
    way, p -> c + A^-1 (p - c - t): a positive angle turns it clockwise, a positive v makes it
    smaller, a positive slant leans it to the right, a positive t moves it up or to the left.

    Source: Simard, Steinkraus and Platt, ICDAR 2003, section 2, who give no ranges.
    Note: torchvision's RandomAffine scales height and width alike, slants by an angle, and takes
    the nearest pixel unless told otherwise.
    """

    rotation: float = hyper(15.0, "[0, 180]", "largest rotation, in degrees")
    scaling: float = hyper(0.15, "[0, 1)", "largest change of height and of width, as a share")
    shear: float = hyper(0.15, "[0, 1]", "largest slant, in columns for each row")
    shift: float = hyper(1.0, "[0, 1e6]", "largest shift along rows and along columns, in pixels")

    def field(self, rng: np.random.Generator, n: int, side: int) -> Array:
        angle, tall, wide, slant, down, right = rng.uniform(-1, 1, (6, n))
        cos, sin = (f(math.radians(self.rotation) * angle) for f in (np.cos, np.sin))
        tall, wide = 1 + self.scaling * tall, 1 + self.scaling * wide
        slant = self.shear * slant
        A = np.array(
            [
                [cos * tall - sin * wide * slant, -sin * wide],
                [sin * tall + cos * wide * slant, cos * wide],
            ]
        )
        t = self.shift * np.array([down, right])
        from_centre = np.arange(side) - (side - 1) / 2
        M = (A - np.eye(2)[:, :, np.newaxis]).astype(np.float32)[..., np.newaxis, np.newaxis]
        p = from_centre.astype(np.float32)
        d: Array = scratch("affine field", (2, n, side, side), np.float32)
        np.multiply(M[:, 0], p[:, np.newaxis], out=d)
        d += M[:, 1] * p
        d += t.astype(np.float32)[:, :, np.newaxis, np.newaxis]
        return d


@dataclass(frozen=True)
class Elastic(Distortion):
    """Digits that are bent like rubber: a random displacement for each pixel, smoothed.

        d = intensity G u G        u uniform in [-1, 1), side x side for each direction
                                   G convolves a column with a Gaussian of deviation `elasticity`

    Outside of the image u is 0. The weights of the Gaussian add up to 1: for an elasticity of 1 or
    more d has the standard deviation intensity / (2 sqrt(3 pi) elasticity) far from the border, 1.4
    pixels by default, and a smaller one near it.

    Source: Simard, Steinkraus and Platt, ICDAR 2003, section 2: alpha = 34 and sigma = 4, for
    images of 29 x 29.
    Note: torchvision's ElasticTransform reflects u at the border, and its alpha is twice this one.
    """

    intensity: float = hyper(34.0, "[0, 1e6]", "factor on the smoothed field, alpha in the paper")
    elasticity: float = hyper(4.0, "[0.1, 1000]", "width of the smoothing in pixels, sigma there")

    def field(self, rng: np.random.Generator, n: int, side: int) -> Array:
        u = scratch("noise", (2, n, side, side), np.float32)
        rng.random(out=u, dtype=np.float32)
        u -= 0.5
        u *= 2 * self.intensity
        G = smoothing(side, self.elasticity)
        once = np.matmul(G, u, out=scratch("smoothed once", u.shape, np.float32))
        d: Array = np.matmul(once, G, out=u)
        return d


@dataclass(frozen=True)
class AffineElastic(Affine, Elastic):
    """The sum of an affine and an elastic displacement."""

    name = "affine_elastic"

    def field(self, rng: np.random.Generator, n: int, side: int) -> Array:
        d = Affine.field(self, rng, n, side)
        d += Elastic.field(self, rng, n, side)
        return d


def at_a_time(side: int) -> int:
    """How many images of side x side pixels are distorted at a time: 128 of MNIST's."""
    return max(1, PIXELS // side**2)


@lru_cache(maxsize=8)
def smoothing(side: int, sigma: float) -> Array:
    """The matrix that convolves columns of `side` pixels with a Gaussian whose weights add to 1."""
    far = math.ceil(10 * sigma)
    total = np.exp(-0.5 * (np.arange(-far, far + 1) / sigma) ** 2).sum()
    distance = np.subtract.outer(np.arange(side), np.arange(side))
    weights: Array = (np.exp(-0.5 * (distance / sigma) ** 2) / total).astype(np.float32)
    return weights


def interpolate(images: NDArray[Any], d: Array, out: Array) -> None:
    """out <- the images, (n, side, side), read at p + d(p); d has shape (2, n, side, side)."""
    n, side, _ = images.shape
    # a frame of zeros: one row before the image, and two after it, so that a position on the first
    # of these has a neighbour too
    edge = side + 3
    framed = scratch("framed", (n, edge, edge), out.dtype)
    framed[...] = 0
    framed[:, 1:-2, 1:-2] = images
    at = scratch("positions", d.shape, np.float32)
    p = np.arange(1, side + 1, dtype=np.float32)
    np.add(d[0], p[:, np.newaxis], out=at[0], casting="same_kind")
    np.add(d[1], p, out=at[1], casting="same_kind")
    np.clip(at, 0, side + 1, out=at)  # further out it is all zeros

    whole = np.floor(at, out=scratch("whole", at.shape, np.float32))
    below, beside = np.subtract(at, whole, out=at)  # the parts that the next row and column have
    upper_left = scratch("upper left", at.shape, np.int32)
    np.copyto(upper_left, whole, casting="unsafe")
    row, column = upper_left
    row *= edge
    row += column
    first = edge * edge * np.arange(n)[:, np.newaxis, np.newaxis]
    place = np.add(row, first, out=scratch("place", row.shape, np.intp))

    pixels = framed.reshape(-1)
    lower, right = (scratch(name, out.shape, out.dtype) for name in ("lower", "right"))
    for start, line in ((0, out), (edge, lower)):
        # mode="clip" lets NumPy write straight into out; all places are in range anyway
        pixels[start:].take(place, out=line, mode="clip")
        pixels[start + 1 :].take(place, out=right, mode="clip")
        right -= line
        right *= beside
        line += right
    lower -= out
    lower *= below
    out += lower


DISTORTIONS: dict[str, type[Any]] = {
    cls.name: cls for cls in (Undistorted, Affine, Elastic, AffineElastic)
}
