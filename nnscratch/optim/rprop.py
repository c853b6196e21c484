"""Rprop."""

from dataclasses import dataclass

import numpy as np

from ..arrays import Array
from ..hyper import hyper
from .base import Elementwise, State


@dataclass(frozen=True)
class Rprop(Elementwise):
    """A step size of its own for each weight, longer while the gradient keeps its sign.

        step <- grow step if dw dw_prev > 0, shrink step if dw dw_prev < 0
        step <- step, but at least step_min and at most step_max
        dw <- 0                                                 if dw dw_prev < 0
        w <- w - step sign(dw)
        dw_prev <- dw

    Shapes: step, which starts at lr, and dw_prev like w. Units: lr, step_min and step_max have that
    of w; the size of the gradient counts nowhere.
    Cost: one gradient, which should be that of all examples.
    Fails: on mini-batches, where signs change by chance: steps shrink without reason.
    MNIST: 89.89 % after ten epochs with the defaults (signs change by chance from batch to batch);
    97.31 % with --loader batch --epochs 60.
    Source: Riedmiller and Braun, IEEE International Conference on Neural Networks, 1993; this
    variant (iRprop-) is of Igel and Huesken, 2000.
    Note: rule and defaults as in PyTorch: after a change of sign the weight stays for one update.
    The paper takes the last step back instead. lr is the first step only: a schedule, which
    changes lr later, has no effect.
    """

    lr: float = hyper(1e-2, "(0, inf)", "first step of each weight", "log x 30")
    grow: float = hyper(1.2, "[1, inf)", "factor on the step while the sign stays", "[1.05, 1.5]")
    shrink: float = hyper(0.5, "(0, 1]", "factor on the step after a change of sign", "[0.3, 0.9]")
    step_min: float = hyper(1e-6, "(0, inf)", "shortest step")
    step_max: float = hyper(50.0, "(0, inf)", "longest step")

    def slots(self, w: Array) -> State:
        slots = super().slots(w)
        slots["step"][...] = self.lr
        return slots

    @staticmethod
    def rule(
        w: Array,
        dw: Array,
        step: Array,
        dw_prev: Array,
        *,
        grow: float,
        shrink: float,
        step_min: float,
        step_max: float,
    ) -> tuple[Array, Array, Array]:
        agreement = np.sign(dw) * np.sign(dw_prev)
        step = np.where(agreement > 0, grow * step, np.where(agreement < 0, shrink * step, step))
        step = np.minimum(np.maximum(step, step_min), step_max)
        dw = np.where(agreement < 0, 0.0, dw)
        w = w - step * np.sign(dw)
        return w, step, dw
