"""The curvature of the loss: products of its second derivatives with vectors, from gradients."""

from dataclasses import dataclass, replace

import numpy as np

from .arrays import Array, Labels
from .datasets.split import Pixels
from .errors import DivergedError, UsageError
from .hyper import Interval, checked
from .model import MLP

TOLERANCE = 1e-3  # relative change of the eigenvalue at which the iteration ends


@dataclass(frozen=True)
class Eigenpair:
    """An eigenvalue of the Hessian, its eigenvector of length 1, and how well they fit.

    residual     |H v - value v| / |value|; the true eigenvalue is within that share of `value`
    products     how many Hessian-vector products it took
    """

    value: float
    vector: Array
    residual: float
    products: int


class Hessian:
    """The second derivatives of a network's mean loss by its weights, as products with vectors.

        hessian = Hessian(model, x, labels)
        hessian @ v                              # H v, a new float64 vector like model.w
        hessian.largest().value                  # the largest eigenvalue

        H v = (g(w + h v) - g(w - h v)) / (2 h)      h = eps^(1/3) (1 + |w|) / |v|

    g is the gradient from backpropagation, eps the precision of float64. No matrix is formed: each
    product costs two gradients of these examples. All is computed in double precision, on a copy
    of the network as it is now; the network itself is not changed, and the copy does not follow it.

    With kinks (ReLU) there are no second derivatives where a unit switches: the products then are
    differences of gradients over the step h.

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

    def largest(self, products: int = 200, seed: int = 0) -> Eigenpair:
        """The largest eigenvalue, by power iteration from a random vector.

            v <- H v / |H v|        value = v . H v

        It ends when the value has settled to a thousandth, or after so many products. The iteration
        finds the eigenvalue of the largest size; where that one is negative, as it may be early
        in training, it is run once more on H - value, whose largest in size is the one
        that is wanted.
        """
        most = checked("products", products, int, Interval("[1, inf)"), "give how many at most")
        v = np.random.default_rng(seed).standard_normal(len(self._w))
        found = self._power(v, most, shift=0.0)
        if found.value >= 0:
            return found
        again = self._power(v, most, shift=found.value)
        return replace(again, products=found.products + again.products)

    def _power(self, v: Array, products: int, shift: float) -> Eigenpair:
        """The eigenpair of H that is largest in size for H - shift."""
        v = v / np.linalg.norm(v)
        Hv = self @ v
        value, taken = float(v @ Hv), 1
        while taken < products and (step := Hv - shift * v).any():
            v = step / np.linalg.norm(step)
            Hv = self @ v
            before, value = value, float(v @ Hv)
            taken += 1
            if abs(value - before) <= TOLERANCE * abs(value):
                break
        off = float(np.linalg.norm(Hv - value * v))
        return Eigenpair(value, v, off / abs(value) if value else 0.0, taken)
