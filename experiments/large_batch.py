"""What does a batch of thousands need to do as well as one of 128?

    python experiments/large_batch.py
    python experiments/large_batch.py --fast

A batch of 8192 gives 64 times fewer updates an epoch than one of 128. At equal epochs these
remedies are tried against that, k = 64 being the ratio of the two sizes:

    same rate       lr
    square root     lr sqrt(k)      keeps the noise of an update (Krizhevsky 2014, arXiv 1404.5997)
    linear          lr k            one step as long as k small ones (Goyal et al. 2017, 1706.02677)
    warm-up         the rate rises linearly over the first fifth of the updates (Goyal et al.)
    tuned           the rate that is best for this batch size
    lars, lamb      steps in proportion to the size of each weight matrix (You et al. 2017 and
                    2019, arXiv 1708.03888 and 1904.00962); adam is there to compare lamb with

lr is the best rate of momentum at batch 128, and everything but LARS, LAMB and Adam is momentum.
Each tuned rate is the best of five, half a decade apart, by the validation accuracy of one seed
after all epochs. All run again from fresh seeds, which share their weights; only these runs read
the test images, once. A training that diverges counts as guessing.

Then at equal updates: the large batch goes on for eight times as many epochs, and is compared with
the small one after the same number of updates, for which it reads k times as many images.
"""

import math
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from lab import Lab, blank, run

import nnscratch as nn
from nnscratch.looks import COLORS, looks_of
from nnscratch.study.inference import interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Rows = Sequence[Mapping[str, Any]]

HIDDEN = 100
WARM = 0.2  # the share of the updates in which the rate rises
LONGER = 8  # times as many epochs for the comparison at equal updates
RATES: dict[str, tuple[float, ...]] = {
    "momentum": (0.1, 0.316, 1.0, 3.16, 10.0),
    "lars": (3.16, 10.0, 31.6, 100.0, 316.0),
    "lamb": (0.00316, 0.01, 0.0316, 0.1, 0.316),
    "adam": (0.00316, 0.01, 0.0316, 0.1, 0.316),
}


@dataclass(frozen=True)
class Sizes:
    """How many images there are, in batches of which sizes, how often."""

    small: int = 128
    large: int = 8192
    images: int = 32_768
    epochs: int = 10

    @property
    def ratio(self) -> float:
        return self.large / self.small


@dataclass(frozen=True)
class Remedy:
    """A way to train: the rate is tuned, or that of the small batch times ratio^power."""

    name: str
    optimizer: str = "momentum"
    power: float | None = None
    warm: bool = False
    is_small: bool = False

    def batch_size(self, sizes: Sizes) -> int:
        return sizes.small if self.is_small else sizes.large

    def scaled(self, lr: float, sizes: Sizes) -> float:
        """The rate that follows from that of the small batch."""
        return lr * math.pow(sizes.ratio, self.power or 0.0)


SMALL = Remedy("small batch", is_small=True)
SAME = Remedy("same rate", power=0)
TUNED = Remedy("tuned")
REMEDIES = (
    SMALL,
    SAME,
    Remedy("square root", power=0.5),
    Remedy("square root, warm-up", power=0.5, warm=True),
    Remedy("linear", power=1),
    Remedy("linear, warm-up", power=1, warm=True),
    TUNED,
    Remedy("tuned, warm-up", warm=True),
    Remedy("lars", "lars"),
    Remedy("lamb", "lamb"),
    Remedy("adam", "adam"),
)


@dataclass(frozen=True)
class Run:
    """One training: validation errors in percent after 1, 2, 4, ... updates, and its end."""

    updates: list[int]
    errors: list[float]
    val_accuracy: float
    test_accuracy: float
    seconds: float
    total: int

    def error_at(self, update: int) -> float:
        return self.errors[self.updates.index(update)]


