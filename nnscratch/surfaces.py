"""Optimizers on functions of two variables: python -m nnscratch.surfaces --out DIR"""

import csv
import io
import sys
from collections.abc import Sequence
from pathlib import Path

from .command_line import Parser, add_number, folder, numbers, run
from .files import write_whole, writing
from .hyper import Interval, known_name
from .landscape import figures
from .landscape.animation import gif
from .landscape.functions import SURFACES, Surface
from .landscape.player import player
from .landscape.race import Budget, tuned, walk
from .landscape.race import Path as Way
from .looks import as_bytes
from .optim import Optimizer
from .study.asked import optimizers

PROG = "python -m nnscratch.surfaces"
OPTS = "sgd,momentum,nesterov,adagrad,rmsprop,adadelta,adam,lbfgs,newton"
COLUMNS = ("surface", "optimizer", "lr", "gradients", "f", "path", "left_after", "diverged")


def main(argv: Sequence[str]) -> None:
    """Tune and race the optimizers on each surface, and draw what came of it."""
    parser = Parser(prog=PROG, description="Race optimizers on functions of two variables.")
    text = "folder for the figures (default surfaces)"
    parser.add_argument("--out", type=folder, default=Path("surfaces"), metavar="DIR", help=text)
    text = f"surfaces, separated by commas (default all): {', '.join(SURFACES)}"
    parser.add_argument("--surfaces", default=",".join(SURFACES), metavar="NAMES", help=text)
    text = f"optimizers, separated by commas: names or FILE.py:CLASS (default {OPTS})"
    parser.add_argument("--opts", default=OPTS, metavar="NAMES", help=text)
    text = "where to begin, within the frame; the surface's own start if not given"
    point = numbers(float, Interval("(-inf, inf)"))
    parser.add_argument("--start", type=point, metavar="X,Y", help=text)
    group = parser.add_argument_group("budget")
    text = "number of gradients that each may take"
    add_number(group, "gradients", int, Interval("[1, 10000]"), text, Budget().gradients)
    given = parser.parse_args(argv)
    names = [name.strip() for name in given.surfaces.split(",")]
    surfaces = [SURFACES[known_name(SURFACES, "surface", name)]() for name in names]
    budget = Budget(gradients=given.gradients)
    racers = list(optimizers(given.opts).values())
    with writing(given.out) as out:
        out.mkdir(parents=True, exist_ok=True)
    races = [race(surface, racers, budget, given.start) for surface in surfaces]
    write(given.out, "races.csv", as_csv(races))
    for paths in races:
        surface = paths[0].surface
        caption = f"{surface.name}: {surface.formula}\n{budget}"
        write(given.out, f"{surface.name}.png", as_bytes(figures.race(paths, caption), "png"))
        write(given.out, f"{surface.name}.gif", gif(paths, surface.name))
    write(given.out, "player.html", player(races, f"Learning rates: {budget}.").encode())


def race(
    surface: Surface, racers: Sequence[Optimizer], budget: Budget, start: Sequence[float] | None
) -> list[Way]:
    return [
        walk(surface, tuned(surface, one, budget, start), budget.gradients, start) for one in racers
    ]


def as_csv(races: Sequence[Sequence[Way]]) -> bytes:
    """A row for each path."""
    text = io.StringIO(newline="")
    rows = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    rows.writeheader()
    for way in (way for ways in races for way in ways):
        rows.writerow(
            {
                "surface": way.surface.name,
                "optimizer": way.optimizer.full_name,
                "lr": way.optimizer.rate,
                "gradients": way.gradients,
                "f": f"{way.losses[-1]:.4g}",
                "path": f"{way.length:.4g}",
                "left_after": way.left,
                "diverged": way.diverged,
            }
        )
    return text.getvalue().encode()


def write(folder: Path, name: str, content: bytes) -> None:
    write_whole(folder / name, content)
    print(folder / name)


if __name__ == "__main__":
    sys.exit(run(main))
