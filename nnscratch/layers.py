"""Layers: forward beside backward, each with the memory that it writes into.

A layer remembers what its last forward pass saw; `backward` belongs to that pass. What both
return lies in the layer's own buffers and holds until the next pass.
"""

from typing import Any, Protocol

import numpy as np

from .activations import Activation
from .arrays import Array, RowBuffer
from .errors import UsageError


class Layer(Protocol):
    """One step of the network, there and back."""

    def forward(self, x: Array) -> Array:
        """The layer's output for the rows of x, one row for each example."""

    def backward(self, dy: Array) -> Array | None:
        """From the derivative of the loss by the output to that by the input."""


class Dense:
    """z = x W + b.

        x (n, in)    W (in, out)    b (out,)    z (n, out)

        dW = x^T dz          db = sum of the rows of dz          dx = dz W^T

    W, b, dW and db are views into the vectors of the model: forward reads W and b, backward
    writes dW and db. Without bias, b and db are None. The first layer of a network gives no dx:
    nobody wants the gradient of the pixels, and it would cost a third of the backward pass.
    """

    def __init__(
        self, W: Array, b: Array | None, dW: Array, db: Array | None, is_first: bool
    ) -> None:
        self.W, self.b, self.dW, self.db = W, b, dW, db
        self.is_first = is_first
        self._z = RowBuffer(W.shape[1], W.dtype)
        self._dx = RowBuffer(W.shape[0], W.dtype)

    def forward(self, x: Array) -> Array:
        self.x = x
        z = self._z.rows(len(x))
        np.dot(x, self.W, out=z)
        if self.b is not None:
            z += self.b
        return z

    def backward(self, dz: Array) -> Array | None:
        self.dz = dz
        np.dot(self.x.T, dz, out=self.dW)
        if self.db is not None:
            np.sum(dz, axis=0, out=self.db)
        if self.is_first:
            return None
        dx = self._dx.rows(len(dz))
        np.dot(dz, self.W.T, out=dx)
        return dx

    def moments(self) -> tuple[Array, Array]:
        """[x, 1]^T [x, 1] and dz^T dz of the last pass, sums over examples; no 1 without bias."""
        x = self.x if self.b is None else np.pad(self.x, ((0, 0), (0, 1)), constant_values=1)
        return x.T @ x, self.dz.T @ self.dz


class Activate:
    """a = f(z), element by element;  dz = da f'(z)."""

    def __init__(self, activation: Activation, units: int, dtype: np.dtype[Any]) -> None:
        check_fills(activation, dtype)
        self.activation = activation
        self._a = RowBuffer(units, dtype)
        self._dz = RowBuffer(units, dtype)

    def forward(self, z: Array) -> Array:
        a = self._a.rows(len(z))
        self.activation.forward(z, a)
        self.z, self.a = z, a  # of the last pass in whichever thread; that one alone goes back
        return a

    def backward(self, da: Array) -> Array:
        dz = self._dz.rows(len(da))
        self.activation.backward(da, self.z, self.a, dz)
        return dz


def check_fills(activation: Activation, dtype: np.dtype[Any]) -> None:
    """UsageError for an activation that returns its result instead of writing it."""
    z, a, dz = np.array([[-1.0, 0.5], [np.nan] * 2, [np.nan] * 2], dtype)
    activation.forward(z, a)
    activation.backward(z, z, a, dz)
    for name, out in (("forward", a), ("backward", dz)):
        if np.isnan(out).any():
            raise UsageError(
                f"{activation.name}.{name} does not fill its last argument",
                "write into it, as in a[...] = z; what is returned is not looked at",
            )
