"""Still figures: a race, the same race with one rate for all, and what the troubles cost."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..looks import Look, looks_of
from .functions import Surface
from .race import Path
from .troubles import (
    JUMPS,
    LEAST,
    LOWER,
    OUT,
    PLATEAUS,
    SLOW,
    STARTS,
    TRIED,
    VALLEYS,
    ZIGZAG,
    ZIGZAG_TURNED,
    Costs,
    OnPath,
    gradient_descent,
)

if TYPE_CHECKING:  # matplotlib takes 0.4 s to import, and only those who draw need it
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

FLOOR = 1e-12  # of f above the minimum, on a logarithmic axis
LEVELS = 20  # contours
POINTS = 240  # along each side of the frame, at which f is evaluated
DARKEST = 0.22  # share of the scale of greys that the surface takes: the paths take the rest
COLORS = ("#0072B2", "#D55E00")


def race(paths: Sequence[Path], caption: str) -> "Figure":
    """The paths of several optimizers on one surface, from the same start."""
    figure, _ = blank(11, 5.4)
    plan, losses = figure.subplots(1, 2, width_ratios=(1.25, 1))
    looks = looks_of([path.optimizer.full_name for path in paths])
    draw_surface(plan, paths[0].surface)
    draw_paths(plan, paths, looks)
    for k, path in enumerate(paths):
        height = np.maximum(path.losses - path.surface.least, FLOOR)
        look = looks[path.optimizer.full_name]
        losses.semilogy(height, **line_style(look), ms=6, markevery=(k % 8 * 2, 16))
    if any(path.left is not None for path in paths):  # far away it would press the others together
        losses.set_ylim(top=10 * max(path.losses[: path.left].max() for path in paths))
    losses.set_xlabel("gradients")
    losses.set_ylabel(f"f above its minimum (drawn down to {FLOOR:.0e})")
    losses.grid(alpha=0.3)
    losses.spines[["top", "right"]].set_visible(False)
    draw_legend(figure, paths, looks, 4)
    figure.suptitle(caption, fontsize=9)
    return figure


def draw_surface(axes: "Axes", surface: Surface) -> None:
    """Contours, evenly spaced in the logarithm of the height above the minimum, and the minima."""
    left, right, bottom, top = surface.frame
    x, y = np.meshgrid(np.linspace(left, right, POINTS), np.linspace(bottom, top, POINTS))
    height = np.log10(surface.value(x, y) - surface.least + 1e-3)
    darkest = height.min() + (height.max() - height.min()) / DARKEST
    axes.contourf(x, y, height, LEVELS, cmap="Greys", vmin=height.min(), vmax=darkest)
    axes.contour(x, y, height, LEVELS, colors="#b8b8b8", linewidths=0.4, linestyles="solid")
    for point in surface.minima:
        axes.plot(*point, "*", color="white", mec="black", ms=17, zorder=2)
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)
    axes.set_aspect("equal")
    axes.set_xlabel("x")
    axes.set_ylabel("y")


def draw_paths(axes: "Axes", paths: Sequence[Path], looks: dict[str, Look]) -> None:
    """Each path, its end, and where it leaves the frame if it does.

    Of ends at one place the earlier ones are drawn larger, so that all can be seen.
    """
    for k, path in enumerate(paths):
        style = line_style(looks[path.optimizer.full_name])
        size = 12 - 6 * k / max(1, len(paths) - 1)
        axes.plot(*path.points.T, **style, ms=size, markevery=[path.gradients], zorder=3 + k / 99)
        if path.left is not None:
            axes.plot(*path.exit, **EXIT, color=style["color"], zorder=5)
    draw_start(axes, paths[0])


def draw_start(axes: "Axes", path: Path) -> None:
    from matplotlib.patheffects import withStroke

    axes.plot(*path.points[0], "o", color="black", ms=5, zorder=5)
    halo = [withStroke(linewidth=3, foreground="white")]
    style: dict[str, Any] = {"ha": "right", "fontsize": 9, "path_effects": halo, "zorder": 6}
    axes.annotate("start", path.points[0], (-5, 4), textcoords="offset points", **style)


EXIT: dict[str, Any] = {
    "marker": "o",
    "ms": 11,
    "mfc": "none",
    "mew": 2,
    "ls": "none",
    "clip_on": False,
}


def draw_legend(
    figure: "Figure", paths: Sequence[Path], looks: dict[str, Look], columns: int
) -> None:
    """The names below the figure."""
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], **line_style(looks[path.optimizer.full_name]), ms=7, label=label(path))
        for path in paths
    ]
    style: dict[str, Any] = {"fontsize": 8, "frameon": False, "handlelength": 3.5}
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, **style)


def label(path: Path) -> str:
    """The optimizer, its rate, and how it ended."""
    rate = path.optimizer.rate
    text = path.optimizer.full_name + ("" if rate is None else f", lr {rate:.3g}")
    if path.diverged:
        return f"{text}: diverged"
    return text if path.left is None else f"{text}: left the frame"


def shared_rate(races: Sequence[tuple[Sequence[Path], Sequence[Path]]], caption: str) -> "Figure":
    """For each surface the race with one rate for all, that with tuned ones, and both orders."""
    figure, _ = blank(12, 4 * len(races) + 0.4, dpi=84)
    rows = figure.subplots(len(races), 3, width_ratios=(1, 1, 0.9), squeeze=False)
    for (shared, tuned), (left, right, orders) in zip(races, rows, strict=True):
        surface = shared[0].surface
        looks = looks_of([path.optimizer.full_name for path in shared])
        for axes, paths, title in (
            (left, shared, "one rate for all"),
            (right, tuned, "each tuned"),
        ):
            draw_surface(axes, surface)
            draw_paths(axes, paths, looks)
            axes.set_title(f"{surface.name}: {title}", fontsize=10)
        _draw_orders(orders, shared, tuned, looks)
    figure.suptitle(caption, fontsize=9)
    return figure


def _draw_orders(
    axes: "Axes", shared: Sequence[Path], tuned: Sequence[Path], looks: dict[str, Look]
) -> None:
    """A line for each optimizer, from its place with the shared rate to that with its own."""
    orders = [sorted(paths, key=Path.speed) for paths in (shared, tuned)]
    places = [[path.optimizer.full_name for path in order] for order in orders]
    for name in places[0]:
        axes.plot([place.index(name) + 1 for place in places], **line_style(looks[name]), ms=7)
    for x, order in enumerate(orders):
        for place, path in enumerate(order, start=1):
            text = f"{path.optimizer.full_name}  {standing(path)}"
            side, shift = (("right", -9), ("left", 9))[x]
            at: dict[str, Any] = {
                "xytext": (shift, 0),
                "textcoords": "offset points",
                "va": "center",
            }
            axes.annotate(text, (x, place), ha=side, fontsize=8, **at)
    axes.set_xlim(-1.35, 2.35)
    axes.set_ylim(len(places[0]) + 0.6, 0.4)
    axes.set_xticks((0, 1), ("one rate", "tuned"))
    axes.set_yticks([])
    axes.spines[["left", "right", "top", "bottom"]].set_visible(False)
    axes.set_title("order, with gradients to a millionth, or f", fontsize=10)


def standing(path: Path) -> str:
    """How fast it arrived; where it did not, f at the end."""
    if path.diverged:
        return "diverged"
    return f"f = {path.losses[-1]:.2g}" if path.arrived is None else f"{path.arrived}"


def troubles(costs: Costs) -> "Figure":
    """What each of the four troubles costs each optimizer."""
    figure, _ = blank(11, 8.6)
    (slow, stuck), (flat, zigzag) = figure.subplots(2, 2)
    names = list(costs[LEAST])
    _draw_courses(slow, VALLEYS, costs)
    _draw_courses(flat, PLATEAUS, costs)
    ratios = np.geomspace(min(VALLEYS), max(VALLEYS))
    theory = [gradient_descent(ratio) for ratio in ratios]
    slow.loglog(ratios, theory, color="grey", lw=6, alpha=0.3, zorder=0, label="sgd, in theory")
    slow.set_xticks(list(VALLEYS), [f"{ratio:g}" for ratio in VALLEYS], minor=False)
    slow.set_xticks([], minor=True)
    slow.set(xlabel="condition number", ylabel=f"gradients to a millionth (of {SLOW.gradients})")
    slow.set_title("slow near the minimum: a valley", fontsize=10)
    flat.set(xlabel="distance from the hole", ylabel="gradients to a half")
    flat.set_title("plateau: a hole in a plain", fontsize=10)

    titles = {LOWER: "in a lower minimum than the first", LEAST: "in the least of 121 minima"}
    _draw_bars(stuck, costs, titles)
    stuck.set_title("local minima: Rastrigin's function", fontsize=10)
    stuck.set(xlabel=f"ends there from % of {STARTS:,} random starts", xlim=(0, 100))
    turned = {ZIGZAG: "along the axes", ZIGZAG_TURNED: "turned by 45 degrees"}
    _draw_bars(zigzag, costs, turned)
    zigzag.axvline(1, color="black", lw=1)
    zigzag.set_title("zig-zag: a valley with condition number 100", fontsize=10)
    zigzag.set_xlabel("way across the valley / shortest way to its floor")
    for axes in (stuck, zigzag):
        axes.legend(frameon=False, fontsize=8, loc="best")
        axes.set_yticks(range(len(names)), names)
        axes.invert_yaxis()
    for axes in (slow, stuck, flat, zigzag):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.3)
    style: dict[str, Any] = {"fontsize": 8, "frameon": False, "handlelength": 3.5}
    figure.legend(*slow.get_legend_handles_labels(), loc="outside lower center", ncols=5, **style)
    caption = (
        f"learning rates: {SLOW}\nplateau: {OUT.gradients} gradients; local minima: "
        f"{JUMPS.gradients}, best of {len(JUMPS.rates)} rates from {TRIED} other starts; "
        "no mark where the gradients do not suffice"
    )
    figure.suptitle(caption, fontsize=9)
    return figure


def _draw_courses(axes: "Axes", at: dict[float, OnPath], costs: Costs) -> None:
    """The cost against how hard the surface is made."""
    looks = looks_of(costs[LEAST])
    for name, look in looks.items():
        numbers = [costs[trouble][name].number for trouble in at.values()]
        known = [(x, y) for x, y in zip(at, numbers, strict=True) if y is not None]
        axes.semilogy(*np.reshape(known, (-1, 2)).T, **line_style(look), ms=7, label=name)
    axes.set_xticks(list(at))


def _draw_bars(axes: "Axes", costs: Costs, titles: Mapping[Any, str]) -> None:
    """Two bars for each optimizer."""
    for k, (trouble, title) in enumerate(titles.items()):
        lengths = [cost.number or 0 for cost in costs[trouble].values()]
        places = np.arange(len(lengths)) + 0.4 * k - 0.2
        axes.set_axisbelow(True)
        axes.barh(places, lengths, 0.4, color=COLORS[k], label=title)


def line_style(look: Look) -> dict[str, Any]:
    """How a path is drawn."""
    style = {"color": look.color, "ls": look.dashes, "marker": look.marker}
    return style | {"lw": 1.6, "mec": "white", "mew": 0.6}


def blank(width: float, height: float, dpi: int = 110) -> "tuple[Figure, FigureCanvasAgg]":
    """A figure that needs no display, and what it is drawn on."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=dpi, layout="constrained")
    return figure, FigureCanvasAgg(figure)
