"""The contract of an optimizer, and the base of those whose formula looks at each weight alone."""

import dataclasses
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal, Self

import numpy as np

from ..arrays import Array, aligned_zeros
from ..elementwise import apply, prepare
from ..errors import UsageError
from ..formula import array_names
from ..hyper import Part, values

State = dict[str, Any]


class Optimizer(Part):
    """A rule that moves weights against their gradient.

        opt = OPTIMIZERS["adam"](lr=1e-3)       # a frozen record of hyper-parameters
        state = {}                              # or opt.init(w)
        opt.update(w, dw, state)                # writes w and state in place, and returns w

    The contract of `update`: `dw` is only read. dtype and shape stay. What the optimizer
    remembers lies in `state`, a dict of arrays, numbers and strings that belongs to one array w:
    missing entries are made at the first call, and no array in it is replaced after that. `w` is
    the point where the next gradient is wanted; if the point to evaluate and to save is another
    one, `readout` gives it.

    `scope` says what one call must see: "element" (every weight is treated alone, so w may be the
    flat vector of the whole network), "tensor" (w is one matrix or bias of the network), or
    "model" (w must be all weights at once).
    """

    scope: ClassVar[Literal["element", "tensor", "model"]] = "tensor"

    def init(self, w: Array) -> State:
        """The state before the first update of w; w is not changed."""
        return {}

    @abstractmethod
    def update(self, w: Array, dw: Array, state: State) -> Array:
        """Take one step from w, where the gradient is dw."""

    def readout(self, w: Array, state: State) -> Array:
        """The point to evaluate and save; w itself unless the optimizer says otherwise."""
        return w

    def with_lr(self, lr: float) -> Self:
        """The same optimizer with another learning rate; a state carries over unchanged."""
        try:
            return dataclasses.replace(self, lr=lr)  # type: ignore[type-var]
        except TypeError:
            raise UsageError(
                f"{self.name} has no field lr", "use it with the constant schedule, without warm-up"
            ) from None


class Elementwise(Optimizer):
    """An optimizer whose formula is the same for every weight and sees no other weight.

    A subclass has its hyper-parameters as fields, and `rule`:

        @staticmethod
        def rule(w, dw, m, *, lr, beta):        # w, dw and the slots; behind the star, numbers
            m = beta * m + (1 - beta) * dw
            w = w - lr * m
            return w, m                         # the new w and the new slots, in that order

    Each slot is an array like w that starts at zero and lives in the state under its name. The
    numbers are the fields, and what `scalars` returns: quantities that are the same for every
    weight in this step, such as a bias correction. state["t"] counts the updates, this one
    included. How a rule runs over arrays, and what it may contain, is told in `elementwise.py`.
    """

    scope = "element"

    rule: ClassVar[Callable[..., Any]]

    def scalars(self, state: State) -> dict[str, float]:
        """Numbers for the rule besides the fields, by name."""
        return {}

    def init(self, w: Array) -> State:
        slots = array_names(self.rule)[2:]
        if "t" in slots:
            raise UsageError(
                f"{self.name}: a slot is called t", "t is the count of updates: rename"
            )
        prepare(self.rule, w.dtype)
        return {"t": 0, **{slot: aligned_zeros(w.shape, w.dtype) for slot in slots}}

    def update(self, w: Array, dw: Array, state: State) -> Array:
        check_weights(self.name, w, dw)
        slots = array_names(self.rule)[2:]
        if not state.keys() >= {"t", *slots}:
            state.update({key: new for key, new in self.init(w).items() if key not in state})
        arrays = {slot: state[slot] for slot in slots}
        check_alike(self.name, w, arrays)
        state["t"] += 1
        apply(self.rule, [w, dw, *arrays.values()], values(self) | self.scalars(state))
        return w


def check_weights(name: str, w: Array, dw: Array) -> None:
    """UsageError unless w can be updated, and dw is like w and another array."""
    check_alike(name, w, {"dw": dw})
    if w.dtype not in (np.float32, np.float64):
        raise UsageError(f"{name}: w is {w.dtype}", "convert the weights to float32 or float64")
    if not w.flags.writeable:
        raise UsageError(f"{name}: w is read-only", "give it an array of its own, w.copy()")
    if np.shares_memory(w, dw):
        raise UsageError(f"{name}: w and dw share memory", "keep the gradient in its own array")


def check_alike(name: str, w: Array, others: Mapping[str, Array]) -> None:
    """UsageError unless the other arrays have the shape and dtype of w."""
    for key, array in others.items():
        if array.shape != w.shape or array.dtype != w.dtype:
            raise UsageError(
                f"{name}: {key} is {array.dtype}{list(array.shape)}, "
                f"but w is {w.dtype}{list(w.shape)}",
                "give each array w a gradient of its own shape and dtype, and a state of its own",
            )
