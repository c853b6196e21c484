"""Lion."""

from dataclasses import dataclass

import numpy as np

from ..arrays import Array
from ..hyper import hyper
from .base import Elementwise


@dataclass(frozen=True)
class Lion(Elementwise):
    """Step by the sign of a mean gradient in which the newest counts more than it will later.

        u = sign(beta1 m + (1 - beta1) dw)
        w <- w - lr (u + weight_decay w)
        m <- beta2 m + (1 - beta2) dw

    Shapes: m like w. Units: u has none, so lr has the unit of w; every weight moves by lr, so lr
    has to be 3 to 10 times smaller than Adam's.
    Cost: one gradient.
    Fails: never comes to rest: the steps keep their size at the minimum, unless lr falls.
    Source: Chen et al., arXiv 2302.06675, algorithm 2.
    Note: found by a search over programs. sign(0) is 0: a weight without gradient, such as that of
    a pixel at the border, stays. With beta1 = beta2 it is Signum, with beta1 = 0 `signsgd`.
    """

    lr: float = hyper(1e-4, "(0, inf)", "step size", "log x 30")
    beta1: float = hyper(0.9, "[0, 1)", "weight of m in the step", "1 - log [1e-2, 1]")
    beta2: float = hyper(0.99, "[0, 1)", "decay of the mean gradient m", "1 - log [1e-3, 1]")
    weight_decay: float = hyper(0.0, "[0, inf)", "share of a weight lost in a step, times lr")

    @staticmethod
    def rule(
        w: Array, dw: Array, m: Array, *, lr: float, beta1: float, beta2: float, weight_decay: float
    ) -> tuple[Array, Array]:
        u = np.sign(beta1 * m + (1 - beta1) * dw)
        w = w - lr * (u + weight_decay * w)
        m = beta2 * m + (1 - beta2) * dw
        return w, m
