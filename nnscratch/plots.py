"""Figures."""

import io
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .progress import Record

if TYPE_CHECKING:  # matplotlib takes 0.4 s to import, and only those who draw need it
    from matplotlib.axes import Axes

TRAIN, VALIDATION, TEST = "#0072B2", "#D55E00", "#000000"  # Okabe and Ito: for every eye, and print
LOGARITHMIC = 1000  # ratio of losses from which a linear axis would hide the small ones
MARKED = 30  # epochs up to which each one gets a marker


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
    png = io.BytesIO()
    figure.savefig(png, format="png")
    return png.getvalue()
