"""The four troubles of gradient descent, and a number for what each costs an optimizer."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..arrays import Array
from ..optim import Optimizer
from .functions import Plateau, Rastrigin, Saddle, Surface, Valley, Zigzag
from .race import Budget, Path, tuned, walk, walks

BUDGET = Budget(gradients=400)
RATIOS = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)  # condition numbers of the valley
DISTANCES = (2.0, 2.5, 3.0, 3.5, 4.0, 4.5)  # from the hole in the plain
STARTS = 1000  # from which local minima are to be left
TRIED = 30  # other ones, from which the learning rate for that is looked for
NEAR = 0.5  # of a minimum of Rastrigin's: half of the way to the next one

Number = float | None  # None where the budget does not suffice


@dataclass(frozen=True)
class Trouble:
    """One trouble, and how its number is measured."""

    name: str
    unit: str
    measure: Callable[[Optimizer], Number]
    more: bool = False  # whether more of it is better


def slow(optimizer: Optimizer, ratio: float, turn: float = 0.0) -> Number:
    """Gradients until f stays below a millionth of its start, in a valley of that ratio."""
    return _settled(Valley(ratio=ratio, turn=turn), optimizer, 1e-6)


def stuck(optimizer: Optimizer) -> Number:
    """From how many of 100 random starts it comes to the least of Rastrigin's minima.

    Of the budget's learning rates that one counts which does best from other random starts.
    """
    surface, gradients = Rastrigin(), Budget().gradients
    tried = random_starts(surface, TRIED, seed=1)

    def share(candidate: Optimizer, starts: Array) -> float:
        paths = walks(surface, candidate, gradients, starts.tolist())
        return arrived(surface, np.array([path.points[-1] for path in paths]))

    rates = [optimizer] if optimizer.rate is None else map(optimizer.with_lr, BUDGET.rates)
    best = max(rates, key=lambda candidate: share(candidate, tried))
    return 100 * share(best, random_starts(surface, STARTS, seed=0))


def flat(optimizer: Optimizer, distance: float = 3.5) -> Number:
    """Gradients until f stays below a half, from that far out on the plain."""
    start = tuple(distance * x for x in (-0.8, 0.6))
    path = walk(Plateau(), tuned(Plateau(), optimizer, BUDGET, start), BUDGET.gradients, start)
    return path.settled(0.5)


def passing(optimizer: Optimizer) -> Number:
    """Gradients until f stays below a hundredth of its start, past a saddle point."""
    return _settled(Saddle(), optimizer, 0.01)


def zigzag(optimizer: Optimizer, turn: float) -> Number:
    """The length of the path over the straight line between its ends."""
    surface = Zigzag(turn=turn)
    path = walk(surface, tuned(surface, optimizer, BUDGET), BUDGET.gradients)
    return None if path.diverged else path.length / straight(path)


TROUBLES = (
    Trouble("slow near the minimum", "gradients to 1e-6", lambda one: slow(one, 100.0)),
    Trouble(
        "the same, turned by 45 degrees", "gradients to 1e-6", lambda one: slow(one, 100.0, 45.0)
    ),
    Trouble("local minima", "% of 1,000 starts", stuck, more=True),
    Trouble("plateau", "gradients to a half", flat),
    Trouble("saddle point", "gradients to a hundredth", passing),
    Trouble("zig-zag", "path / straight line", lambda one: zigzag(one, 0.0)),
    Trouble(
        "the same, turned by 45 degrees", "path / straight line", lambda one: zigzag(one, 45.0)
    ),
)


STUCK = 2  # the place of the local minima in TROUBLES
ZIGZAG = (5, 6)


@dataclass(frozen=True)
class Measured:
    """What the troubles cost optimizers, by their names.

    table   the number of each of the TROUBLES
    slow    gradients at each of the RATIOS
    flat    gradients at each of the DISTANCES
    """

    table: dict[str, list[Number]]
    slow: dict[str, list[Number]]
    flat: dict[str, list[Number]]


def measure(optimizers: Sequence[Optimizer]) -> Measured:
    """All of it; a minute for nine optimizers."""
    return Measured(
        table={one.full_name: [t.measure(one) for t in TROUBLES] for one in optimizers},
        slow={one.full_name: [slow(one, ratio) for ratio in RATIOS] for one in optimizers},
        flat={one.full_name: [flat(one, far) for far in DISTANCES] for one in optimizers},
    )


def gradient_descent(ratio: float) -> float:
    """Steps of SGD with the best rate until f is a millionth: ln(1e6) / (2 ln((k + 1) / (k - 1))).

    With the rate 2 / (a + b) both coordinates shrink by (k - 1) / (k + 1) in a step.
    """
    return math.log(1e6) / (2 * math.log((ratio + 1) / (ratio - 1)))


def straight(path: Path) -> float:
    """The distance between its ends."""
    return math.dist(path.points[0], path.points[-1])


def arrived(surface: Surface, points: Array) -> float:
    """The share of points that are near a minimum, along both axes."""
    near = [np.abs(points - minimum).max(axis=1) < NEAR for minimum in surface.minima]
    return float(np.mean(np.any(near, axis=0)))


def random_starts(surface: Surface, count: int, seed: int) -> Array:
    left, right, bottom, top = surface.frame
    drawn: Array = np.random.default_rng(seed).uniform((left, bottom), (right, top), (count, 2))
    return drawn


def _settled(surface: Surface, optimizer: Optimizer, share: float) -> Number:
    path = walk(surface, tuned(surface, optimizer, BUDGET), BUDGET.gradients)
    return path.settled(share * path.losses[0])
