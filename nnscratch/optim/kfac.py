"""K-FAC."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays import Array, aligned_zeros
from ..errors import UsageError
from ..hyper import hyper
from .base import Counted, State, check_finite


@dataclass(frozen=True)
class KFAC(Counted):
    """Natural gradient, with the Fisher matrix of a layer taken as a product of two small ones.

        A <- e A + (1 - e) mean of [x, 1]^T [x, 1]              e = min(1 - 1/t, average_decay)
        G <- e G + (1 - e) mean of delta^T delta
        pi = sqrt((trace(A) / (in + 1)) / (trace(G) / out))     1 if a trace is 0
        A_inv = (A + pi sqrt(damping) I)^-1
        G_inv = (G + sqrt(damping) / pi I)^-1                   both anew every so often
        v <- momentum v - lr A_inv dw G_inv
        w <- w + v

    x are the inputs of the layer and delta the derivatives of the loss by its sums z, one row an
    example, for labels drawn from the network's own answers: that makes A kron G the Fisher matrix.
    Shapes: w is a layer's (in + 1, out), the biases as last row; A and A_inv (in + 1, in + 1), G
    and G_inv (out, out), v like w. Units: A_inv dw G_inv has the unit of w, as Newton's step, and
    lr has none.
    Cost: two forward and backward passes, the products for A and G, and now and then two inverses.
    Fails: with little damping, steps are too long in directions that the batches so far have hardly
    shown.
    Source: Martens and Grosse, arXiv 1503.05671, sections 5 (averages), 6.3 (damping), 8 (inverses
    kept).
    Note: lr, momentum and damping are fixed; the paper's algorithm 2 finds them anew in each
    step from products with the exact Fisher matrix.
    """

    scope = "layer"
    needs = frozenset({"moments"})
    matrix_method = True

    lr: float = hyper(1e-2, "(0, inf)", "step size", "log x 30")
    momentum: float = hyper(
        0.9, "[0, 1)", "part of the velocity that remains after a step", "{0, 0.5, 0.9, 0.95, 0.99}"
    )
    average_decay: float = hyper(0.95, "[0, 1)", "largest decay of A and G", "1 - log [1e-2, 1]")
    damping: float = hyper(1e-2, "(0, inf)", "curvature added in all directions", "log [1e-4, 1]")
    refresh: int = hyper(20, "[1, inf)", "number of updates between two inversions")

    def slots(self, w: Array) -> State:
        if w.ndim != 2:
            what = f"kfac: w has shape {list(w.shape)}, and is no matrix of a layer"
            raise UsageError(what, "give the weights of a layer, (in + 1, out), biases last")
        sizes = {"A": w.shape[0], "G": w.shape[1], "A_inv": w.shape[0], "G_inv": w.shape[1]}
        squares = {name: aligned_zeros((n, n), w.dtype) for name, n in sizes.items()}
        return squares | {"v": aligned_zeros(w.shape, w.dtype)}

    def step(self, w: Array, dw: Array, state: State, given: Mapping[str, Any]) -> None:
        check_finite(self.name, dw)
        A, G, v, t = state["A"], state["G"], state["v"], state["t"]
        e = min(1 - 1 / t, self.average_decay)
        for average, moment in zip((A, G), given["moments"], strict=True):
            average *= e
            average += (1 - e) * moment
        if (t - 1) % self.refresh == 0:
            a, g = float(np.trace(A)) / len(A), float(np.trace(G)) / len(G)
            pi = math.sqrt(a / g) if a > 0 and g > 0 else 1.0
            root = math.sqrt(self.damping)
            state["A_inv"][...] = np.linalg.inv(A + pi * root * np.eye(len(A), dtype=A.dtype))
            state["G_inv"][...] = np.linalg.inv(G + root / pi * np.eye(len(G), dtype=G.dtype))
        v *= self.momentum
        v -= self.lr * (state["A_inv"] @ dw @ state["G_inv"])
        w += v
