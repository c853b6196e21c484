"""An optimizer around another one."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

from ..arrays import Array
from ..errors import UsageError
from .adam import Adam
from .base import Counted, Optimizer, Scope, State

DEFAULT = Adam()


@dataclass(frozen=True)
class Wrapper(Counted):
    """An optimizer that changes what goes into another one, or what comes out.

    The state of the other one, `base`, lies in state["base"]; scope, needs and learning rate are
    those of the base. A subclass writes `step`, and calls `base_step` in it. Raises UsageError for
    a base that is no optimizer.

    >>> class Halved(nn.Wrapper):
    ...     def step(self, w, dw, state, given):
    ...         self.base_step(w, dw / 2, state, given)
    >>> Halved(nn.OPTIMIZERS["sgd"](lr=0.1)).update(np.array([1.0]), np.array([4.0]), {})
    array([0.8])
    """

    base: Optimizer = field(default=DEFAULT)
    own_needs: ClassVar[frozenset[str]] = frozenset()

    def __post_init__(self) -> None:
        if not isinstance(self.base, Optimizer):
            raise UsageError(
                f"{self.name}: {self.base!r} is no optimizer",
                'give a record such as nn.OPTIMIZERS["adam"](lr=0.001)',
            )
        super().__post_init__()

    @property
    def scope(self) -> Scope:  # type: ignore[override]
        return self.base.scope

    @property
    def needs(self) -> frozenset[str]:  # type: ignore[override]
        return self.own_needs | self.base.needs

    @property
    def lr(self) -> float | None:
        """The learning rate of the base; None if it has none."""
        return self.base.rate

    @property
    def full_name(self) -> str:
        return f"{self.name}-{self.base.full_name}"

    def with_lr(self, lr: float) -> Self:
        return replace(self, base=self.base.with_lr(lr))

    def slots(self, w: Array) -> State:
        return {"base": self.base.init(w)}

    @abstractmethod
    def step(self, w: Array, dw: Array, state: State, given: Mapping[str, Any]) -> None:
        """Call `base_step`, and do what the wrapper is for before or after it."""

    def base_step(self, w: Array, dw: Array, state: State, given: Mapping[str, Any]) -> None:
        """The base's update, with what it needs."""
        state["base"].update({need: given[need] for need in self.base.needs})
        self.base.update(w, dw, state["base"])

    def readout(self, w: Array, state: State) -> Array:
        return self.base.readout(w, state.get("base", {}))

    def same_batch(self, state: State) -> bool:
        return self.base.same_batch(state.get("base", {}))

    def points(self, state: State) -> list[Array]:
        return super().points(state) + self.base.points(state.get("base", {}))
