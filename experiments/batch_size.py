"""One image at a time, a few, or all: which gets there first?

    python experiments/batch_size.py
    python experiments/batch_size.py --fast

The three loaders, stochastic (one image), mini-batch (16 and 128) and batch (all images), train the
same network with SGD. Validation accuracy is measured on the way, a dozen times in each decade of
updates, against epochs, updates, gradients of single images (an epoch is one for each image) and
seconds of training. The learning rate of each batch size is the best of the same six, tried on
another seed at full length.

And memory: tracemalloc's peak during one gradient, beyond the network with its gradient. The
network reads 1,024 images at a time and adds their gradients up; what all images at once would take
follows from the memory of one image.
"""

import math
import statistics
import sys
import tracemalloc
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from lab import Lab, blank, run

import nnscratch as nn
from nnscratch.looks import COLORS, MARKERS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Row = Mapping[str, Any]
HIDDEN = 100
RATES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
TUNING_SEED = 100
TARGETS = (95, 90, 85, 80, 70, 60, 50)  # %; the first one that all runs reach is timed
MEASURES = {
    "epochs": "epochs",
    "updates": "updates",
    "gradients": "gradients of single images",
    "seconds": "seconds of training",
}


@dataclass(frozen=True)
class Kind:
    """A loader, and for how many epochs it is tried: about equally many seconds for each."""

    name: str
    make: Callable[[nn.Split, int], nn.Loader]
    epochs: int


def kinds(epochs: Sequence[int]) -> list[Kind]:
    return [
        Kind("stochastic, 1", nn.stochastic, epochs[0]),
        Kind("mini-batch, 16", lambda split, seed: nn.mini_batch(split, 16, seed), epochs[1]),
        Kind("mini-batch, 128", lambda split, seed: nn.mini_batch(split, 128, seed), epochs[2]),
        Kind("batch, all", nn.batch, epochs[3]),
    ]


def course(data: nn.Dataset, kind: Kind, lr: float, seed: int) -> list[dict[str, Any]]:
    """One training, looked at a dozen times in each decade of updates; up to its divergence."""
    model = nn.MLP([data.train.images.shape[1], HIDDEN, data.classes], seed=seed)
    images = kind.make(data.train, seed)
    total = kind.epochs * len(images)
    looks = set(np.geomspace(1, total, 1 + round(12 * math.log10(total))).astype(int).tolist())
    rows, before = [], 0.0
    try:
        for record in nn.fit(
            model, nn.OPTIMIZERS["sgd"](lr=lr), images, kind.epochs, every=looks.__contains__
        ):
            if record.update in looks:
                rows.append(
                    {
                        "loader": kind.name,
                        "lr": lr,
                        "seed": seed,
                        "epochs": record.update / len(images),
                        "updates": record.update,
                        "gradients": record.examples,
                        "seconds": before + record.seconds,
                        "val_error_percent": error(model, data.val),
                    }
                )
            before += record.seconds if record.ends_epoch else 0.0
    except nn.DivergedError:
        rows.append({"val_error_percent": 100.0})
    return rows


def error(model: nn.MLP, split: nn.Split) -> float:
    return 100 * (1 - model.evaluate(split.x, split.labels).accuracy)


def tuned(data: nn.Dataset, kind: Kind) -> float:
    """The rate with the fewest errors in the end."""
    found = [course(data, kind, lr, TUNING_SEED)[-1]["val_error_percent"] for lr in RATES]
    return RATES[int(np.argmin(found))]


def courses(data: nn.Dataset, tried: Sequence[Kind], seeds: int) -> list[dict[str, Any]]:
    return [
        row
        for kind in tried
        for lr in [tuned(data, kind)]
        for seed in range(seeds)
        for row in course(data, kind, lr, seed)
    ]


def peak_megabytes(split: nn.Split, hidden: int) -> float:
    """The most memory that the first gradient of these images takes, the network left out."""
    model = nn.MLP([split.images.shape[1], hidden, int(split.labels.max()) + 1])
    x, labels = split.x, split.labels
    tracemalloc.start()
    try:
        model.loss_and_grad(x, labels)
        return tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()


def memory(split: nn.Split, hidden: int) -> list[dict[str, Any]]:
    """Measured, and what it would be if each image more took as much as each of the first 1,024."""
    sizes = sorted({1, 128, 1024, len(split)})
    found = {size: peak_megabytes(split[:size], hidden) for size in sizes}
    per_image = (found[1024] - found[1]) / 1023
    return [
        {
            "images": size,
            "hidden": hidden,
            "peak_MB": peak,
            "at_once_MB": found[1] + per_image * (size - 1),
        }
        for size, peak in found.items()
    ]


# What was seen


def runs_of(rows: Sequence[Row]) -> dict[str, list[list[Row]]]:
    """The trainings of each loader."""
    found: dict[str, dict[int, list[Row]]] = {}
    for row in rows:
        found.setdefault(row["loader"], {}).setdefault(row["seed"], []).append(row)
    return {name: list(by_seed.values()) for name, by_seed in found.items()}


