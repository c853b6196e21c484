"""An optimizer on a surface: its path, and the learning rate that a stated budget finds for it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays import Array
from ..errors import DivergedError, UsageError
from ..hyper import Interval, checked
from ..optim import NEEDS, Optimizer, State
from .functions import Surface

SUPPLIED = {"loss", "norm", "hessian"}  # what a surface gives of what an optimizer may need
FAR = 100.0  # frames away from its middle: from there nobody comes back
MILLIONTH = 1e-6  # of f at the start: there a path has arrived


@dataclass(frozen=True)
class Path:
    """Where an optimizer went.

    points    (gradients + 1, 2), the start first; after each gradient the point to evaluate
    losses    (gradients + 1,), f there
    left      after how many gradients it was outside of the frame for the first time; None if never
    diverged  whether it went so far away, or became no number, that the walk was broken off there
    """

    surface: Surface
    optimizer: Optimizer
    points: Array
    losses: Array
    left: int | None
    diverged: bool

    @property
    def gradients(self) -> int:
        """How many gradients were taken."""
        return len(self.points) - 1

    @property
    def length(self) -> float:
        """Of the way, in the units of x and y."""
        steps: Array = np.diff(self.points, axis=0)
        return float(np.hypot(*steps.T).sum())

    @property
    def detour(self) -> float:
        """The length over the straight line between its ends; inf for one that comes back."""
        straight = math.dist(self.points[0], self.points[-1])
        return self.length / straight if straight else math.inf

    @property
    def arrived(self) -> int | None:
        """After how many gradients f is at most a millionth of its start, and stays so."""
        return self.settled(MILLIONTH * float(self.losses[0]))

    @property
    def angle(self) -> float:
        """Between the way downhill and the way to the nearest minimum, in degrees: the median.

        Over the points in the frame, before it leaves, where f is above a millionth of its start;
        below that, rounding decides. 0 for a path that begins at a minimum.
        """
        points = self.points[: self.left][self.losses[: self.left] > MILLIONTH * self.losses[0]]
        if not len(points):
            return 0.0
        downhill = -np.array(self.surface.gradient(*points.T)).T
        ways = np.array(self.surface.minima)[:, None] - points
        nearest = np.hypot(ways[..., 0], ways[..., 1]).argmin(axis=0)
        way = ways[nearest, np.arange(len(points))]
        across = way[:, 0] * downhill[:, 1] - way[:, 1] * downhill[:, 0]
        along = (way * downhill).sum(axis=1)
        return float(np.degrees(np.median(np.abs(np.arctan2(across, along)))))

    @property
    def exit(self) -> tuple[float, float]:
        """Where it crosses the edge of the frame for the first time, if it `left`."""
        a, b = self.points[np.clip([(self.left or 0) - 1, self.left or 0], 0, self.gradients)]
        low, high = np.reshape(self.surface.frame, (2, 2)).T
        with np.errstate(all="ignore"):  # it moves along an axis: the other edges are never met
            shares = np.concatenate([(low - a) / (b - a), (high - a) / (b - a)])
        share = min((float(t) for t in shares if 0 <= t <= 1 and t), default=1.0)
        x, y = a + share * (b - a)
        return float(x), float(y)

    def speed(self, aim: float = MILLIONTH) -> tuple[float, float]:
        """Two numbers to be compared, less being better.

        After how many gradients f stays below that share of its start, infinity if it never does;
        and the highest f of the last tenth of the gradients.
        """
        settled = self.settled(aim * float(self.losses[0]))
        tenth = -(-self.gradients // 10)
        last = math.inf if self.diverged else float(self.losses[-tenth:].max())
        return (math.inf, last) if settled is None else (settled, 0.0)

    def settled(self, loss: float) -> int | None:
        """After how many gradients f is at most that, and stays so; None if it never does."""
        above = np.flatnonzero(self.losses > loss)
        first = int(above[-1]) + 1 if len(above) else 0
        return None if self.diverged or first == len(self.losses) else first


def walk(
    surface: Surface,
    optimizer: Optimizer,
    gradients: int,
    start: Sequence[float] | None = None,
) -> Path:
    """The path of an optimizer that takes so many gradients, from `start` or the surface's own.

    >>> from nnscratch.landscape import SURFACES, walk
    >>> path = walk(SURFACES["valley"](), nn.OPTIMIZERS["momentum"](lr=0.05), gradients=100)
    >>> path.points[-1].round(2)
    array([0.02, 0.01])

    The optimizer is the one that trains the network: it is called as update(w, dw, state), with w
    the point, shape (2,), float64. One that takes two gradients for a step takes half the steps.

    A path that leaves the frame goes on; it is broken off where it is 100 frames away or no number.
    UsageError for an optimizer that wants what a surface does not have, for a start outside of the
    frame, and for a number of gradients below 1.
    """
    (path,) = walks(surface, optimizer, gradients, [surface.start if start is None else start])
    return path


def walks(
    surface: Surface, optimizer: Optimizer, gradients: int, starts: Sequence[Sequence[float]]
) -> list[Path]:
    """The paths from many starts.

    An optimizer that treats every number alone walks all of them at once, w being of shape (2, n).
    """
    if missing := sorted(optimizer.needs - SUPPLIED):
        needed = ", ".join(f"{need} ({NEEDS.get(need, 'unknown')})" for need in missing)
        what = f"{optimizer.full_name} needs what a surface does not have: {needed}"
        raise UsageError(what, "choose another optimizer for a surface")
    checked("gradients", gradients, int, Interval("[1, inf)"), "give a number of gradients")
    w = np.array([starting_point(surface, start) for start in starts]).T
    parts = [w] if optimizer.scope == "element" and not optimizer.needs else [*w.T[:, :, None]]
    tracks = [_track(surface, optimizer, gradients, part) for part in parts]
    return [
        _path(surface, optimizer, points)
        for track in tracks
        for points in np.moveaxis(track, -1, 0)
    ]


def _track(surface: Surface, optimizer: Optimizer, gradients: int, starts: Array) -> Array:
    """Shape (2, n) to (gradients + 1, 2, n); nan where a step could not be taken any more."""
    w = np.ascontiguousarray(starts[:, 0] if starts.shape[1] == 1 else starts)
    track = np.full((gradients + 1, *w.shape), np.nan)
    track[0] = w
    state: State = optimizer.init(w)
    with np.errstate(all="ignore"):  # what is no number is found below
        for point in track[1:]:
            try:
                take_step(surface, optimizer, w, state)
            except DivergedError:
                break
            point[...] = optimizer.readout(w, state)
    return track.reshape(gradients + 1, 2, -1)


def take_step(surface: Surface, optimizer: Optimizer, w: Array, state: State) -> None:
    """One gradient and one update."""
    x, y = w
    dw = np.array(surface.gradient(x, y))
    if "loss" in optimizer.needs:
        state["loss"] = float(surface.value(x, y))
    if "norm" in optimizer.needs:
        state["norm"] = float(np.linalg.norm(dw))
    if "hessian" in optimizer.needs:
        xx, xy, yy = surface.hessian(x, y)
        state["hessian"] = np.array([[xx, xy], [xy, yy]])
    optimizer.update(w, dw, state)


def _path(surface: Surface, optimizer: Optimizer, points: Array) -> Path:
    """The path through these points, as far as they are numbers and near enough."""
    left, right, bottom, top = surface.frame
    with np.errstate(all="ignore"):
        losses = surface.value(*points.T)
        middle, half = (left + right) / 2, (right - left) / 2
        across = np.abs(points[:, 0] - middle) / half
        middle, half = (bottom + top) / 2, (top - bottom) / 2
        away = np.maximum(across, np.abs(points[:, 1] - middle) / half)  # 1 at the frame's edges
    known = np.isfinite(losses) & np.isfinite(points).all(axis=1)
    lost = np.flatnonzero(~(known & (away < FAR)))
    outside = np.flatnonzero(~(away <= 1))
    # the point at which it is lost is the last one, if it is one
    end = int(lost[0] + known[lost[0]]) if len(lost) else len(points)
    first = int(outside[0]) if len(outside) else None
    return Path(surface, optimizer, points[:end].copy(), losses[:end], first, bool(len(lost)))


def starting_point(surface: Surface, start: Sequence[float]) -> tuple[float, float]:
    """The start as two numbers; UsageError unless it is a point of the frame."""
    left, right, bottom, top = surface.frame
    fix = f"give (x, y) with x from {left:g} to {right:g} and y from {bottom:g} to {top:g}"
    try:
        x, y = map(float, start)
    except (TypeError, ValueError):
        raise UsageError(f"the start is {start!r}, not a point (x, y)", fix) from None
    if not (left <= x <= right and bottom <= y <= top):
        raise UsageError(f"the start ({x:g}, {y:g}) is outside of the frame of {surface.name}", fix)
    return x, y


@dataclass(frozen=True)
class Budget:
    """How a learning rate is looked for, for all optimizers alike.

    Rates from `least` to `most` are tried, `per_decade` of them between 1 and 10, and then, so
    many times, the two half-way between the best one and its neighbours, on the logarithmic scale.

    A rate is as good as in the worst of `starts` points, the surface's own and others near it: one
    that leads from one point into the minimum by luck does not from the others. That one is best
    with which f has come down to a millionth of its start after the fewest gradients, and stays
    there; if it does with none, that one with which the highest f of the last tenth of the
    `gradients` is least. One with which a path leaves the frame is best only if all do. `aim` is
    the millionth, or another share of f at the start.
    """

    gradients: int = 150
    per_decade: int = 2
    least: float = 1e-4
    most: float = 100.0
    halvings: int = 4
    starts: int = 3
    aim: float = MILLIONTH

    @property
    def rates(self) -> list[float]:
        """Those that are tried first."""
        count = round(self.per_decade * math.log10(self.most / self.least)) + 1
        return [_rounded(rate) for rate in np.geomspace(self.least, self.most, count)]

    def best(self, score: Callable[[float], Any]) -> float:
        """The rate whose score is least; of several, the one that is tried first."""
        scores = {rate: score(rate) for rate in self.rates}
        step: float = 10 ** (1 / self.per_decade)
        for _ in range(self.halvings):
            best, step = min(scores, key=scores.__getitem__), math.sqrt(step)
            for rate in (_rounded(best / step), _rounded(best * step)):
                if self.least <= rate <= self.most:
                    scores[rate] = score(rate)
        return min(scores, key=scores.__getitem__)

    def __str__(self) -> str:
        count = len(self.rates) + 2 * self.halvings
        return (
            f"best of at most {count} from {self.least:g} to {self.most:g}, by {self.gradients} "
            f"gradients in the worst of {self.starts} starts"
        )


def _rounded(rate: float) -> float:
    """To three digits, so that what is shown is what was used."""
    return float(f"{rate:.3g}")


def tuned(
    surface: Surface, optimizer: Optimizer, budget: Budget, start: Sequence[float] | None = None
) -> Optimizer:
    """The optimizer with the learning rate that the budget finds; as it is if it has none."""
    if optimizer.rate is None:
        return optimizer
    starts = near(surface, surface.start if start is None else start, budget.starts)

    def worst(rate: float) -> tuple[bool, float, float]:
        paths = walks(surface, optimizer.with_lr(rate), budget.gradients, starts)
        return max((path.left is not None, *path.speed(budget.aim)) for path in paths)

    return optimizer.with_lr(budget.best(worst))


def near(surface: Surface, start: Sequence[float], count: int) -> list[tuple[float, float]]:
    """The start, and others near it, always the same.

    They are moved by up to a fifth of the way to the minimum, along it and across, so that those
    of a turned valley are turned, too; and put back into the frame where they are outside.
    """
    left, right, bottom, top = surface.frame
    x, y = starting_point(surface, start)
    dx, dy = surface.minima[0][0] - x, surface.minima[0][1] - y
    moves = np.random.default_rng(0).uniform(-0.2, 0.2, (count - 1, 2)).tolist()
    return [(x, y)] + [
        (
            min(max(x + along * dx - across * dy, left), right),
            min(max(y + along * dy + across * dx, bottom), top),
        )
        for along, across in moves
    ]
