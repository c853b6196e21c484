"""SWATS."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays import Array, aligned_zeros
from ..elementwise import apply
from ..hyper import hyper, values
from .base import Counted, State


@dataclass(frozen=True)
class SWATS(Counted):
    """Adam first, and SGD with momentum as soon as it is clear which rate SGD would need.

        while phase is "adam":
            m <- beta1 m + (1 - beta1) dw
            a <- beta2 a + (1 - beta2) dw^2
            p = -lr sqrt(1 - beta2^t) / (1 - beta1^t) m / (sqrt(a) + eps)
            w <- w + p
            if <p, dw> != 0:
                gamma = <p, p> / -<p, dw>       the rate whose step of SGD, projected on p, is p
                lambda <- beta2 lambda + (1 - beta2) gamma
                if t > 1 and |lambda / (1 - beta2^t) - gamma| < tolerance:
                    phase <- "sgd", with the rate Lambda = lambda / (1 - beta2^t)
        while phase is "sgd":
            v <- beta1 v + dw
            w <- w - (1 - beta1) Lambda v

    Shapes: m, a, v and p like w (p is a buffer); lambda and Lambda are numbers in the state, as is
    "switched_at", the update of the switch, 0 before. <,> runs over all weights of the network.
    Units: first those of `adam`; gamma has those of SGD's lr.
    Cost: one gradient, and two scalar products in the first phase.
    Fails: the tolerance is absolute and tiny beside a gamma that jumps from batch to batch: with
    the paper's 1e-9 a run on MNIST hardly ever switches. And gamma says nothing of stability:
    the rate found may be too long for SGD.
    Source: Keskar and Socher, arXiv 1712.07628, algorithm 1.
    Note: there tolerance and eps are one number. Here lambda must be positive for a switch, since
    gamma is negative where momentum points uphill. After the switch Lambda varies as lr does, so a
    schedule goes on. One switch for the whole network, as in the paper; other implementations
    have one for each array.
    """

    scope = "model"

    lr: float = hyper(1e-3, "(0, inf)", "step size of Adam", "log x 30")
    beta1: float = hyper(
        0.9, "[0, 1)", "decay of the mean gradient m, and momentum of SGD", "1 - log [1e-2, 1]"
    )
    beta2: float = hyper(
        0.999,
        "[0, 1)",
        "decay of the mean squared gradient a, and of lambda",
        "1 - log [1e-4, 1e-1]",
    )
    eps: float = hyper(1e-9, "[0, inf)", "number added outside the root", "log [1e-10, 1]")
    tolerance: float = hyper(
        1e-9, "[0, inf)", "distance of gamma from its mean that switches", "log [1e-9, 1e-2]"
    )

    def slots(self, w: Array) -> State:
        arrays = {name: aligned_zeros(w.shape, w.dtype) for name in ("m", "a", "v", "p")}
        numbers = {"phase": "adam", "lambda": 0.0, "Lambda": 0.0, "switched_at": 0, "lr": 0.0}
        return arrays | numbers

    def step(self, w: Array, dw: Array, state: State, given: Mapping[str, Any]) -> None:
        if state["phase"] == "sgd":
            rate = state["Lambda"] * (self.lr / state["lr"])
            apply(self.sgd, [w, dw, state["v"]], values(self) | {"rate": rate})
            return
        p, t = state["p"], state["t"]
        correction1, correction2 = 1 - self.beta1**t, 1 - self.beta2**t
        rate = self.lr * math.sqrt(correction2) / correction1
        apply(self.adam, [p, dw, state["m"], state["a"]], values(self) | {"rate": rate})
        w += p
        slope = float(np.vdot(p, dw))
        if slope == 0:
            return
        gamma = float(np.vdot(p, p)) / -slope
        state["lambda"] = self.beta2 * state["lambda"] + (1 - self.beta2) * gamma
        Lambda = state["lambda"] / correction2
        if t > 1 and Lambda > 0 and abs(Lambda - gamma) < self.tolerance:
            state |= {"phase": "sgd", "Lambda": Lambda, "switched_at": t, "lr": self.lr}

    @staticmethod
    def adam(
        p: Array,
        dw: Array,
        m: Array,
        a: Array,
        *,
        beta1: float,
        beta2: float,
        eps: float,
        rate: float,
    ) -> tuple[Array, Array, Array]:
        m = beta1 * m + (1 - beta1) * dw
        a = beta2 * a + (1 - beta2) * dw**2
        p = -rate * m / (np.sqrt(a) + eps)
        return p, m, a

    @staticmethod
    def sgd(w: Array, dw: Array, v: Array, *, beta1: float, rate: float) -> tuple[Array, Array]:
        v = beta1 * v + dw
        w = w - (1 - beta1) * rate * v
        return w, v
