"""Momentum: steps that remember their direction, in the two forms that the field uses."""

from dataclasses import dataclass

from ..arrays import Array
from ..hyper import hyper
from .base import Elementwise


@dataclass(frozen=True)
class Momentum(Elementwise):
    """Move with a velocity that gradients accelerate; lr inside the velocity.

        dw <- dw + weight_decay w
        v <- momentum v - lr dw
        w <- w + v

    The influence of one gradient falls to a tenth after 22 steps at momentum 0.9. A constant
    gradient drives w at 1 / (1 - momentum) times the speed of SGD.
    Shapes: v like w. Units: v has the unit of w.
    Cost: one gradient.
    Fails: it overshoots, and swings about the minimum when momentum is near 1.
    MNIST: 87.75 % after ten epochs with the defaults (lr is PyTorch's, and small for this network);
    97.23 % with --lr 0.1.
    Source: Sutskever, Martens, Dahl and Hinton, ICML 2013, eq. 1 and 2; Polyak 1964.
    Note: written as v <- momentum v + lr dw, w <- w - v it is the same rule with the sign of v
    turned. Keras' SGD(momentum=...) is this form; PyTorch's is `heavy_ball`. The two are equal
    while lr stays, and part when it changes: here the old velocity keeps the lr of its time.
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
        v = momentum * v - lr * dw
        w = w + v
        return w, v


@dataclass(frozen=True)
class HeavyBall(Elementwise):
    """Momentum with lr outside: sum up gradients, and step by lr times the sum.

        dw <- dw + weight_decay w
        b <- momentum b + dw
        w <- w - lr b

    Shapes: b like w. Units: b has the unit of dw.
    Cost: one gradient.
    Fails: as `momentum`; and when lr changes, so does the step that old gradients make.
    MNIST: 87.75 % after ten epochs with the defaults (lr is PyTorch's, and small for this network);
    97.23 % with --lr 0.1.
    Source: Polyak, USSR Computational Mathematics and Mathematical Physics 4(5), 1964.
    Note: PyTorch's SGD(momentum=...), whose default momentum is 0. Equal to `momentum` while lr
    stays; when lr changes, here the whole sum gets the new lr at once.
    """

    name = "heavy_ball"

    lr: float = hyper(1e-3, "(0, inf)", "step size", "log [1e-3, 1]")
    momentum: float = hyper(
        0.9, "[0, 1)", "part of the sum that remains after a step", "{0, 0.5, 0.9, 0.95, 0.99}"
    )
    weight_decay: float = hyper(0.0, "[0, inf)", "L2 penalty, added to dw as weight_decay w")

    @staticmethod
    def rule(
        w: Array, dw: Array, b: Array, *, lr: float, momentum: float, weight_decay: float
    ) -> tuple[Array, Array]:
        dw = dw + weight_decay * w
        b = momentum * b + dw
        w = w - lr * b
        return w, b
