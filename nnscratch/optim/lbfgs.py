"""L-BFGS, with its line search unrolled: each update is one trial."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays import Array, aligned_zeros, scratch
from ..hyper import hyper
from .base import Counted, State


@dataclass(frozen=True)
class LBFGS(Counted):
    """Newton's direction from the last few changes of w and of the gradient, with a line search.

        p = -H dw,  H from the pairs s = change of w, y = change of dw, by the two-loop recursion
        w <- w + a p        the first a of lr, then by bisection, for which both hold:
            loss(w + a p) <= loss(w) + c1 a <p, dw>         enough progress; else a is too long
            <p, dw at w + a p> >= c2 <p, dw>                the slope has fallen; else too short

    Each update sees the loss and gradient of one trial. While a search goes on, `same_batch` asks
    for the batch again and `readout` is the point where it began. Without pairs, p is -dw, of at
    most length 1 (sum of absolute values).
    Shapes: S and Y hold `memory` arrays like w; p, origin and gradient are like w.
    Units: H dw has the unit of w; lr has none.
    Cost: one gradient a trial, usually one or two trials, and 4 `memory` scalar products.
    Fails: on small batches: it solves each batch and forgets the others. It is a method for the
    full batch, which an epoch of the batch loader repeats for `per_batch` searches.
    MNIST: 97.68 % with --loader batch. With batches of 128 each is solved and forgotten.
    Source: Liu and Nocedal, Mathematical Programming 45, 1989, algorithm 2.1; the line search is of
    Lewis and Overton, Mathematical Programming 141, 2013.
    Note: pairs are made within one batch only. PyTorch has no line search by default, and its lr is
    the step; with strong_wolfe it interpolates. optax caps the first step too.
    """

    scope = "model"
    needs = frozenset({"loss"})
    positions = ("origin",)

    lr: float = hyper(1.0, "(0, inf)", "length of the first trial of each search", "log x 30")
    memory: int = hyper(10, "[1, inf)", "number of pairs", "{5, 10, 20}")
    c1: float = hyper(1e-4, "(0, 1)", "share of the progress that the slope promises")
    c2: float = hyper(0.9, "(0, 1)", "share of the slope that may remain")
    trials: int = hyper(25, "[1, inf)", "number of trials after which a search is given up")
    per_batch: int = hyper(20, "[1, inf)", "number of searches before another batch is asked for")

    def slots(self, w: Array) -> State:
        many = (self.memory, *w.shape)
        arrays = {name: aligned_zeros(many, w.dtype) for name in ("S", "Y")}
        arrays |= {name: aligned_zeros(w.shape, w.dtype) for name in ("p", "origin", "gradient")}
        numbers = {"pairs": 0, "searching": False, "searches": 0, "trial": 0}
        return arrays | numbers | {"a": 0.0, "low": 0.0, "high": np.inf, "loss_there": 0.0}

    def readout(self, w: Array, state: State) -> Array:
        return state["origin"] if self.same_batch(state) else w

    def same_batch(self, state: State) -> bool:
        return bool(state.get("searching", False))

    def step(self, w: Array, dw: Array, state: State, given: Mapping[str, Any]) -> None:
        if not state["searching"]:
            self._begin(w, dw, given["loss"], state)
            return
        a, p = state["a"], state["p"]
        slope = float(np.vdot(p, state["gradient"]))
        if not given["loss"] <= state["loss_there"] + self.c1 * a * slope:  # nan is too long, too
            state["high"] = a
        elif float(np.vdot(p, dw)) < self.c2 * slope:
            state["low"] = a
        else:
            self._remember(w, dw, state)
            state["searches"] += 1
            state["searching"] = False
            if state["searches"] % self.per_batch:  # else it is time for another batch
                self._begin(w, dw, given["loss"], state)
            return
        state["trial"] += 1
        if state["trial"] == self.trials:  # as far as there was progress, and begin afresh
            self._go(w, state["low"], state)
            state |= {"pairs": 0, "searching": False}
            return
        high = state["high"]
        state["a"] = (state["low"] + high) / 2 if high < np.inf else 2 * state["low"]
        self._go(w, state["a"], state)

    def _go(self, w: Array, a: float, state: State) -> None:
        """w <- origin + a p."""
        np.multiply(state["p"], a, out=w)
        w += state["origin"]

    def _begin(self, w: Array, dw: Array, loss: float, state: State) -> None:
        """Choose a direction at w, and go to the first trial."""
        p = state["p"]
        self._direction(dw, state, p)
        if not float(np.vdot(p, dw)) < 0:  # rounding has spoiled the pairs
            state["pairs"] = 0
            self._direction(dw, state, p)
        if not p.any():  # at a stationary point
            return
        state["origin"][...] = w
        state["gradient"][...] = dw
        state |= {"searching": True, "trial": 0, "a": self.lr, "low": 0.0, "high": np.inf}
        state["loss_there"] = loss
        self._go(w, state["a"], state)

    def _remember(self, w: Array, dw: Array, state: State) -> None:
        """Take a pair in; the oldest of `memory` goes. One without curvature is left out."""
        s = np.subtract(w, state["origin"], out=scratch("s", w.shape, w.dtype))
        y = np.subtract(dw, state["gradient"], out=scratch("y", w.shape, w.dtype))
        curvature = float(np.vdot(y, y))  # 0, too, for a y that is too small to be squared
        if curvature > 0 and float(np.vdot(s, y)) > 1e-10 * curvature:
            row = state["pairs"] % self.memory
            state["S"][row], state["Y"][row] = s, y
            state["pairs"] += 1

    def _direction(self, dw: Array, state: State, p: Array) -> None:
        """p <- -H dw by the two-loop recursion."""
        n = state["pairs"]
        rows = [k % self.memory for k in range(max(0, n - self.memory), n)]  # oldest first
        if not rows:
            size = float(np.sum(np.abs(dw, out=p)))
            np.multiply(dw, -min(1.0, 1 / size) if size > 0 else -1.0, out=p)
            return
        S, Y = state["S"], state["Y"]
        term = scratch("term", dw.shape, dw.dtype)
        q, alphas = p, {}
        q[...] = dw
        for k in reversed(rows):
            alphas[k] = float(np.vdot(S[k], q)) / float(np.vdot(S[k], Y[k]))
            q -= np.multiply(Y[k], alphas[k], out=term)
        newest = rows[-1]
        q *= float(np.vdot(S[newest], Y[newest])) / float(np.vdot(Y[newest], Y[newest]))
        for k in rows:
            beta = float(np.vdot(Y[k], q)) / float(np.vdot(S[k], Y[k]))
            q += np.multiply(S[k], alphas[k] - beta, out=term)
        np.negative(q, out=p)
