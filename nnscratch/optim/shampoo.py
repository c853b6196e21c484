"""Shampoo."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays import Array, aligned_zeros
from ..hyper import hyper
from .base import Counted, State, check_finite


@dataclass(frozen=True)
class Shampoo(Counted):
    """AdaGrad with a matrix for the rows of W and one for its columns.

        L <- L + dW dW^T                        L and R start at eps I
        R <- R + dW^T dW
        W <- W - lr L^(-1/4) dW R^(-1/4)        i.e. w <- w - lr H_1^(-1/2k) ... H_k^(-1/2k) dw

    The second form is for a tensor of any order k: H_i is the sum of the products of dw, unfolded
    along axis i, with itself. For a vector (k = 1) this is AdaGrad with the full matrix.
    Shapes: for W (in, out), L (in, in) and R (out, out), and their roots likewise. Units: as for
    `adagrad`, lr has the unit of w.
    Cost: one gradient, four products with dW, and now and then two eigendecompositions.
    Fails: matrices of thousands of rows or columns: memory grows with their square and time with
    their cube; and as AdaGrad's, its steps only shrink.
    Source: Gupta, Koren and Singer, arXiv 1802.09568, algorithms 1 and 2.
    Note: the roots are kept for up to `refresh` updates, and computed more often in the beginning;
    with 1 it is the paper's algorithm. No momentum, no grafting of another optimizer's step
    length, which later versions add.
    """

    matrix_method = True

    lr: float = hyper(1.0, "(0, inf)", "step size", "log x 30")
    eps: float = hyper(1e-2, "(0, inf)", "multiple of I at which the sums start", "log x 100")
    refresh: int = hyper(50, "[1, inf)", "largest number of updates for which the roots are kept")

    def slots(self, w: Array) -> State:
        slots = {}
        for axis, n in enumerate(w.shape or (1,)):
            slots[f"H{axis}"] = aligned_zeros((n, n), w.dtype)
            slots[f"H{axis}"][...] = self.eps * np.eye(n)
            slots[f"root{axis}"] = aligned_zeros((n, n), w.dtype)
        return slots

    def step(self, w: Array, dw: Array, state: State, given: Mapping[str, Any]) -> None:
        check_finite(self.name, dw)
        dw = np.atleast_1d(dw)
        update = dw
        for axis in range(dw.ndim):
            H, root = state[f"H{axis}"], state[f"root{axis}"]
            rows = dw.shape[axis]
            unfolded = np.moveaxis(dw, axis, 0).reshape(rows, dw.size // max(1, rows))
            H += unfolded @ unfolded.T
            if is_due(state["t"], self.refresh):
                check_finite(self.name, H)
                root[...] = power(H, -1 / (2 * dw.ndim))
            update = np.moveaxis(np.tensordot(root, update, axes=(1, axis)), 0, axis)
        w -= self.lr * update.reshape(w.shape)


def is_due(t: int, refresh: int) -> bool:
    """Whether the roots are computed anew: at 1, 2, 4, 8, ... below `refresh`, then each `refresh`.

    A root of few gradients knows no bound for the directions that they do not show.
    """
    return t % refresh == 0 or (t < refresh and t.bit_count() == 1)


def power(H: Array, p: float) -> Array:
    """H^p of a symmetric positive definite matrix, computed in double precision."""
    eigenvalues, Q = np.linalg.eigh(H.astype(np.float64))
    smallest = np.finfo(H.dtype).eps * eigenvalues.max(initial=0)  # below is rounding
    powers: Array = (Q * np.maximum(eigenvalues, smallest) ** p) @ Q.T
    return powers
