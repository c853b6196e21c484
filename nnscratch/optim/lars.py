"""LARS."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays import Array, aligned_zeros
from ..elementwise import apply
from ..hyper import hyper, values
from .base import Counted, State


@dataclass(frozen=True)
class LARS(Counted):
    """Momentum whose rate for each array is such that the step is a fixed share of the array.

        ratio = trust |w| / (|dw| + weight_decay |w|)           1 if that is 0 or divides by 0
        v <- momentum v + lr ratio (dw + weight_decay w)
        w <- w - v

    |.| is the Euclidean norm of a whole matrix or vector.
    Shapes: v like w. Units: ratio turns dw into the unit of w, so lr has none.
    Cost: one gradient and two norms.
    Fails: an array that starts at zero, such as a bias, has ratio 1 in its first update and next
    to 0 in the second: it takes one step of SGD, which momentum carries on to ten times its
    length, and hardly moves otherwise.
    Source: You, Gitman and Ginsburg, arXiv 1708.03888, algorithm 1.
    Note: made for batches of thousands. The default trust is the paper's; lr 1 is timm's. optax
    divides by |dw + weight_decay w|.
    """

    lr: float = hyper(1.0, "(0, inf)", "step size", "log x 30")
    momentum: float = hyper(
        0.9, "[0, 1)", "part of the velocity that remains after a step", "{0, 0.5, 0.9, 0.95, 0.99}"
    )
    trust: float = hyper(1e-3, "(0, inf)", "length of a step as a share of |w|, before lr")
    weight_decay: float = hyper(0.0, "[0, inf)", "L2 penalty, added to dw as weight_decay w")

    def slots(self, w: Array) -> State:
        return {"v": aligned_zeros(w.shape, w.dtype)}

    def step(self, w: Array, dw: Array, state: State, given: Mapping[str, Any]) -> None:
        v = state["v"]
        w_norm, dw_norm = float(np.linalg.norm(w)), float(np.linalg.norm(dw))
        divisor = dw_norm + self.weight_decay * w_norm
        ratio = self.trust * w_norm / divisor if w_norm > 0 and divisor > 0 else 1.0
        apply(self.move, [w, dw, v], values(self) | {"ratio": ratio})

    @staticmethod
    def move(
        w: Array,
        dw: Array,
        v: Array,
        *,
        lr: float,
        momentum: float,
        weight_decay: float,
        ratio: float,
    ) -> tuple[Array, Array]:
        v = momentum * v + lr * ratio * (dw + weight_decay * w)
        return w - v, v
