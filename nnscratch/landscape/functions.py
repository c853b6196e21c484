"""Functions of two variables: f beside its first and second derivatives."""

import math
from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from ..arrays import Array
from ..hyper import Part, hyper, values

Frame = tuple[float, float, float, float]


class Surface(Part):
    """A function f(x, y) to be minimized, drawn in a frame, and begun at a point.

    >>> from nnscratch.landscape import SURFACES
    >>> valley = SURFACES["valley"](ratio=20)
    >>> valley.value(2.0, 1.0), valley.gradient(2.0, 1.0)
    (1.2, (0.2, 2.0))

    x and y are numbers or arrays of one shape; so is each value. `gradient` gives df/dx and df/dy,
    `hessian` d2f/dx2, d2f/dxdy and d2f/dy2, each a number or an array like x.

    start     (x, y), off the axes of symmetry, on which an optimizer that is at a loss would
              seem to know the way
    frame     (left, right, bottom, top) of what is drawn
    minima    where f is least
    trouble   what makes it hard, in a few words
    """

    start: tuple[float, float]
    frame: ClassVar[Frame]
    minima: ClassVar[tuple[tuple[float, float], ...]]
    trouble: ClassVar[str]

    @property
    def formula(self) -> str:
        """What the surface is, in a line: the first of its docstring, and its numbers."""
        numbers = ", ".join(f"{name} {value:g}" for name, value in values(self).items())
        line = (self.__doc__ or "").splitlines()[0].removesuffix(".")
        return f"{line} ({numbers})" if numbers else line

    @property
    def least(self) -> float:
        """f at its minima; 0 for all surfaces here."""
        return 0.0

    @abstractmethod
    def value(self, x: Array, y: Array) -> Array:
        """f(x, y)."""

    @abstractmethod
    def gradient(self, x: Array, y: Array) -> tuple[Array, Array]:
        """df/dx and df/dy."""

    @abstractmethod
    def hessian(self, x: Array, y: Array) -> tuple[Array, Array, Array]:
        """d2f/dx2, d2f/dxdy and d2f/dy2."""


class Quadratic(Surface):
    """f = (a u^2 + b v^2) / 2, with the curvatures a and b, along and across.

    u = x cos t + y sin t, v = -x sin t + y cos t: (x, y) seen from axes that are turned by t. The
    second derivatives are the same everywhere; b / a is their condition number.
    """

    minima = ((0.0, 0.0),)

    @property
    @abstractmethod
    def curvatures(self) -> tuple[float, float]:
        """a and b."""

    @property
    def angle(self) -> float:
        """t in radians."""
        return 0.0

    def value(self, x: Array, y: Array) -> Array:
        xx, xy, yy = self._second
        return (xx * x * x + 2 * xy * x * y + yy * y * y) / 2

    def gradient(self, x: Array, y: Array) -> tuple[Array, Array]:
        xx, xy, yy = self._second
        return xx * x + xy * y, xy * x + yy * y

    def hessian(self, x: Array, y: Array) -> tuple[Array, Array, Array]:
        xx, xy, yy = self._second
        same = np.ones_like(x)
        return xx * same, xy * same, yy * same

    @cached_property
    def _second(self) -> tuple[float, float, float]:
        (a, b), c, s = self.curvatures, math.cos(self.angle), math.sin(self.angle)
        return a * c * c + b * s * s, (a - b) * s * c, a * s * s + b * c * c


@dataclass(frozen=True)
class Bowl(Quadratic):
    """f = x^2 + y^2: every gradient points away from the minimum."""

    start = (-3.0, 4.0)
    frame = (-5.0, 5.0, -5.0, 5.0)
    trouble = "none"

    @property
    def curvatures(self) -> tuple[float, float]:
        return 2.0, 2.0


@dataclass(frozen=True)
class Valley(Quadratic):
    """f = u^2 / ratio + v^2: long and straight; u and v are x and y turned."""

    upstream: ClassVar[tuple[float, float]] = (-7.0, 2.0)
    frame = (-10.0, 10.0, -8.0, 8.0)
    trouble = "the gradient points across the valley and not along it"

    ratio: float = hyper(20.0, "[1, 1e6]", "condition number")
    turn: float = hyper(0.0, "[-45, 45]", "angle between the x axis and the valley, in degrees")

    @property
    def curvatures(self) -> tuple[float, float]:
        return 2.0 / self.ratio, 2.0

    @property
    def angle(self) -> float:
        return math.radians(self.turn)

    @property
    def start(self) -> tuple[float, float]:  # type: ignore[override]
        """`upstream`, turned with the valley: it is as far from the minimum, and as high."""
        (u, v), c, s = self.upstream, math.cos(self.angle), math.sin(self.angle)
        return u * c - v * s, u * s + v * c


@dataclass(frozen=True)
class Zigzag(Valley):
    """f = u^2 / ratio + v^2: steep sides, between which gradient descent swings."""

    upstream = (-8.0, 2.0)
    trouble = "steepest descent runs from side to side"

    ratio: float = hyper(100.0, "[1, 1e6]", "condition number")


@dataclass(frozen=True)
class Rosenbrock(Surface):
    """f = (1 - x)^2 + 100 (y - x^2)^2 (Rosenbrock 1960): a valley that is bent."""

    start = (-1.2, 1.0)
    frame = (-2.0, 2.0, -1.0, 3.0)
    minima = ((1.0, 1.0),)
    trouble = "the valley turns, and is flat along its floor"

    def value(self, x: Array, y: Array) -> Array:
        return (1 - x) ** 2 + 100 * (y - x * x) ** 2

    def gradient(self, x: Array, y: Array) -> tuple[Array, Array]:
        r = y - x * x
        return -2 * (1 - x) - 400 * x * r, 200 * r

    def hessian(self, x: Array, y: Array) -> tuple[Array, Array, Array]:
        return 2 - 400 * (y - 3 * x * x), -400 * x, 200 * np.ones_like(x)


