"""AdaMax."""

from dataclasses import dataclass

import numpy as np

from ..arrays import Array
from ..hyper import hyper
from .base import Elementwise, State


@dataclass(frozen=True)
class AdaMax(Elementwise):
    """Adam with the largest recent gradient in the place of the root mean square.

        m <- beta1 m + (1 - beta1) dw
        u <- max(beta2 u, |dw| + eps)
        m_hat = m / (1 - beta1^t)
        w <- w - lr m_hat / u

    Shapes: m and u like w. Units: m_hat / u has none, so lr has the unit of w; the first step is
    lr, and no step is longer than lr times (1 - beta1) / (1 - beta1 / beta2), about 1 lr.
    Cost: one gradient.
    Fails: one outlier shortens the steps of its weight for 1 / (1 - beta2) updates.
    MNIST: 96.85 % after ten epochs with the defaults (lr is the paper's); 97.87 % with --lr 0.005.
    Source: Kingma and Ba, arXiv 1412.6980, algorithm 2.
    Note: eps is PyTorch's; the paper has none and divides 0 by 0 at a weight without gradient.
    Keras adds eps to u in the denominator. PyTorch's default lr is the paper's, 0.002 as here.
    """

    lr: float = hyper(2e-3, "(0, inf)", "step size", "log x 30")
    beta1: float = hyper(0.9, "[0, 1)", "decay of the mean gradient m", "1 - log [1e-2, 1]")
    beta2: float = hyper(0.999, "[0, 1)", "decay of the largest gradient u", "1 - log [1e-4, 1e-1]")
    eps: float = hyper(
        1e-8, "[0, inf)", "number added to the size of the gradient", "log [1e-10, 1]"
    )

    def scalars(self, state: State) -> dict[str, float]:
        return {"correction1": 1 - self.beta1 ** state["t"]}

    @staticmethod
    def rule(
        w: Array,
        dw: Array,
        m: Array,
        u: Array,
        *,
        lr: float,
        beta1: float,
        beta2: float,
        eps: float,
        correction1: float,
    ) -> tuple[Array, Array, Array]:
        m = beta1 * m + (1 - beta1) * dw
        u = np.maximum(beta2 * u, np.abs(dw) + eps)
        m_hat = m / correction1
        w = w - lr * m_hat / u
        return w, m, u
