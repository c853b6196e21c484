"""A race: several optimizers on one surface, tuned alike, and ways to look at it."""

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import UsageError
from ..hyper import as_part
from ..looks import as_bytes
from ..optim import OPTIMIZERS, Optimizer
from . import figures
from .animation import gif
from .functions import SURFACES, Surface
from .player import player
from .race import Budget, Path, tuned, walk


class Picture(bytes):
    """A PNG or GIF, which a notebook shows."""

    def _repr_html_(self) -> str:
        kind = "gif" if self.startswith(b"GIF") else "png"
        return f'<img src="data:image/{kind};base64,{base64.b64encode(self).decode()}">'


class Page(str):
    """A page of HTML, which a notebook shows."""

    def _repr_html_(self) -> str:
        style = "width: 100%; height: 46rem; border: 0"
        return f'<iframe title="player" srcdoc="{html.escape(self)}" style="{style}"></iframe>'


@dataclass(frozen=True)
class Race:
    """The paths of several optimizers on one surface, from one start; made by `hold_race`."""

    paths: tuple[Path, ...]
    rates: str  # how the learning rates were chosen

    @property
    def surface(self) -> Surface:
        return self.paths[0].surface

    @property
    def order(self) -> list[Path]:
        """The fastest first: by gradients to a millionth, and by f where they do not suffice."""
        return sorted(self.paths, key=Path.speed)

    def place(self, name: str) -> int | None:
        """1 for the fastest; None for an optimizer that does not take part."""
        names = [path.optimizer.full_name for path in self.order]
        return names.index(name) + 1 if name in names else None

    @property
    def departures(self) -> str:
        """How many left the frame, and how many of them went so far that they were given up."""
        left = [path for path in self.paths if path.left is not None]
        lost = [path for path in left if path.diverged]
        text = f"{len(left)} of {len(self.paths)} left the frame{_names(left)}"
        return f"{text}, {len(lost)} diverged{_names(lost)}" if lost else text

    @property
    def caption(self) -> str:
        lines = [f"{self.surface.name}: {self.surface.formula}", f"learning rates: {self.rates}"]
        some_left = any(path.left is not None for path in self.paths)
        return "\n".join([*lines, self.departures] if some_left else lines)

    def figure(self) -> Picture:
        """A PNG: the paths, and f after each gradient."""
        return Picture(as_bytes(figures.race(self.paths, self.caption), "png"))

    def gif(self) -> Picture:
        """The paths as they grow."""
        return Picture(gif(self.paths, self.caption))

    def player(self) -> Page:
        """A page that plays the race."""
        return Page(player([self.paths], f"Learning rates: {self.rates}."))

    def with_one_rate(self, lr: float) -> "Race":
        """The same race with that learning rate for all; one that has none stays as it is."""
        gradients, start = max(path.gradients for path in self.paths), self.paths[0].points[0]
        racers = [
            path.optimizer if path.optimizer.rate is None else path.optimizer.with_lr(lr)
            for path in self.paths
        ]
        paths = (walk(self.surface, one, gradients, start) for one in racers)
        return Race(tuple(paths), f"{lr:g} for all")


def hold_race(
    surface: str | Surface,
    optimizers: Sequence[str | Optimizer],
    budget: Budget | None = None,
    start: Sequence[float] | None = None,
) -> Race:
    """Tune each optimizer on the surface by the same budget, and let it walk.

        hold_race("valley", ["sgd", "momentum", "adam"])

    Surfaces and optimizers are names, or records such as Valley(ratio=50). The start is the
    surface's own if none is given. UsageError for optimizers of one name, which no picture could
    tell apart.
    """
    budget = budget or Budget()
    on = as_part(Surface, SURFACES, surface)  # type: ignore[type-abstract]
    if not optimizers or isinstance(optimizers, str):
        what = f"the optimizers are {optimizers!r}"
        raise UsageError(what, 'give a list of names or records: ["sgd", "adam"]')
    racers = [as_part(Optimizer, OPTIMIZERS, one) for one in optimizers]  # type: ignore[type-abstract]
    names = [one.full_name for one in racers]
    if repeated := [name for name in names if names.count(name) > 1]:
        what = f"{repeated[0]} races twice, and would look the same"
        raise UsageError(what, "hold a race for each of its settings")
    best = [tuned(on, one, budget, start) for one in racers]
    return Race(tuple(walk(on, one, budget.gradients, start) for one in best), str(budget))


def _names(paths: Sequence[Path]) -> str:
    return f" ({', '.join(path.optimizer.full_name for path in paths)})" if paths else ""
