"""Race optimizers on functions of two variables: python -m nnscratch.surfaces --out DIR"""

import csv
import io
import os
import sys
import tempfile
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from .command_line import Parser, add_number, folder, numbers, refuse_repeated, run
from .files import write_whole, writing
from .hyper import Interval, known_name
from .landscape import SURFACES, Budget, Race, figures, hold_race, troubles
from .landscape.claims import about_races, about_sgd, about_troubles, shown
from .landscape.player import player
from .landscape.race import starting_point
from .looks import as_bytes
from .study.asked import optimizers

PROG = "python -m nnscratch.surfaces"
OPTS = "sgd,momentum,nesterov,adagrad,rmsprop,adadelta,adam,lbfgs,newton"
ONE_RATE = 0.01  # for all; the larger end of the range that is usually taught
WITH_ONE_RATE = ("valley", "beale")  # two surfaces to show it on
WIDTH = 100  # characters in a line


def main(argv: Sequence[str]) -> None:
    """Tune and race the optimizers on each surface, and draw what came of it."""
    parser = Parser(prog=PROG, description="Race optimizers on functions of two variables.")
    text = "folder for tables and figures (default surfaces)"
    parser.add_argument("--out", type=folder, default=Path("surfaces"), metavar="DIR", help=text)
    text = (
        "race on these only, separated by commas, and leave the troubles out (default all): "
        + ", ".join(SURFACES)
    )
    parser.add_argument("--surfaces", metavar="NAMES", help=text)
    text = f"optimizers, separated by commas: names or FILE.py:CLASS (default {OPTS})"
    parser.add_argument("--opts", default=OPTS, metavar="NAMES", help=text)
    text = "where to begin a race, within the frame; the surface's own start if not given"
    point = numbers(float, Interval("(-inf, inf)"))
    parser.add_argument("--start", type=point, metavar="X,Y", help=text)
    group = parser.add_argument_group("budget")
    text = "number of gradients that each may take in a race"
    add_number(group, "gradients", int, Interval("[1, 10000]"), text, Budget().gradients)
    refuse_repeated(argv)
    given = parser.parse_args(argv)
    names = list(SURFACES) if given.surfaces is None else given.surfaces.split(",")
    known = dict.fromkeys(known_name(SURFACES, "surface", name) for name in names)
    surfaces = [SURFACES[name]() for name in known]
    for surface in surfaces:
        starting_point(surface, given.start or surface.start)
    budget = Budget(gradients=given.gradients)
    racers = list(optimizers(given.opts).values())
    with writing(given.out) as out:
        out.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=out).close()
    os.environ.pop("MPLBACKEND", None)  # no display is used, whatever is said of one
    os.environ.setdefault("NNSCRATCH_ENGINE", "numpy")  # for two numbers it is faster than numba

    races = [hold_race(surface, racers, budget, given.start) for surface in surfaces]
    say(about_races(races))
    save(given.out, "races.csv", as_csv(race_rows(races)))
    for race in races:
        save(given.out, f"{race.surface.name}.png", race.figure())
        save(given.out, f"{race.surface.name}.gif", race.gif())
    page = player([race.paths for race in races], f"Learning rates: {budget}.")
    save(given.out, "player.html", page.encode())

    two = [race for race in races if race.surface.name in WITH_ONE_RATE] or races
    pairs = [(race.with_one_rate(ONE_RATE), race) for race in two]
    say(about_sgd([shared for shared, _ in pairs], f"{ONE_RATE:g} for all"))
    say(about_sgd(races, "tuned rates"))
    caption = f"learning rates: left {ONE_RATE:g} for all, right {budget}"
    figure = figures.shared_rate([(a.paths, b.paths) for a, b in pairs], caption)
    save(given.out, "shared_rate.png", as_bytes(figure, "png"))

    if given.surfaces is None:
        costs = troubles.measure(racers)
        print(as_text(costs))
        say(about_troubles(costs))
        save(given.out, "troubles.csv", as_csv(trouble_rows(costs)))
        save(given.out, "troubles.png", as_bytes(figures.troubles(costs), "png"))


def race_rows(races: Sequence[Race]) -> list[dict[str, object]]:
    """One for each path."""
    return [
        {
            "surface": path.surface.name,
            "optimizer": path.optimizer.full_name,
            "lr": path.optimizer.rate,
            "gradients": path.gradients,
            "gradients_to_a_millionth": path.arrived,
            "f": f"{path.losses[-1]:.4g}",
            "path_length": f"{path.length:.4g}",
            "path_over_straight_line": f"{path.detour:.4g}",
            "median_angle_degrees": f"{path.angle:.3g}",
            "left_the_frame_after": path.left,
            "diverged": path.diverged,
        }
        for race in races
        for path in race.paths
    ]


def trouble_rows(costs: troubles.Costs) -> list[dict[str, object]]:
    """One for each trouble and optimizer; no number where the gradients do not suffice."""
    return [
        {
            "trouble": trouble.name,
            "meaning": trouble.meaning,
            "optimizer": name,
            "lr": cost.lr,
            "number": None if cost.number is None else f"{cost.number:.4g}",
            "unit": trouble.unit,
        }
        for trouble, of_each in costs.items()
        for name, cost in of_each.items()
    ]


def as_text(costs: troubles.Costs) -> str:
    """A row for each optimizer, a column for each trouble, and what the columns mean."""
    names = list(costs[troubles.TABLE[0]])
    width = max(map(len, names))
    lines = [" " * width + "".join(f"{trouble.name:>12}" for trouble in troubles.TABLE)]
    for name in names:
        numbers = [costs[trouble][name].number for trouble in troubles.TABLE]
        lines.append(f"{name:{width}}" + "".join(f"{shown(number):>12}" for number in numbers))
    meanings = (f"{t.name:>12}: {t.meaning} ({t.unit})" for t in troubles.TABLE)
    return "\n".join([*lines, *meanings])


def as_csv(rows: Sequence[Mapping[str, object]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def say(sentences: Iterable[str]) -> None:
    for sentence in sentences:
        print(textwrap.fill(sentence, WIDTH, subsequent_indent="  "), flush=True)


def save(folder: Path, name: str, content: bytes) -> None:
    write_whole(folder / name, content)
    print(folder / name, flush=True)


if __name__ == "__main__":
    sys.exit(run(main))
