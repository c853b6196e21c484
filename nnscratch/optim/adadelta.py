"""AdaDelta."""

from dataclasses import dataclass

import numpy as np

from ..arrays import Array
from ..hyper import hyper
from .base import Elementwise


@dataclass(frozen=True)
class AdaDelta(Elementwise):
    """RMSProp whose step size is the root mean square of its own past steps.

        dw <- dw + weight_decay w
        v <- rho v + (1 - rho) dw^2
        d <- sqrt(u + eps) / sqrt(v + eps) dw
        u <- rho u + (1 - rho) d^2
        w <- w - lr d

    Shapes: v and u like w. Units: d has the unit of w, as Newton's step has and no other rule of
    the lecture; lr is a pure number, and the paper has none: 1. But eps has a unit too, and two
    different ones at that, so the argument holds for the rule without eps: u grows from eps and
    stays near it, and on a network d goes as the unit of w to the power -0.5, not 1.
    Cost: one gradient.
    Fails: it starts as slowly as eps is small: the first step is at most sqrt(eps / (1 - rho)).
    MNIST: 96.41 % after ten epochs with the defaults (the steps grow slowly from eps); 97.90 % with
    --lr 3.
    Source: Zeiler, arXiv 1212.5701, algorithm 1.
    Note: rule and defaults as in PyTorch; eps is inside both roots, and u collects d without lr.
    Keras' default lr of 0.001 (since 2.3) makes it a thousand times slower than the paper's.
    """

    lr: float = hyper(1.0, "(0, inf)", "factor on the step", "log x 30")
    rho: float = hyper(0.9, "[0, 1)", "decay of both means", "1 - log [1e-3, 1e-1]")
    eps: float = hyper(
        1e-6, "(0, inf)", "number added inside both roots; it starts the motion", "log [1e-9, 1e-2]"
    )
    weight_decay: float = hyper(0.0, "[0, inf)", "L2 penalty, added to dw as weight_decay w")

    @staticmethod
    def rule(
        w: Array,
        dw: Array,
        v: Array,
        u: Array,
        *,
        lr: float,
        rho: float,
        eps: float,
        weight_decay: float,
    ) -> tuple[Array, Array, Array]:
        dw = dw + weight_decay * w
        v = rho * v + (1 - rho) * dw**2
        d = np.sqrt(u + eps) / np.sqrt(v + eps) * dw
        u = rho * u + (1 - rho) * d**2
        w = w - lr * d
        return w, v, u
