"""An optimizer on a surface: its path, and the learning rate that a stated budget finds for it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..arrays import Array
from ..errors import DivergedError, UsageError
from ..hyper import Interval, checked
from ..optim import NEEDS, Optimizer, State
from .functions import Surface

SUPPLIED = {"loss", "norm", "hessian"}  # what a surface gives of what an optimizer may need
FAR = 100.0  # frames away from its middle: from there nobody comes back


@dataclass(frozen=True)
class Path:
    """Where an optimizer went.

    points    (gradients + 1, 2), the start first; after each gradient the point to evaluate
    losses    (gradients + 1,), f there
    left      after how many gradients it was outside of the frame for the first time; None if never
    diverged  whether it went so far away, or became no number, that the walk was broken off
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

        path = walk(SURFACES["valley"](), OPTIMIZERS["momentum"](lr=0.05), 100)

    The optimizer is the one that trains the network: it is called as update(w, dw, state), with w
    the point, shape (2,), float64. One that takes two gradients for a step takes half the steps.

    A path that leaves the frame goes on; it is broken off where it is 100 frames away or no number.
    UsageError for an optimizer that wants what a surface does not have, for a start outside of the
    frame, and for a number of gradients below 1.
    """
    (path,) = walks(surface, optimizer, gradients, [start or surface.start])
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
    w = np.array([_start(surface, start) for start in starts]).T
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
        lost = np.flatnonzero(~(np.isfinite(losses) & (away < FAR)))
        outside = np.flatnonzero(~(away <= 1))
    end = int(lost[0]) if len(lost) else len(points)
    return Path(
        surface,
        optimizer,
        points[:end].copy(),
        losses[:end],
        int(outside[0]) if len(outside) else None,
        end < len(points),
    )


def _start(surface: Surface, start: Sequence[float] | None) -> tuple[float, float]:
    left, right, bottom, top = surface.frame
    if start is None:
        return surface.start
    fix = f"give (x, y) with x from {left:g} to {right:g} and y from {bottom:g} to {top:g}"
    numbers = np.asarray(start, np.float64)
    if numbers.shape != (2,):
        raise UsageError(f"the start is {start!r}, not a point (x, y)", fix)
    x, y = map(float, numbers)
    if not (left <= x <= right and bottom <= y <= top):
        raise UsageError(f"the start ({x:g}, {y:g}) is outside of the frame of {surface.name}", fix)
    return x, y


@dataclass(frozen=True)
class Budget:
    """How a learning rate is looked for, for all optimizers alike.

    Of the rates from `least` to `most`, `per_decade` of them between 1 and 10, that one counts with
    which f has come down to a millionth of what it was after the fewest gradients, and stays there;
    if it does with none, that one after whose `gradients` gradients f is least. One with which the
    path leaves the frame counts only if all do. Each is tried from `starts` points, the surface's
    own and others near it, and is as good as in the worst: a rate that leads from one point into
    the minimum by luck does not from the others.
    """

    gradients: int = 150
    per_decade: int = 4
    least: float = 1e-4
    most: float = 10.0
    starts: int = 3

    @property
    def rates(self) -> list[float]:
        count = round(self.per_decade * math.log10(self.most / self.least)) + 1
        return [float(rate) for rate in np.geomspace(self.least, self.most, count)]

    def __str__(self) -> str:
        return (
            f"best of {len(self.rates)} learning rates from {self.least:g} to {self.most:g} in the "
            f"worst of {self.starts} starts"
        )


def tuned(
    surface: Surface, optimizer: Optimizer, budget: Budget, start: Sequence[float] | None = None
) -> Optimizer:
    """The optimizer with the learning rate that the budget finds; as it is if it has none."""
    if optimizer.rate is None:
        return optimizer
    starts = near(surface, start, budget.starts)

    def score(candidate: Optimizer) -> tuple[bool, float, float]:
        return max(map(_score, walks(surface, candidate, budget.gradients, starts)))

    return min(map(optimizer.with_lr, budget.rates), key=score)


def _score(path: Path) -> tuple[bool, float, float]:
    settled = path.settled(path.losses[0] * 1e-6)
    last = math.inf if path.diverged else float(path.losses[-1])
    speed = (math.inf, last) if settled is None else (settled, 0.0)
    return path.left is not None, *speed


def near(surface: Surface, start: Sequence[float] | None, count: int) -> list[tuple[float, float]]:
    """The start, and others near it, always the same.

    They are moved by up to a fifth of the way to the minimum, along it and across, so that those
    of a turned valley are turned, too; and put back into the frame where they are outside.
    """
    left, right, bottom, top = surface.frame
    x, y = _start(surface, surface.start if start is None else start)
    dx, dy = surface.minima[0][0] - x, surface.minima[0][1] - y
    moves = np.random.default_rng(0).uniform(-0.2, 0.2, (count - 1, 2)).tolist()
    return [(x, y)] + [
        (
            min(max(x + along * dx - across * dy, left), right),
            min(max(y + along * dy + across * dx, bottom), top),
        )
        for along, across in moves
    ]
