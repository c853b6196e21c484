"""Activations: a = f(z) and, beside it, dz = da * f'(z)."""

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .arrays import Array, scratch
from .hyper import Part, hyper


class Activation(Part):
    """A function of one number, applied to every element.

    `forward` writes f(z) into `a`; `backward` writes da * f'(z) into `dz`, given what forward saw
    and gave. All arrays have one shape and dtype; only the last argument of each is written.
    Raises UsageError for a hyper-parameter out of its range.

    >>> class Square(nn.Activation):
    ...     def forward(self, z, a):
    ...         a[...] = z**2
    ...     def backward(self, da, z, a, dz):
    ...         dz[...] = da * 2 * z
    >>> nn.MLP([4, 3, 2], activation=Square())
    <MLP 4-3-2 square, softmax_cross_entropy, 23 weights, float32>
    """

    @abstractmethod
    def forward(self, z: Array, a: Array) -> None:
        """a <- f(z)."""

    @abstractmethod
    def backward(self, da: Array, z: Array, a: Array, dz: Array) -> None:
        """dz <- da * f'(z)."""


@dataclass(frozen=True)
class Identity(Activation):
    """f(z) = z;  f'(z) = 1."""

    def forward(self, z: Array, a: Array) -> None:
        np.copyto(a, z)

    def backward(self, da: Array, z: Array, a: Array, dz: Array) -> None:
        np.copyto(dz, da)


@dataclass(frozen=True)
class Sigmoid(Activation):
    """f(z) = 1 / (1 + exp(-z)) = (1 + tanh(z / 2)) / 2;  f'(z) = a (1 - a).

    Computed in the second form, which cannot overflow. Its absolute error is that of rounding, so
    that in float32 it reaches 0 near z = -18, where the first form would still give 1e-8.
    """

    def forward(self, z: Array, a: Array) -> None:
        np.multiply(z, 0.5, out=a)
        np.tanh(a, out=a)
        a += 1
        a *= 0.5

    def backward(self, da: Array, z: Array, a: Array, dz: Array) -> None:
        np.subtract(1, a, out=dz)
        dz *= a
        dz *= da


@dataclass(frozen=True)
class Tanh(Activation):
    """f(z) = tanh(z);  f'(z) = 1 - a^2."""

    def forward(self, z: Array, a: Array) -> None:
        np.tanh(z, out=a)

    def backward(self, da: Array, z: Array, a: Array, dz: Array) -> None:
        np.square(a, out=dz)
        np.subtract(1, dz, out=dz)
        dz *= da


@dataclass(frozen=True)
class ReLU(Activation):
    """f(z) = max(z, 0);  f'(z) = 1 where z > 0, else 0.

    Source: Nair and Hinton, ICML 2010.
    """

    def forward(self, z: Array, a: Array) -> None:
        np.maximum(z, 0, out=a)

    def backward(self, da: Array, z: Array, a: Array, dz: Array) -> None:
        np.multiply(da, is_positive(z), out=dz)


@dataclass(frozen=True)
class LeakyReLU(Activation):
    """f(z) = z where z > 0, else slope z;  f'(z) = 1 or slope.

    Source: Maas, Hannun and Ng, ICML workshop 2013. Slope 0.01 as there and in PyTorch (Keras'
    layer: 0.3).
    """

    name = "leaky_relu"

    slope: float = hyper(0.01, "[0, 1)", "slope below zero")

    def forward(self, z: Array, a: Array) -> None:
        np.multiply(z, self.slope, out=a)
        np.maximum(z, a, out=a)

    def backward(self, da: Array, z: Array, a: Array, dz: Array) -> None:
        np.multiply(da, self.slope, out=dz)
        np.copyto(dz, da, where=is_positive(z))


