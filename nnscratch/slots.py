"""What an optimizer is called with: an array, its gradient, and a state that is its alone."""

from dataclasses import dataclass

import numpy as np

from .arrays import Array
from .errors import UsageError
from .model import MLP
from .optim import Optimizer, State
from .optim.base import leaves


@dataclass
class Slot:
    """An array, its gradient and the optimizer's state for it."""

    w: Array
    dw: Array
    state: State

    def update(self, optimizer: Optimizer) -> None:
        if optimizer.update(self.w, self.dw, self.state) is not self.w:
            raise UsageError(
                f"{optimizer.name}: update did not return the w that it was given",
                "write w -= step or w[...] = new, so that w itself changes, and then return w",
            )


def update_all(slots: list[Slot], optimizer: Optimizer) -> None:
    for slot in slots:
        slot.update(optimizer)


def arrays_to_update(model: MLP, optimizer: Optimizer) -> list[tuple[Array, Array]]:
    """The pairs (w, dw) that the optimizer is to be called with, according to its scope."""
    views = {"tensor": model.parameters, "layer": model.matrices}
    if optimizer.scope in views:
        return [(parameter.w, parameter.dw) for parameter in views[optimizer.scope]]
    return [(model.w, model.dw)]


def refuse_shared(optimizer: Optimizer, states: list[State]) -> None:
    """UsageError if two states, or two arrays in them, are one and the same."""
    owners: dict[int, str] = {}  # what lies at that address?
    for k, state in enumerate(states):
        places = {f"state {k}": id(state)}
        places |= {
            f"{name} in state {k}": value.ctypes.data
            for name, value in leaves(state)
            if isinstance(value, np.ndarray) and value.size
        }
        for name, place in places.items():
            if place in owners:
                raise UsageError(
                    f"{optimizer.name} has one array or state for {owners[place]} and for {name}",
                    "make a new one for each: in init, and not in the class or the file",
                )
            owners[place] = name
