"""Schedules: the learning rate as a function of the update."""

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

from .hyper import Part, hyper

SMALLEST = 1e-20  # a rate of zero is no rate, in float32 either; many drops would end there


@dataclass(frozen=True)
class Schedule(Part):
    """A factor on the learning rate, with an optional linear warm-up before it.

        factor = (update + 1) / (warmup + 1)                    while update < warmup
        factor = shape(update - warmup, total - warmup, ...)    from then on

    Updates are counted from 0. A schedule knows nothing of the optimizer: the loop makes a new
    record with `optimizer.with_lr(lr * factor)`, and the optimizer's state stays as it is.
    Raises UsageError for a hyper-parameter out of its range.

    >>> cosine = nn.SCHEDULES["cosine"](warmup=1)
    >>> [round(cosine.factor(update, total=5, per_epoch=5), 2) for update in range(5)]
    [0.5, 1.0, 0.85, 0.5, 0.15]
    """

    warmup: int = hyper(0, "[0, inf)", "number of updates in which the rate rises linearly")

    def factor(self, update: int, total: int, per_epoch: int) -> float:
        """The factor for one update, of `total` in the run and `per_epoch` in an epoch."""
        if update < self.warmup:
            return (update + 1) / (self.warmup + 1)
        shape = self.shape(update - self.warmup, total - self.warmup, per_epoch)
        return max(shape, SMALLEST)

    @abstractmethod
    def shape(self, update: int, total: int, per_epoch: int) -> float:
        """The factor without warm-up; 1 at update 0."""


@dataclass(frozen=True)
class ConstantRate(Schedule):
    """shape = 1."""

    name = "constant"

    def shape(self, update: int, total: int, per_epoch: int) -> float:
        return 1.0


@dataclass(frozen=True)
class InverseTime(Schedule):
    """shape = 1 / (1 + decay update).

    The argument `decay` of Keras' optimizers up to 2.x, which count updates from 0 as here.
    """

    name = "inverse_time"

    decay: float = hyper(1e-4, "[0, inf)", "growth of 1 / rate with each update")

    def shape(self, update: int, total: int, per_epoch: int) -> float:
        return 1 / (1 + self.decay * update)


@dataclass(frozen=True)
class Step(Schedule):
    """shape = drop^k after k times `every` epochs."""

    every: int = hyper(3, "[1, inf)", "number of epochs between two drops")
    drop: float = hyper(0.1, "(0, 1]", "factor on the rate at each drop")

    def shape(self, update: int, total: int, per_epoch: int) -> float:
        drops = update // (self.every * per_epoch)
        return float(self.drop**drops)


@dataclass(frozen=True)
class Exponential(Schedule):
    """shape = fall^(update / updates per epoch): a constant fall, smooth over each epoch."""

    fall: float = hyper(0.9, "(0, 1]", "factor on the rate over one epoch")

    def shape(self, update: int, total: int, per_epoch: int) -> float:
        return float(self.fall ** (update / per_epoch))


@dataclass(frozen=True)
class Cosine(Schedule):
    """shape = (1 + cos(pi update / total)) / 2: from 1 down to nearly 0 at the last update.

    Source: Loshchilov and Hutter, arXiv 1608.03983, eq. 5, without restarts, to a rate of 0.
    """

    def shape(self, update: int, total: int, per_epoch: int) -> float:
        return (1 + math.cos(math.pi * update / total)) / 2


SCHEDULES: dict[str, type[Any]] = {
    cls.name: cls for cls in (ConstantRate, InverseTime, Step, Exponential, Cosine)
}