@dataclass(frozen=True)
class ELU(Activation):
    """f(z) = z where z > 0, else alpha (exp(z) - 1);  f'(z) = 1, else a + alpha.

    Source: Clevert, Unterthiner and Hochreiter, arXiv 1511.07289, eq. 15.
    """

    alpha: float = hyper(1.0, "(0, inf)", "depth of the plateau below zero")

    def forward(self, z: Array, a: Array) -> None:
        np.minimum(z, 0, out=a)  # expm1 of a large z would overflow, and is not wanted there
        np.expm1(a, out=a)
        a *= self.alpha
        np.copyto(a, z, where=is_positive(z))

    def backward(self, da: Array, z: Array, a: Array, dz: Array) -> None:
        np.add(a, self.alpha, out=dz)
        np.copyto(dz, 1, where=is_positive(z))
        dz *= da


@dataclass(frozen=True)
class SELU(Activation):
    """f(z) = scale ELU(z; alpha), with the two numbers that keep mean 0 and variance 1.

    Source: Klambauer et al., arXiv 1706.02515, eq. 2; scale and alpha from its appendix A1.1.
    """

    _ALPHA = 1.6732632423543772
    _SCALE = 1.0507009873554805

    def forward(self, z: Array, a: Array) -> None:
        ELU(self._ALPHA).forward(z, a)
        a *= self._SCALE

    def backward(self, da: Array, z: Array, a: Array, dz: Array) -> None:
        np.add(a, self._SCALE * self._ALPHA, out=dz)
        np.copyto(dz, self._SCALE, where=is_positive(z))
        dz *= da


@dataclass(frozen=True)
class Softplus(Activation):
    """f(z) = log(1 + exp(z));  f'(z) = sigmoid(z).

    Source: Dugas et al., NIPS 2000.
    """

    def forward(self, z: Array, a: Array) -> None:
        np.logaddexp(0, z, out=a)

    def backward(self, da: Array, z: Array, a: Array, dz: Array) -> None:
        Sigmoid().forward(z, dz)
        dz *= da


@dataclass(frozen=True)
class SiLU(Activation):
    """f(z) = z sigmoid(z), also called swish;  f'(z) = s + a (1 - s) with s = sigmoid(z).

    Source: Elfwing, Uchibe and Doya, arXiv 1702.03118, eq. 5 and 6.
    """

    def forward(self, z: Array, a: Array) -> None:
        Sigmoid().forward(z, a)
        a *= z

    def backward(self, da: Array, z: Array, a: Array, dz: Array) -> None:
        Sigmoid().forward(z, dz)  # s
        rest = np.subtract(1, dz, out=scratch("activation", z.shape, z.dtype))
        rest *= a
        dz += rest
        dz *= da


@dataclass(frozen=True)
class GELU(Activation):
    """f(z) = z Phi(z), Phi the normal distribution function;  f'(z) = Phi(z) + z phi(z).

    Source: Hendrycks and Gimpel, arXiv 1606.08415. This is the exact form, PyTorch's
    default, not the approximation with tanh.
    """

    def forward(self, z: Array, a: Array) -> None:
        self._distribution(z, a)
        a *= z

    def backward(self, da: Array, z: Array, a: Array, dz: Array) -> None:
        near = scratch("activation", z.shape, z.dtype)
        np.clip(z, -40, 40, out=near)  # beyond, the density is 0, and z^2 could overflow
        np.square(near, out=dz)
        dz *= -0.5
        np.exp(dz, out=dz)  # sqrt(2 pi) phi(z)
        near /= math.sqrt(2 * math.pi)
        dz *= near
        self._distribution(z, near)
        dz += near
        dz *= da

    @staticmethod
    def _distribution(z: Array, phi: Array) -> None:
        """phi <- Phi(z)."""
        from scipy.special import ndtr  # takes 0.2 s to import

        ndtr(z, out=phi)


def is_positive(z: Array) -> NDArray[np.bool_]:
    """z > 0, until the next call."""
    out: NDArray[np.bool_] = scratch("is positive", z.shape, np.bool_)
    return np.greater(z, 0, out=out)


ACTIVATIONS: dict[str, type[Any]] = {
    cls.name: cls
    for cls in (Identity, Sigmoid, Tanh, ReLU, LeakyReLU, ELU, SELU, Softplus, SiLU, GELU)
}
