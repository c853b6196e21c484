"""Layers: forward beside backward, each with the memory that it writes into.

A layer remembers what its last forward pass saw; `backward` belongs to that pass. What both
return lies in the layer's own buffers and holds until the next pass.
"""

import warnings
from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from .activations import Activation
from .arrays import Array, RowBuffer
from .errors import NnscratchWarning, UsageError

FORGOTTEN = (
    "batch normalization has learned from batches whose means and variances it does not know: call "
    "model.after_update() after each step"
)


class Layer(ABC):
    """One step of the network, there and back."""

    @abstractmethod
    def forward(self, x: Array) -> Array:
        """The layer's output for the rows of x, one row for each example."""

    def forward_training(self, x: Array, rng: np.random.Generator | None) -> Array:
        """The output from which the network learns; for most layers it is the same."""
        return self.forward(x)

    @abstractmethod
    def backward(self, dy: Array) -> Array | None:
        """From the derivative of the loss by the output to that by the input."""


class Dense(Layer):
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


class Activate(Layer):
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


class Dropout(Layer):
    """Leave out units at random while the network learns.

        y = x m        m = 0 with probability `rate`, 1 / (1 - rate) otherwise, for each unit and
                       example;  dx = dy m

    The mean of y is x, which is what the trained network uses: forward gives x itself.

    Source: Srivastava et al., JMLR 15, 2014, section 4, who leave y unscaled and multiply the
    trained weights by 1 - rate instead. The networks are the same for weights 1 - rate times
    theirs, and so are not the learning rates, penalties and limits of theirs: a max-norm of c is
    one of (1 - rate) c here.
    """

    def __init__(self, rate: float, units: int, dtype: np.dtype[Any]) -> None:
        self.rate = rate
        self.mask: Array | None = None
        self._mask, self._y, self._dx = (RowBuffer(units, dtype) for _ in range(3))

    def forward(self, x: Array) -> Array:
        self.mask = None
        return x

    def forward_training(self, x: Array, rng: np.random.Generator | None) -> Array:
        if not isinstance(rng, np.random.Generator):
            raise UsageError(
                f"the network leaves out units at random while it learns, and rng is {rng!r:.80}",
                "make rng = np.random.default_rng(0) once, and give it with every batch",
            )
        self.mask = mask = self._mask.rows(len(x))
        rng.random(out=mask, dtype=mask.dtype.type)
        np.greater_equal(mask, self.rate, out=mask)
        mask *= 1 / (1 - self.rate)
        y = self._y.rows(len(x))
        np.multiply(x, mask, out=y)
        return y

    def backward(self, dy: Array) -> Array:
        if self.mask is None:
            return dy
        dx = self._dx.rows(len(dy))
        np.multiply(dy, self.mask, out=dx)
        return dx


class BatchNorm(Layer):
    """Give the sums of each unit a mean and a deviation of their own, whatever comes in.

        x^ = (x - m) / sqrt(v + eps)          m, v the mean and the variance over the batch
        y = gamma x^ + beta

        dbeta = sum dy        dgamma = sum dy x^        sums over the n examples of the batch
        dx = gamma / sqrt(v + eps) (dy - dbeta / n - x^ dgamma / n)

    gamma, beta, their gradients, and mean and variance are views into the vectors of the model,
    each of shape (units,). The trained network takes mean and variance instead of m and v, and its
    dx is gamma dy / sqrt(variance + eps). They follow m and n v / (n - 1) from update to update,

        mean <- mean + rate (m - mean)        variance likewise

    and are those of the weights where gradients were taken; of two gradients of one batch (SAM) the
    last one counts. For other weights, such as an average of these, they are measured anew (see
    MLP.measure).

    Raises UsageError for a batch of one example, which has no variance. Warns when the trained
    network is asked, and has learned from batches none of which mean and variance have followed.

    Source: Ioffe and Szegedy, arXiv 1502.03167, algorithm 1 and the derivatives of section 3. Their
    algorithm 2 computes mean and variance once, after training; moving averages are what is done
    since, PyTorch with a rate of 0.1, as here, Keras with one of 0.01, which needs hundreds of
    updates to forget where it began. eps is PyTorch's; Keras has 1e-3.
    """

    EPS = 1e-5
    RATE = 0.1

    def __init__(
        self,
        gamma: Array,
        beta: Array,
        dgamma: Array,
        dbeta: Array,
        mean: Array,
        variance: Array,
    ) -> None:
        self.gamma, self.beta, self.dgamma, self.dbeta = gamma, beta, dgamma, dbeta
        self.mean, self.variance = mean, variance
        units, dtype = len(gamma), gamma.dtype
        self._x_hat, self._y, self._dx = (RowBuffer(units, dtype) for _ in range(3))
        self.n = 0  # examples in the last batch that it learned from
        self.has_followed = False
        self._gamma_then = np.empty_like(gamma)  # in that batch; what has learned has moved it

    def forward(self, x: Array) -> Array:
        self.by_batch = False
        if self.n and not self.has_followed and (self.gamma != self._gamma_then).any():
            warnings.warn(FORGOTTEN, NnscratchWarning, stacklevel=2)
        x_hat = np.subtract(x, self.mean, out=self._x_hat.rows(len(x)))
        return self._scaled(x_hat, self.variance)

    def forward_training(self, x: Array, rng: np.random.Generator | None) -> Array:
        n = len(x)
        if n < 2:
            raise UsageError(
                f"batch normalization needs two examples or more in a batch, got {n}",
                "choose a batch size of at least 2, and one that leaves no single example over",
            )
        self.by_batch, self.n = True, n
        self._gamma_then[...] = self.gamma
        # added up in double precision: x may be large, and its deviation small
        self.m = x.mean(axis=0, dtype=np.float64).astype(x.dtype)
        x_hat = np.subtract(x, self.m, out=self._x_hat.rows(n))
        squares = np.einsum("ij,ij->j", x_hat, x_hat, dtype=np.float64)
        self.v = (squares / n).astype(x.dtype)
        return self._scaled(x_hat, self.v)

    def _scaled(self, x_hat: Array, variance: Array) -> Array:
        """y for the differences from the mean, which become x^."""
        scale = 1 / np.sqrt(variance + self.EPS)
        x_hat *= scale
        y = self._y.rows(len(x_hat))
        np.multiply(x_hat, self.gamma, out=y)
        y += self.beta
        self.x_hat, self.scale = x_hat, scale  # of the last pass in whichever thread, as z and a
        return y

    def backward(self, dy: Array) -> Array:
        n = len(dy)
        dx = self._dx.rows(n)
        np.sum(dy, axis=0, out=self.dbeta)
        np.einsum("ij,ij->j", dy, self.x_hat, out=self.dgamma)
        if self.by_batch:  # m and v depend on x, too
            np.multiply(self.x_hat, self.dgamma / -n, out=dx)
            dx += dy
            dx -= self.dbeta / n
        else:
            np.copyto(dx, dy)
        dx *= self.gamma * self.scale
        return dx

    def follow(self, rate: float = RATE) -> None:
        """Move mean and variance towards those of the last batch that it learned from."""
        if self.n == 0:  # there was none
            return
        n = self.n
        self.mean += rate * (self.m - self.mean)
        self.variance += rate * (n / (n - 1) * self.v - self.variance)
        self.has_followed = True


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
