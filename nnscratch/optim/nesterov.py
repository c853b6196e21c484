"""Nesterov's momentum: the gradient is taken where the velocity is about to lead."""

from dataclasses import dataclass

from ..arrays import Array
from ..hyper import hyper
from .base import Elementwise, State


@dataclass(frozen=True)
class Nesterov(Elementwise):
    """Nesterov's momentum rewritten so that w itself is the point looked ahead to.

        dw <- dw + weight_decay w
        v_prev <- v
        v <- momentum v - lr dw
        w <- w - momentum v_prev + (1 + momentum) v

    With theta the weights of `nesterov_lookahead`, w is theta + momentum v at every step: its
    gradient is the look-ahead gradient, at the cost of one gradient per step, as for momentum.
    Shapes: v like w. Units: v has the unit of w.
    Cost: one gradient.
    Fails: it diverges where lr times curvature is above 2 (1 + momentum) / (1 + 2 momentum), 1.36
    for a momentum of 0.9; the optimizer `momentum` does so above 3.8.
    MNIST: 87.84 % after ten epochs with the defaults (lr is small for this network); 97.15 % with
    --lr 0.1.
    Source: Sutskever, Martens, Dahl and Hinton, ICML 2013, eq. 3 and 4; rewritten by Bengio,
    Boulanger-Lewandowski and Pascanu, arXiv 1212.0901, section 3.5.
    Note: w, the point looked ahead to, is also what is evaluated, as in Keras and PyTorch. Keras'
    SGD(nesterov=True) is this rule. PyTorch's keeps lr outside the velocity: equal while lr stays.
    """

    lr: float = hyper(1e-3, "(0, inf)", "step size", "log [1e-3, 1]")
    momentum: float = hyper(
        0.9, "[0, 1)", "part of the velocity that remains after a step", "{0, 0.5, 0.9, 0.95, 0.99}"
    )
    weight_decay: float = hyper(0.0, "[0, inf)", "L2 penalty, added to dw as weight_decay w")

    @staticmethod
    def rule(
        w: Array, dw: Array, v: Array, *, lr: float, momentum: float, weight_decay: float
    ) -> tuple[Array, Array]:
        dw = dw + weight_decay * w
        v_prev = v
        v = momentum * v - lr * dw
        w = w - momentum * v_prev + (1 + momentum) * v
        return w, v


@dataclass(frozen=True)
class NesterovLookahead(Elementwise):
    """Nesterov's momentum as it is taught: look ahead to theta + momentum v, correct from there.

        dw = gradient at w = theta + momentum v
        dw <- dw + weight_decay w
        v <- momentum v - lr dw
        theta <- theta + v
        w <- theta + momentum v                 where the next gradient is wanted

    Shapes: v and theta like w. Units: v has the unit of w.
    Cost: one gradient.
    Fails: as `nesterov`; and evaluated at w instead of theta it is judged at the wrong point.
    MNIST: 87.80 % after ten epochs with the defaults (lr is small for this network); 97.20 % with
    --lr 0.1.
    Source: Sutskever, Martens, Dahl and Hinton, ICML 2013, eq. 3 and 4; Nesterov 1983.
    Note: the weights to evaluate are theta, which `readout` gives. Its iterates are those of
    `nesterov`, and it pays for theta with one more array.
    """

    name = "nesterov_lookahead"

    lr: float = hyper(1e-3, "(0, inf)", "step size", "log [1e-3, 1]")
    momentum: float = hyper(
        0.9, "[0, 1)", "part of the velocity that remains after a step", "{0, 0.5, 0.9, 0.95, 0.99}"
    )
    weight_decay: float = hyper(0.0, "[0, inf)", "L2 penalty, added to dw as weight_decay w")

    positions = ("theta",)

    def slots(self, w: Array) -> State:
        slots = super().slots(w)
        slots["theta"][...] = w
        return slots

    def readout(self, w: Array, state: State) -> Array:
        theta: Array = state.get("theta", w)
        return theta

    @staticmethod
    def rule(
        w: Array,
        dw: Array,
        v: Array,
        theta: Array,
        *,
        lr: float,
        momentum: float,
        weight_decay: float,
    ) -> tuple[Array, Array, Array]:
        dw = dw + weight_decay * w
        v = momentum * v - lr * dw
        theta = theta + v
        w = theta + momentum * v
        return w, v, theta
