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
    """The pairs (w, dw) that the optimizer is to be called with, according to its scope.

    UsageError for one that wants whole layers, of a network whose layers are not W and b.
    """
    if optimizer.scope == "layer" and model.moving:
        raise UsageError(
            f"{optimizer.name} wants W and b of each layer, and batch normalization has gamma and "
            "beta in the place of b",
            "choose another optimizer, or a network without batch normalization",
        )
    views = {"tensor": model.parameters, "layer": model.matrices}
    if optimizer.scope in views:
        return [(parameter.w, parameter.dw) for parameter in views[optimizer.scope]]
    return [(model.w, model.dw)]


def end_update(model: MLP, slots: list[Slot], optimizer: Optimizer) -> None:
    """What an update brings besides the steps of the optimizer (see MLP.after_update).

    The points that the optimizer remembers are kept within the largest norm as w is: from one
    outside, such as the slow weights of lookahead, it would go on and be evaluated.
    """
    model.after_update()
    if not model.regularization.max_norm:
        return
    remembered = [
        [*optimizer.points(slot.state), optimizer.readout(slot.w, slot.state)] for slot in slots
    ]
    for point in zip(*remembered, strict=True):  # its parts in all slots: a vector like model.w
        if point[0] is slots[0].w:
            continue
        vector = np.concatenate([part.reshape(-1) for part in point])
        model.limit(vector)
        ends = np.cumsum([part.size for part in point])
        for part, limited in zip(point, np.split(vector, ends[:-1]), strict=True):
            part[...] = limited.reshape(part.shape)


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
