"""AMSGrad."""

from dataclasses import dataclass

import numpy as np

from ..arrays import Array
from ..hyper import hyper
from .base import Elementwise, State


@dataclass(frozen=True)
class AMSGrad(Elementwise):
    """Adam that divides by the largest mean squared gradient so far, and not by the latest.

        dw <- dw + weight_decay w
        m <- beta1 m + (1 - beta1) dw
        v <- beta2 v + (1 - beta2) dw^2
        v_max <- max(v_max, v)
        m_hat = m / (1 - beta1^t)
        v_hat = v_max / (1 - beta2^t)
        w <- w - lr m_hat / (sqrt(v_hat + eps_root) + eps)

    Shapes: m, v and v_max like w. Units: as for `adam`.
    Cost: one gradient.
    Fails: one outlier shortens the steps of its weight for the rest of the run.
    Source: Reddi, Kale and Kumar, ICLR 2018 (openreview ryQu7f-RZ), algorithm 2.
    Note: three variants go by this name. This one is PyTorch's and Keras': the maximum over the
    raw v, then the correction. The paper has no correction at all, and so no step can grow again;
    here v_hat falls in the first thousand steps, as the correction fades. optax takes the maximum
    over the corrected v, and remembers an outlier in the first steps at its full weight for ever.
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
        v_max: Array,
        *,
        lr: float,
        beta1: float,
        beta2: float,
        eps: float,
        eps_root: float,
        weight_decay: float,
        correction1: float,
        correction2: float,
    ) -> tuple[Array, Array, Array, Array]:
        dw = dw + weight_decay * w
        m = beta1 * m + (1 - beta1) * dw
        v = beta2 * v + (1 - beta2) * dw**2
        v_max = np.maximum(v_max, v)
        m_hat = m / correction1
        v_hat = v_max / correction2
        w = w - lr * m_hat / (np.sqrt(v_hat + eps_root) + eps)
        return w, m, v, v_max
