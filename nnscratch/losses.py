"""Losses: from the outputs z of the last layer to the loss of each example, and back.

A loss owns the output activation, because the two belong together: with softmax or sigmoid under
a cross-entropy the derivative by z is simply a - y.
"""

import math
from abc import abstractmethod
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .activations import Sigmoid
from .arrays import Array, Labels, scratch
from .hyper import Part, hyper


class Loss(Part):
    """A loss of z, shape (n, classes), and the right classes, shape (n,).

    Whoever wants the mean over the examples, as the network does, divides by n. In the formulas
    y is 1 for the right class and 0 for the others. Raises UsageError for a hyper-parameter out of
    its range.

    >>> loss = nn.LOSSES["softmax_cross_entropy"]()
    >>> z, labels = np.array([[0.0, 0.0], [0.0, 2.0]]), np.array([0, 1])
    >>> a, dz = np.empty_like(z), np.empty_like(z)
    >>> round(loss.forward(z, labels, a), 4)                # log(2) + log(1 + exp(-2))
    0.8201
    >>> loss.backward(a, labels, dz)
    >>> dz.round(2)
    array([[-0.5 ,  0.5 ],
           [ 0.12, -0.12]])
    """

    output_activation: ClassVar[str] = "the loss's own"  # what `output` is called

    @abstractmethod
    def output(self, z: Array, a: Array) -> None:
        """a <- the network's answer, a number in [0, 1] for each class."""

    @abstractmethod
    def forward(self, z: Array, labels: Labels, a: Array) -> float:
        """The loss, summed over the examples; a <- the network's answer."""

    @abstractmethod
    def backward(self, a: Array, labels: Labels, dz: Array) -> None:
        """dz <- the derivative of the summed loss by z."""

    @abstractmethod
    def sampled_backward(self, a: Array, rng: np.random.Generator, dz: Array) -> None:
        """dz <- the derivative by z of the loss of labels y that are drawn as a says.

        The distribution is the one whose -log p(y) is the loss, up to a constant. The mean of
        dz^T dz is then the Fisher matrix of z.
        """

    def blind(self, classes: int) -> float | None:
        """The loss of the best answer that is the same for each of equally frequent classes.

        A network that has learned nothing but the frequencies has this loss. None if not known.
        """
        return None


@dataclass(frozen=True)
class SoftmaxCrossEntropy(Loss):
    """L = -sum_j y_j log a_j with a = softmax(z);  dL/dz = a - y.

    y_j = 1 - s + s / classes for the right class and s / classes for each other; s, `smoothing`, is
    usually 0, and L is then -log a_label. a_j = exp(z_j) / sum_k exp(z_k), computed after
    subtracting the largest z, which cancels.

    Source of the smoothing: Szegedy et al., arXiv 1512.00567, section 7, with the same share for
    each class. As in PyTorch and Keras the loss of an evaluation is smoothed as well.
    """

    name = "softmax_cross_entropy"
    output_activation = "softmax"

    smoothing: float = hyper(0.0, "[0, 1)", "share of each label that is given to all classes")

    def output(self, z: Array, a: Array) -> None:
        self._softmax(z, a)

    def forward(self, z: Array, labels: Labels, a: Array) -> float:
        largest, sums = self._softmax(z, a)
        # -log a_j = log(sum_k exp(z_k - largest)) + largest - z_j, of which y takes the mean
        losses = np.log(sums, out=scratch("losses", len(z), np.float64), dtype=np.float64)
        with np.errstate(over="ignore"):  # a loss beyond 1e308 is inf
            losses += largest
            right = at_labels(z, labels)
            if self.smoothing:
                right *= 1 - self.smoothing
                share = np.full(z.shape[1], self.smoothing / z.shape[1], z.dtype)
                right += np.dot(z, share, out=scratch("smoothed", len(z), z.dtype))
            losses -= right
            return float(losses.sum())

    def backward(self, a: Array, labels: Labels, dz: Array) -> None:
        subtract_one_hot(a, labels, dz, 1 - self.smoothing)
        if self.smoothing:
            dz -= self.smoothing / dz.shape[1]

    def sampled_backward(self, a: Array, rng: np.random.Generator, dz: Array) -> None:
        """One class for each example, drawn with the probabilities a.

        Smoothed labels have the same Fisher matrix: it is the curvature by z, where no y is in.
        """
        drawn = rng.random((len(a), 1)) < a.cumsum(axis=1, dtype=np.float64)
        drawn[:, -1] = True  # the sum may be rounded to less than 1
        subtract_one_hot(a, drawn.argmax(axis=1), dz)

    def blind(self, classes: int) -> float:
        """log n, 2.303 for ten classes, whatever the smoothing."""
        return math.log(classes)

    @staticmethod
    def _softmax(z: Array, a: Array) -> tuple[Array, Array]:
        largest = z.max(axis=1, out=scratch("largest", len(z), z.dtype))
        with np.errstate(over="ignore"):  # a difference below -3e38 is -inf, and exp(-inf) is 0
            np.subtract(z, largest[:, np.newaxis], out=a)
        np.exp(a, out=a)
        sums = a.sum(axis=1, out=scratch("sums", len(a), a.dtype))
        a /= sums[:, np.newaxis]
        return largest, sums


