"""Prodigy."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays import Array, aligned_zeros, scratch
from ..elementwise import apply
from ..hyper import hyper, values
from .base import Counted, State


@dataclass(frozen=True)
class Prodigy(Counted):
    """Adam that finds its own step size d, from how far the weights have come against the gradient.

        r <- beta3 r + lr d^2 <dw, w0 - w> / d0                 beta3 = sqrt(beta2)
        s <- beta3 s + lr d^2 dw / d0
        m <- beta1 m + (1 - beta1) d dw
        v <- beta2 v + (1 - beta2) d^2 dw^2
        d_new = max(d, r / |s|_1)
        w <- w - lr d (m / (sqrt(v) + d_new eps) + weight_decay w)
        d <- d_new                                              starts at d0

    w0 are the weights at the start, and the sums <,> and |.|_1 run over all weights of the network.
    Shapes: m, v, s and w0 like w; d and r are numbers. Units: d has the unit of w; lr has none.
    Cost: one gradient and two sums.
    Fails: d never falls: one estimate that is too large stays for the run. Without a schedule that
    ends low, the last steps are long.
    Source: Mishchenko and Defazio, arXiv 2306.06101, the Adam version.
    Note: rule and defaults as in the authors' code: no bias correction, and the d of before for the
    step. 1 / d0 in r and s cancels; it keeps them from underflow. lr stays 1 as a rule.
    """

    scope = "model"

    lr: float = hyper(1.0, "(0, inf)", "factor on the step that d gives", "log x 30")
    beta1: float = hyper(0.9, "[0, 1)", "decay of the mean gradient m", "1 - log [1e-2, 1]")
    beta2: float = hyper(
        0.999, "[0, 1)", "decay of the mean squared gradient v", "1 - log [1e-4, 1e-1]"
    )
    eps: float = hyper(1e-8, "[0, inf)", "number added outside the root, times d", "log [1e-10, 1]")
    weight_decay: float = hyper(0.0, "[0, inf)", "share of a weight lost in a step, times lr d")
    d0: float = hyper(1e-6, "(0, inf)", "estimate of d to start from")

    def slots(self, w: Array) -> State:
        slots = {name: aligned_zeros(w.shape, w.dtype) for name in ("m", "v", "s", "w0")}
        slots["w0"][...] = w
        return slots | {"d": self.d0, "r": 0.0}

    def step(self, w: Array, dw: Array, state: State, given: Mapping[str, Any]) -> None:
        m, v, s, d = state["m"], state["v"], state["s"], state["d"]
        beta3 = math.sqrt(self.beta2)
        gain = self.lr * d**2 / self.d0
        temporary = scratch("prodigy", w.shape, w.dtype)
        way = np.subtract(state["w0"], w, out=temporary)
        r = beta3 * state["r"] + gain * float(np.vdot(dw, way))
        apply(self.gather, [m, dw, v, s], values(self) | {"d": d, "beta3": beta3, "gain": gain})
        s_norm = float(np.sum(np.abs(s, out=temporary)))
        if s_norm == 0:  # no gradient so far
            return
        state["r"] = r
        state["d"] = max(d, r / s_norm)
        apply(self.move, [w, m, v], values(self) | {"d": d, "d_new": state["d"]})

    @staticmethod
    def gather(
        m: Array,
        dw: Array,
        v: Array,
        s: Array,
        *,
        beta1: float,
        beta2: float,
        beta3: float,
        d: float,
        gain: float,
    ) -> tuple[Array, Array, Array]:
        m = beta1 * m + (1 - beta1) * d * dw
        v = beta2 * v + (1 - beta2) * (d * dw) ** 2
        s = beta3 * s + gain * dw
        return m, v, s

    @staticmethod
    def move(
        w: Array,
        m: Array,
        v: Array,
        *,
        lr: float,
        eps: float,
        weight_decay: float,
        d: float,
        d_new: float,
    ) -> tuple[Array, Array]:
        w = w - lr * d * (m / (np.sqrt(v) + d_new * eps) + weight_decay * w)
        return w, v
