"""Adan."""

from dataclasses import dataclass

import numpy as np

from ..arrays import Array
from ..hyper import hyper
from .base import Elementwise, State


@dataclass(frozen=True)
class Adan(Elementwise):
    """Adaptive Nesterov momentum, with the change of the gradient in place of a look ahead.

        d = dw - dw_prev                                        0 at the first update
        m <- beta1 m + (1 - beta1) dw
        v <- beta2 v + (1 - beta2) d
        n <- beta3 n + (1 - beta3) (dw + beta2 d)^2
        m_hat = m / (1 - beta1^t),  v_hat, n_hat likewise
        u = (m_hat + beta2 v_hat) / (sqrt(n_hat) + eps)
        w <- (w - lr u) / (1 + lr weight_decay)
        dw_prev <- dw

    Shapes: m, v, n and dw_prev like w. Units: u has none, so lr has the unit of w.
    Cost: one gradient.
    Fails: d is the difference of two batches: with small batches it is mostly noise, of twice
    the variance of a gradient's.
    MNIST: 96.73 % after ten epochs with the defaults (lr is the authors'); 97.89 % with --lr 0.003.
    Source: Xie, Zhou, Li, Lin and Yan, arXiv 2208.06677, algorithm 1.
    Note: beta1, beta2, beta3 are 1 minus the paper's, as in the authors' code, whose bias
    corrections are used here too; the paper starts m and n at the first gradient instead. The
    paper's weight_decay is 0.02.
    """

    lr: float = hyper(1e-3, "(0, inf)", "step size", "log x 30")
    beta1: float = hyper(0.98, "[0, 1)", "decay of the mean gradient m", "1 - log [1e-2, 0.5]")
    beta2: float = hyper(
        0.92, "[0, 1)", "decay of the mean change v, and its weight", "1 - log [1e-2, 0.5]"
    )
    beta3: float = hyper(0.99, "[0, 1)", "decay of the mean square n", "1 - log [1e-4, 1e-1]")
    eps: float = hyper(1e-8, "[0, inf)", "number added outside the root", "log [1e-10, 1]")
    weight_decay: float = hyper(0.0, "[0, inf)", "share of a weight lost in a step, times lr")

    def scalars(self, state: State) -> dict[str, float]:
        t = state["t"]
        return {
            "has_previous": float(t > 1),
            "correction1": 1 - self.beta1**t,
            "correction2": 1 - self.beta2**t,
            "correction3": 1 - self.beta3**t,
        }

    @staticmethod
    def rule(
        w: Array,
        dw: Array,
        m: Array,
        v: Array,
        n: Array,
        dw_prev: Array,
        *,
        lr: float,
        beta1: float,
        beta2: float,
        beta3: float,
        eps: float,
        weight_decay: float,
        has_previous: float,
        correction1: float,
        correction2: float,
        correction3: float,
    ) -> tuple[Array, Array, Array, Array, Array]:
        d = has_previous * (dw - dw_prev)
        m = beta1 * m + (1 - beta1) * dw
        v = beta2 * v + (1 - beta2) * d
        n = beta3 * n + (1 - beta3) * (dw + beta2 * d) ** 2
        u = (m / correction1 + beta2 * v / correction2) / (np.sqrt(n / correction3) + eps)
        w = (w - lr * u) / (1 + lr * weight_decay)
        return w, m, v, n, dw
