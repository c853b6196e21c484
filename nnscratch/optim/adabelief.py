"""AdaBelief."""

from dataclasses import dataclass

import numpy as np

from ..arrays import Array
from ..hyper import hyper
from .base import Elementwise, State


@dataclass(frozen=True)
class AdaBelief(Elementwise):
    """Adam that divides by how far the gradient strays from its own mean.

        m <- beta1 m + (1 - beta1) dw
        s <- beta2 s + (1 - beta2) (dw - m)^2 + eps
        m_hat = m / (1 - beta1^t)
        s_hat = s / (1 - beta2^t)
        w <- w - lr m_hat / (sqrt(s_hat) + eps)

    A gradient that comes as expected is believed and makes a long step, an unexpected one a short.
    Shapes: m and s like w. Units: as for `adam`.
    Cost: one gradient.
    Fails: under a gradient g that does not change, s falls to eps / (1 - beta2) and the step grows
    to lr g sqrt((1 - beta2) / eps), three million times lr g.
    Source: Zhuang et al., arXiv 2010.07468, algorithm 2.
    Note: the eps inside is added to s itself in every update and so collects in it, as in the
    authors' code, whose rectification (as in `radam`) is left out. m in dw - m is the new one.
    """

    lr: float = hyper(1e-3, "(0, inf)", "step size", "log x 30")
    beta1: float = hyper(0.9, "[0, 1)", "decay of the mean gradient m", "1 - log [1e-2, 1]")
    beta2: float = hyper(
        0.999, "[0, 1)", "decay of the mean squared surprise s", "1 - log [1e-4, 1e-1]"
    )
    eps: float = hyper(
        1e-16,
        "[0, inf)",
        "number added to s in each update, and outside the root",
        "log [1e-18, 1e-6]",
    )

    def scalars(self, state: State) -> dict[str, float]:
        t = state["t"]
        return {"correction1": 1 - self.beta1**t, "correction2": 1 - self.beta2**t}

    @staticmethod
    def rule(
        w: Array,
        dw: Array,
        m: Array,
        s: Array,
        *,
        lr: float,
        beta1: float,
        beta2: float,
        eps: float,
        correction1: float,
        correction2: float,
    ) -> tuple[Array, Array, Array]:
        m = beta1 * m + (1 - beta1) * dw
        s = beta2 * s + (1 - beta2) * (dw - m) ** 2 + eps
        m_hat = m / correction1
        s_hat = s / correction2
        w = w - lr * m_hat / (np.sqrt(s_hat) + eps)
        return w, m, s