@dataclass(frozen=True)
class Beale(Surface):
    """f = sum of (c_k - x (1 - y^k))^2 over k = 1, 2, 3; c = 1.5, 2.25, 2.625 (Beale 1958).

    Flat around the minimum, steep at the corners, and with a saddle at (0, 1).
    """

    start = (1.0, 1.6)
    frame = (-1.0, 4.5, -1.5, 2.5)
    minima = ((3.0, 0.5),)
    trouble = "cliffs, and flat land between them"

    def value(self, x: Array, y: Array) -> Array:
        return sum((c - x * (1 - y**k)) ** 2 for k, c in BEALE)  # type: ignore[return-value]

    def gradient(self, x: Array, y: Array) -> tuple[Array, Array]:
        dx, dy = 0.0 * x, 0.0 * y
        for k, c in BEALE:
            r = c - x * (1 - y**k)
            dx = dx - 2 * r * (1 - y**k)
            dy = dy + 2 * r * k * x * y ** (k - 1)
        return dx, dy

    def hessian(self, x: Array, y: Array) -> tuple[Array, Array, Array]:
        xx, xy, yy = 0.0 * x, 0.0 * x, 0.0 * x
        for k, c in BEALE:
            r, r_x, r_y = c - x * (1 - y**k), y**k - 1, k * x * y ** (k - 1)
            r_yy = k * (k - 1) * x * y ** max(k - 2, 0)
            xx = xx + 2 * r_x * r_x
            xy = xy + 2 * (r_x * r_y + r * k * y ** (k - 1))
            yy = yy + 2 * (r_y * r_y + r * r_yy)
        return xx, xy, yy


BEALE = ((1, 1.5), (2, 2.25), (3, 2.625))  # k and c_k


@dataclass(frozen=True)
class Saddle(Surface):
    """f = x^2 / 2 - y^2 / 2 + y^4 / 4 + 1 / 4: a pass at (0, 0) between two minima.

    Near the pass x^2 / 2 - y^2 / 2, as it is mostly drawn; that one falls for ever.
    """

    start = (-1.5, 0.01)
    frame = (-2.0, 2.0, -2.0, 2.0)
    minima = ((0.0, 1.0), (0.0, -1.0))
    trouble = "at the pass the gradient is zero, and almost no minimum"

    def value(self, x: Array, y: Array) -> Array:
        return (x * x - y * y) / 2 + y**4 / 4 + 0.25

    def gradient(self, x: Array, y: Array) -> tuple[Array, Array]:
        return 1.0 * x, y**3 - y

    def hessian(self, x: Array, y: Array) -> tuple[Array, Array, Array]:
        return np.ones_like(x), np.zeros_like(x), 3 * y * y - 1


@dataclass(frozen=True)
class Plateau(Surface):
    """f = 1 - exp(-(x^2 + y^2) / 2): a hole in a plain, whose gradient fades away from it."""

    start = (-2.7, 2.2)
    frame = (-4.0, 4.0, -4.0, 4.0)
    minima = ((0.0, 0.0),)
    trouble = "the gradient is far too small to tell the way"

    def value(self, x: Array, y: Array) -> Array:
        return 1 - self._bump(x, y)

    def gradient(self, x: Array, y: Array) -> tuple[Array, Array]:
        bump = self._bump(x, y)
        return x * bump, y * bump

    def hessian(self, x: Array, y: Array) -> tuple[Array, Array, Array]:
        bump = self._bump(x, y)
        return (1 - x * x) * bump, -x * y * bump, (1 - y * y) * bump

    @staticmethod
    def _bump(x: Array, y: Array) -> Array:
        bump: Array = np.exp(-(x * x + y * y) / 2)
        return bump


@dataclass(frozen=True)
class Rastrigin(Surface):
    """f = 20 + x^2 + y^2 - 10 cos(2 pi x) - 10 cos(2 pi y) (Rastrigin 1974): 121 minima.

    Near every pair of whole numbers from -5 to 5 there is one, and one of them is the least.
    """

    start = (-3.6, 2.4)
    frame = (-5.0, 5.0, -5.0, 5.0)
    minima = ((0.0, 0.0),)
    trouble = "a hundred minima, and only one is the least"

    def value(self, x: Array, y: Array) -> Array:
        waves: Array = np.cos(2 * np.pi * x) + np.cos(2 * np.pi * y)
        return 20 + x * x + y * y - 10 * waves

    def gradient(self, x: Array, y: Array) -> tuple[Array, Array]:
        return self._slope(x), self._slope(y)

    def hessian(self, x: Array, y: Array) -> tuple[Array, Array, Array]:
        return self._curvature(x), np.zeros_like(x), self._curvature(y)

    @staticmethod
    def _slope(x: Array) -> Array:
        slope: Array = 2 * x + 20 * np.pi * np.sin(2 * np.pi * x)
        return slope

    @staticmethod
    def _curvature(x: Array) -> Array:
        curvature: Array = 2 + 40 * np.pi**2 * np.cos(2 * np.pi * x)
        return curvature


SURFACES: dict[str, type[Any]] = {
    cls.name: cls for cls in (Bowl, Valley, Zigzag, Rosenbrock, Beale, Saddle, Plateau, Rastrigin)
}
