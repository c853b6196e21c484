"""RMSProp."""

from dataclasses import dataclass

import numpy as np

from ..arrays import Array
from ..hyper import hyper
from .base import Elementwise


@dataclass(frozen=True)
class RMSProp(Elementwise):
    """Divide each weight's step by the root of a moving average of its squared gradients.

        dw <- dw + weight_decay w
        v <- rho v + (1 - rho) dw^2
        w <- w - lr dw / (sqrt(v + eps_root) + eps)

    AdaGrad that forgets: the step recovers when gradients become small again.
    Shapes: v like w. Units: dw / sqrt(v) has none, so lr has the unit of w.
    Cost: one gradient.
    Fails: at a minimum the steps keep a size of lr, unless lr falls; and the first steps are long.
    Source: Tieleman and Hinton, COURSERA: Neural Networks for Machine Learning, lecture 6.5, 2012.
    Note: rule and defaults as in PyTorch, whose rho is called alpha. Keras 3 has rho 0.9 and
    eps inside the root (here: eps_root). v starts at 0 without a correction, so the first
    step is lr / sqrt(1 - rho), ten times lr at rho 0.99.
    """

    lr: float = hyper(1e-2, "(0, inf)", "step size", "log x 30")
    rho: float = hyper(
        0.99, "[0, 1)", "decay of the mean squared gradient v", "1 - log [1e-4, 1e-1]"
    )
    eps: float = hyper(1e-8, "[0, inf)", "number added outside the root", "log [1e-10, 1]")
    eps_root: float = hyper(0.0, "[0, inf)", "number added inside the root")
    weight_decay: float = hyper(0.0, "[0, inf)", "L2 penalty, added to dw as weight_decay w")

    @staticmethod
    def rule(
        w: Array,
        dw: Array,
        v: Array,
        *,
        lr: float,
        rho: float,
        eps: float,
        eps_root: float,
        weight_decay: float,
    ) -> tuple[Array, Array]:
        dw = dw + weight_decay * w
        v = rho * v + (1 - rho) * dw**2
        w = w - lr * dw / (np.sqrt(v + eps_root) + eps)
        return w, v
