"""The curvature of the loss: products of its second derivatives with vectors, from gradients."""

from dataclasses import dataclass, replace

import numpy as np

from .arrays import Array, Labels
from .datasets.split import Pixels
from .errors import DivergedError, UsageError
from .model import MLP

TOLERANCE = 1e-3  # relative error of an eigenvalue


@dataclass(frozen=True)
class Eigenpair:
    """An eigenvalue of the Hessian, its eigenvector of length 1, and how well they fit.

    residual     |H v - value v| / |value|; some eigenvalue is within that share of `value`
    """

    value: float
    vector: Array
    residual: float


class Hessian:
    """The second derivatives of a network's mean loss by its weights, as products with vectors.

        H v = (g(w + h v) - g(w - h v)) / (2 h)      h = eps^(1/3) (1 + |w|) / |v|

    g is the gradient from backpropagation, eps the precision of float64. No matrix is formed: each
    product costs two gradients of these examples. The loss is that of the whole network, without
    dropout, with the penalties of its regularization, and with batches normalized over these
    examples. All is computed in double precision, on a
    copy of the network as it is now; the network itself is not changed, and the copy does not
    follow it.

    With kinks (ReLU) there are no second derivatives where a unit switches: the products then are
    differences of gradients over the step h.

    >>> model = nn.MLP([3, 3], init="zeros")
    >>> hessian = nn.Hessian(model, np.eye(3), np.array([0, 1, 2]))
    >>> v = np.arange(12.0)
    >>> round(float(v @ (hessian @ v)), 3)          # H v is a new float64 vector like model.w
    2.667
    >>> round(hessian.largest().value, 3)           # the largest eigenvalue
    0.444

    Raises UsageError for a v of another length, DivergedError for weights that are not finite.
    Source: central differences; Pearlmutter 1994 (Neural Computation 6) has the exact product by
    a second backward pass.
    """

    def __init__(self, model: MLP, x: Array | Pixels, labels: Labels) -> None:
        if not np.isfinite(model.w).all():
            raise DivergedError("the weights are not finite", "lower the learning rate")
        self._model = MLP(
            model.sizes,
            model.activation,
            "zeros",
            model.loss,
            bias=model.bias,
            batch_norm=model.batch_norm,
            regularization=replace(model.regularization, dropout=0.0, input_dropout=0.0),
            dtype="float64",
        )
        self._w = model.w.astype(np.float64)
        self._x = np.asarray(x, np.float64)
        self._labels = labels

    @property
    def shape(self) -> tuple[int, int]:
        """(weights, weights)."""
        return len(self._w), len(self._w)

    def gradient(self, w: Array) -> Array:
        """The gradient of the mean loss at other weights, a new vector."""
        self._model.w = w
        self._model.loss_and_grad(self._x, self._labels)
        return self._model.dw.copy()

    def __matmul__(self, v: Array) -> Array:
        v = np.asarray(v, np.float64)
        if v.shape != self._w.shape:
            raise UsageError(
                f"v has shape {v.shape}, and the network has {len(self._w):,} weights",
                "give a vector like model.w",
            )
        length = float(np.linalg.norm(v))
        if length == 0:
            return np.zeros_like(v)
        h = np.cbrt(np.finfo(np.float64).eps) * (1 + np.linalg.norm(self._w)) / length
        product: Array = (self.gradient(self._w + h * v) - self.gradient(self._w - h * v)) / (2 * h)
        return product

    def largest(self, seed: int = 0) -> Eigenpair:
        """The largest eigenvalue, to a thousandth of itself, by Lanczos's iteration.

        It begins with a random vector, and takes some dozens of products. ARPACK does it: the
        power iteration v <- H v / |H v| finds the eigenvalue that is largest in size, which early
        in training may be a negative one, and stalls where two are alike.
        """
        from scipy.sparse.linalg import LinearOperator, eigsh  # takes 0.3 s to import

        v = np.random.default_rng(seed).standard_normal(len(self._w))
        if not (self @ v).any():
            return Eigenpair(0.0, v / np.linalg.norm(v), 0.0)
        operator = LinearOperator(self.shape, matvec=self.__matmul__, dtype=np.float64)
        (value,), vectors = eigsh(operator, k=1, which="LA", v0=v, tol=TOLERANCE)
        vector = vectors[:, 0]
        off = float(np.linalg.norm(self @ vector - value * vector))
        return Eigenpair(float(value), vector, off / abs(value) if value else off)
