"""Initializers: the weights that a layer starts from. Biases always start at zero."""

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from .arrays import Array
from .hyper import Part, hyper


class Initializer(Part):
    """Draws a weight matrix of shape (fan_in, fan_out).

    `sample` gives float64, whatever the dtype of the network, so that a float32 and a float64
    network with one seed start from the same weights, but for rounding. Raises UsageError for a
    hyper-parameter out of its range.

    >>> class Diagonal(nn.Initializer):
    ...     def sample(self, rng, fan_in, fan_out):
    ...         return np.eye(fan_in, fan_out)
    >>> nn.MLP([2, 2], init=Diagonal()).parameters[0].w
    array([[1., 0.],
           [0., 1.]], dtype=float32)
    """

    @abstractmethod
    def sample(self, rng: np.random.Generator, fan_in: int, fan_out: int) -> Array:
        """One matrix, drawn with `rng`."""


@dataclass(frozen=True)
class Zeros(Initializer):
    """W = 0. Every hidden unit then computes the same, and stays the same as its neighbours."""

    def sample(self, rng: np.random.Generator, fan_in: int, fan_out: int) -> Array:
        return np.zeros((fan_in, fan_out))


@dataclass(frozen=True)
class Constant(Initializer):
    """W = value. It has the symmetry of zeros: the hidden units never become different."""

    value: float = hyper(0.01, "(-inf, inf)", "value of every weight")

    def sample(self, rng: np.random.Generator, fan_in: int, fan_out: int) -> Array:
        return np.full((fan_in, fan_out), self.value)


@dataclass(frozen=True)
class Uniform(Initializer):
    """W ~ U(-bound, bound). The default bound is that of Keras' RandomUniform."""

    bound: float = hyper(0.05, "(0, inf)", "largest absolute weight at the start")

    def sample(self, rng: np.random.Generator, fan_in: int, fan_out: int) -> Array:
        return rng.uniform(-self.bound, self.bound, (fan_in, fan_out))


@dataclass(frozen=True)
class Normal(Initializer):
    """W ~ N(0, std^2). The default std is that of Keras' RandomNormal."""

    std: float = hyper(0.05, "(0, inf)", "standard deviation of the weights at the start")

    def sample(self, rng: np.random.Generator, fan_in: int, fan_out: int) -> Array:
        return rng.normal(0, self.std, (fan_in, fan_out))


@dataclass(frozen=True)
class GlorotUniform(Initializer):
    """W ~ U(-limit, limit), limit = sqrt(6 / (fan_in + fan_out)): variance 2 / (fan_in + fan_out).

    Source: Glorot and Bengio, AISTATS 2010, eq. 16 ("normalized initialization"). They derived it
    for activations that are linear around 0, like tanh.
    """

    name = "glorot_uniform"

    def sample(self, rng: np.random.Generator, fan_in: int, fan_out: int) -> Array:
        limit = math.sqrt(6 / (fan_in + fan_out))
        return rng.uniform(-limit, limit, (fan_in, fan_out))


@dataclass(frozen=True)
class GlorotNormal(Initializer):
    """W ~ N(0, 2 / (fan_in + fan_out)).

    Source: Glorot and Bengio, AISTATS 2010, eq. 12. Not truncated (Keras cuts it at two standard
    deviations).
    """

    name = "glorot_normal"

    def sample(self, rng: np.random.Generator, fan_in: int, fan_out: int) -> Array:
        return rng.normal(0, math.sqrt(2 / (fan_in + fan_out)), (fan_in, fan_out))


@dataclass(frozen=True)
class HeUniform(Initializer):
    """W ~ U(-limit, limit), limit = sqrt(6 / fan_in): variance 2 / fan_in.

    Source: He et al., arXiv 1502.01852, eq. 10, for the ReLU.
    """

    name = "he_uniform"

    def sample(self, rng: np.random.Generator, fan_in: int, fan_out: int) -> Array:
        limit = math.sqrt(6 / fan_in)
        return rng.uniform(-limit, limit, (fan_in, fan_out))


@dataclass(frozen=True)
class HeNormal(Initializer):
    """W ~ N(0, 2 / fan_in).

    Source: He et al., arXiv 1502.01852, eq. 10, for the ReLU. Not truncated (Keras' is).
    """

    name = "he_normal"

    def sample(self, rng: np.random.Generator, fan_in: int, fan_out: int) -> Array:
        return rng.normal(0, math.sqrt(2 / fan_in), (fan_in, fan_out))


@dataclass(frozen=True)
class LeCunUniform(Initializer):
    """W ~ U(-limit, limit), limit = sqrt(3 / fan_in): variance 1 / fan_in.

    Source: LeCun et al., Efficient BackProp, 1998, eq. 16.
    """

    name = "lecun_uniform"

    def sample(self, rng: np.random.Generator, fan_in: int, fan_out: int) -> Array:
        limit = math.sqrt(3 / fan_in)
        return rng.uniform(-limit, limit, (fan_in, fan_out))


@dataclass(frozen=True)
class LeCunNormal(Initializer):
    """W ~ N(0, 1 / fan_in).

    Source: LeCun et al., Efficient BackProp, 1998, eq. 16. Not truncated (Keras' is).
    """

    name = "lecun_normal"

    def sample(self, rng: np.random.Generator, fan_in: int, fan_out: int) -> Array:
        return rng.normal(0, math.sqrt(1 / fan_in), (fan_in, fan_out))


@dataclass(frozen=True)
class Orthogonal(Initializer):
    """W with orthonormal columns (or rows, if they are fewer), times gain.

        Q R = a normal random matrix;   W = gain Q, each column with the sign of R's diagonal

    Source: Saxe, McClelland and Ganguli, arXiv 1312.6120. The signs make every orthogonal matrix
    equally likely (Mezzadri, arXiv math-ph/0609050).
    """

    gain: float = hyper(1.0, "(0, inf)", "length of each column")

    def sample(self, rng: np.random.Generator, fan_in: int, fan_out: int) -> Array:
        tall = rng.normal(size=(max(fan_in, fan_out), min(fan_in, fan_out)))
        q, r = np.linalg.qr(tall)
        q *= self.gain * np.sign(np.diag(r))
        return q if fan_in >= fan_out else q.T


@dataclass(frozen=True)
class Lecture(Initializer):
    """W ~ U(-limit, limit) with Glorot's limit rounded to three decimals.

    For the lecture's 784-1000-10 network that is +-0.058 and +-0.077, the numbers that its code
    writes without saying where they come from.
    """

    def sample(self, rng: np.random.Generator, fan_in: int, fan_out: int) -> Array:
        limit = round(math.sqrt(6 / (fan_in + fan_out)), 3)
        return rng.uniform(-limit, limit, (fan_in, fan_out))


INITIALIZERS: dict[str, type[Any]] = {
    cls.name: cls
    for cls in (
        Zeros,
        Constant,
        Uniform,
        Normal,
        GlorotUniform,
        GlorotNormal,
        HeUniform,
        HeNormal,
        LeCunUniform,
        LeCunNormal,
        Orthogonal,
        Lecture,
    )
}
