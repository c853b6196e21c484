"""The examination of an optimizer, one's own or one of ours: does it keep the contract?"""

import copy
import dataclasses
import functools
from collections.abc import Callable, Sequence

import numpy as np

from .contract import OF_DEFAULTS, TESTS, Test, gist, it_can_be_called_at_all
from .errors import ContractError, NnscratchError, UsageError
from .hyper import hypers, known_name
from .optim import OPTIMIZERS, Optimizer


def check_optimizer(optimizer: str | type[Optimizer] | Optimizer) -> None:
    """Examine an optimizer, given as class, record or name; silence means that it passed.

    >>> nn.check_optimizer("sgd")
    >>> class Lost(nn.Optimizer):
    ...     def update(self, w, dw, state):
    ...         return w - 0.1 * dw
    >>> nn.check_optimizer(Lost)
    Traceback (most recent call last):
        ...
    nnscratch.errors.ContractError: lost breaks the contract of an optimizer in 3 places:
      - update returned another array, float64[4, 3] in update 1; expected the w that it was ...

    It is run on small problems, where it gets whatever it declares in `needs`. If it has the name
    of an optimizer of the registry, or `claims` one, then its steps have to be that one's, too.
    Raises ContractError with one sentence for each failure, and UsageError for what is no
    optimizer.
    """
    if isinstance(optimizer, str):
        optimizer = OPTIMIZERS[known_name(OPTIMIZERS, "optimizer", optimizer)]
    make = _maker(optimizer)
    failures = _failures(make, [*TESTS, *OF_DEFAULTS])
    other = _other_numbers(make())
    if not failures and other:
        numbers = ", ".join(f"{name} {number:g}" for name, number in other.items())
        varied = _failures(lambda: dataclasses.replace(make(), **other), TESTS)  # type: ignore[type-var]
        failures = [f"with {numbers}: {failure}" for failure in varied]
    if failures:
        raise ContractError(make().name, failures)


def _failures(make: Callable[[], Optimizer], tests: Sequence[Test]) -> list[str]:
    failures: list[str] = []
    for test in tests:
        try:
            with np.errstate(all="ignore"):  # what overflows is found by its result
                failures.extend(test(make))
        except Exception as error:  # whatever the optimizer under examination may raise
            sentence = test.__name__.replace("_", " ")
            failures.append(f"{sentence}: it could not be seen, since it raised {gist(error)}")
        if failures and test is it_can_be_called_at_all:
            break  # the other tests could only repeat it
    return list(dict.fromkeys(failures))


def _other_numbers(optimizer: Optimizer) -> dict[str, float]:
    """Another number for each hyper-parameter but lr: what defaults of 0 hide would show there."""
    other = {}
    for name, hyper in hypers(type(optimizer)).items():
        now = getattr(optimizer, name)
        candidates = [now // 2, now + 1] if hyper.kind is int else [0.7 * now, 1.5 * now, 0.5]
        if hyper.kind is float and now < 0.01:
            candidates.insert(0, 0.05)
        fitting = [number for number in candidates if number in hyper.interval and number != now]
        if name != "lr" and fitting:
            other[name] = fitting[0]
    return other


def _maker(optimizer: type[Optimizer] | Optimizer) -> Callable[[], Optimizer]:
    """A function that makes a new record each time, so that memory on the record shows."""
    if isinstance(optimizer, Optimizer):
        return functools.partial(copy.copy, optimizer)
    if not (isinstance(optimizer, type) and issubclass(optimizer, Optimizer)):
        raise UsageError(
            f"{optimizer!r} is no optimizer", "derive a class from nn.Elementwise or nn.Optimizer"
        )
    try:
        optimizer()
    except NnscratchError:
        raise
    except Exception as error:  # whatever its constructor may raise
        raise UsageError(
            f"{optimizer.__name__} cannot be made without arguments ({error})",
            "give every hyper-parameter a default with nn.hyper, and write the abstract methods",
        ) from None
    return optimizer
