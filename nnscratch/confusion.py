"""What a network takes for what: the confusion matrix, and what follows from it."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .arrays import Labels
from .looks import as_bytes

Counts = NDArray[np.integer]


@dataclass(frozen=True)
class Scores:
    """How well one class is told from the others, as shares from 0 to 1; None for 0 / 0.

    precision   of the images that were taken for it, those that are
    recall      of the images that are, those that were taken for it
    f1          the harmonic mean of the two
    images      how many there are
    """

    precision: float | None
    recall: float | None
    f1: float | None
    images: int


def counted(labels: Labels, answers: Labels, classes: int) -> Counts:
    """The confusion matrix, (classes, classes): a row for each class, a column for each answer."""
    from sklearn.metrics import confusion_matrix  # takes 0.7 s to import

    counts: Counts = confusion_matrix(labels, answers, labels=range(classes))
    return counts


def scores(labels: Labels, answers: Labels, classes: int) -> list[Scores]:
    """Of each class."""
    from sklearn.metrics import precision_recall_fscore_support  # takes 0.7 s to import

    columns = precision_recall_fscore_support(
        labels, answers, labels=range(classes), zero_division=np.nan
    )

    def known(share: float) -> float | None:
        return None if np.isnan(share) else float(share)

    return [
        Scores(known(precision), known(recall), known(f1), int(images))
        for precision, recall, f1, images in zip(*columns, strict=True)
    ]


def largest(counts: Counts, most: int) -> list[tuple[int, int, int]]:
    """The most frequent mistakes: the class, what it is taken for, and how often."""
    found = [(int(a), int(b), int(counts[a, b])) for a, b in np.argwhere(counts) if a != b]
    return sorted(found, key=lambda mistake: -mistake[2])[:most]


def as_text(counts: Counts) -> str:
    """The matrix for a terminal, a row for each class and a column for each answer; . is 0."""
    width = max(6, len(f" {counts.max():,}"))
    columns = "".join(f"{k:{width}}" for k in range(len(counts)))
    lines = ["truth  taken for", " " * 5 + columns]
    for k, row in enumerate(counts):
        lines.append(f"{k:5}" + "".join(f"{f'{n:,}' if n else '.':>{width}}" for n in row))
    return "\n".join(lines)


def scores_as_text(of_classes: Sequence[Scores]) -> str:
    """A row for each class, in percent; - is 0 / 0."""

    def percent(share: float | None) -> str:
        return "-" if share is None else f"{100 * share:.2f}"

    lines = ["class  precision, %  recall, %   F1, %  images"]
    lines += [
        f"{k:5}  {percent(s.precision):>12}  {percent(s.recall):>9}  {percent(s.f1):>6}  "
        f"{s.images:>6,}"
        for k, s in enumerate(of_classes)
    ]
    return "\n".join(lines)


def figure(counts: Counts, title: str) -> bytes:
    """A PNG of the matrix, whose colours show the mistakes alone: the diagonal would drown them."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    classes = len(counts)
    on_diagonal = np.eye(classes, dtype=bool)
    mistakes = np.ma.masked_array(counts, on_diagonal)
    most = max(1, int(mistakes.max()))
    drawn = Figure(figsize=(7, 5.8), dpi=130)
    FigureCanvasAgg(drawn)
    axes = drawn.subplots()
    drawn.subplots_adjust(left=0.08, right=0.98, bottom=0.08, top=0.92)
    axes.set_facecolor("#e8e8e8")  # the diagonal
    shades = axes.imshow(mistakes, cmap="Oranges", vmin=0, vmax=most)
    for (truth, answer), count in np.ndenumerate(counts):
        if count:
            is_dark = truth != answer and count > 0.6 * most
            color = "white" if is_dark else "black"
            axes.text(answer, truth, f"{count:,}", ha="center", va="center", color=color, size=9)
    axes.set_xticks(range(classes))
    axes.set_yticks(range(classes))
    axes.set_xticks(np.arange(0.5, classes - 1), minor=True)
    axes.set_yticks(np.arange(0.5, classes - 1), minor=True)
    axes.grid(which="minor", color="white", lw=1)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("answer of the network")
    axes.set_ylabel("truth")
    bar = drawn.colorbar(shades, ax=axes, shrink=0.8, ticks=MaxNLocator(integer=True))
    bar.set_label("images with a wrong answer (grey: the right ones)")
    bar.outline.set_visible(False)
    drawn.suptitle(textwrap.fill(title, 105), fontsize=9)
    return as_bytes(drawn, "png")