def train(
    data: nn.Dataset,
    remedy: Remedy,
    lr: float,
    sizes: Sizes,
    epochs: int,
    seed: int,
    *,
    test: bool = False,
) -> Run:
    """Train and look at the validation images at every doubling of the updates and at the end.

    A training that diverges has the accuracy of guessing, from then on. The test images are read
    only if asked.
    """
    model = nn.MLP([data.train.images.shape[1], HIDDEN, data.classes], seed=seed)
    loader = nn.mini_batch(data.train, remedy.batch_size(sizes), seed=seed)
    last = epochs * len(loader)
    schedule = nn.SCHEDULES["constant"](warmup=round(WARM * last) if remedy.warm else 0)
    looks = sorted({2**k for k in range(last.bit_length())} | {last})
    accuracies, seconds = list[float](), 0.0
    try:
        for record in nn.fit(
            model,
            nn.OPTIMIZERS[remedy.optimizer](lr=lr),
            loader,
            epochs,
            schedule=schedule,
            every=looks.__contains__,
        ):
            seconds += record.seconds if record.ends_epoch else 0.0
            if record.update in looks:
                accuracies.append(model.evaluate(data.val.x, data.val.labels).accuracy)
        end = model.evaluate(data.test.x, data.test.labels).accuracy if test else math.nan
    except nn.DivergedError:
        end = 1 / data.classes
    accuracies += [1 / data.classes] * (len(looks) - len(accuracies))
    errors = [100 * (1 - accuracy) for accuracy in accuracies]
    return Run(looks, errors, accuracies[-1], end, seconds, last)


def tuned(
    data: nn.Dataset, sizes: Sizes, rates: Mapping[str, Sequence[float]]
) -> Iterator[dict[str, object]]:
    """Each remedy whose rate is free, with each rate; "best" marks the one that is taken."""
    for remedy in REMEDIES:
        if remedy.power is None:
            tried = rates[remedy.optimizer]
            found = [
                train(data, remedy, lr, sizes, sizes.epochs, seed=0).val_accuracy for lr in tried
            ]
            best = int(np.argmax(found))
            for k, (lr, accuracy) in enumerate(zip(tried, found, strict=True)):
                yield {
                    "remedy": remedy.name,
                    "lr": lr,
                    "val %": 100 * accuracy,
                    "best": int(k == best),
                }


def rate_of(remedy: Remedy, tuning: Rows, sizes: Sizes) -> float:
    """The rate that was found for it, or that follows from the one found for the small batch."""
    name = remedy.name if remedy.power is None else SMALL.name
    found = next(float(row["lr"]) for row in tuning if row["remedy"] == name and row["best"])
    return found if remedy.power is None else remedy.scaled(found, sizes)


def finals(
    data: nn.Dataset, sizes: Sizes, tuning: Rows, seeds: Sequence[int]
) -> Iterator[tuple[dict[str, object], Run]]:
    """Every remedy from each seed, at equal epochs: a row, and the training."""
    for remedy in REMEDIES:
        lr = rate_of(remedy, tuning, sizes)
        for seed in seeds:
            found = train(data, remedy, lr, sizes, sizes.epochs, seed, test=True)
            yield (
                {
                    "remedy": remedy.name,
                    "optimizer": remedy.optimizer,
                    "batch size": remedy.batch_size(sizes),
                    "lr": lr,
                    "seed": seed,
                    "updates": found.total,
                    "val %": 100 * found.val_accuracy,
                    "test %": 100 * found.test_accuracy,
                    "seconds": found.seconds,
                },
                found,
            )


def longer(
    data: nn.Dataset, sizes: Sizes, tuning: Rows, small: Sequence[Run], seeds: Sequence[int]
) -> Iterator[tuple[dict[str, object], Run]]:
    """The large batch for more epochs, beside the small one after as many updates.

    `small` are the trainings of the small batch from these seeds. A row for each look.
    """
    for remedy in (SAME, TUNED):
        lr = rate_of(remedy, tuning, sizes)
        for seed, other in zip(seeds, small, strict=True):
            found = train(data, remedy, lr, sizes, LONGER * sizes.epochs, seed)
            for update in found.updates:
                if update in other.updates:
                    row = {
                        "remedy": remedy.name,
                        "lr": lr,
                        "seed": seed,
                        "updates": update,
                        "val %": 100 - found.error_at(update),
                        "small batch val %": 100 - other.error_at(update),
                    }
                    yield row, found


def of(rows: Rows, name: str, column: str = "test %") -> list[float]:
    """A column of one remedy's runs, in the order of the seeds."""
    return [row[column] for row in rows if row["remedy"] == name]