@dataclass(frozen=True)
class SigmoidCrossEntropy(Loss):
    """L = -sum_j [y_j log a_j + (1 - y_j) log(1 - a_j)] with a = sigmoid(z);  dL/dz = a - y.

    Ten yes-or-no questions, one for each class, summed. This is the loss whose derivative the
    lecture's code writes as d2 = a2 - y. Computed as log(1 + exp(-+z_j)), which is finite for
    every z.
    """

    name = "sigmoid_cross_entropy"
    output_activation = Sigmoid.name

    def output(self, z: Array, a: Array) -> None:
        Sigmoid().forward(z, a)

    def forward(self, z: Array, labels: Labels, a: Array) -> float:
        np.copyto(a, z)
        right = at_labels(a, labels)
        put_at_labels(a, labels, np.negative(right, out=right))
        np.logaddexp(0, a, out=a)
        with np.errstate(over="ignore"):  # a loss beyond 1e308 is inf
            loss = a.sum(dtype=np.float64)
        self.output(z, a)
        return float(loss)

    def backward(self, a: Array, labels: Labels, dz: Array) -> None:
        subtract_one_hot(a, labels, dz)

    def sampled_backward(self, a: Array, rng: np.random.Generator, dz: Array) -> None:
        """A yes with probability a, for each class alone."""
        np.subtract(a, rng.random(a.shape) < a, out=dz)

    def blind(self, classes: int) -> float:
        """log n + (n - 1) log(n / (n - 1)), 3.251 for ten classes."""
        return math.log(classes) + (classes - 1) * math.log(classes / (classes - 1))


@dataclass(frozen=True)
class MeanSquaredError(Loss):
    """L = 1/2 sum_j (a_j - y_j)^2 with a = sigmoid(z);  dL/dz = (a - y) a (1 - a).

    The quadratic cost of Nielsen's book, chapter 1. The factor a (1 - a) is why a unit that is
    wrong and saturated learns slowly, and the cross-entropies do not have it.
    """

    name = "mean_squared_error"
    output_activation = Sigmoid.name

    def output(self, z: Array, a: Array) -> None:
        Sigmoid().forward(z, a)

    def forward(self, z: Array, labels: Labels, a: Array) -> float:
        self.output(z, a)
        errors = scratch("errors", a.shape, a.dtype)
        subtract_one_hot(a, labels, errors)
        return float(0.5 * np.square(errors, out=errors).sum(dtype=np.float64))

    def backward(self, a: Array, labels: Labels, dz: Array) -> None:
        subtract_one_hot(a, labels, dz)
        dz *= a
        dz *= np.subtract(1, a, out=scratch("errors", a.shape, a.dtype))

    def sampled_backward(self, a: Array, rng: np.random.Generator, dz: Array) -> None:
        """Normally distributed about a, with variance 1."""
        dz[...] = rng.standard_normal(a.shape)
        dz *= a
        dz *= 1 - a

    def blind(self, classes: int) -> float:
        """(1 - 1 / n) / 2, 0.45 for ten classes."""
        return (1 - 1 / classes) / 2


def subtract_one_hot(a: Array, labels: Labels, out: Array, one: float = 1) -> None:
    """out <- a - y, where row i of y is `one` in column labels[i] and 0 elsewhere."""
    np.copyto(out, a)
    right = at_labels(out, labels)
    right -= one
    put_at_labels(out, labels, right)


def at_labels(matrix: Array, labels: Labels) -> Array:
    """The element in column labels[i] of each row i, shape (n,), until the next call."""
    out: Array = scratch("at labels", len(labels), matrix.dtype)
    # mode="clip" lets NumPy write straight into out; all positions are in range anyway
    return matrix.take(_positions(matrix, labels), out=out, mode="clip")


def put_at_labels(matrix: Array, labels: Labels, values: Array) -> None:
    """matrix[i, labels[i]] <- values[i] for each row i."""
    matrix.put(_positions(matrix, labels), values)


def _positions(matrix: Array, labels: Labels) -> Labels:
    """Where the elements in the columns `labels` stand among all elements of the matrix."""
    out: NDArray[np.intp] = scratch("positions", len(labels), np.intp)
    starts = _starts(*matrix.shape)
    return np.add(starts, labels, out=out, dtype=np.intp, casting="unsafe")


@lru_cache(maxsize=8)
def _starts(rows: int, columns: int) -> Labels:
    return np.arange(0, rows * columns, columns)


LOSSES: dict[str, type[Any]] = {
    cls.name: cls for cls in (SoftmaxCrossEntropy, SigmoidCrossEntropy, MeanSquaredError)
}