def first(run: Sequence[Row], accuracy: float) -> Row | None:
    """Where it was first seen that so many percent are right."""
    return next((row for row in run if row["val_error_percent"] <= 100 - accuracy), None)


def findings(rows: Sequence[Row]) -> Iterator[str]:
    found = runs_of(rows)
    for name, trainings in found.items():
        ends = [100 - run[-1]["val_error_percent"] for run in trainings]
        last = trainings[0][-1]
        edge = ", at the edge of what was tried" if last["lr"] in (RATES[0], RATES[-1]) else ""
        yield (
            f"{name}: after {last['epochs']:g} epochs, {last['updates']:,} updates, "
            f"{statistics.fmean(ends):.2f} % of the validation images are right (n = {len(ends)} "
            f"seeds, {min(ends):.2f} to {max(ends):.2f}), lr {last['lr']:g}{edge}."
        )
    everyone = [run for trainings in found.values() for run in trainings]
    target = next((t for t in TARGETS if all(first(run, t) for run in everyone)), None)
    if target is None:
        yield f"Not all reach {TARGETS[-1]} %."
        return
    for measure, name in MEASURES.items():
        means = {
            loader: statistics.fmean(first(run, target)[measure] for run in trainings)  # type: ignore[index]
            for loader, trainings in found.items()
        }
        best = min(means, key=means.__getitem__)
        told = "; ".join(
            f"{loader}: {mean:,.0f}" if mean >= 100 else f"{loader}: {mean:.3g}"
            for loader, mean in means.items()
        )
        yield f"{target} % are right after these {name}: {told}. Fewest: {best}."


def memory_findings(rows: Sequence[Row]) -> Iterator[str]:
    full, portion = rows[-1], next(row for row in rows if row["images"] == 1024)
    fits = full["peak_MB"] < 2 * portion["peak_MB"]
    yield (
        f"The gradient of {full['images']:,} images at once, {full['hidden']} hidden units, takes "
        f"{full['peak_MB']:.1f} MB beyond the network, that of 1,024 images "
        f"{portion['peak_MB']:.1f} MB. Without portions it would be {full['at_once_MB']:,.0f} MB. "
        f"The full batch {'fits wherever 1,024 images fit' if fits else 'takes more memory'}."
    )


def figure(rows: Sequence[Row]) -> "Figure":
    drawing, panels = blank(2, 2, height=3.3)
    for axes, (measure, name) in zip(panels, MEASURES.items(), strict=True):
        for k, (loader, trainings) in enumerate(runs_of(rows).items()):
            x = np.mean([[row[measure] for row in run] for run in trainings], axis=0)
            errors = np.array([[row["val_error_percent"] for row in run] for run in trainings])
            axes.loglog(
                x,
                errors.mean(axis=0),
                color=COLORS[k],
                marker=MARKERS[k],
                ms=4,
                markevery=6,
                lw=1.3,
                label=f"{loader}, lr {trainings[0][0]['lr']:g}",
            )
            axes.fill_between(
                x, errors.min(axis=0), errors.max(axis=0), color=COLORS[k], alpha=0.2, lw=0
            )
        ticks = [1, 2, 5, 10, 20, 50, 100]
        lowest = min(row["val_error_percent"] for row in rows)
        axes.set_yticks(ticks, [str(tick) for tick in ticks])
        axes.set_yticks([], minor=True)
        axes.set(xlabel=name, ylabel="validation error (%)", ylim=(0.8 * lowest, 110))
    handles, labels = panels[0].get_legend_handles_labels()
    drawing.legend(handles, labels, loc="outside upper center", ncols=4, fontsize=9, frameon=False)
    return drawing


def main(lab: Lab) -> None:
    whole = lab.data(limit=lab.pick(None, fast=1_100))
    rows = memory(whole.train, hidden=lab.pick(1000, fast=100))
    lab.table(rows, "memory")
    for sentence in memory_findings(rows):
        lab.say(sentence)

    n, few = lab.pick((5_000, 2_000), fast=(200, 100))
    data = replace(whole, train=whole.train[:n], val=whole.val[:few])
    seeds = lab.pick(3, fast=2)
    rows = courses(data, kinds(lab.pick((3, 20, 40, 150), fast=(1, 1, 3, 8))), seeds)
    lab.table(rows)
    for sentence in findings(rows):
        lab.say(sentence)
    caption = (
        f"Errors on {len(data.val):,} validation images on the way, {n:,} images to train, "
        f"{HIDDEN} hidden units, SGD with the best of {len(RATES)} rates for each; lines are means "
        f"and bands the range of n = {seeds} seeds. For SGD an epoch is one gradient of each image."
    )
    lab.draw(figure(rows), caption)


if __name__ == "__main__":
    sys.exit(run(main))
