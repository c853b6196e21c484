"""An optimizer of one's own: my_opt.py:Cautious"""

from dataclasses import dataclass

import numpy as np

import nnscratch as nn


@dataclass(frozen=True)
class Cautious(nn.Elementwise):
    """Momentum that waits, for each weight, while the velocity points up the gradient.

        v <- momentum v - lr dw
        w <- w + v, but w where v dw > 0

    Source: Liang, Chen, Liu and Liu, arXiv 2411.16085: their mask, without their scaling.
    """

    lr: float = nn.hyper(0.1, "(0, inf)", "step size", "log x 30")
    momentum: float = nn.hyper(0.9, "[0, 1)", "decay of the velocity v")

    @staticmethod
    def rule(w, dw, v, *, lr, momentum):  # arrays before the star, numbers behind it
        v = momentum * v - lr * dw
        w = w + np.where(v * dw > 0, 0, v)  # not v * dw <= 0, v, 0: nan has to reach w
        return w, v
