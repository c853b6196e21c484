"""SOAP."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays import Array, aligned_zeros, scratch
from ..elementwise import apply
from ..hyper import hyper, values
from .base import Counted, State, check_finite


@dataclass(frozen=True)
class SOAP(Counted):
    """Adam in the basis of Shampoo's eigenvectors.

        L <- beta2 L + (1 - beta2) dW dW^T              R likewise with dW^T dW
        Q_L, Q_R = eigenvectors of L, R                 anew every so often
        G = Q_L^T dW Q_R
        M <- beta1 M + (1 - beta1) G
        V <- beta2 V + (1 - beta2) G^2
        U = sqrt(1 - beta2^t) / (1 - beta1^t) M / (sqrt(V) + eps)
        w <- (1 - lr weight_decay) (w - lr Q_L U Q_R^T)

    The first update only builds the basis and moves nothing. Q is then kept for `refresh` updates,
    and renewed by one step of power iteration: the Q of a QR factorization of L Q_L. M is turned
    along into the new basis; V, whose squares cannot be turned, changes places with the
    eigenvectors only. A vector has no basis: there it is Adam with weight decay.
    Shapes: for W (in, out), L and Q_L (in, in), R and Q_R (out, out), M and V like W.
    Units: as for `adam`.
    Cost: one gradient, six products (four with a basis, two of dW with itself), and now and then
    six more and two QR factorizations.
    Fails: matrices of thousands of rows or columns: memory grows with their square and time with
    their cube.
    Source: Vyas et al., arXiv 2409.11321, algorithm 3.
    Note: rule, order of events and defaults as in the authors' code, where the paper's algorithm
    keeps M out of the basis and takes it there in each update: the same M for two products more.
    eps is beside the root of the uncorrected V, and the L and R of an update serve from the next
    one on.
    """

    matrix_method = True

    lr: float = hyper(3e-3, "(0, inf)", "step size", "log x 30")
    beta1: float = hyper(0.95, "[0, 1)", "decay of the mean gradient M", "1 - log [1e-2, 1]")
    beta2: float = hyper(0.95, "[0, 1)", "decay of V, L and R", "1 - log [1e-3, 1e-1]")
    eps: float = hyper(1e-8, "[0, inf)", "number added outside the root", "log [1e-10, 1]")
    weight_decay: float = hyper(1e-2, "[0, inf)", "share of a weight lost in a step, times lr")
    refresh: int = hyper(10, "[1, inf)", "number of updates between two changes of the basis")

    def slots(self, w: Array) -> State:
        slots = {name: aligned_zeros(w.shape, w.dtype) for name in ("M", "V")}
        if w.ndim == 2:
            for side, n in zip("LR", w.shape, strict=True):
                slots[side] = aligned_zeros((n, n), w.dtype)
                slots[f"Q_{side}"] = aligned_zeros((n, n), w.dtype)
        return slots

    def step(self, w: Array, dw: Array, state: State, given: Mapping[str, Any]) -> None:
        check_finite(self.name, dw)
        M, V, t = state["M"], state["V"], state["t"] - 1  # updates that moved w
        if t > 0:
            U, numbers = scratch("U", w.shape, w.dtype), values(self)
            correction = math.sqrt(1 - self.beta2**t) / (1 - self.beta1**t)
            G = into_basis(dw, state)
            apply(self.adam, [U, G, M, V], numbers | {"correction": correction})
            apply(self.move, [w, out_of_basis(U, state)], numbers)
        if w.ndim == 2:
            self._follow(dw, state, t)

    @staticmethod
    def adam(
        U: Array,
        G: Array,
        M: Array,
        V: Array,
        *,
        beta1: float,
        beta2: float,
        eps: float,
        correction: float,
    ) -> tuple[Array, Array, Array]:
        M = beta1 * M + (1 - beta1) * G
        V = beta2 * V + (1 - beta2) * G**2
        U = correction * M / (np.sqrt(V) + eps)
        return U, M, V

    @staticmethod
    def move(w: Array, U: Array, *, lr: float, weight_decay: float) -> Array:
        return (1 - lr * weight_decay) * (w - lr * U)

    def _follow(self, dw: Array, state: State, t: int) -> None:
        """Take the gradient into L and R, and their eigenvectors from there when it is time."""
        is_due = t > 0 and t % self.refresh == 0
        M = out_of_basis(state["M"], state) if is_due else state["M"]
        for axis, side, product in ((0, "L", dw @ dw.T), (1, "R", dw.T @ dw)):
            H, Q, V = state[side], state[f"Q_{side}"], state["V"]
            H *= self.beta2
            H += (1 - self.beta2) * product
            check_finite(self.name, H)
            if t == 0:
                Q[...] = np.linalg.eigh(H)[1][:, ::-1]
            elif is_due:
                HQ = H @ Q
                order = np.argsort(-np.einsum("ij,ij->j", Q, HQ), kind="stable")
                V[...] = np.take(V, order, axis)
                Q[...] = np.linalg.qr(HQ[:, order])[0]
        if is_due:
            state["M"][...] = into_basis(M, state)


def into_basis(x: Array, state: State) -> Array:
    """Q_L^T x Q_R; x itself where there is no basis."""
    return state["Q_L"].T @ x @ state["Q_R"] if "Q_L" in state else x


def out_of_basis(x: Array, state: State) -> Array:
    """Q_L x Q_R^T; x itself where there is no basis."""
    return state["Q_L"] @ x @ state["Q_R"].T if "Q_L" in state else x
