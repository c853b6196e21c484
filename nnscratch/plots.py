"""Figures."""

import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .diagnosis import SATURATED
from .errors import UsageError
from .looks import COLORS, DASHES, MARKERS, as_bytes
from .model import MLP
from .progress import Record

if TYPE_CHECKING:  # matplotlib takes 0.4 s to import, and only those who draw need it
    from matplotlib.axes import Axes

TRAIN, VALIDATION, TEST = "#0072B2", "#D55E00", "#000000"  # Okabe and Ito: for every eye, and print
LOGARITHMIC = 1000  # ratio of losses from which a linear axis would hide the small ones
MARKED = 30  # epochs up to which each one gets a marker
USUAL = 1e-3  # update / weight: a rule of thumb
UNITS = 40  # whose weights are drawn
IN_A_ROW = 10


def curves(history: Sequence[Record], title: str, test_accuracy: float) -> bytes:
    """A PNG: loss and accuracy after each epoch, and the test accuracy at the end."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    epochs = [record.epoch for record in history]
    marker = "o" if len(epochs) <= MARKED else None
    figure = Figure(figsize=(9, 3.8), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    losses, accuracies = figure.subplots(1, 2)

    def draw(axes: "Axes", values: Sequence[float | None], color: str, label: str) -> None:
        if None not in values:
            axes.plot(epochs, values, color=color, marker=marker, ms=4, label=label)  # type: ignore[arg-type]

    draw(losses, [r.train_loss for r in history], TRAIN, "training, during the epoch")
    draw(losses, [r.val_loss for r in history], VALIDATION, "validation, after it")
    losses.set_ylabel("loss per image")
    drawn = [v for r in history for v in (r.train_loss, r.val_loss) if v]
    if max(drawn) > LOGARITHMIC * min(drawn):
        losses.set_yscale("log")
    else:
        losses.set_ylim(bottom=0)

    percent = [r.val_accuracy and 100 * r.val_accuracy for r in history]
    draw(accuracies, percent, VALIDATION, "validation")
    test = 100 * test_accuracy
    label = f"test, at the end: {test:.2f} %"
    accuracies.plot(epochs[-1], test, "*", color=TEST, ms=11, ls="none", label=label)
    accuracies.set_ylabel("accuracy (%)")

    for axes in (losses, accuracies):
        axes.set_xlabel("epoch")
        axes.set_xlim(0, 1.03 * epochs[-1])
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        # above the axes, where no curve can run
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False, fontsize=8)
    figure.suptitle(textwrap.fill(title, 120), fontsize=9)
    return as_bytes(figure, "png")


def health(history: Sequence[Record], title: str) -> bytes:
    """A PNG: the health of each layer after each epoch that was diagnosed."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    diagnosed = [(record.epoch, record.layers) for record in history if record.layers]
    epochs = [epoch for epoch, _ in diagnosed]
    figure = Figure(figsize=(9, 6.4), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    panels = {
        "gradient": "norm of the gradient",
        "update": "last update / weights, norms",
        "saturated": f"saturated (|f'| < {100 * SATURATED:g} % of its largest), %",
        "dead": "dead (saturated for every image), %",
    }
    for axes, (quantity, label) in zip(figure.subplots(2, 2).flat, panels.items(), strict=True):
        is_share = quantity in ("saturated", "dead")
        for k, layers in enumerate(zip(*(layers for _, layers in diagnosed), strict=True)):
            known = [getattr(layer, quantity) for layer in layers]
            values = [math.nan if value is None else value for value in known]
            axes.plot(
                epochs,
                [100 * value for value in values] if is_share else values,
                color=COLORS[k % len(COLORS)],
                ls=DASHES[k // len(COLORS) % len(DASHES)],
                marker=MARKERS[k % len(MARKERS)] if len(epochs) <= MARKED else None,
                ms=4,
                label=f"layer {k + 1}",
            )
        if is_share:
            axes.set_ylim(-2, 102)
        elif any((line.get_ydata() > 0).any() for line in axes.lines):
            axes.set_yscale("log")
        if quantity == "update":
            axes.axhline(USUAL, color="#999999", lw=1, ls=":", label="a rule of thumb")
        axes.set_ylabel(label)
        axes.set_xlabel("epoch")
        axes.set_xlim(0, 1.03 * epochs[-1])
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        if quantity == "update":
            lines = axes.get_legend_handles_labels()
    figure.legend(*lines, loc="outside lower center", ncols=6, frameon=False, fontsize=8)
    figure.suptitle(textwrap.fill(title, 120), fontsize=9)
    return as_bytes(figure, "png")


def first_layer(model: MLP, title: str) -> bytes:
    """A PNG: the weights of the first units as images, all on one scale."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    W = model.parameters[0].w
    side, units = math.isqrt(len(W)), W.shape[1]
    if side * side != len(W):
        raise UsageError(f"{len(W)} inputs are no square image", "draw a network of square images")
    images = W[: side * side, :UNITS].T.reshape(-1, side, side)
    rows = -(-len(images) // IN_A_ROW)
    sheet = np.full((rows, IN_A_ROW, side + 2, side + 2), np.nan)  # a gap around each
    sheet.reshape(-1, side + 2, side + 2)[: len(images), 1:-1, 1:-1] = images
    limit = float(np.quantile(np.abs(images), 0.999)) or 1.0
    figure = Figure(figsize=(9, 1 + 0.8 * rows), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    drawn = axes.imshow(
        sheet.transpose(0, 2, 1, 3).reshape(rows * (side + 2), -1),
        cmap="RdBu",
        vmin=-limit,
        vmax=limit,
        interpolation="nearest",
    )
    axes.set_axis_off()
    figure.colorbar(drawn, ax=axes, shrink=0.9, pad=0.01).set_label("weight of a pixel")
    figure.suptitle(f"{len(images)} of {units} units of the {title}", fontsize=9)
    return as_bytes(figure, "png")
