"""Muon."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays import Array, aligned_zeros, scratch
from ..elementwise import apply
from ..hyper import hyper, values
from .adamw import AdamW
from .base import Counted, State


@dataclass(frozen=True)
class Muon(Counted):
    """Momentum of a matrix, with all its singular values pushed to about 1.

        m <- momentum m + (1 - momentum) dw
        u = momentum m + (1 - momentum) dw
        orthogonal = orthogonalize(u)
        w <- w - lr (sqrt(max(1, out / in)) orthogonal + weight_decay w)

    So every direction of a matrix moves as far as the strongest one. An array that is no matrix
    goes to AdamW with the rate vector_lr lr and the same weight_decay.
    Shapes: m like w, W is (in, out); for other arrays m and v like w.
    Units: `orthogonal` has none, so lr has the unit of w; a step has the spectral norm lr.
    Cost: one gradient, and three matrix products in each iteration, 15 in all.
    Fails: the steps keep their length at the minimum, unless lr falls; and a matrix gradient whose
    small singular values are noise has that noise amplified.
    Source: Jordan et al., Muon: an optimizer for hidden layers in neural networks, 2024 (online).
    Note: the scale reads out / in because W is (in, out) here; the authors' rows / columns is for
    (out, in). They leave the output layer to AdamW; here every matrix is orthogonalized. Full
    precision; theirs and PyTorch's work in bfloat16.
    """

    matrix_method = True

    lr: float = hyper(2e-2, "(0, inf)", "step size, the spectral norm of a step", "log x 30")
    momentum: float = hyper(
        0.95, "[0, 1)", "decay of the mean gradient m", "{0, 0.5, 0.9, 0.95, 0.99}"
    )
    steps: int = hyper(5, "[1, inf)", "number of Newton-Schulz iterations")
    weight_decay: float = hyper(0.0, "[0, inf)", "share of a weight lost in a step, times lr")
    vector_lr: float = hyper(
        0.015, "(0, inf)", "rate of AdamW for vectors, as a multiple of lr", "log x 30"
    )
    beta1: float = hyper(0.9, "[0, 1)", "decay of the mean gradient, for vectors")
    beta2: float = hyper(0.95, "[0, 1)", "decay of the mean squared gradient, for vectors")
    eps: float = hyper(1e-10, "[0, inf)", "number added outside the root, for vectors")

    def slots(self, w: Array) -> State:
        names = ("m",) if w.ndim == 2 else ("m", "v")
        return {name: aligned_zeros(w.shape, w.dtype) for name in names}

    def step(self, w: Array, dw: Array, state: State, given: Mapping[str, Any]) -> None:
        if w.ndim == 2:
            fan_in, fan_out = w.shape
            u = scratch("u", w.shape, w.dtype)
            apply(self.average, [u, dw, state["m"]], values(self))
            orthogonalize(u, self.steps)
            scale = math.sqrt(max(1, fan_out / max(1, fan_in)))
            apply(self.move, [w, u], values(self) | {"scale": scale})
        else:
            lr = self.lr * self.vector_lr
            adamw = AdamW(lr, self.beta1, self.beta2, self.eps, self.weight_decay)
            adamw.step(w, dw, state, given)

    @staticmethod
    def average(u: Array, dw: Array, m: Array, *, momentum: float) -> tuple[Array, Array]:
        m = momentum * m + (1 - momentum) * dw
        u = momentum * m + (1 - momentum) * dw
        return u, m

    @staticmethod
    def move(w: Array, orthogonal: Array, *, lr: float, scale: float, weight_decay: float) -> Array:
        return w - lr * (scale * orthogonal + weight_decay * w)


def orthogonalize(u: Array, steps: int) -> None:
    """u <- nearly its orthogonal factor, U V^T where u = U S V^T.

        X = u / |u|
        X <- a X + b (X X^T) X + c (X X^T)^2 X          `steps` times

    Each singular value s of X becomes a s + b s^3 + c s^5; after five steps one that was above 0.01
    lies between 0.68 and 1.13, one of 0.001 at 0.47. X is turned so that X X^T is small.
    """
    u = u if u.shape[0] <= u.shape[1] else u.T
    a, b, c = 3.4445, -4.7750, 2.0315
    X, AX = scratch("X", u.shape, u.dtype), scratch("AX", u.shape, u.dtype)
    A, AA = (scratch(name, (len(u), len(u)), u.dtype) for name in ("A", "AA"))
    np.divide(u, float(np.linalg.norm(u)) + 1e-7, out=X)
    for _ in range(steps):
        np.dot(X, X.T, out=A)
        np.dot(A, A.T, out=AA)  # A is symmetric, which halves the work of its square
        A *= b
        AA *= c
        A += AA  # b X X^T + c (X X^T)^2
        np.dot(A, X, out=AX)
        X *= a
        X += AX
    u[...] = X
