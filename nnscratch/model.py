"""The multilayer perceptron: its weights in one vector, its gradient in another."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from . import seeds
from .activations import ACTIVATIONS, Activation
from .arrays import Array, Labels, RowBuffer, aligned_zeros, memory
from .datasets.split import Pixels
from .errors import UsageError
from .hyper import Interval, as_part, checked, described, in_words
from .initializers import INITIALIZERS, Initializer
from .layers import Activate, BatchNorm, Dense, Dropout, Layer
from .losses import LOSSES, Loss
from .regularization import NONE, Regularization

CHUNK = 1024  # rows that pass through the network at a time; more would only need more memory


@dataclass(frozen=True)
class Parameter:
    """One W or b: views of its part of the model's `w` and `dw`.

    >>> for parameter in nn.MLP([784, 30, 10]).parameters:
    ...     print(parameter.name, parameter.w.shape)
    W1 (784, 30)
    b1 (30,)
    W2 (30, 10)
    b2 (10,)
    """

    name: str
    w: Array
    dw: Array


@dataclass(frozen=True)
class Evaluation:
    """What a network makes of some examples: mean loss, and the share classified rightly.

    >>> evaluation = nn.MLP([4, 4], init="zeros").evaluate(np.eye(4), np.arange(4))
    >>> print(f"{evaluation.loss:.3f}, {evaluation.accuracy:.0%}")   # it guesses: log 4, a quarter
    1.386, 25%
    """

    loss: float
    accuracy: float


class MLP:
    """A multilayer perceptron, trained by whoever reads its gradient and moves its weights.

    >>> x, labels = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]]), np.array([0, 1, 1, 0])
    >>> model = nn.MLP([2, 8, 2], activation="tanh")
    >>> for _ in range(300):
    ...     loss = model.loss_and_grad(x, labels)   # mean loss; the gradient is now in model.dw
    ...     model.w -= 0.5 * model.dw               # one step of gradient descent
    >>> model.predict(x)                            # it has learned "either, or"
    array([0, 1, 1, 0])

    `sizes` are the units of each layer, inputs first. `activation` follows every layer but the
    last, whose output activation belongs to the `loss`. Activation, initializer and loss are
    given by name or as records. The weights are drawn from `seed`; biases start at zero.

    `w` and `dw` are vectors, and every W, b, dW and db is a view into them, in the order W1, b1,
    W2, b2, ...; W has shape (in, out). `parameters` lists the views; `matrices` lists one view for
    each layer, of shape (in + 1, out), whose last row is the bias; without `bias` it has none.
    Assigning to `w` or `dw` copies into the vector. A copy or a pickle of a model is a model of its
    own.

    With `batch_norm` every hidden layer is x W, batch normalization, activation; gamma1 and beta1
    stand in the place of b1, with `bias` or without, and are the last two rows of its matrix.
    `statistics` is the vector of the means and variances that it uses once it is trained, and
    `moving` has the views into it, mean1, variance1, ...

    `regularization`, an `nn.Regularization`, says what is punished, limited or left out at random.
    A loop of one's own gives `loss_and_grad` a random generator where units are left out, the same
    one with every batch, and calls `after_update` after each step where weights are limited or
    batches normalized. `fit` sees to both.

    x, shape (n, inputs), may be an array or the `Pixels` of a split or loader. Labels, shape
    (n,), are whole numbers from 0 to outputs - 1. Wrong shapes, types and labels raise UsageError.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        activation: str | Activation = "sigmoid",
        init: str | Initializer = "glorot_uniform",
        loss: str | Loss = "softmax_cross_entropy",
        seed: int = 0,
        *,
        bias: bool = True,
        batch_norm: bool = False,
        regularization: Regularization = NONE,
        dtype: DTypeLike = "float32",
    ) -> None:
        fix = "write the units of each layer from inputs to outputs, like [784, 1000, 10]"
        if not isinstance(sizes, Sequence) or isinstance(sizes, str) or len(sizes) < 2:
            raise UsageError(f"sizes must be two or more numbers of units, got {sizes!r}", fix)
        sizes = tuple(checked("a layer", n, int, Interval("[1, inf)"), fix) for n in sizes)
        if np.dtype(dtype) not in (np.float32, np.float64):
            raise UsageError(f"dtype is {dtype!r}", "choose float32 or float64")
        self.sizes = sizes
        self.activation = as_part(Activation, ACTIVATIONS, activation)  # type: ignore[type-abstract]
        self.init = as_part(Initializer, INITIALIZERS, init)  # type: ignore[type-abstract]
        self.loss = as_part(Loss, LOSSES, loss)  # type: ignore[type-abstract]
        if not isinstance(regularization, Regularization):
            what = f"regularization is {regularization!r:.80}"
            raise UsageError(what, "give a record like nn.Regularization(dropout=0.5)")
        self.regularization = regularization
        if not isinstance(batch_norm, bool | np.bool_):
            raise UsageError(f"batch_norm is {batch_norm!r:.80}", "give True or False")
        self.batch_norm = bool(batch_norm)
        for name, wanted in (("batch_norm", batch_norm), ("dropout", regularization.dropout)):
            if wanted and len(sizes) == 2:
                what = f"{name} is for hidden layers, and sizes {list(sizes)} has none"
                raise UsageError(what, "give a hidden layer, or leave it out")
        self.seed, self.bias, self.dtype = seed, bias, np.dtype(dtype)

        shapes: dict[str, tuple[int, ...]] = {}
        augmented: dict[str, tuple[int, ...]] = {}
        moments: dict[str, tuple[int, ...]] = {}
        last = len(sizes) - 1
        for k, (fan_in, fan_out) in enumerate(pairwise(sizes), start=1):
            shapes[f"W{k}"] = (fan_in, fan_out)
            vectors = [f"b{k}"] if bias else []
            if batch_norm and k < last:
                vectors = [f"gamma{k}", f"beta{k}"]
                moments |= {f"mean{k}": (fan_out,), f"variance{k}": (fan_out,)}
            shapes |= dict.fromkeys(vectors, (fan_out,))
            augmented[f"W{k}"] = (fan_in + len(vectors), fan_out)
        self._shapes = shapes
        length = sum(math.prod(shape) for shape in shapes.values())
        needed = 2 * length * self.dtype.itemsize
        if needed > memory():
            raise UsageError(
                f"{length:,} weights and their gradient need {needed // 10**9:,} GB of memory, "
                f"and this machine has {memory() / 1e9:,.0f}",
                "choose fewer units",
            )
        self._w = aligned_zeros((length,), dtype)
        self._dw = aligned_zeros((length,), dtype)
        self._gradient_sum = aligned_zeros((0,), dtype)
        w_views, dw_views = _views(self.w, shapes), _views(self.dw, shapes)
        self.parameters = [Parameter(name, w_views[name], dw_views[name]) for name in shapes]
        w_layers, dw_layers = _views(self.w, augmented), _views(self.dw, augmented)
        self.matrices = [Parameter(name, w_layers[name], dw_layers[name]) for name in augmented]

        self.statistics: Array = aligned_zeros((sum(map(math.prod, moments.values())),), dtype)
        self.moving = _views(self.statistics, moments)

        rng = np.random.default_rng(seeds.stream(seed, seeds.INIT))
        self.layers: list[Layer] = []
        if regularization.input_dropout:
            self.layers.append(Dropout(regularization.input_dropout, sizes[0], self.dtype))
        for k, (fan_in, fan_out) in enumerate(pairwise(sizes), start=1):
            W, b = w_views[f"W{k}"], w_views.get(f"b{k}")
            dW, db = dw_views[f"W{k}"], dw_views.get(f"b{k}")
            W[...] = self.init.sample(rng, fan_in, fan_out)
            self.layers.append(Dense(W, b, dW, db, is_first=k == 1))
            if k == last:
                break
            if batch_norm:
                gamma, beta = w_views[f"gamma{k}"], w_views[f"beta{k}"]
                dgamma, dbeta = dw_views[f"gamma{k}"], dw_views[f"beta{k}"]
                mean, variance = self.moving[f"mean{k}"], self.moving[f"variance{k}"]
                gamma[...], variance[...] = 1, 1
                self.layers.append(BatchNorm(gamma, beta, dgamma, dbeta, mean, variance))
            self.layers.append(Activate(self.activation, fan_out, self.dtype))
            if regularization.dropout:
                self.layers.append(Dropout(regularization.dropout, fan_out, self.dtype))
        self.draws = any(isinstance(layer, Dropout) for layer in self.layers)  # wants an rng
        self._weights = [(layer.W, layer.dW) for layer in self.layers if isinstance(layer, Dense)]
        self._norms = [layer for layer in self.layers if isinstance(layer, BatchNorm)]
        self._a = RowBuffer(sizes[-1], dtype)
        self._dz = RowBuffer(sizes[-1], dtype)

    @property
    def w(self) -> Array:
        """All weights and biases, one vector."""
        return self._w

    @w.setter
    def w(self, values: Array) -> None:
        self._w[...] = values

    @property
    def dw(self) -> Array:
        """The gradient of the mean loss by `w`, as the last loss_and_grad left it."""
        return self._dw

    @dw.setter
    def dw(self, values: Array) -> None:
        self._dw[...] = values

    def __repr__(self) -> str:
        return (
            f"<MLP {'-'.join(map(str, self.sizes))} {self.activation.name}, "
            f"{self.loss.name}, {len(self.w):,} weights, {self.dtype}>"
        )

    def summary(self) -> str:
        """A table of the layers: output shape, activation, initializer, parameters.

        As Keras shows it, where None is the number of examples; Keras prints it, this returns it.

        >>> print(nn.MLP([784, 1000, 10]).summary())
        layer    output shape  activation  init            parameters
        input    (None, 784)                                        0
        dense 1  (None, 1000)  sigmoid     glorot_uniform     785,000
        dense 2  (None, 10)    softmax     glorot_uniform      10,010
        total                                                 795,010
        3,180,040 bytes of float32, and as many for the gradient
        """
        last = len(self.sizes) - 1
        rows = [
            ("layer", "output shape", "activation", "init", "parameters"),
            ("input", f"(None, {self.sizes[0]})", "", "", "0"),
        ]
        for k, layer in enumerate(self.matrices, start=1):
            name = self.loss.output_activation if k == last else in_words(self.activation)
            if self.batch_norm and k < last:
                name = f"batch_norm, {name}"
            shape = f"(None, {self.sizes[k]})"
            rows.append((f"dense {k}", shape, name, in_words(self.init), f"{layer.w.size:,}"))
        rows.append(("total", "", "", "", f"{len(self.w):,}"))
        *widths, width = (max(map(len, column)) for column in zip(*rows, strict=True))
        lines = [
            "  ".join([*map(str.ljust, cells, widths), number.rjust(width)])
            for *cells, number in rows
        ]
        memory = f"{self.w.nbytes:,} bytes of {self.dtype}, and as many for the gradient"
        limits = [f"regularization: {self.regularization}"] if self.regularization != NONE else []
        return "\n".join([*lines, memory, *limits])

    @property
    def description(self) -> dict[str, Any]:
        """What the network is, but for its weights, as JSON can hold it."""
        return {
            "sizes": list(self.sizes),
            "activation": described(self.activation),
            "loss": described(self.loss),
            "bias": self.bias,
            "batch_norm": self.batch_norm,
            "regularization": described(self.regularization),
            "dtype": self.dtype.name,
        }

    def __getstate__(self) -> dict[str, Any]:
        names = ["sizes", "activation", "init", "loss", "seed", "bias", "batch_norm"]
        names += ["regularization", "dtype", "w", "dw", "statistics"]
        return {name: getattr(self, name) for name in names}

    def __setstate__(self, state: dict[str, Any]) -> None:
        w, dw, statistics = state.pop("w"), state.pop("dw"), state.pop("statistics")
        self.__init__(**state)  # type: ignore[misc]  # the views have to be made anew
        self.w, self.dw, self.statistics[...] = w, dw, statistics

    def forward(self, x: Array) -> Array:
        """The outputs z of the last layer, before the loss's own activation, shape (n, outputs)."""
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def forward_training(self, x: Array, rng: np.random.Generator | None = None) -> Array:
        """As forward, by a network that is learning: with units left out, and batches normalized.

        `rng` says which units; UsageError without it where some are to be left out.
        """
        for layer in self.layers:
            x = layer.forward_training(x, rng)
        return x

    def backward(self, dz: Array) -> None:
        """From dL/dz of the last forward pass to the gradient, written into `dw`."""
        dy: Array | None = dz
        for layer in reversed(self.layers):
            if dy is not None:
                dy = layer.backward(dy)

    def loss_and_grad(
        self, x: Array | Pixels, labels: Labels, rng: np.random.Generator | None = None
    ) -> float:
        """The mean loss over the examples and the penalties; its gradient is left in `dw`.

        A batch of any size passes in chunks, whose gradients are added up; with batch
        normalization it passes whole. `rng` says which units a network with dropout leaves out.
        """
        x = self._rows(x)
        labels = self._checked(x, labels)
        n = len(labels)
        chunk = n if self.moving else CHUNK
        loss_sum = 0.0
        gradient_sum = self._cleared_sum() if n > chunk else None
        for rows, x_chunk in self._chunks(x, chunk):
            y = labels[rows]
            z = self.forward_training(x_chunk, rng)
            a, dz = self._a.rows(len(y)), self._dz.rows(len(y))
            loss_sum += self.loss.forward(z, y, a)
            self.loss.backward(a, y, dz)
            dz /= n  # the loss sums over examples; this makes it their mean
            self.backward(dz)
            if gradient_sum is not None:
                gradient_sum += self.dw
        if gradient_sum is not None:
            self.dw[...] = gradient_sum
        return loss_sum / n + self._penalize()

    def _penalize(self) -> float:
        """The sum of the penalties; their gradient is added to `dw`."""
        return sum((self.regularization.penalize(W, dW) for W, dW in self._weights), 0.0)

    def after_update(self) -> None:
        """What an update brings besides the optimizer's step.

        Weights beyond the largest norm are shortened, and the statistics of a batch normalization
        follow the batch that the last loss_and_grad saw.
        """
        if self.regularization.max_norm:
            self.limit(self.w)
        for norm in self._norms:
            norm.follow()

    def measure(
        self, batches: Iterable[Array | Pixels], rng: np.random.Generator | None = None
    ) -> None:
        """Take the statistics of batch normalization anew, for weights that have learned elsewhere.

        They become the means of those of the batches. For weights that did not move from batch to
        batch, such as an average of such as did: `fit` sees to it where an optimizer has one.

        >>> x, model = np.random.default_rng(0).random((100, 4)), nn.MLP([4, 3, 2], batch_norm=True)
        >>> model.measure([x[:50], x[50:]])
        >>> z = x @ model.parameters[0].w
        >>> np.allclose(model.moving["mean1"], z.mean(axis=0))
        True

        A network without batch normalization has none, and reads no batch. UsageError for a batch
        of less than two examples, for no batches, for batches with labels, and where units are left
        out without `rng`.

        Source: Ioffe and Szegedy, arXiv 1502.03167, algorithm 2; PyTorch's update_bn, which takes
        batches with labels.
        """
        if not self._norms:
            return
        k = 0
        for k, x in enumerate(batches, start=1):
            if isinstance(x, tuple):
                what = "a batch is a tuple, and statistics are those of the inputs alone"
                raise UsageError(what, "give (x for x, labels in batches)")
            x = self._rows(x)
            self.forward_training(self._read(x, slice(0, len(x))), rng)
            for norm in self._norms:
                norm.follow(1 / k)  # the mean of the first k
        if not k:
            raise UsageError("there are no batches to measure", "give at least one")

    def limit(self, w: Array) -> None:
        """Shorten what is beyond the largest norm in a vector like `w`."""
        for name, view in _views(w, self._shapes).items():
            if name.startswith("W"):
                self.regularization.limit(view)

    def moments(self, x: Array | Pixels, rng: np.random.Generator) -> list[tuple[Array, Array]]:
        """For each layer the means of [x, 1]^T [x, 1] and of delta^T delta over the examples.

        The x here is the layer's input, and delta the derivative of one example's loss by the
        layer's sums z, for labels drawn from the network's own answers: what K-FAC needs. It
        overwrites `dw`.
        """
        x = self._rows(x)
        sums: list[tuple[Array, Array]] = []
        for _, x_chunk in self._chunks(x):
            z = self.forward(x_chunk)
            a, dz = self._a.rows(len(z)), self._dz.rows(len(z))
            self.loss.output(z, a)
            self.loss.sampled_backward(a, rng, dz)
            self.backward(dz)
            new = [layer.moments() for layer in self.layers if isinstance(layer, Dense)]
            sums = sums or [(0 * A, 0 * G) for A, G in new]
            sums = [(A + B, G + H) for (A, G), (B, H) in zip(sums, new, strict=True)]
        return [(A / len(x), G / len(x)) for A, G in sums]

    def evaluate(self, x: Array | Pixels, labels: Labels) -> Evaluation:
        """Mean loss and accuracy; changes neither `w` nor `dw`."""
        x = self._rows(x)
        labels = self._checked(x, labels)
        loss_sum, right = 0.0, 0
        for rows, x_chunk in self._chunks(x):
            y = labels[rows]
            z = self.forward(x_chunk)
            loss_sum += self.loss.forward(z, y, self._a.rows(len(y)))
            right += int(np.count_nonzero(z.argmax(axis=1) == y))
        return Evaluation(loss_sum / len(labels), right / len(labels))

    def trouble(self, x: Array | Pixels) -> str:
        """Where a network that has diverged went wrong first: in which weights, or in which sums z.

        If all is finite, the layer with the largest sums. Of many examples only the first are
        looked at.
        """
        for parameter in self.parameters:
            if not np.isfinite(parameter.w).all():
                return f"the first weights that are not finite are in {parameter.name}"
        largest: dict[str, float] = {}
        _, y = next(self._chunks(self._rows(x)))
        for layer in self.layers:
            y = layer.forward(y)
            if isinstance(layer, Dense):
                name = f"layer {len(largest) + 1}"
                largest[name] = float(np.abs(y).max())
                if not math.isfinite(largest[name]):
                    return f"the weights are finite, and the sums of {name} are the first too large"
        name = max(largest, key=largest.__getitem__)
        return f"the largest sums are those of {name}, {largest[name]:.3g}"

    def predict_proba(self, x: Array | Pixels) -> Array:
        """The network's answer for each example and class, a new array of shape (n, outputs).

        >>> nn.MLP([3, 2], init="zeros").predict_proba(np.eye(3)[:1])
        array([[0.5, 0.5]], dtype=float32)
        """
        x = self._rows(x)
        answers = np.empty((len(x), self.sizes[-1]), self.dtype)
        for rows, x_chunk in self._chunks(x):
            self.loss.output(self.forward(x_chunk), answers[rows])
        return answers

    def predict(self, x: Array | Pixels) -> Labels:
        """The class with the largest answer, shape (n,)."""
        x = self._rows(x)
        classes = [self.forward(x_chunk).argmax(axis=1) for _, x_chunk in self._chunks(x)]
        return np.concatenate([*classes, np.empty(0, np.intp)])

    def chunks(self, x: Array | Pixels) -> Iterator[Array]:
        """The rows of x in the portions that pass at a time, for a forward pass of one's own."""
        for _, chunk in self._chunks(self._rows(x)):
            yield chunk

    def _chunks(self, x: Array | Pixels, size: int = CHUNK) -> Iterator[tuple[slice, Array]]:
        """The rows of x in portions of at most `size`, in the model's dtype."""
        for start in range(0, len(x), size):
            rows = slice(start, min(start + size, len(x)))
            yield rows, self._read(x, rows)

    def _read(self, x: Array | Pixels, rows: slice) -> Array:
        if not isinstance(x, Pixels):
            return self._converted(x[rows])
        read = x.read(rows)
        return read if read.dtype == self.dtype else read.astype(self.dtype)

    def _converted(self, x: Array) -> Array:
        with np.errstate(over="ignore"):
            converted: Array = x.astype(self.dtype, copy=False)
        if not np.isfinite(converted).all():
            raise UsageError(
                f"x holds numbers that are not finite in {self.dtype}",
                "scale the inputs to about 1, and leave out or replace what is missing",
            )
        return converted

    def _rows(self, x: Array | Pixels) -> Array | Pixels:
        """x, if it is a matrix of real floats with a row for each example."""
        if isinstance(x, Pixels):
            shape, kind = x.shape, x.dtype
        else:
            if hasattr(x, "toarray"):  # scipy's matrices of mostly zeros
                raise UsageError(f"x is a sparse {type(x).__name__}", "give x.toarray()")
            x = np.asarray(x)
            shape, kind = x.shape, x.dtype
        if len(shape) != 2 or shape[1] != self.sizes[0]:
            raise UsageError(
                f"x has shape {tuple(shape)}, but the network reads (n, {self.sizes[0]})",
                "give one row for each example; x.reshape(len(x), -1) makes rows of images",
            )
        if kind.kind != "f":
            raise UsageError(
                f"x holds {kind}, not floats",
                "take the x of a split, or divide: pixels / 255 for a network that learned so",
            )
        return x

    def _checked(self, x: Array | Pixels, labels: Labels) -> Labels:
        """The labels, if they are classes of this network, one for each row of x."""
        labels = np.asarray(labels)
        if labels.shape != (len(x),) or len(x) == 0:
            raise UsageError(
                f"x has {len(x)} rows, labels have shape {labels.shape}",
                "give one class for each of at least one example; one_hot.argmax(axis=1) finds it",
            )
        fix = f"give whole numbers from 0 to {self.sizes[-1] - 1}"
        if labels.dtype.kind not in "iu":
            raise UsageError(f"labels are {labels.dtype}, not whole numbers", fix)
        if labels.min() < 0 or labels.max() >= self.sizes[-1]:
            raise UsageError(f"labels go from {labels.min()} to {labels.max()}", fix)
        return labels

    def _cleared_sum(self) -> Array:
        """A vector like dw, of zeros; allocated when the first batch needs more than one chunk."""
        if len(self._gradient_sum) == 0:
            self._gradient_sum = aligned_zeros(self.dw.shape, self.dtype)
        self._gradient_sum[...] = 0
        return self._gradient_sum


def _views(vector: Array, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Array]:
    """The vector cut into consecutive arrays of these shapes."""
    views, start = {}, 0
    for name, shape in shapes.items():
        stop = start + math.prod(shape)
        views[name] = vector[start:stop].reshape(shape)
        start = stop
    return views
