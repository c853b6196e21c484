"""Quasi-hyperbolic momentum."""

from dataclasses import dataclass

from ..arrays import Array
from ..hyper import hyper
from .base import Elementwise


@dataclass(frozen=True)
class QHM(Elementwise):
    """A weighted mean of a step of SGD and one of momentum.

        m <- momentum m + (1 - momentum) dw
        w <- w - lr ((1 - nu) dw + nu m)

    nu = 0 is SGD, nu = 1 momentum, and nu = momentum Nesterov's (with m here, a mean and not a
    sum: their lr is 1 - momentum times this one).
    Shapes: m like w. Units: m has the unit of dw, lr that of w^2 / loss as for `sgd`.
    Cost: one gradient.
    Fails: as SGD, it needs an lr that fits the problem.
    MNIST: 96.77 % after ten epochs with the defaults (lr is the paper's); 97.40 % with --lr 2.
    Source: Ma and Yarats, arXiv 1810.06801, eq. 3 and 4; nu = 0.7 and momentum = 0.999 are theirs.
    Note: m starts at 0 without a correction, so momentum sets in over 1 / (1 - momentum) updates.
    """

    lr: float = hyper(1.0, "(0, inf)", "step size", "log x 30")
    momentum: float = hyper(0.999, "[0, 1)", "decay of the mean gradient m", "1 - log [1e-3, 1]")
    nu: float = hyper(0.7, "[0, 1]", "weight of m in the step", "[0, 1]")

    @staticmethod
    def rule(
        w: Array, dw: Array, m: Array, *, lr: float, momentum: float, nu: float
    ) -> tuple[Array, Array]:
        m = momentum * m + (1 - momentum) * dw
        w = w - lr * ((1 - nu) * dw + nu * m)
        return w, m