def mean(rows: Rows, name: str, column: str = "test %") -> float:
    return statistics.fmean(of(rows, name, column))


def gap(rows: Rows, name: str) -> tuple[float, float, float]:
    """The paired difference from the small batch in points of test accuracy, and its interval."""
    pairs = zip(of(rows, name), of(rows, SMALL.name), strict=True)
    differences = [a - b for a, b in pairs]
    return statistics.fmean(differences), *interval(differences)


def about_equal_epochs(tuning: Rows, rows: Rows) -> list[str]:
    """What each remedy is worth."""
    names = list(dict.fromkeys(row["remedy"] for row in rows))
    n = len(of(rows, SMALL.name))
    small, large = of(rows, SMALL.name, "batch size")[0], of(rows, SAME.name, "batch size")[0]
    sentences = [
        f"Batch {small:,}: {mean(rows, SMALL.name):.2f} % of the test images after "
        f"{of(rows, SMALL.name, 'updates')[0]:,} updates (lr "
        f"{of(rows, SMALL.name, 'lr')[0]:g}, {n} seeds); batch {large:,} with the same rate and as "
        f"many epochs: {mean(rows, SAME.name):.2f} % after {of(rows, SAME.name, 'updates')[0]:,}."
    ]
    for name in names[2:]:
        points, low, high = gap(rows, name)
        sentences.append(
            f"{name}, lr {of(rows, name, 'lr')[0]:.3g}: {mean(rows, name):.2f} %, {points:+.2f} "
            f"points from batch {small:,} (95 % interval {low:+.2f} to {high:+.2f})."
        )
    ranked = sorted(names[2:], key=lambda name: mean(rows, name, "val %"), reverse=True)
    whole = mean(rows, SMALL.name) - mean(rows, SAME.name)
    closed = mean(rows, ranked[0]) - mean(rows, SAME.name)
    rules = [name for name in ranked if name.startswith(("linear", "square"))]
    sentences.append(
        f"The best remedy is {ranked[0]}, before {ranked[1]}: it makes good {closed / whole:.0%} "
        f"of the {whole:.2f} points that the large batch loses. The best of the rules that need no "
        f"tuning is {rules[0]} with {mean(rows, rules[0]):.2f} %, the worst {rules[-1]} with "
        f"{mean(rows, rules[-1]):.2f} %."
    )
    for rule in ("square root", "linear", "tuned"):
        gain = [b - a for a, b in zip(of(rows, rule), of(rows, f"{rule}, warm-up"), strict=True)]
        low, high = interval(gain)
        sentences.append(
            f"Warm-up adds {statistics.fmean(gain):+.2f} points to {rule} ({low:+.2f} to "
            f"{high:+.2f})."
        )
    per_epoch = mean(rows, SAME.name, "seconds") / mean(rows, SMALL.name, "seconds")
    sentences.append(
        f"In seconds of training, on this processor, an epoch of large batches takes "
        f"{per_epoch:.2f} times as long as one of small ones."
    )
    edges = [
        name for name in dict.fromkeys(row["remedy"] for row in tuning) if at_edge(tuning, name)
    ]
    sentences.append(f"The best rate is at the edge of the five for: {', '.join(edges) or 'none'}.")
    return sentences


def at_edge(tuning: Rows, name: str) -> bool:
    """Whether the best of the rates is the first or the last one."""
    mine = [row["best"] for row in tuning if row["remedy"] == name]
    return bool(mine[0] or mine[-1])


def about_equal_updates(rows: Rows, ends: Rows) -> list[str]:
    """The large batch beside the small one after as many updates."""
    sentences = []
    target = mean(ends, SMALL.name, "val %")
    for name in dict.fromkeys(row["remedy"] for row in rows):
        last = max(row["updates"] for row in rows if row["remedy"] == name)
        mine = [row for row in rows if row["remedy"] == name and row["updates"] == last]
        ours = statistics.fmean(row["val %"] for row in mine)
        theirs = statistics.fmean(row["small batch val %"] for row in mine)
        sentences.append(
            f"At equal updates, {last:,} each, {name} (lr {mine[0]['lr']:g}) is at {ours:.2f} % of "
            f"the validation images and the small batch at {theirs:.2f} %: {ours - theirs:+.2f} "
            f"points ({len(mine)} seeds); the small batch ends at {target:.2f} %."
        )
    return sentences


