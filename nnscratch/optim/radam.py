"""RAdam."""

import math
from dataclasses import dataclass

import numpy as np

from ..arrays import Array
from ..hyper import hyper
from .base import Elementwise, State


@dataclass(frozen=True)
class RAdam(Elementwise):
    """Adam that trusts its mean squared gradient only as far as that average is long.

        m <- beta1 m + (1 - beta1) dw
        v <- beta2 v + (1 - beta2) dw^2
        m_hat = m / (1 - beta1^t)
        v_hat = v / (1 - beta2^t)
        rho_inf = 2 / (1 - beta2) - 1
        rho = rho_inf - 2 t beta2^t / (1 - beta2^t)             length of the average
        r = sqrt((rho - 4) (rho - 2) rho_inf / ((rho_inf - 4) (rho_inf - 2) rho))
        w <- w - lr m_hat                                       if rho <= threshold, else
        w <- w - lr r m_hat / (sqrt(v_hat) + eps)

    Shapes: m and v like w. Units: the first steps are momentum's, where lr has the unit of
    w^2 / loss, and the later ones Adam's, where it has that of w: one number serves for both.
    Cost: one gradient.
    Fails: with a beta2 of 0.6 or less rho never passes 4, and all steps are momentum's.
    MNIST: 96.77 % after ten epochs with the defaults (the first epoch goes on cautious steps);
    97.73 % with --lr 0.003.
    Source: Liu et al., arXiv 1908.03265, algorithm 2.
    Note: the threshold is the paper's 4; PyTorch and optax have 5, so that their first adaptive
    step is the 6th and here the 5th. PyTorch adds eps to the root before the correction.
    """

    lr: float = hyper(1e-3, "(0, inf)", "step size", "log x 30")
    beta1: float = hyper(0.9, "[0, 1)", "decay of the mean gradient m", "1 - log [1e-2, 1]")
    beta2: float = hyper(
        0.999, "[0, 1)", "decay of the mean squared gradient v", "1 - log [1e-4, 1e-1]"
    )
    eps: float = hyper(1e-8, "[0, inf)", "number added outside the root", "log [1e-10, 1]")
    threshold: float = hyper(4.0, "[4, inf)", "length of the average from which v counts")

    def scalars(self, state: State) -> dict[str, float]:
        t = state["t"]
        correction1, correction2 = 1 - self.beta1**t, 1 - self.beta2**t
        rho_inf = 2 / (1 - self.beta2) - 1
        rho = rho_inf - 2 * t * self.beta2**t / correction2
        r = 0.0
        if rho > self.threshold:
            r2 = (rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho)
            r = math.sqrt(r2)
        return {"r": r, "correction1": correction1, "correction2": correction2}

    @staticmethod
    def rule(
        w: Array,
        dw: Array,
        m: Array,
        v: Array,
        *,
        lr: float,
        beta1: float,
        beta2: float,
        eps: float,
        r: float,
        correction1: float,
        correction2: float,
    ) -> tuple[Array, Array, Array]:
        m = beta1 * m + (1 - beta1) * dw
        v = beta2 * v + (1 - beta2) * dw**2
        m_hat = m / correction1
        v_hat = v / correction2
        size = np.where(r > 0, r / (np.sqrt(v_hat) + eps), 1.0)
        w = w - lr * size * m_hat
        return w, m, v
