"""Yogi."""

from dataclasses import dataclass

import numpy as np

from ..arrays import Array
from ..hyper import hyper
from .base import Elementwise, State


@dataclass(frozen=True)
class Yogi(Elementwise):
    """Adam whose mean squared gradient changes by steps of a size that the newest one sets.

        m <- beta1 m + (1 - beta1) dw
        v <- v - (1 - beta2) sign(v - dw^2) dw^2                v starts at `initial`
        m_hat = m / (1 - beta1^t)
        v_hat = v / (1 - beta2^t)
        w <- w - lr m_hat / (sqrt(v_hat) + eps)

    When gradients become small, Adam's v falls by a share of itself and the steps soon grow;
    Yogi's v falls by a share of the new dw^2, which is slow.
    Shapes: m and v like w. Units: as for `adam`; `initial` has the unit of dw^2.
    Cost: one gradient.
    Fails: eps is large on purpose and acts as a floor: gradients far below 0.001 take steps that
    shrink with them, as SGD's do.
    Source: Zaheer, Reddi, Sachan, Kale and Kumar, NeurIPS 2018, algorithm 2.
    Note: the paper has no bias correction; the libraries have, as here, though v does not start
    at zero. optax and TensorFlow Addons also start m at 1e-6.
    """

    lr: float = hyper(1e-2, "(0, inf)", "step size", "log x 30")
    beta1: float = hyper(0.9, "[0, 1)", "decay of the mean gradient m", "1 - log [1e-2, 1]")
    beta2: float = hyper(
        0.999, "[0, 1)", "1 minus the rate at which v follows dw^2", "1 - log [1e-4, 1e-1]"
    )
    eps: float = hyper(1e-3, "[0, inf)", "number added outside the root", "log [1e-6, 1]")
    initial: float = hyper(1e-6, "[0, inf)", "value of v before the first update")

    def slots(self, w: Array) -> State:
        slots = super().slots(w)
        slots["v"][...] = self.initial
        return slots

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
        correction1: float,
        correction2: float,
    ) -> tuple[Array, Array, Array]:
        m = beta1 * m + (1 - beta1) * dw
        v = v - (1 - beta2) * np.sign(v - dw**2) * dw**2
        m_hat = m / correction1
        v_hat = v / correction2
        w = w - lr * m_hat / (np.sqrt(v_hat) + eps)
        return w, m, v
