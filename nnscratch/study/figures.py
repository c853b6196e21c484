"""The figures of a study, each as SVG and PNG. An optimizer has one look in all of them."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..looks import Look, looks_of
from .analysis import Analysis
from .grid import PER_DECADE, step_of
from .inference import interval
from .standings import NEAR_BEST, TARGETS, Standing, test_accuracy, val_accuracy
from .trials import Outcome

if TYPE_CHECKING:  # matplotlib takes 0.4 s to import, and only those who draw need it
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

LEAST = 1e-3  # on a logarithmic axis, for nothing at all
MOST_TICKS = 9  # on a logarithmic axis
MOST_LINES = 8  # in one axes; of more optimizers the best are drawn


@dataclass(frozen=True)
class Curve:
    """The mean over seeds of something that was seen after each epoch, and its spread."""

    x: list[float]
    mean: list[float]
    low: list[float]
    high: list[float]


# what progress is measured by: axis title, and the amount after an epoch of a trial, counted from 0
AGAINST: dict[str, tuple[str, Callable[[Standing, Outcome, int], float]]] = {
    "epochs": ("epochs", lambda s, outcome, k: k + 1),
    "updates": ("updates", lambda s, outcome, k: (k + 1) * outcome.updates),
    "gradients": ("gradients of an image", lambda s, outcome, k: outcome.gradients[k]),
    "seconds": (
        "training time (s)",
        lambda s, outcome, k: (k + 1) * outcome.updates * s.seconds_per_update,
    ),
}


def looks(analysis: Analysis) -> dict[str, Look]:
    """The look of each optimizer: the best eight of the first schedule differ in colour."""
    return looks_of(standing.optimizer for standing in analysis.standings)


def figures(analysis: Analysis) -> dict[str, "Figure"]:
    """All figures of the study by the name of their file, without its ending."""
    found = {}
    for schedule in analysis.design.schedules:
        standings = analysis.of_schedule(schedule)
        if not standings:
            continue
        found[f"{schedule}-accuracy"] = _final_accuracy(analysis, standings)
        found[f"{schedule}-curves"] = _curves(analysis, standings)
        if any(reach.reached for standing in standings for reach in standing.reaches):
            found[f"{schedule}-target"] = _time_to_target(analysis, standings)
        if any(standing.rates for standing in standings):
            found[f"{schedule}-rates"] = _rates(analysis, standings)
        if any(standing.search for standing in standings):
            found[f"{schedule}-best-of-k"] = _best_of_k(analysis, standings)
    return found


def curve(standing: Standing, quantity: str, against: str) -> Curve:
    """How a quantity of the outcomes went, over the seeds that came to their end."""
    done = [row.outcome for row in standing.final if row.is_done]
    amount = AGAINST[against][1]
    found = Curve([], [], [], [])
    for k in range(min((len(outcome.seconds) for outcome in done), default=0)):
        values = [getattr(outcome, quantity)[k] for outcome in done]
        found.x.append(math.fsum(amount(standing, outcome, k) for outcome in done) / len(done))
        found.mean.append(math.fsum(values) / len(values))
        found.low.append(min(values))
        found.high.append(max(values))
    return found


def drawn(analysis: Analysis, standings: Sequence[Standing]) -> list[Standing]:
    """Those that fit into one axes: the best, and the baseline."""
    baseline = [s for s in standings if s.optimizer == analysis.design.baseline]
    best = [s for s in standings if s not in baseline][: MOST_LINES - len(baseline)]
    return [s for s in standings if s in best or s in baseline]


def _errors(accuracies: Sequence[float]) -> list[float]:
    """In percent."""
    return [max(100 * (1 - accuracy), LEAST) for accuracy in accuracies]


def epochs(count: int) -> str:
    """So many epochs, in words."""
    return f"{count} epoch{'s' if count > 1 else ''}"


def _figure(width: float, height: float) -> "Figure":
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _line(axes: "Axes", x: Sequence[float], y: Sequence[float], look: Look, label: str) -> None:
    axes.plot(
        x, y, color=look.color, ls=look.dashes, marker=look.marker, ms=3.5, lw=1.3, label=label
    )


def _plain(axes: "Axes") -> None:
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def task(analysis: Analysis) -> str:
    """Network and data, in words."""
    workload = analysis.design.workload
    sizes = "-".join(map(str, workload["sizes"]))
    return f"{sizes} {workload['activation']['name']} on {workload['data'].split()[0]}"


def _schedule(standings: Sequence[Standing]) -> str:
    return f"{standings[0].schedule} schedule"


def _named(standings: Sequence[Standing]) -> str:
    """Schedule and number of seeds, in words."""
    counts = [len(s.final) for s in standings]
    seeds = " to ".join(map(str, dict.fromkeys((min(counts), max(counts)))))
    return f"{_schedule(standings)}, {seeds} seed{'s' if max(counts) > 1 else ''}"


def _logarithmic(axis: "Axis", numbers: Sequence[float]) -> None:
    """A logarithmic axis for these numbers, with round ones at its ticks."""
    from matplotlib.axis import XAxis
    from matplotlib.ticker import EngFormatter, FixedLocator, FuncFormatter, NullLocator

    numbers = [number for number in numbers if number > 0] or [LEAST]
    low, high = min(numbers) / 1.15, max(numbers) * 1.15
    letter = "x" if isinstance(axis, XAxis) else "y"
    axis.axes.set(**{f"{letter}scale": "log", f"{letter}lim": (low, high)})
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8), (1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1,)):
        ticks = [m * 10.0**d for d in decades for m in steps if low <= m * 10.0**d <= high]
        if len(ticks) <= MOST_TICKS:
            break
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(EngFormatter(sep="") if high >= 1e4 else FuncFormatter(_number))


def _number(value: float, _: int | None) -> str:
    return f"{value:,g}"


def _final_accuracy(analysis: Analysis, standings: Sequence[Standing]) -> "Figure":
    """Test error of each seed, and the mean with its interval: one line for each optimizer."""
    figure = _figure(8, 1.6 + 0.26 * len(standings))
    axes = figure.subplots()
    look = looks(analysis)
    seen: list[float] = []
    intervals: list[tuple[int, float, float, str]] = []
    for k, s in enumerate(standings):
        errors = _errors([test_accuracy(row, s.chance) for row in s.final])
        seen += errors
        of_this = look[s.optimizer]
        axes.plot(errors, [k] * len(errors), "|", color=of_this.color, ms=8, alpha=0.6)
        [mean] = _errors([s.test.mean])
        if len(errors) > 1:
            intervals.append((k, *interval(errors), of_this.color))
        axes.plot(mean, k, of_this.marker, color=of_this.color, ms=7, mec="white", mew=0.6)
    axes.set_yticks(range(len(standings)), [s.optimizer for s in standings], fontsize=8)
    axes.set_ylim(len(standings) - 0.4, -0.6)
    _logarithmic(axes.xaxis, seen)
    left, right = axes.get_xlim()
    for k, low, high, color in intervals:
        axes.plot([max(low, left), min(high, right)], [k, k], "-", color=color, lw=2, zorder=1)
        for goes_on, end, arrow in ((low < left, left, "<"), (high > right, right, ">")):
            if goes_on:
                axes.plot(end, k, arrow, color=color, ms=6, clip_on=False)
    axes.set_xlabel(
        "test error (%), logarithmic: one mark a seed, the mean and its 95 % interval "
        "(arrow: goes on)"
    )
    axes.set_title(f"{task(analysis)}, {_named(standings)}", fontsize=9)
    _plain(axes)
    return figure


def _curves(analysis: Analysis, standings: Sequence[Standing]) -> "Figure":
    """Accuracy and loss against epochs, updates, gradients and seconds."""
    from matplotlib.ticker import EngFormatter, MaxNLocator

    shown = drawn(analysis, standings)
    look = looks(analysis)
    figure = _figure(13, 6.6)
    grid = figure.subplots(2, len(AGAINST), sharey="row", sharex="col")
    seen: dict[str, list[float]] = {"val_accuracy": [], "train_loss": []}
    for column, (against, (label, _)) in enumerate(AGAINST.items()):
        for row, quantity in enumerate(seen):
            axes = grid[row][column]
            for s in shown:
                c, of_this = curve(s, quantity, against), look[s.optimizer]
                if quantity == "val_accuracy":
                    c = Curve(c.x, *map(_errors, (c.mean, c.low, c.high)))
                _line(axes, c.x, c.mean, of_this, s.optimizer)
                axes.fill_between(c.x, c.low, c.high, color=of_this.color, alpha=0.15, lw=0)
                seen[quantity] += c.low + c.high
            axes.set_xlim(left=0)
            axes.xaxis.set_major_locator(MaxNLocator(5, integer=against == "epochs"))
            axes.xaxis.set_major_formatter(EngFormatter(sep=""))
            _plain(axes)
        grid[1][column].set_xlabel(label)
    for row, numbers in enumerate(seen.values()):
        if numbers:
            _logarithmic(grid[row][0].yaxis, numbers)
    grid[0][0].set_ylabel("validation error (%)")
    grid[1][0].set_ylabel("training loss of the epoch")
    handles, labels = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", frameon=False, fontsize=9)
    best = "" if len(shown) == len(standings) else f": the baseline and the best {len(shown) - 1}"
    figure.suptitle(
        f"{task(analysis)}, {_named(standings)}{best}; means and ranges over "
        "seeds that did not diverge",
        fontsize=10,
    )
    return figure


def _time_to_target(analysis: Analysis, standings: Sequence[Standing]) -> "Figure":
    """Gradients and seconds to each target, and who never reaches it."""
    look = looks(analysis)
    figure = _figure(10, 1.8 + 0.24 * len(standings))
    grid = figure.subplots(1, 2, sharey=True)
    for axes, quantity in zip(grid, ("gradients", "seconds"), strict=True):
        finite = [
            getattr(reach, quantity)
            for s in standings
            for reach in s.reaches
            if math.isfinite(getattr(reach, quantity))
        ]
        never = 1.3 * max(finite, default=1.0)
        for k, s in enumerate(standings):
            of_this = look[s.optimizer]
            for reach, filled in zip(s.reaches, (False, True), strict=True):
                amount = getattr(reach, quantity)
                is_reached = math.isfinite(amount)
                axes.plot(
                    amount if is_reached else never * (1.15 if filled else 1),
                    k,
                    of_this.marker if is_reached else "x",
                    color=of_this.color if is_reached else "#999999",
                    mfc=of_this.color if filled else "white",
                    ms=6 if is_reached else 4,
                )
        _logarithmic(axes.xaxis, [*finite, never, 1.15 * never])
        axes.set_xlabel(AGAINST[quantity][0])
        _plain(axes)
    grid[0].set_yticks(range(len(standings)), [s.optimizer for s in standings], fontsize=8)
    grid[0].set_ylim(len(standings) - 0.4, -0.6)
    first, second = (f"{100 * target:g} %" for target in TARGETS)
    figure.suptitle(
        f"Median over seeds to {first} (open) and {second} (filled) validation accuracy;\n"
        f"grey crosses on the right: not reached by half of the seeds. {task(analysis)}, "
        f"{_named(standings)}",
        fontsize=9,
    )
    return figure


def _rates(analysis: Analysis, standings: Sequence[Standing]) -> "Figure":
    """Validation accuracy in the search, as points below the best learning rate's."""
    import numpy as np
    from matplotlib.colors import LogNorm

    tuned = [s for s in standings if s.rates]
    places: dict[str, dict[int, float]] = {}
    for s in tuned:
        best = max(val_accuracy(row, s.chance) for row in s.search)
        places[s.optimizer] = {
            _step(analysis, s, row.lr): 100 * (best - val_accuracy(row, s.chance))
            for row in s.search
        }
    steps = range(
        min(min(found) for found in places.values()), max(max(p) for p in places.values()) + 1
    )
    lost = np.array([[places[s.optimizer].get(k, math.nan) for k in steps] for s in tuned])
    figure = _figure(2.6 + 0.52 * len(steps), 1.9 + 0.26 * len(tuned))
    axes = figure.subplots()
    image = axes.imshow(
        np.clip(lost, 0.1, 100), norm=LogNorm(0.1, 100), cmap="cividis_r", aspect="auto"
    )
    for y, row in enumerate(lost):
        for x, points in enumerate(row):
            if not math.isnan(points):
                text = f"{points:.1f}" if points < 9.95 else f"{points:.0f}"
                color = "white" if points > 8 else "black"
                axes.text(x, y, text, ha="center", va="center", fontsize=7, color=color)
    for y, s in enumerate(tuned):
        axes.add_patch(_frame(list(steps).index(_step(analysis, s, s.lr)), y))
    factors = [float(f"{10 ** (k / PER_DECADE):.3g}") for k in steps]
    labels = ["default" if factor == 1 else f"{factor:,g}" for factor in factors]
    axes.set_xticks(range(len(labels)), labels, fontsize=7, rotation=45)
    names = [f"{s.optimizer} ({s.good_rates} of {s.rates})" for s in tuned]
    axes.set_yticks(range(len(tuned)), names, fontsize=8)
    axes.set_xlabel("learning rate / default")
    bar = figure.colorbar(image, ax=axes, shrink=min(1.0, 6 / len(tuned)), pad=0.02)
    bar.set_label("points below the best rate", fontsize=8)
    axes.set_title(
        f"Points of validation accuracy below the best rate after "
        f"{epochs(analysis.design.tuning_epochs)}, one seed\n(in brackets: rates within "
        f"{NEAR_BEST} points of it); framed: chosen after {epochs(analysis.design.epochs)}. "
        f"{_schedule(tuned)}",
        fontsize=9,
    )
    return figure


