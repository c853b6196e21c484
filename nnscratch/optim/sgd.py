"""Stochastic gradient descent."""

from dataclasses import dataclass

from ..arrays import Array
from ..hyper import hyper
from .base import Elementwise


@dataclass(frozen=True)
class SGD(Elementwise):
    """Step against the gradient.

        dw <- dw + weight_decay w
        w <- w - lr dw

    Units: lr dw has the unit of w, so lr has that of w^2 / loss, and no one lr fits all problems.
    Cost: one gradient, and no memory.
    Fails: a narrow valley: lr is bound by the steepest direction, and the way along the flat one
    takes as many steps as the ratio of their curvatures.
    MNIST: 74.28 % after ten epochs with the defaults (lr is small for batches of 128); 97.77 % with
    --lr 0.5 --batch-size 32.
    Source: Robbins and Monro, Annals of Mathematical Statistics 22, 1951.
    Note: "stochastic" describes the gradient, not the rule. With the batch loader this is batch
    gradient descent. Rule and defaults as in PyTorch (Keras: lr 0.01).
    """

    lr: float = hyper(1e-3, "(0, inf)", "step size", "log [1e-2, 10]")
    weight_decay: float = hyper(0.0, "[0, inf)", "L2 penalty, added to dw as weight_decay w")

    @staticmethod
    def rule(w: Array, dw: Array, *, lr: float, weight_decay: float) -> Array:
        dw = dw + weight_decay * w
        return w - lr * dw
