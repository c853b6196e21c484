"""The contract of an optimizer, and the frames that this project's own optimizers fill in."""

import dataclasses
import functools
import inspect
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Literal, Self

import numpy as np

from ..arrays import Array, aligned_zeros
from ..elementwise import apply, prepare
from ..errors import DivergedError, UsageError
from ..formula import array_names
from ..hyper import Part, values

State = dict[str, Any]
OWN_STATE = "give each optimizer and each array w a state of its own, at first {}"
Scope = Literal["element", "tensor", "layer", "model"]

NEEDS = {
    "loss": "the loss at w, of the batch that dw belongs to",
    "norm": "the Euclidean norm of the whole gradient, np.linalg.norm(model.dw)",
    "hessian": "the second derivatives of the loss at w, shape (w.size, w.size)",
    "moments": "the means of [x, 1]^T [x, 1] and of delta^T delta, a pair of matrices",
}


class Optimizer(Part):
    """A rule that moves weights against their gradient.

    >>> adam = nn.OPTIMIZERS["adam"](lr=0.1)    # a frozen record of hyper-parameters
    >>> w, dw = np.array([1.0, 2.0]), np.array([3.0, -4.0])
    >>> state = {}                              # or adam.init(w)
    >>> adam.update(w, dw, state)               # writes w and state in place, and returns w
    array([0.9, 2.1])

    The contract of `update`: `dw` is only read. dtype and shape stay. What the optimizer
    remembers lies in `state`, a dict of arrays, numbers, strings and dicts of these that belongs
    to one array w: missing entries are made at the first call, and no array in it is replaced
    after that. `w` is the point where the next gradient is wanted; if the point to evaluate and to
    save is another one, `readout` gives it.

    `scope` says what one call must see: "element" (every weight is treated alone, so w may be the
    flat vector of the whole network), "tensor" (w is one matrix or bias of the network), "layer"
    (w is the matrix of a layer with its biases as the last row), or "model" (w must be all weights
    at once).

    What a rule wants to know besides dw, it declares in `needs` (see NEEDS). The caller puts it
    into the state before each update, and update takes it out again, so that no value can serve
    twice.

    Raises UsageError for a hyper-parameter out of its range, and for arrays or a state that do not
    fit; DivergedError where linear algebra would not pass on a gradient that is not finite.
    """

    scope: Scope = "tensor"
    needs: frozenset[str] = frozenset()
    positions: ClassVar[tuple[str, ...]] = ()  # entries of the state that are points, as w is
    matrix_method: ClassVar[bool] = False  # an update takes far longer than a gradient

    @property
    def rate(self) -> float | None:
        """The learning rate, which is the field lr; None for an optimizer that has none."""
        return getattr(self, "lr", None)

    @property
    def full_name(self) -> str:
        """The name, and those of the optimizers inside of it: lookahead-adam."""
        return self.name

    def init(self, w: Array) -> State:
        """The state before the first update of w; w is not changed."""
        return {}

    @abstractmethod
    def update(self, w: Array, dw: Array, state: State) -> Array:
        """Take one step from w, where the gradient is dw."""

    def readout(self, w: Array, state: State) -> Array:
        """The point to evaluate and save; w itself unless the optimizer says otherwise."""
        return w

    def same_batch(self, state: State) -> bool:
        """Whether the next gradient is wanted of the batch that the last one was of.

        >>> sam, state = nn.OPTIMIZERS["sam"](), {"norm": 2.0}
        >>> sam.update(np.array([1.0]), np.array([2.0]), state)     # uphill, for the next gradient
        array([1.05])
        >>> sam.same_batch(state)
        True
        """
        return False

    def points(self, state: State) -> list[Array]:
        """The arrays in the state that whoever moves w from outside has to move along with it."""
        return [state[name] for name in self.positions if name in state]

    def with_lr(self, lr: float) -> Self:
        """The same optimizer with another learning rate; a state carries over unchanged.

        Raises UsageError for an optimizer that has none.

        >>> nn.OPTIMIZERS["sgd"](lr=0.1).with_lr(0.2)
        SGD(lr=0.2, weight_decay=0.0)
        """
        if self.rate is None:
            raise UsageError(
                f"{self.name} has no lr that a schedule could change",
                "use it with the constant schedule, without warm-up",
            )
        if not dataclasses.is_dataclass(self):
            raise UsageError(
                f"{self.name} has an lr, but is no dataclass",
                "write @dataclass(frozen=True) above the class, and lr: float = nn.hyper(...)",
            )
        return dataclasses.replace(self, lr=lr)

    def scaled(self, factor: float) -> Self:
        """The same optimizer with its learning rate times the factor."""
        return self if factor == 1 else self.with_lr((self.rate or 0) * factor)


