"""signSGD."""

from dataclasses import dataclass

import numpy as np

from ..arrays import Array
from ..hyper import hyper
from .base import Elementwise


@dataclass(frozen=True)
class SignSGD(Elementwise):
    """Step by the sign of the gradient, and not by its size.

        w <- w - lr sign(dw)

    Units: sign(dw) has none, so lr has the unit of w.
    Cost: one gradient, and no memory.
    Fails: where the gradients of batches are mostly small and rarely large the other way, it
    follows the many and not the mean; and its steps do not shrink at the minimum.
    MNIST: 96.20 % after ten epochs with the defaults (steps of one size do not settle); 97.28 %
    with --lr 0.005 --schedule cosine --batch-size 256.
    Source: Bernstein, Wang, Azizzadenesheli and Anandkumar, arXiv 1802.04434, algorithm 1.
    Note: what Adam is without averages. With momentum it is called Signum (see `lion`).
    """

    lr: float = hyper(1e-3, "(0, inf)", "step size", "log x 30")

    @staticmethod
    def rule(w: Array, dw: Array, *, lr: float) -> Array:
        return w - lr * np.sign(dw)
