"""The troubles of gradient descent, and a number for what each costs an optimizer."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import NamedTuple

import numpy as np

from ..arrays import Array
from ..optim import Optimizer
from .functions import Plateau, Rastrigin, Saddle, Surface, Valley, Zigzag
from .race import Budget, Path, tuned, walk, walks

SLOW = Budget(gradients=400)  # along a valley
OUT = Budget(aim=0.5)  # of the plain
PAST = Budget(aim=0.01)  # the saddle point, where f is a fifth of its start
# who leaves a minimum with which rate is too rugged for halving: a grid of 97
JUMPS = Budget(gradients=100, per_decade=16, halvings=0)
STARTS = 1000  # from which local minima are to be left
TRIED = 50  # other ones, from which the learning rate for that is looked for
NEAR = 0.5  # of a minimum of Rastrigin's: half of the way to the next one
LOW = 0.5  # f below which an end is in the least minimum: in the next ones f is about 1

Number = float | None  # None where the budget does not suffice


class Cost(NamedTuple):
    """What a trouble costs an optimizer, and the learning rate with which that was measured."""

    number: Number
    lr: float | None


@dataclass(frozen=True)
class Trouble:
    """One number for each optimizer; `name` is the head of its column."""

    name: str
    meaning: str
    unit: str


@dataclass(frozen=True)
class OnPath(Trouble):
    """A number that is read off the path of the tuned optimizer; the second argument is the aim."""

    read: Callable[[Path, float], Number]
    surface: Surface
    budget: Budget
    start: tuple[float, float] | None = None


@dataclass(frozen=True)
class OfStarts(Trouble):
    """From how many of the STARTS, in per cent, it comes to a good end on Rastrigin's surface.

    `good` says which of the paths from `starts` to `ends` have one. The learning rate is the one
    with which most do from other starts.
    """

    good: Callable[[Array, Array], Array]


def settled(path: Path, aim: float) -> Number:
    """Gradients until f stays below that share of its start."""
    return path.settled(aim * float(path.losses[0]))


def sideways(path: Path, _: float) -> Number:
    """How far it goes across a valley, over the way from the start straight to the floor."""
    if path.diverged or not isinstance(path.surface, Valley):
        return None
    t = path.surface.angle
    v = path.points @ np.array([-math.sin(t), math.cos(t)])
    return float(np.abs(np.diff(v)).sum() / abs(v[0]))


def angle(path: Path, _: float) -> Number:
    return path.angle


def lower(starts: Array, ends: Array) -> Array:
    """Which ends lie below the minimum that is nearest to the start, and not beside it."""
    surface, own = Rastrigin(), np.rint(starts)
    away = np.abs(ends - own).max(axis=1) > NEAR
    found: Array = away & (surface.value(*ends.T) < surface.value(*own.T))
    return found


def least(_: Array, ends: Array) -> Array:
    """Which ends are in the least of the minima, and not only swinging around it."""
    height = Rastrigin().value(*ends.T)
    return np.asarray(height < LOW)


def _valley(ratio: float) -> OnPath:
    name, meaning = f"valley {ratio:g}", f"slow: a valley with condition number {ratio:g}"
    return OnPath(name, meaning, "gradients to a millionth", settled, Zigzag(ratio=ratio), SLOW)


def _plateau(distance: float) -> OnPath:
    name, meaning = f"plateau {distance:g}", f"plateau: a hole {distance:g} away in a plain"
    start = (-0.8 * distance, 0.6 * distance)
    return OnPath(name, meaning, "gradients to a half", settled, Plateau(), OUT, start)


TURNED = Zigzag(turn=45.0)
VALLEYS = {ratio: _valley(ratio) for ratio in (3.0, 10.0, 30.0, 100.0)}  # by condition number
VALLEY = VALLEYS[100]
VALLEY_TURNED = OnPath(
    "turned", f"the same, turned by {TURNED.turn:g} degrees", VALLEY.unit, settled, TURNED, SLOW
)
ACROSS = "way across the valley / shortest way"
ZIGZAG = OnPath("zig-zag", "zig-zag in the valley 100", ACROSS, sideways, Zigzag(), SLOW)
ZIGZAG_TURNED = OnPath("z. turned", VALLEY_TURNED.meaning, ACROSS, sideways, TURNED, SLOW)
ANGLE = OnPath(
    "angle",
    "the gradient points beside the minimum: the same valley",
    "degrees, median of the path",
    angle,
    Zigzag(),
    SLOW,
)
LOWER = OfStarts(
    "lower %",
    "local minima: out of the first one into a lower one (Rastrigin)",
    f"% of {STARTS:,} starts",
    lower,
)
LEAST = OfStarts("least %", "into the least of 121", LOWER.unit, least)
PLATEAUS = {distance: _plateau(distance) for distance in (2.5, 3.0, 3.5)}  # by distance
PLATEAU = PLATEAUS[3.5]
SADDLE = OnPath(
    "saddle", "past a saddle point", "gradients to a hundredth", settled, Saddle(), PAST
)

TABLE = (VALLEY, VALLEY_TURNED, ZIGZAG, ZIGZAG_TURNED, ANGLE, LOWER, LEAST, PLATEAU, SADDLE)
TROUBLES = tuple(dict.fromkeys((*VALLEYS.values(), *TABLE[1:7], *PLATEAUS.values(), SADDLE)))

Costs = dict[Trouble, dict[str, Cost]]  # for each trouble, by the optimizers' names


def measure(optimizers: Sequence[Optimizer]) -> Costs:
    """What each of the TROUBLES costs each optimizer."""
    costs: Costs = {trouble: {} for trouble in TROUBLES}
    for one in optimizers:
        # several numbers are read off the same paths
        path_of, ends_of = cache(partial(_best_path, one)), cache(partial(_ends, one))
        for trouble, of_each in costs.items():
            if isinstance(trouble, OnPath):
                path = path_of(trouble.surface, trouble.budget, trouble.start)
                cost = Cost(trouble.read(path, trouble.budget.aim), path.optimizer.rate)
            elif isinstance(trouble, OfStarts):
                cost = _share(trouble, one.rate, ends_of)
            of_each[one.full_name] = cost
    return costs


def _best_path(
    optimizer: Optimizer, surface: Surface, budget: Budget, start: tuple[float, float] | None
) -> Path:
    return walk(surface, tuned(surface, optimizer, budget, start), budget.gradients, start)


def _ends(optimizer: Optimizer, lr: float | None, count: int, seed: int) -> tuple[Array, Array]:
    """So many random starts, without those from which it diverges, and where it ends."""
    candidate = optimizer if lr is None else optimizer.with_lr(lr)
    starts = random_starts(Rastrigin(), count, seed)
    paths = walks(Rastrigin(), candidate, JUMPS.gradients, starts.tolist())
    kept = [path for path in paths if not path.diverged]
    start, end = (np.array([path.points[k] for path in kept]).reshape(-1, 2) for k in (0, -1))
    return start, end


def _share(
    trouble: OfStarts,
    lr: float | None,
    ends_of: Callable[[float | None, int, int], tuple[Array, Array]],
) -> Cost:
    """Per cent of the starts; the learning rate is tuned to it from other ones."""

    def share(lr: float | None, count: int, seed: int) -> float:
        return 100 * float(trouble.good(*ends_of(lr, count, seed)).sum()) / count

    best = None if lr is None else JUMPS.best(lambda tried: -share(tried, TRIED, 1))
    return Cost(share(best, STARTS, 0), best)


def random_starts(surface: Surface, count: int, seed: int) -> Array:
    """Points anywhere in the frame."""
    left, right, bottom, top = surface.frame
    drawn: Array = np.random.default_rng(seed).uniform((left, bottom), (right, top), (count, 2))
    return drawn


def gradient_descent(ratio: float) -> float:
    """Steps of SGD with the best rate until f is a millionth: ln(1e6) / (2 ln((k + 1) / (k - 1))).

    With the rate 2 / (a + b) both coordinates shrink by (k - 1) / (k + 1) in a step.
    """
    return math.log(1e6) / (2 * math.log((ratio + 1) / (ratio - 1)))
