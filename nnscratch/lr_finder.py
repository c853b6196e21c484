"""The learning-rate finder: one short training whose rate rises until it fails."""

import copy
import itertools
import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .arrays import Array
from .errors import DivergedError, UsageError
from .hyper import Interval, as_part, checked
from .loaders import Loader
from .loop import fit
from .model import MLP
from .optim import OPTIMIZERS, Optimizer
from .progress import Progress
from .schedules import Schedule

if TYPE_CHECKING:  # matplotlib takes 0.4 s to import, and only those who draw need it
    from matplotlib.figure import Figure

BETA = 0.9  # decay of the mean of the losses
FAILED = 1.5  # times the smallest loss: from there on the rate is too large
FEWEST = 3  # updates from which anything can be said
WINDOW = 0.25  # decades of the rate to both sides, over which a fall is measured


@dataclass(frozen=True)
class RateRange:
    """What the finder saw.

    rates        of the updates, rising
    losses       of their batches, each before its update
    smoothed     the bias-corrected mean of the losses so far, each weighing 0.9 of the next one

    >>> rates, losses = np.array([0.01, 0.1, 1, 10, 100]), np.array([2.3, 2.2, 1.0, 0.8, 1.5])
    >>> seen = nn.RateRange("sgd", rates, losses, smoothed=losses)
    >>> seen.steepest, seen.lowest, round(seen.suggestion, 2)
    (1.0, 10.0, 3.16)
    """

    optimizer: str
    rates: Array
    losses: Array
    smoothed: Array

    @property
    def lowest(self) -> float:
        """The rate at which the smoothed loss was least: mostly too large for a whole training."""
        return float(self.rates[self.smoothed.argmin()])

    @property
    def steepest(self) -> float:
        """The rate around which the smoothed loss fell most, within half a decade."""
        decades = math.log10(self.rates[-1] / self.rates[0])
        half = min(max(1, round(WINDOW * len(self.rates) / decades)), (len(self.rates) - 1) // 2)
        fall = self.smoothed[: len(self.rates) - 2 * half] - self.smoothed[2 * half :]
        return float(self.rates[half + fall.argmax()])

    @property
    def suggestion(self) -> float:
        """The middle between the steepest and the lowest, on a logarithmic scale."""
        return math.sqrt(self.steepest * self.lowest)

    def figure(self) -> "Figure":
        """The losses against the rate."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7, 4.2), dpi=110, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        axes.plot(self.rates, self.losses, ".", color="#BBBBBB", ms=4, label="each batch")
        axes.plot(self.rates, self.smoothed, color="#0072B2", label="smoothed")
        for rate, color, name in (
            (self.steepest, "#009E73", "steepest"),
            (self.lowest, "#D55E00", "lowest"),
            (self.suggestion, "#000000", "suggestion"),
        ):
            axes.axvline(rate, color=color, ls="--", label=f"{name}: {rate:.2g}")
        axes.set_xscale("log")
        axes.set_ylim(0, 1.3 * float(self.smoothed[: int(self.smoothed.argmin()) + 1].max()))
        axes.set_xlabel(f"learning rate of {self.optimizer}")
        axes.set_ylabel("loss per image of a batch, before its update")
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
        return figure


def find_lr(
    model: MLP,
    optimizer: str | Optimizer,
    loader: Loader,
    *,
    least: float = 1e-5,
    most: float = 10.0,
    updates: int = 400,
) -> RateRange:
    """Train a copy of the model while the rate rises from `least` to `most`, and see what happens.

    >>> loader = nn.mini_batch(nn.load_dataset("digits").train, 50)
    >>> found = nn.find_lr(nn.MLP([784, 30, 10]), "sgd", loader, updates=100)
    >>> sgd = nn.OPTIMIZERS["sgd"](lr=found.suggestion)
    >>> print(f"{sgd.lr:.0g}")
    1

        lr_k = least (most / least)^(k / (updates - 1))        k = 0, 1, ..., updates - 1

    It ends early where the smoothed loss is one and a half times the smallest so far, or where the
    training ends with a DivergedError. Model, optimizer and loader stay as they are.

    The suggestion is a rate to begin with, no more: it is found in the first updates of a training,
    and the best one may be several times smaller or larger. For SGD on 784-1000-10 it is eighteen
    times larger: rates that overshoot at the start train well once the curvature has fallen.

    Raises UsageError for an optimizer without a rate, for numbers out of range, and where the
    training fails at once.
    Source: Smith 2015, arXiv 1506.01186, section 3.3, where the rate rises linearly and accuracy
    is watched; exponential and with the loss as in common practice since.
    """
    optimizer = as_part(Optimizer, OPTIMIZERS, optimizer)  # type: ignore[type-abstract]
    positive = Interval("(0, inf)")
    least = checked("least", least, float, positive, "give the smallest rate to try")
    most = checked("most", most, float, positive, "give the largest rate to try")
    updates = checked("updates", updates, int, Interval("[10, inf)"), "give a number of updates")
    if most <= least:
        raise UsageError(f"rates cannot rise from {least:g} to {most:g}", "give least < most")
    growth = math.pow(most / least, 1 / (updates - 1))
    rates, losses, smoothed = [], [], []
    mean = 0.0
    for rate, loss in _rising(model, optimizer.with_lr(least), loader, growth, updates):
        rates.append(rate)
        losses.append(loss)
        mean = BETA * mean + (1 - BETA) * loss
        smoothed.append(mean / (1 - BETA ** len(losses)))
        if smoothed[-1] > FAILED * min(smoothed):
            break
    if len(rates) < FEWEST:
        what = f"{optimizer.full_name} fails after {len(rates)} updates from a rate of {least:g} on"
        raise UsageError(what, "give a smaller least")
    return RateRange(optimizer.full_name, np.array(rates), np.array(losses), np.array(smoothed))


def _rising(
    model: MLP, optimizer: Optimizer, loader: Loader, growth: float, updates: int
) -> Iterator[tuple[float, float]]:
    """The rate of each update, and the loss of its batch before it."""
    progress = Progress()
    records = fit(
        copy.deepcopy(model),
        optimizer,
        copy.copy(loader),
        epochs=-(-updates // len(loader)),
        schedule=_Rising(growth=growth),
        every=1,
        progress=progress,
    )
    loss_sum, seen = 0.0, 0  # of the epoch so far, as of the record before
    with suppress(DivergedError):
        for record in itertools.islice(records, updates):
            yield record.lr or 0.0, (progress.loss_sum - loss_sum) / (progress.seen - seen)
            loss_sum, seen = progress.loss_sum, progress.seen
            if record.ends_epoch:
                loss_sum, seen = 0.0, 0


@dataclass(frozen=True)
class _Rising(Schedule):
    """shape = growth^update."""

    growth: float = 1.0

    def shape(self, update: int, total: int, per_epoch: int) -> float:
        return math.pow(self.growth, update)
