"""NAdam."""

from dataclasses import dataclass

import numpy as np

from ..arrays import Array
from ..hyper import hyper
from .base import Elementwise, State


@dataclass(frozen=True)
class NAdam(Elementwise):
    """Adam with Nesterov's momentum, which itself grows slowly.

        mu_t = beta1 (1 - 0.96^(t momentum_decay) / 2)
        m <- beta1 m + (1 - beta1) dw
        v <- beta2 v + (1 - beta2) dw^2
        m_bar = mu_(t+1) m / (1 - mu_1 ... mu_(t+1)) + (1 - mu_t) dw / (1 - mu_1 ... mu_t)
        v_hat = v / (1 - beta2^t)
        w <- w - lr m_bar / (sqrt(v_hat) + eps)

    Shapes: m and v like w; the product mu_1 ... mu_t is a number in the state.
    Units: as for `adam`.
    Cost: one gradient.
    Fails: as Adam; and since mu is still growing after 10,000 updates, a short run has had another
    momentum than a long one.
    Source: Dozat, ICLR 2016 workshop (openreview OM0jvwB8jIp57ZJjtNEZ), algorithm 2 with the
    schedule of section 3.
    Note: rule and defaults as in PyTorch, where m decays with beta1; in the paper with mu_t. Keras'
    momentum_decay is 1, so that mu reaches 0.89 at t = 100, here 0.46. optax' nadam has no
    schedule.
    """

    lr: float = hyper(2e-3, "(0, inf)", "step size", "log x 30")
    beta1: float = hyper(
        0.9, "[0, 1)", "decay of the mean gradient m, and limit of mu", "1 - log [1e-2, 1]"
    )
    beta2: float = hyper(
        0.999, "[0, 1)", "decay of the mean squared gradient v", "1 - log [1e-4, 1e-1]"
    )
    eps: float = hyper(1e-8, "[0, inf)", "number added outside the root", "log [1e-10, 1]")
    momentum_decay: float = hyper(4e-3, "[0, inf)", "speed at which mu grows to beta1")

    def slots(self, w: Array) -> State:
        return super().slots(w) | {"mu_product": 1.0}

    def scalars(self, state: State) -> dict[str, float]:
        t = state["t"]
        mu = self.beta1 * (1 - 0.5 * 0.96 ** (t * self.momentum_decay))
        mu_next = self.beta1 * (1 - 0.5 * 0.96 ** ((t + 1) * self.momentum_decay))
        state["mu_product"] *= mu
        return {
            "m_share": mu_next / (1 - state["mu_product"] * mu_next),
            "dw_share": (1 - mu) / (1 - state["mu_product"]),
            "correction2": 1 - self.beta2**t,
        }

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
        m_share: float,
        dw_share: float,
        correction2: float,
    ) -> tuple[Array, Array, Array]:
        m = beta1 * m + (1 - beta1) * dw
        v = beta2 * v + (1 - beta2) * dw**2
        m_bar = m_share * m + dw_share * dw
        v_hat = v / correction2
        w = w - lr * m_bar / (np.sqrt(v_hat) + eps)
        return w, m, v
