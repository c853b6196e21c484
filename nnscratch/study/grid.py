"""The learning rates that are tried: steps on a grid around the default.

A step is half a decade; step 0 is the default. Which steps are tried depends on what came of those
before. The command that trains and the report that only reads both find it out here.
"""

import math
from collections.abc import Callable, Sequence

from ..errors import UsageError
from ..optim.base import Optimizer
from .ledger import Row

PER_DECADE = 2  # learning rates
BELOW = 4  # how many of the learning rates lie below the default
EXTENSION = 2  # so many more beyond the best one, while that lies at the edge
MOST = 14  # learning rates of one optimizer

RowAt = Callable[[int], Row | None]  # the row of a step's trial, None where there is none yet


def search_steps(rates: int, is_allowed: Callable[[int], bool], row_at: RowAt) -> list[int]:
    """The steps of the search: so many, and more beyond the best while that lies at the edge."""
    below = min(BELOW, rates // 2)
    first, last = -below, rates - below - 1
    while True:
        steps = [step for step in range(first, last + 1) if is_allowed(step)]
        rows = [row for step in steps if (row := row_at(step))]
        if not rows or len(rows) < len(steps) or last - first + 1 >= MOST:
            return steps
        best = steps[best_of(rows)]
        if best == first:
            first -= EXTENSION
        elif best == last:
            last += EXTENSION
        else:
            return steps


def full_steps(
    searched: Sequence[int],
    few: Sequence[int],
    is_allowed: Callable[[int], bool],
    row_at: RowAt,
) -> list[int]:
    """The steps at full length: the few, and the neighbours of the best until it has both.

    What is best after a few epochs is mostly too large a rate for many.
    """
    steps = list(few)
    while steps:
        rows = [row for step in steps if (row := row_at(step))]
        if len(rows) < len(steps):
            break
        best = steps[best_of(rows)]
        beside = [
            step
            for step in (best - 1, best + 1)
            if step not in steps and is_allowed(step) and len({*searched, *steps, step}) <= MOST
        ]
        if not beside:
            break
        steps += beside
    return steps


def best_of(rows: Sequence[Row]) -> int:
    """Which of the rows is the best."""
    return ranking(rows)[0]


def ranking(rows: Sequence[Row]) -> list[int]:
    """The places of the rows, best first: by accuracy, then loss, then the smaller rate."""

    def merit(k: int) -> tuple[float, float, float]:
        row, outcome = rows[k], rows[k].outcome
        if not row.is_done:
            return -math.inf, -math.inf, -(row.lr or 0.0)
        return outcome.val_accuracy[-1], -outcome.val_loss[-1], -(row.lr or 0.0)

    return sorted(range(len(rows)), key=merit, reverse=True)


def at_step(optimizer: Optimizer, step: int) -> Optimizer:
    """The optimizer with another learning rate of the grid, `step` places above its own.

    UsageError if that rate is not allowed.
    """
    rate = (optimizer.rate or 0.0) * 10 ** (step / PER_DECADE)
    return optimizer.with_lr(float(f"{rate:.3g}"))


def allows(optimizer: Optimizer, step: int) -> bool:
    """Whether the optimizer may have that rate."""
    try:
        at_step(optimizer, step)
    except UsageError:
        return False
    return True


def step_of(lr: float, default: float) -> int:
    """The place of a learning rate on the grid."""
    return round(PER_DECADE * math.log10(lr / default))
