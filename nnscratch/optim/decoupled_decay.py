"""Decoupled weight decay."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays import Array, scratch
from ..errors import UsageError
from ..hyper import hyper
from .base import State
from .wrapper import Wrapper


@dataclass(frozen=True)
class DecoupledDecay(Wrapper):
    """Shrink every weight by the same share, beside the optimizer and not through its gradient.

        w <- w - lr decay w, then the base's step       lr of the base, dw of the w before

    Shapes: no array of its own. Units: lr decay has none.
    Cost: the base's.
    Fails: lr and decay are not independent: a schedule that lowers lr lowers the decay too.
    Source: Loshchilov and Hutter, arXiv 1711.05101, algorithms 1 and 2.
    Note: around `adam` this is `adamw`. Points that the base remembers shrink by the same vector.
    Raises UsageError for a base without lr.

    >>> decayed = nn.DecoupledDecay(nn.OPTIMIZERS["sgd"](lr=0.1), decay=0.5)
    >>> decayed.update(np.array([2.0]), np.array([0.0]), {})
    array([1.9])
    """

    name = "decoupled_decay"

    decay: float = hyper(1e-2, "[0, inf)", "share of a weight lost in a step, times lr")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rate is None:
            raise UsageError(f"{self.name}: {self.base.name} has no lr", "give a base that has one")

    def step(self, w: Array, dw: Array, state: State, given: Mapping[str, Any]) -> None:
        if not self.same_batch(state):  # not in the middle of a step of the base
            share = (self.rate or 0) * self.decay
            for point in self.base.points(state["base"]):
                point -= np.multiply(w, share, out=scratch("decay", w.shape, w.dtype))
            w *= 1 - share
        self.base_step(w, dw, state, given)
