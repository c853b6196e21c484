"""Adafactor."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays import Array, aligned_zeros, scratch
from ..elementwise import apply
from ..hyper import hyper
from .base import Counted, State


@dataclass(frozen=True)
class Adafactor(Counted):
    """Adam without momentum, whose mean squared gradient of a matrix is kept as two vectors.

        beta2 = 1 - t^-decay_power
        r <- beta2 r + (1 - beta2) mean of (dw^2 + eps1) over each row
        c <- beta2 c + (1 - beta2) mean of (dw^2 + eps1) over each column
        v = r c / mean(r)                               outer product
        u = dw / sqrt(v)
        u <- u / max(1, rms(u) / clip)
        w <- w - max(eps2, rms(w)) min(lr, 1 / sqrt(t)) u

    An array that is no matrix has one v <- beta2 v + (1 - beta2) (dw^2 + eps1), of its own shape.
    Shapes: for w (in, out), r (in,) and c (out,). Units: u has none, and lr has none either: the
    step is a share of the size of w.
    Cost: one gradient, and almost no memory.
    Fails: v is exact only where dw^2 has rank one; and an array that is zero, such as a new bias,
    moves by eps2 lr at first.
    MNIST: 96.66 % after ten epochs with the defaults (the paper's bound on the step is narrow
    here); 97.93 % with --lr 0.03.
    Source: Shazeer and Stern, arXiv 1804.04235, algorithms 4 and 5.
    Note: rule and defaults as in the paper, whose bound of 0.01 on 1 / sqrt(t) is called lr here
    and in PyTorch. PyTorch adds no eps1, and bounds v by 1e-7 squared instead. A matrix is always
    factored; optax does so from 128 rows and columns on.
    """

    lr: float = hyper(
        1e-2, "(0, inf)", "bound on the step, as a share of the size of w", "log x 30"
    )
    decay_power: float = hyper(
        0.8, "(0, inf)", "power of t with which the averages lengthen", "[0.5, 1]"
    )
    eps1: float = hyper(1e-30, "(0, inf)", "number added to the squared gradient")
    eps2: float = hyper(
        1e-3, "[0, inf)", "smallest size that w is taken to have", "log [1e-4, 1e-1]"
    )
    clip: float = hyper(1.0, "(0, inf)", "largest root mean square of u", "log x 10")

    def slots(self, w: Array) -> State:
        if w.ndim == 2:
            return {
                "r": aligned_zeros((w.shape[0],), w.dtype),
                "c": aligned_zeros((w.shape[1],), w.dtype),
            }
        return {"v": aligned_zeros(w.shape, w.dtype)}

    def step(self, w: Array, dw: Array, state: State, given: Mapping[str, Any]) -> None:
        if w.size == 0:
            return
        t = state["t"]
        beta2 = 1 - t**-self.decay_power
        squares = np.square(dw, out=scratch("squares", w.shape, w.dtype))
        squares += self.eps1
        root = scratch("root", w.shape, w.dtype)
        if w.ndim == 2:
            r, c = state["r"], state["c"]
            new_r, new_c = scratch("new r", r.shape, w.dtype), scratch("new c", c.shape, w.dtype)
            apply(self.follow, [r, np.mean(squares, axis=1, out=new_r)], {"beta2": beta2})
            apply(self.follow, [c, np.mean(squares, axis=0, out=new_c)], {"beta2": beta2})
            np.divide(r, r.mean(), out=new_r)
            np.outer(
                np.sqrt(new_r, out=new_r), np.sqrt(c, out=new_c), out=root
            )  # r c may underflow
        else:
            apply(self.follow, [state["v"], squares], {"beta2": beta2})
            np.sqrt(state["v"], out=root)
        u = np.divide(dw, root, out=root)
        size = max(self.eps2, rms(w)) * min(self.lr, 1 / math.sqrt(t))
        u *= size / max(1, rms(u) / self.clip)
        w -= u

    @staticmethod
    def follow(mean: Array, squares: Array, *, beta2: float) -> Array:
        return beta2 * mean + (1 - beta2) * squares


def rms(x: Array) -> float:
    """The root mean square of all elements."""
    return float(np.linalg.norm(x)) / math.sqrt(x.size)