def figure(
    runs: Sequence[tuple[Mapping[str, Any], Run]], more: Sequence[tuple[Mapping[str, Any], Run]]
) -> "Figure":
    """Errors against updates, and the test accuracy of each remedy."""
    drawing, (curves, ends) = blank()
    names = list(dict.fromkeys(row["remedy"] for row, _ in runs))
    looks = looks_of(names)
    small = [run for row, run in runs if row["remedy"] == SMALL.name]
    shown = {SMALL.name: small}
    for row, found in more:
        mine = shown.setdefault(row["remedy"], [])
        if found not in mine:
            mine.append(found)
    for color, (name, mine) in zip(COLORS, shown.items(), strict=False):
        errors = np.mean([found.errors for found in mine], axis=0)
        label = name if name == SMALL.name else f"large batch, {name}"
        curves.plot(mine[0].updates, errors, ".-", color=color, label=label)
    at = next(run.total for row, run in runs if row["remedy"] == SAME.name)
    curves.axvline(at, color="black", ls="--", lw=1)
    curves.annotate(
        "end of equal epochs",
        (at, 0.97),
        xycoords=("data", "axes fraction"),
        xytext=(4, 0),
        textcoords="offset points",
        va="top",
        fontsize=9,
    )
    curves.set(xscale="log", yscale="log", xlabel="update", ylabel="validation error, %")
    curves.set_yticks((2, 5, 10, 20, 50, 90), ("2", "5", "10", "20", "50", "90"))
    curves.minorticks_off()
    curves.legend(fontsize=8, loc="lower left")
    for k, name in enumerate(names):
        errors = [100 - row["test %"] for row, _ in runs if row["remedy"] == name]
        look = {"color": looks[name].color}
        ends.plot(errors, [k] * len(errors), looks[name].marker, mfc="none", **look)
        ends.plot([np.mean(errors)] * 2, [k - 0.3, k + 0.3], lw=2, **look)
    ends.set(xscale="log", xlabel="test error at equal epochs, %")
    ends.set_xticks((2, 5, 10, 20, 50, 90), ("2", "5", "10", "20", "50", "90"))
    ends.minorticks_off()
    ends.set_yticks(range(len(names)), names)
    ends.invert_yaxis()
    return drawing


def main(lab: Lab) -> None:
    sizes = lab.pick(Sizes(), fast=Sizes(small=16, large=256, images=512, epochs=4))
    data = lab.data(limit=sizes.images)
    few = lab.pick(len(data.val), fast=250)
    data = nn.Dataset(data.name, data.classes, data.train, data.val[:few], data.test)
    rates = {name: tried[:: lab.pick(1, fast=2)] for name, tried in RATES.items()}
    tuning = list(tuned(data, sizes, rates))
    lab.table(tuning, "tuning")
    seeds = range(1, lab.pick(5, fast=3))
    runs = list(finals(data, sizes, tuning, seeds))
    rows = [row for row, _ in runs]
    lab.table(rows)
    for sentence in about_equal_epochs(tuning, rows):
        lab.say(sentence)
    small = [run for row, run in runs if row["remedy"] == SMALL.name]
    fewer = lab.pick(2, fast=1)
    more = list(longer(data, sizes, tuning, small[:fewer], seeds[:fewer]))
    lab.table([row for row, _ in more], "updates")
    for sentence in about_equal_updates([row for row, _ in more], rows):
        lab.say(sentence)
    lab.draw(
        figure(runs, more),
        f"Left: validation error against updates, batch {sizes.small:,} (mean of {len(seeds)} "
        f"seeds) and {sizes.large:,} for {LONGER} times as many epochs (mean of {fewer}). Right: "
        f"test error after {sizes.epochs} epochs of {len(data.train):,} images, {len(seeds)} seeds "
        f"and their mean; {HIDDEN} hidden units.",
    )


if __name__ == "__main__":
    sys.exit(run(main))
