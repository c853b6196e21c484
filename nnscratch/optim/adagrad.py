"""AdaGrad."""

from dataclasses import dataclass

import numpy as np

from ..arrays import Array
from ..hyper import hyper
from .base import Elementwise


@dataclass(frozen=True)
class AdaGrad(Elementwise):
    """Divide each weight's step by the root of the sum of all its squared gradients.

        dw <- dw + weight_decay w
        s <- s + dw^2
        w <- w - lr dw / (sqrt(s + eps_root) + eps)

    Weights with rare gradients keep a large step. The step only ever shrinks: under a constant
    gradient as 1 / sqrt(t), which still goes any distance.
    Shapes: s like w. Units: dw / sqrt(s) has none, so lr has the unit of w.
    Cost: one gradient.
    Fails: large gradients in the beginning make all later steps short.
    MNIST: 94.95 % after ten epochs with the defaults (the steps shrink too soon); 97.93 % with --lr
    0.05.
    Source: Duchi, Hazan and Singer, JMLR 12, 2011, section 1.1, the diagonal case.
    Note: rule and defaults as in PyTorch. Keras 3 starts s at 0.1 and puts eps inside the root
    (here: eps_root). The lecture's slide assigns s <- dw^2 where it means to accumulate.
    """

    lr: float = hyper(1e-2, "(0, inf)", "step size", "log x 30")
    eps: float = hyper(1e-10, "[0, inf)", "number added outside the root", "log [1e-10, 1]")
    eps_root: float = hyper(0.0, "[0, inf)", "number added inside the root")
    weight_decay: float = hyper(0.0, "[0, inf)", "L2 penalty, added to dw as weight_decay w")

    @staticmethod
    def rule(
        w: Array,
        dw: Array,
        s: Array,
        *,
        lr: float,
        eps: float,
        eps_root: float,
        weight_decay: float,
    ) -> tuple[Array, Array]:
        dw = dw + weight_decay * w
        s = s + dw**2
        w = w - lr * dw / (np.sqrt(s + eps_root) + eps)
        return w, s
