"""Adam, with and without its bias correction."""

from dataclasses import dataclass

import numpy as np

from ..arrays import Array
from ..hyper import hyper
from .base import Elementwise, State


@dataclass(frozen=True)
class Adam(Elementwise):
    """Momentum and RMSProp together, both corrected for their start at zero.

        dw <- dw + weight_decay w
        m <- beta1 m + (1 - beta1) dw
        v <- beta2 v + (1 - beta2) dw^2
        m_hat = m / (1 - beta1^t)
        v_hat = v / (1 - beta2^t)
        w <- w - lr m_hat / (sqrt(v_hat + eps_root) + eps)

    Shapes: m and v like w. Units: m_hat / sqrt(v_hat) has none and is rarely larger than 1, so lr
    has the unit of w and bounds the step; the first step is lr, whatever the size of dw.
    Cost: one gradient.
    Fails: where rare large gradients point the other way than many small ones, it may follow the
    many (Reddi et al. 2018); and at a minimum its steps keep a size of lr, unless lr falls.
    Source: Kingma and Ba, arXiv 1412.6980, algorithm 1.
    Note: rule and defaults as in the paper and in PyTorch. Keras adds eps to the root before the
    correction ("epsilon hat", paper, end of section 2), and its default is 1e-7. The lecture puts
    eps inside the root (here: eps_root).
    """

    lr: float = hyper(1e-3, "(0, inf)", "step size", "log x 30")
    beta1: float = hyper(0.9, "[0, 1)", "decay of the mean gradient m", "1 - log [1e-2, 1]")
    beta2: float = hyper(
        0.999, "[0, 1)", "decay of the mean squared gradient v", "1 - log [1e-4, 1e-1]"
    )
    eps: float = hyper(1e-8, "[0, inf)", "number added outside the root", "log [1e-10, 1]")
    eps_root: float = hyper(0.0, "[0, inf)", "number added inside the root")
    weight_decay: float = hyper(0.0, "[0, inf)", "L2 penalty, added to dw as weight_decay w")

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
        eps_root: float,
        weight_decay: float,
        correction1: float,
        correction2: float,
    ) -> tuple[Array, Array, Array]:
        dw = dw + weight_decay * w
        m = beta1 * m + (1 - beta1) * dw
        v = beta2 * v + (1 - beta2) * dw**2
        m_hat = m / correction1
        v_hat = v / correction2
        w = w - lr * m_hat / (np.sqrt(v_hat + eps_root) + eps)
        return w, m, v


@dataclass(frozen=True)
class AdamUncorrected(Elementwise):
    """Adam without bias correction.

        dw <- dw + weight_decay w
        m <- beta1 m + (1 - beta1) dw
        v <- beta2 v + (1 - beta2) dw^2
        w <- w - lr m / (sqrt(v + eps_root) + eps)

    m and v start at zero and are too small at first, v for longer than m. So the first steps are
    too large, not too small: under a constant gradient 3.2 lr at t = 1 and 6.6 lr at t = 12.
    Shapes: m and v like w. Units: as for `adam`.
    Cost: one gradient.
    Fails: the long first steps can throw the weights onto a plateau.
    Source: Kingma and Ba, arXiv 1412.6980, algorithm 1 without its two lines of correction, which
    section 6.4 tries; the lecture introduces Adam in this form.
    """

    name = "adam_uncorrected"

    lr: float = hyper(1e-3, "(0, inf)", "step size", "log x 30")
    beta1: float = hyper(0.9, "[0, 1)", "decay of the mean gradient m", "1 - log [1e-2, 1]")
    beta2: float = hyper(
        0.999, "[0, 1)", "decay of the mean squared gradient v", "1 - log [1e-4, 1e-1]"
    )
    eps: float = hyper(1e-8, "[0, inf)", "number added outside the root", "log [1e-10, 1]")
    eps_root: float = hyper(0.0, "[0, inf)", "number added inside the root")
    weight_decay: float = hyper(0.0, "[0, inf)", "L2 penalty, added to dw as weight_decay w")

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
        eps_root: float,
        weight_decay: float,
    ) -> tuple[Array, Array, Array]:
        dw = dw + weight_decay * w
        m = beta1 * m + (1 - beta1) * dw
        v = beta2 * v + (1 - beta2) * dw**2
        w = w - lr * m / (np.sqrt(v + eps_root) + eps)
        return w, m, v
