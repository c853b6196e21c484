"""Clipping the gradient by its norm."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays import Array, aligned_zeros
from ..hyper import hyper
from .base import State
from .wrapper import Wrapper


@dataclass(frozen=True)
class ClipNorm(Wrapper):
    """Shorten a gradient that is too long, and keep its direction.

        w <- the base's step with dw min(1, max_norm / |dw|)    |.| over all weights

    Shapes: clipped, a buffer, like w. Units: max_norm has the unit of dw.
    Cost: the base's, and a norm.
    Fails: around an optimizer that divides by the size of the gradient, such as Adam, it changes
    little, and nothing at all where every gradient is clipped by the same factor.
    Source: Pascanu, Mikolov and Bengio, arXiv 1211.5063, algorithm 1.
    Note: the norm is that of the whole gradient also where the base works on one array at a time.

    >>> clipped = nn.ClipNorm(nn.OPTIMIZERS["sgd"](lr=0.1), max_norm=1.0)
    >>> dw = np.array([3.0, 4.0])
    >>> clipped.update(np.array([1.0, 1.0]), dw, {"norm": np.linalg.norm(dw)})
    array([0.94, 0.92])
    """

    name = "clip_norm"
    own_needs = frozenset({"norm"})

    max_norm: float = hyper(1.0, "(0, inf)", "largest norm of the gradient that the base sees")

    def slots(self, w: Array) -> State:
        return super().slots(w) | {"clipped": aligned_zeros(w.shape, w.dtype)}

    def step(self, w: Array, dw: Array, state: State, given: Mapping[str, Any]) -> None:
        norm, clipped = given["norm"], state["clipped"]
        if norm > self.max_norm:
            np.multiply(dw, self.max_norm / norm, out=clipped)
            dw, given = clipped, {**given, "norm": self.max_norm}
        self.base_step(w, dw, state, given)
