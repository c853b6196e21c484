"""Schedule-Free SGD and AdamW: an average of the iterates instead of a falling rate."""

from dataclasses import dataclass

import numpy as np

from ..arrays import Array
from ..hyper import hyper
from .base import Elementwise, State


def average_weight(lr: float, state: State) -> float:
    """c = lr_max^2 / (sum of all lr_max^2 so far): the weight of the newest z in the average x.

    lr_max is the largest rate so far, so that the small rates of a warm-up count less.
    """
    state["lr_max"] = max(state["lr_max"], lr)
    state["weight_sum"] += state["lr_max"] ** 2
    return float(state["lr_max"] ** 2 / state["weight_sum"])


@dataclass(frozen=True)
class ScheduleFreeSGD(Elementwise):
    """SGD at z, judged at the average x of all z, with its gradient taken between the two.

        dw = gradient at w = (1 - momentum) z + momentum x
        dw <- dw + weight_decay w
        z <- z - lr dw
        x <- (1 - c) x + c z                    c = 1/t while lr stays
        w <- (1 - momentum) z + momentum x      where the next gradient is wanted

    Shapes: z and x like w. Units: as for `sgd`.
    Cost: one gradient.
    Fails: evaluated at w or z instead of x it looks worse than it is; a schedule that lowers lr
    undoes its point (a warm-up does not).
    MNIST: 95.65 % after ten epochs with the defaults (it needs more updates); 97.44 % with
    --batch-size 32.
    Source: Defazio et al., arXiv 2405.15682, eq. 3 to 5, weights of the average as in section 4.1.
    Note: rule and defaults as in the authors' code, which stores w and z and finds x from them.
    With momentum 0 it is the average of SGD's iterates (Polyak), with momentum 1 primal averaging.
    """

    name = "schedule_free_sgd"
    positions = ("z", "x")

    lr: float = hyper(1.0, "(0, inf)", "step size", "log x 30")
    momentum: float = hyper(
        0.9, "[0, 1]", "share of x in the point of the gradient", "1 - log [1e-2, 1]"
    )
    weight_decay: float = hyper(0.0, "[0, inf)", "L2 penalty, added to dw as weight_decay w")

    def slots(self, w: Array) -> State:
        slots = super().slots(w)
        slots["z"][...] = slots["x"][...] = w
        return slots | {"lr_max": 0.0, "weight_sum": 0.0}

    def scalars(self, state: State) -> dict[str, float]:
        return {"c": average_weight(self.lr, state)}

    def readout(self, w: Array, state: State) -> Array:
        x: Array = state.get("x", w)
        return x

    @staticmethod
    def rule(
        w: Array,
        dw: Array,
        z: Array,
        x: Array,
        *,
        lr: float,
        momentum: float,
        weight_decay: float,
        c: float,
    ) -> tuple[Array, Array, Array]:
        dw = dw + weight_decay * w
        z = z - lr * dw
        x = (1 - c) * x + c * z
        w = (1 - momentum) * z + momentum * x
        return w, z, x


@dataclass(frozen=True)
class ScheduleFreeAdamW(Elementwise):
    """Schedule-Free SGD with Adam's division, and without Adam's momentum.

        dw = gradient at w = (1 - beta1) z + beta1 x
        v <- beta2 v + (1 - beta2) dw^2
        v_hat = v / (1 - beta2^t)
        z <- z - lr (dw / (sqrt(v_hat) + eps) + weight_decay w)
        x <- (1 - c) x + c z                    c = 1/t while lr stays
        w <- (1 - beta1) z + beta1 x            where the next gradient is wanted

    Shapes: v, z and x like w. Units: as for `adam`.
    Cost: one gradient.
    Fails: evaluated at w or z instead of x it looks worse than it is; a schedule that lowers lr
    undoes its point (a warm-up does not, and the paper has one).
    Source: Defazio et al., arXiv 2405.15682, algorithm 1.
    Note: rule and defaults as in the authors' code, which stores w and z and finds x from them;
    the paper has the correction in lr, and so also in c.
    """

    name = "schedule_free_adamw"
    positions = ("z", "x")

    lr: float = hyper(2.5e-3, "(0, inf)", "step size", "log x 30")
    beta1: float = hyper(
        0.9, "[0, 1]", "share of x in the point of the gradient", "1 - log [1e-2, 1]"
    )
    beta2: float = hyper(
        0.999, "[0, 1)", "decay of the mean squared gradient v", "1 - log [1e-4, 1e-1]"
    )
    eps: float = hyper(1e-8, "[0, inf)", "number added outside the root", "log [1e-10, 1]")
    weight_decay: float = hyper(0.0, "[0, inf)", "share of a weight lost in a step, times lr")

    def slots(self, w: Array) -> State:
        slots = super().slots(w)
        slots["z"][...] = slots["x"][...] = w
        return slots | {"lr_max": 0.0, "weight_sum": 0.0}

    def scalars(self, state: State) -> dict[str, float]:
        return {"c": average_weight(self.lr, state), "correction2": 1 - self.beta2 ** state["t"]}

    def readout(self, w: Array, state: State) -> Array:
        x: Array = state.get("x", w)
        return x

    @staticmethod
    def rule(
        w: Array,
        dw: Array,
        v: Array,
        z: Array,
        x: Array,
        *,
        lr: float,
        beta1: float,
        beta2: float,
        eps: float,
        weight_decay: float,
        c: float,
        correction2: float,
    ) -> tuple[Array, Array, Array, Array]:
        v = beta2 * v + (1 - beta2) * dw**2
        v_hat = v / correction2
        z = z - lr * (dw / (np.sqrt(v_hat) + eps) + weight_decay * w)
        x = (1 - c) * x + c * z
        w = (1 - beta1) * z + beta1 * x
        return w, v, z, x
