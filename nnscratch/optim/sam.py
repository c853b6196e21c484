"""Sharpness-aware minimization."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..arrays import Array, aligned_zeros
from ..elementwise import apply
from ..hyper import hyper
from .base import State
from .wrapper import Wrapper


@dataclass(frozen=True)
class SAM(Wrapper):
    """Step by the gradient of the worst point nearby, and so prefer flat minima to sharp ones.

        e = radius dw / |dw|                    |.| over all weights of the network
        dw' = gradient at w + e, of the same batch
        w <- the base's step from w, with dw'

    An update is half a step: the first goes to w + e, where the next gradient is wanted, and the
    second returns and steps. `readout` is w throughout.
    Shapes: origin, which keeps w, like w. Units: radius has the unit of w.
    Cost: two gradients a step.
    Fails: twice the price of its base; on a problem as small as MNIST the gain is within the noise.
    Source: Foret, Kleiner, Mobahi and Neyshabur, arXiv 2010.01412, algorithm 1 and eq. 3.
    Note: radius is the paper's rho, 0.05 as there. At a zero gradient e is 0.
    """

    own_needs = frozenset({"norm"})
    positions = ("origin",)

    radius: float = hyper(
        0.05, "(0, inf)", "distance to the point whose gradient counts", "log x 10"
    )

    def slots(self, w: Array) -> State:
        return super().slots(w) | {"origin": aligned_zeros(w.shape, w.dtype), "away": False}

    def readout(self, w: Array, state: State) -> Array:
        return super().readout(state["origin"] if state.get("away") else w, state)

    def same_batch(self, state: State) -> bool:
        return bool(state.get("away")) or super().same_batch(state)

    def step(self, w: Array, dw: Array, state: State, given: Mapping[str, Any]) -> None:
        if not state["away"]:
            state["origin"][...] = w
            if given["norm"] != 0:
                apply(self.climb, [w, dw], {"step": self.radius / given["norm"]})
        else:
            w[...] = state["origin"]
            self.base_step(w, dw, state, given)
        state["away"] = not state["away"]

    @staticmethod
    def climb(w: Array, dw: Array, *, step: float) -> Array:
        return w + step * dw