class Counted(Optimizer):
    """An optimizer whose arrays are checked, whose state is filled and whose updates are counted.

    A subclass writes `slots`, which is what it remembers besides the count state["t"], and `step`.
    state["of"] says whose state it is, so that none serves another optimizer or another array.
    """

    def slots(self, w: Array) -> State:
        """What is remembered of w, as it is before the first update."""
        return {}

    @abstractmethod
    def step(self, w: Array, dw: Array, state: State, given: Mapping[str, Any]) -> None:
        """Write w and the slots; `given` holds what the optimizer needs besides dw."""

    def init(self, w: Array) -> State:
        return {"t": 0, "of": owner(self.name, w.dtype, w.shape), **self.slots(w)}

    def update(self, w: Array, dw: Array, state: State) -> Array:
        check_weights(self.name, w, dw)
        given = {need: self._taken(need, state) for need in sorted(self.needs)}
        if "t" not in state:
            state.update({key: new for key, new in self.init(w).items() if key not in state})
        mine = owner(self.name, w.dtype, w.shape)
        if state.get("of") != mine:
            what = f"the state is one of {state.get('of')}, and this is {mine}"
            raise UsageError(f"{self.name}: {what}", OWN_STATE)
        state["t"] += 1
        try:
            self.step(w, dw, state, given)
        except KeyError as error:
            if error.args[0] in state:
                raise
            raise UsageError(f"{self.name}: the state lacks {error.args[0]}", OWN_STATE) from None
        return w

    def _taken(self, need: str, state: State) -> Any:
        if need not in state:
            raise UsageError(
                f"{self.name} needs state[{need!r}], {NEEDS[need]}",
                "put it there before each update, and ask same_batch(state) before you go on to "
                "another batch; fit does both",
            )
        return state.pop(need)


class Elementwise(Counted):
    """An optimizer whose formula is the same for every weight and sees no other weight.

    A subclass has its hyper-parameters as fields, and `rule`:

    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Mean(nn.Elementwise):
    ...     lr: float = nn.hyper(0.1, "(0, inf)", "step size")
    ...     beta: float = nn.hyper(0.9, "[0, 1)", "decay of the mean gradient m")
    ...     @staticmethod
    ...     def rule(w, dw, m, *, lr, beta):    # w, dw and the slots; behind the star, numbers
    ...         m = beta * m + (1 - beta) * dw
    ...         w = w - lr * m
    ...         return w, m                     # the new w and the new slots, in that order
    >>> Mean().update(np.array([1.0]), np.array([2.0]), {})
    array([0.98])

    Each slot is an array like w that starts at zero and lives in the state under its name. The
    numbers are the fields, and what `scalars` returns: quantities that are the same for every
    weight in this step, such as a bias correction. state["t"] counts the updates, this one
    included. How a rule runs over arrays, and what it may contain, is told in `elementwise.py`.
    """

    scope = "element"

    rule: ClassVar[Callable[..., Any]]

    def scalars(self, state: State) -> dict[str, float]:
        """Numbers for the rule besides the fields, by name; called once in each update."""
        return {}

    def slots(self, w: Array) -> State:
        if not isinstance(inspect.getattr_static(self, "rule", None), staticmethod):
            raise UsageError(
                f"{self.name} has no static method rule", "write @staticmethod above def rule(...)"
            )
        names = array_names(self.rule)[2:]
        if "t" in names:
            raise UsageError(
                f"{self.name}: a slot is called t", "t is the count of updates: rename"
            )
        prepare(self.rule, w.dtype)
        return {name: aligned_zeros(w.shape, w.dtype) for name in names}

    def step(self, w: Array, dw: Array, state: State, given: Mapping[str, Any]) -> None:
        arrays = {name: state[name] for name in array_names(self.rule)[2:]}
        apply(self.rule, [w, dw, *arrays.values()], values(self) | self.scalars(state))


@functools.lru_cache(maxsize=256)
def owner(name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> str:
    """Whose state: adam, float32[784, 1000]."""
    return f"{name}, {dtype}{list(shape)}"


def check_weights(name: str, w: Array, dw: Array) -> None:
    """UsageError unless w can be updated, and dw is like w and another array."""
    check_alike(name, w, {"dw": dw})
    if w.dtype not in (np.float32, np.float64):
        raise UsageError(f"{name}: w is {w.dtype}", "convert the weights to float32 or float64")
    if not w.flags.writeable:
        raise UsageError(f"{name}: w is read-only", "give it an array of its own, w.copy()")
    if np.shares_memory(w, dw):
        raise UsageError(f"{name}: w and dw share memory", "keep the gradient in its own array")


def check_finite(name: str, dw: Array) -> None:
    """DivergedError unless all of dw is finite; linear algebra cannot pass nan on as sums do."""
    if not np.isfinite(dw).all():
        raise DivergedError(f"{name}: the gradient is not finite", "lower the learning rate")


def check_alike(name: str, w: Array, others: Mapping[str, Array]) -> None:
    """UsageError unless the other arrays have the shape and dtype of w."""
    for key, array in others.items():
        if array.shape != w.shape or array.dtype != w.dtype:
            raise UsageError(
                f"{name}: {key} is {array.dtype}{list(array.shape)}, "
                f"but w is {w.dtype}{list(w.shape)}",
                "give each array w a gradient of its own shape and dtype, and a state of its own",
            )


def leaves(state: State, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every entry of a state that is no dict, with its path: base.m for m in the base's state."""
    for key, value in state.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def copied(state: State) -> State:
    """The state with arrays of its own, on cache lines."""
    copy: State = {}
    for key, value in state.items():
        if isinstance(value, dict):
            copy[key] = copied(value)
        elif isinstance(value, np.ndarray):
            copy[key] = aligned_zeros(value.shape, value.dtype)
            copy[key][...] = value
        else:
            copy[key] = value
    return copy


def nbytes(state: State) -> int:
    """Bytes of all arrays in a state."""
    return sum(value.nbytes for _, value in leaves(state) if isinstance(value, np.ndarray))
