"""A race as a still figure: paths over contours, and the loss after each gradient."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..looks import looks_of
from .functions import Surface
from .race import Path
from .troubles import BUDGET, DISTANCES, RATIOS, STUCK, ZIGZAG, Measured, gradient_descent

if TYPE_CHECKING:  # matplotlib takes 0.4 s to import, and only those who draw need it
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEAST = 1e-12  # of f above the minimum, on a logarithmic axis
LEVELS = 24  # contours
POINTS = 300  # along each side of the frame, at which f is evaluated


def race(paths: Sequence[Path], caption: str) -> "Figure":
    """The paths of several optimizers on one surface, from the same start."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    surface = paths[0].surface
    looks = looks_of([path.optimizer.full_name for path in paths])
    figure = Figure(figsize=(11, 5.2), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    plan, losses = figure.subplots(1, 2, width_ratios=(1.25, 1))
    draw_surface(plan, surface)
    for path in paths:
        look = looks[path.optimizer.full_name]
        style = {"color": look.color, "ls": look.dashes, "lw": 1.6}
        plan.plot(*path.points.T, **style)
        plan.plot(*path.points[-1], look.marker, color=look.color, mec="white", ms=8, zorder=4)
        height = np.maximum(path.losses - surface.least, LEAST)
        losses.semilogy(
            height, **style, marker=look.marker, ms=5, markevery=(0, 15), label=label(path)
        )
    plan.plot(*paths[0].points[0], "o", color="black", ms=7, zorder=5)
    plan.annotate(
        "start", paths[0].points[0], (6, 6), textcoords="offset points", fontsize=9, zorder=5
    )
    losses.set_xlabel("gradients")
    losses.set_ylabel("f above its minimum")
    losses.grid(alpha=0.3)
    losses.spines[["top", "right"]].set_visible(False)
    figure.legend(
        *losses.get_legend_handles_labels(),
        loc="outside lower center",
        ncols=4,
        fontsize=8,
        frameon=False,
    )
    figure.suptitle(caption, fontsize=9)
    return figure


def draw_surface(axes: "Axes", surface: Surface) -> None:
    """Contours, evenly spaced in the logarithm of the height above the minimum, and the minima."""
    left, right, bottom, top = surface.frame
    x, y = np.meshgrid(np.linspace(left, right, POINTS), np.linspace(bottom, top, POINTS))
    height = np.log10(surface.value(x, y) - surface.least + 1e-3)
    axes.contourf(x, y, height, LEVELS, cmap="Greys", alpha=0.55)
    axes.contour(x, y, height, LEVELS, colors="white", linewidths=0.4)
    for point in surface.minima:
        axes.plot(*point, "*", color="white", mec="black", ms=13, zorder=3)
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)
    axes.set_aspect("equal")
    axes.set_xlabel("x")
    axes.set_ylabel("y")


def label(path: Path) -> str:
    """The optimizer, its rate, and how it ended."""
    rate = path.optimizer.rate
    text = path.optimizer.full_name + ("" if rate is None else f", lr {rate:.3g}")
    if path.diverged:
        return f"{text}: diverged"
    return text if path.left is None else f"{text}: left the frame"


def troubles(measured: Measured) -> "Figure":
    """What each of the four troubles costs each optimizer."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 8.4), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    (slow, stuck), (flat, zigzag) = figure.subplots(2, 2)
    looks = looks_of(measured.table)
    for axes, x, of_each in ((slow, RATIOS, measured.slow), (flat, DISTANCES, measured.flat)):
        for name, numbers in of_each.items():
            known = [(a, b) for a, b in zip(x, numbers, strict=True) if b is not None]
            look = looks[name]
            style = {"color": look.color, "ls": look.dashes, "marker": look.marker, "mec": "white"}
            axes.semilogy(*np.array(known).reshape(-1, 2).T, **style, label=name)
        axes.grid(alpha=0.3)
    ratios = np.geomspace(1.5, RATIOS[-1])
    theory = [gradient_descent(ratio) for ratio in ratios]
    slow.loglog(ratios, theory, color="grey", lw=5, alpha=0.3, zorder=0, label="sgd, in theory")
    slow.set_ylim(top=1.2 * BUDGET.gradients)
    slow.set(xlabel="condition number", ylabel="gradients to a millionth")
    slow.set_title("slow near the minimum: a valley", fontsize=10)
    flat.set(xlabel="distance from the hole", ylabel="gradients to a half")
    flat.set_title("plateau: a hole in a plain", fontsize=10)

    names = list(measured.table)
    places = np.arange(len(names))
    stuck.barh(places, [measured.table[name][STUCK] or 0 for name in names], color="#0072B2")
    stuck.set_title("local minima: Rastrigin's function", fontsize=10)
    stuck.set(xlabel="comes to the least of 121 minima (% of 1,000 starts)", xlim=(0, 100))
    for k, (column, color) in enumerate(zip(ZIGZAG, ("#0072B2", "#D55E00"), strict=True)):
        lengths = [measured.table[name][column] or 0 for name in names]
        angle = "along the axes" if k == 0 else "turned by 45 degrees"
        zigzag.barh(places + 0.4 * k - 0.2, lengths, 0.4, color=color, label=angle)
    zigzag.axvline(1, color="black", lw=1)
    zigzag.set_title("zig-zag: a valley with condition number 100", fontsize=10)
    zigzag.set_xlabel("length of the path / straight line")
    zigzag.legend(frameon=False, fontsize=8)
    for axes in (stuck, zigzag):
        axes.set_yticks(places, names)
        axes.invert_yaxis()
    for axes in (slow, stuck, flat, zigzag):
        axes.spines[["top", "right"]].set_visible(False)
    handles = slow.get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=5, fontsize=8, frameon=False)
    figure.suptitle(f"The four troubles. Learning rates: {BUDGET}", fontsize=9)
    return figure
