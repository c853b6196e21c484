"""AdamW."""

from dataclasses import dataclass

import numpy as np

from ..arrays import Array
from ..hyper import hyper
from .base import Elementwise, State


@dataclass(frozen=True)
class AdamW(Elementwise):
    """Adam with weight decay beside the gradient and not within it.

        m <- beta1 m + (1 - beta1) dw
        v <- beta2 v + (1 - beta2) dw^2
        m_hat = m / (1 - beta1^t)
        v_hat = v / (1 - beta2^t)
        w <- w - lr (m_hat / (sqrt(v_hat) + eps) + weight_decay w)

    An L2 penalty in dw would be divided by sqrt(v_hat) like the rest, and so would hardly reach
    the weights with large gradients. Here every weight shrinks by the same share.
    Shapes: m and v like w. Units: lr has the unit of w for the first term and none for the second.
    Cost: one gradient.
    Fails: lr and weight_decay are not independent: a schedule that lowers lr lowers the decay too.
    Source: Loshchilov and Hutter, arXiv 1711.05101, algorithm 2.
    Note: rule and defaults as in PyTorch, where lr multiplies the decay; the paper multiplies it
    by the schedule's factor alone. Default decay: PyTorch 0.01, optax 0.0001, Keras 0.004.
    """

    lr: float = hyper(1e-3, "(0, inf)", "step size", "log x 30")
    beta1: float = hyper(0.9, "[0, 1)", "decay of the mean gradient m", "1 - log [1e-2, 1]")
    beta2: float = hyper(
        0.999, "[0, 1)", "decay of the mean squared gradient v", "1 - log [1e-4, 1e-1]"
    )
    eps: float = hyper(1e-8, "[0, inf)", "number added outside the root", "log [1e-10, 1]")
    weight_decay: float = hyper(1e-2, "[0, inf)", "share of a weight lost in a step, times lr")

    def scalars(self, state: State) -> dict[str, float]:
        t = state["t"]
        return {"correction1": 1 - self.beta1**t, "correction2": 1 - self.beta2**t}

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
        weight_decay: float,
        correction1: float,
        correction2: float,
    ) -> tuple[Array, Array, Array]:
        m = beta1 * m + (1 - beta1) * dw
        v = beta2 * v + (1 - beta2) * dw**2
        m_hat = m / correction1
        v_hat = v / correction2
        w = w - lr * (m_hat / (np.sqrt(v_hat) + eps) + weight_decay * w)
        return w, m, v