def _step(analysis: Analysis, standing: Standing, lr: float | None) -> int:
    default = analysis.design.optimizers[standing.optimizer].lr
    return step_of(lr or 1.0, default or 1.0)


def _frame(x: int, y: int) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((x - 0.5, y - 0.5), 1, 1, fill=False, ec="#D55E00", lw=2)


def _best_of_k(analysis: Analysis, standings: Sequence[Standing]) -> "Figure":
    """The best of k trials of the search, as k grows: what tuning buys."""
    shown = [s for s in drawn(analysis, standings) if s.search]
    look = looks(analysis)
    figure = _figure(8, 4.6)
    axes = figure.subplots()
    seen: list[float] = []
    for s in shown:
        ks = range(1, len(s.search) + 1)
        mean = _errors([best for best, _, _ in s.best_of_k])
        seen += mean
        _line(axes, ks, mean, look[s.optimizer], s.optimizer)
    _logarithmic(axes.yaxis, seen)
    axes.set_xlabel("trials of the search, drawn at random")
    axes.set_ylabel("validation error of the best of them (%)")
    axes.set_title(
        f"What tuning buys: {epochs(analysis.design.tuning_epochs)} a trial, one seed; expected "
        f"over draws\n{task(analysis)}, {_schedule(standings)}",
        fontsize=9,
    )
    _plain(axes)
    figure.legend(loc="outside right center", frameon=False, fontsize=8)
    return figure
