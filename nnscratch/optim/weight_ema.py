"""A moving average of the weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..arrays import Array, aligned_zeros
from ..elementwise import apply
from ..hyper import hyper, values
from .base import State
from .wrapper import Wrapper


@dataclass(frozen=True)
class WeightEMA(Wrapper):
    """Evaluate and save a moving average of the weights; train as before.

        w <- the base's step, average <- decay average + (1 - decay) w

    Shapes: average like w. Units: none but the base's.
    Cost: the base's; one more array.
    Fails: over the first 1 / (1 - decay) updates it lags behind; a run shorter than that is judged
    near the weights that it started from.
    Source: Polyak and Juditsky, SIAM Journal on Control and Optimization 30(4), 1992, for the plain
    mean; Tarvainen and Valpola, arXiv 1703.01780, for the moving average.
    Note: average starts at w, without a correction. What is averaged is the base's `readout`.

    >>> averaged = nn.WeightEMA(nn.OPTIMIZERS["sgd"](lr=1.0), decay=0.9)
    >>> w, state = np.array([1.0]), {}
    >>> averaged.update(w, np.array([1.0]), state)      # trained as before
    array([0.])
    >>> averaged.readout(w, state)                      # evaluated and saved
    array([0.9])
    """

    name = "weight_ema"

    decay: float = hyper(0.999, "[0, 1)", "part of the average that remains after a step")

    def slots(self, w: Array) -> State:
        average = aligned_zeros(w.shape, w.dtype)
        average[...] = w
        return super().slots(w) | {"average": average}

    def readout(self, w: Array, state: State) -> Array:
        average: Array = state.get("average", w)
        return average

    def step(self, w: Array, dw: Array, state: State, given: Mapping[str, Any]) -> None:
        self.base_step(w, dw, state, given)
        if not self.same_batch(state):  # the base has finished a step
            point = self.base.readout(w, state["base"])
            apply(self.follow, [state["average"], point], values(self))

    @staticmethod
    def follow(average: Array, w: Array, *, decay: float) -> Array:
        """The rule of the average."""
        return decay * average + (1 - decay) * w
