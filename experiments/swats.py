"""When does SWATS switch from Adam to SGD, and does it end where SGD ends?

    python experiments/swats.py
    python experiments/swats.py --fast

SWATS (Keskar and Socher 2017, arXiv 1712.07628, algorithm 1) trains with Adam until it is clear
which rate SGD would need. Each Adam step p proposes one, and the switch comes when the proposal is
within a tolerance of its mean:

    gamma_t = <p, p> / -<p, dw>        lambda_t = beta2 lambda_(t-1) + (1 - beta2) gamma_t
    Lambda_t = lambda_t / (1 - beta2^t)                 switch if |Lambda_t - gamma_t| < tolerance

The tolerance of the paper is 1e-9. First gamma and Lambda are recorded at every update of a SWATS
that may not switch (tolerance 0): until its switch SWATS is the same training whatever its
tolerance, so that one training tells when it would have switched with any of them. If gamma falls
evenly around its mean, the chance of a switch is in proportion to the tolerance, and the distance
that a tenth of all updates are within tells how many updates a smaller one needs on the average:

    updates = distance / 0.1 / tolerance

Then SWATS with three tolerances runs beside Adam, SGD and momentum. Each tries the same number of
learning rates, half a decade apart; the one with the best validation accuracy after all epochs
runs again from fresh seeds, the same weights and batches for all. The test images are read once,
by these final runs. "In the end", says the lecture, "SWATS is hardly different from SGD". The
figures of the paper that are meant by that are of convolutional networks on CIFAR-10 and CIFAR-100,
with rates that fall in steps over 300 epochs; they are out of scope here.
"""

import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from lab import Lab, blank, run
from numpy.typing import NDArray

import nnscratch as nn
from nnscratch.looks import COLORS, looks_of
from nnscratch.study.inference import interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]
Rows = Sequence[Mapping[str, Any]]

HIDDEN = 100
BATCH = 128
PAPER = 1e-9  # the tolerance of the paper
TOLERANCES = (1e-1, 1e-2, 1e-3, PAPER)
NEAR = 0.1  # the share of all updates whose distance from the mean is called near

SWATS = nn.OPTIMIZERS["swats"]
ARMS: dict[str, tuple[nn.Optimizer, tuple[float, ...]]] = {
    "sgd": (nn.OPTIMIZERS["sgd"](), (0.1, 0.316, 1.0, 3.16)),
    "momentum": (nn.OPTIMIZERS["momentum"](), (0.0316, 0.1, 0.316, 1.0)),
    "adam": (nn.OPTIMIZERS["adam"](), (1e-3, 3.16e-3, 1e-2, 3.16e-2)),
    "swats 1e-9": (SWATS(tolerance=PAPER), (1e-3, 3.16e-3, 1e-2, 3.16e-2)),
    "swats 1e-3": (SWATS(tolerance=1e-3), (1e-3, 3.16e-3, 1e-2, 3.16e-2)),
    "swats 1e-2": (SWATS(tolerance=1e-2), (1e-3, 3.16e-3, 1e-2, 3.16e-2)),
}
LOOSEST = "swats 1e-2"


@dataclass(frozen=True)
class Setting:
    """Where the criterion is watched."""

    hidden: int = HIDDEN
    batch_size: int = BATCH
    lr: float = 1e-3
    epochs: int = 10

    def __str__(self) -> str:
        return f"{self.hidden} units, batch {self.batch_size}, lr {self.lr:g}"


SETTINGS = (
    Setting(epochs=30),
    Setting(lr=1e-4),
    Setting(lr=1e-2),
    Setting(batch_size=1024),
    Setting(batch_size=8192, epochs=20),
    Setting(hidden=1000, epochs=3),
)


@dataclass(frozen=True)
class Criterion:
    """What SWATS compares: gamma and its corrected mean Lambda at each update, shape (updates,)."""

    gamma: Floats
    Lambda: Floats

    @property
    def distance(self) -> Floats:
        """|Lambda_t - gamma_t|, at the place t - 1."""
        found: Floats = np.abs(self.Lambda - self.gamma)
        return found

    def switch(self, tolerance: float) -> int:
        """The update, counted from 1, at which SWATS switches with that tolerance; 0 for never."""
        may = (self.distance < tolerance) & (self.Lambda > 0)
        may[0] = False  # t > 1
        return int(may.argmax()) + 1 if may.any() else 0

    def crossings(self) -> int:
        """How often gamma passes its mean in the second half of the training."""
        above = self.gamma > self.Lambda
        return int(np.count_nonzero(np.diff(above[len(above) // 2 :])))

    def updates_for(self, tolerance: float) -> float:
        """How many updates a switch takes on the average, if gamma falls evenly around its mean."""
        near = np.quantile(self.distance, NEAR)
        return float(near / NEAR / tolerance) if self.crossings() else np.inf


def watch(data: nn.Dataset, setting: Setting, seed: int = 0) -> Criterion:
    """Train with a SWATS that may not switch, and record its criterion at every update."""
    optimizer = SWATS(lr=setting.lr, tolerance=0)
    loader = nn.mini_batch(data.train, min(setting.batch_size, len(data.train)), seed=seed)
    progress = nn.Progress()
    found = [0.0]
    training = nn.fit(
        network(data, setting.hidden, seed),
        optimizer,
        loader,
        setting.epochs,
        every=1,
        progress=progress,
    )
    for _ in training:
        found.append(progress.states[0]["lambda"])
    means, beta2 = np.array(found), optimizer.beta2
    gamma = (means[1:] - beta2 * means[:-1]) / (1 - beta2)
    return Criterion(gamma, means[1:] / (1 - beta2 ** np.arange(1, len(means))))


def network(data: nn.Dataset, hidden: int, seed: int) -> nn.MLP:
    return nn.MLP([data.train.images.shape[1], hidden, data.classes], seed=seed)


def watched(setting: Setting, criterion: Criterion) -> dict[str, object]:
    """A row of the table of settings."""
    closest = int(criterion.distance[1:].argmin()) + 1
    switches = {f"switch at {tol:g}": criterion.switch(tol) for tol in TOLERANCES}
    return {
        "hidden": setting.hidden,
        "batch_size": setting.batch_size,
        "lr": setting.lr,
        "updates": len(criterion.gamma),
        "epochs": setting.epochs,
        "last Lambda": float(criterion.Lambda[-1]),
        "median distance": float(np.median(criterion.distance)),
        "smallest distance": float(criterion.distance[closest]),
        "crossings": criterion.crossings(),
        **switches,
        f"updates for {PAPER:g}": criterion.updates_for(PAPER),
    }


@dataclass(frozen=True)
class Run:
    """One training: the validation error in percent on its way, and what it came to.

    switched_at and Lambda are 0 where there was no switch.
    """

    updates: list[int]
    errors: list[float]
    val_accuracy: float
    test_accuracy: float
    train_loss: float
    switched_at: int
    Lambda: float

    def error_at(self, update: int) -> float:
        """The validation error there, between those that were measured."""
        return float(np.interp(np.log(update), np.log(self.updates), self.errors))


def train(
    data: nn.Dataset, optimizer: nn.Optimizer, seed: int, epochs: int, *, test: bool = False
) -> Run:
    """Train, look at the validation images after 1, 2, 4, 8, ... updates and at the end.

    A training that diverges has the accuracy of guessing. The test images are read only if asked.
    """
    model, progress = network(data, HIDDEN, seed), nn.Progress()
    loader = nn.mini_batch(data.train, min(BATCH, len(data.train)), seed=seed)
    last = epochs * len(loader)
    updates, errors = list[int](), list[float]()
    accuracy, loss = 1 / data.classes, float("nan")
    looks = doubling(last)
    try:
        for record in nn.fit(
            model, optimizer, loader, epochs, every=looks.__contains__, progress=progress
        ):
            loss = record.train_loss
            if record.update in looks:
                accuracy = model.evaluate(data.val.x, data.val.labels).accuracy
                updates.append(record.update)
                errors.append(100 * (1 - accuracy))
    except nn.DivergedError:
        accuracy = 1 / data.classes
    return Run(
        updates,
        errors,
        accuracy,
        model.evaluate(data.test.x, data.test.labels).accuracy if test else float("nan"),
        loss,
        progress.states[0].get("switched_at", 0),
        progress.states[0].get("Lambda", 0.0),
    )


def doubling(last: int) -> set[int]:
    """1, 2, 4, ... and the last one."""
    return {2**k for k in range(last.bit_length())} | {last}


def tuned(data: nn.Dataset, epochs: int, every: int = 1, seed: int = 0) -> list[dict[str, object]]:
    """Each optimizer with its rates, or some of them; "best" marks the one that is taken."""
    rows: list[dict[str, object]] = []
    for arm, (optimizer, all_rates) in ARMS.items():
        rates = all_rates[::every]
        found = [train(data, optimizer.with_lr(lr), seed, epochs).val_accuracy for lr in rates]
        best = int(np.argmax(found))
        rows += [
            {"arm": arm, "lr": lr, "val %": 100 * accuracy, "best": int(k == best)}
            for k, (lr, accuracy) in enumerate(zip(rates, found, strict=True))
        ]
    return rows


def finals(
    data: nn.Dataset, tuning: Rows, epochs: int, seeds: Sequence[int]
) -> Iterator[tuple[dict[str, object], Run]]:
    """Each optimizer at its best rate, from each seed: a row, and the training."""
    for row in tuning:
        if row["best"]:
            optimizer = ARMS[row["arm"]][0].with_lr(row["lr"])
            for seed in seeds:
                found = train(data, optimizer, seed, epochs, test=True)
                yield (
                    {
                        "arm": row["arm"],
                        "lr": row["lr"],
                        "seed": seed,
                        "updates": found.updates[-1],
                        "val %": 100 * found.val_accuracy,
                        "test %": 100 * found.test_accuracy,
                        "train loss": found.train_loss,
                        "switched at": found.switched_at,
                        "Lambda": found.Lambda,
                    },
                    found,
                )


def of(rows: Rows, arm: str, column: str) -> list[float]:
    """A column of the final runs of one optimizer, in the order of the seeds."""
    return [row[column] for row in rows if row["arm"] == arm]


def about_the_criterion(rows: Rows) -> list[str]:
    """What the table of settings says, the first of them being the usual one."""
    first = rows[0]
    column = f"switch at {PAPER:g}"
    switching = sum(row[column] > 0 for row in rows)
    most = max(row["updates"] for row in rows)
    closest = min(rows, key=lambda row: row["smallest distance"])
    needed = f"updates for {PAPER:g}"
    per_epoch = first["updates"] / first["epochs"]
    found = [
        f"With the tolerance of the paper, {PAPER:g}, {switching or 'none'} of the {len(rows)} "
        f"settings switch{'es' if switching <= 1 else ''} in up to {most:,} updates. The closest "
        f"that gamma comes to its mean is {closest['smallest distance']:.1e} ({told(closest)}).",
        f"The reason is the noise of gamma. With {told(first)} its median distance from its mean "
        f"is {first['median distance']:.2g}, and the mean is {first['last Lambda']:.2g} at last. "
        f"If gamma falls evenly around its mean, a distance below {PAPER:g} takes "
        f"{first[needed]:.0e} updates on the average, or {first[needed] / per_epoch:,.0f} epochs.",
        f"With {told(first)} the switch comes at update "
        + ", ".join(
            f"{row_switch(first, tol)} for a tolerance of {tol:g}" for tol in TOLERANCES[:-1]
        )
        + ".",
    ]
    rates = sorted(
        (row for row in rows if (row["hidden"], row["batch_size"]) == (HIDDEN, BATCH)),
        key=lambda row: row["lr"],
    )
    low, high = rates[0], rates[-1]
    found.append(
        f"The tolerance is a length in units of a learning rate: from lr {low['lr']:g} to "
        f"{high['lr']:g}, {high['lr'] / low['lr']:.3g}-fold, the median distance grows "
        f"{high['median distance'] / low['median distance']:.3g}-fold, to "
        f"{high['median distance']:.2g}. A tolerance of 0.01 is met at update "
        f"{row_switch(low, 1e-2)} with the former and {row_switch(high, 1e-2)} with the latter."
    )
    crossed = ", ".join(
        f"{row['crossings']:,} times in {row['updates'] // 2:,} updates with a batch of "
        f"{row['batch_size']:,}"
        for row in (first, *(row for row in rows if row["batch_size"] > BATCH))
    )
    found.append(
        f"In the second half of its training gamma passes its mean {crossed}. Where it does not, "
        "the mean over a thousand updates stays behind a gamma that drifts, and no patience helps."
    )
    return found


def told(row: Mapping[str, Any]) -> str:
    return str(Setting(row["hidden"], row["batch_size"], row["lr"]))


def row_switch(row: Mapping[str, Any], tolerance: float) -> str:
    update = row[f"switch at {tolerance:g}"]
    return f"{update:,}" if update else "none"


def about_the_end(tuning: Rows, rows: Rows) -> list[str]:
    """What the final runs say."""
    arms = list(dict.fromkeys(row["arm"] for row in rows))
    n = len(of(rows, arms[0], "seed"))
    left = 1 - SWATS().beta1
    sentences = []
    for arm in arms:
        if arm.startswith("swats"):
            switches = [update for update in of(rows, arm, "switched at") if update]
            text = f"{arm}, lr {of(rows, arm, 'lr')[0]:g}: {len(switches)} of {n} seeds switch"
            if switches:
                found_rates = [rate for rate in of(rows, arm, "Lambda") if rate]
                last = of(rows, arm, "updates")[0]
                text += f", at update {spread(switches, ',.0f')} of {last:,}"
                text += f". The rate of SGD is then Lambda = {spread(found_rates, '.2f')}, beside "
                text += f"{of(rows, 'sgd', 'lr')[0]:g} for tuned SGD; with its momentum that is "
                text += f"(1 - beta1) Lambda = {left * statistics.median(found_rates):.2f}, beside "
                text += f"{of(rows, 'momentum', 'lr')[0]:g} for tuned momentum"
            sentences.append(f"{text}.")
    ends = ", ".join(f"{arm} {mean(rows, arm):.2f} ({deviation(rows, arm):.2f})" for arm in arms)
    sentences.append(f"Test accuracy in %, mean over {n} seeds and standard deviation: {ends}.")
    sentences += [compared(rows, LOOSEST, other) for other in ("sgd", "momentum", "adam")]
    sentences.append(compared(rows, "swats 1e-9", "adam"))
    apart = {other: abs(mean(rows, LOOSEST) - mean(rows, other)) for other in ("sgd", "momentum")}
    sentences.append(
        f"In the end {LOOSEST} is {apart['sgd']:.2f} points from plain SGD and "
        f"{apart['momentum']:.2f} from SGD with momentum, which is what it has become."
    )
    edges = ", ".join(arm for arm in arms if at_edge(of_arm(tuning, arm)))
    sentences.append(
        f"Each had {len(of_arm(tuning, arms[0]))} learning rates to choose from. The best is at "
        f"the edge of them for: {edges or 'none'}."
    )
    sentences.append(
        "Out of scope: the paper's own comparison, convolutional networks on CIFAR over 300 epochs."
    )
    return sentences


def of_arm(rows: Rows, arm: str) -> Rows:
    return [row for row in rows if row["arm"] == arm]


def at_edge(rows: Rows) -> bool:
    """Whether the best of the rates is the first or the last one."""
    return bool(rows[0]["best"] or rows[-1]["best"])


def spread(numbers: Sequence[float], form: str) -> str:
    """The median, and in brackets the range where there is more than one."""
    middle = format(statistics.median(numbers), form)
    if len(numbers) == 1:
        return middle
    return f"{middle} ({format(min(numbers), form)} to {format(max(numbers), form)})"


def mean(rows: Rows, arm: str) -> float:
    return statistics.fmean(of(rows, arm, "test %"))


def deviation(rows: Rows, arm: str) -> float:
    return statistics.stdev(of(rows, arm, "test %"))


def compared(rows: Rows, arm: str, other: str) -> str:
    """One sentence on the paired difference of test accuracies."""
    pairs = zip(of(rows, arm, "test %"), of(rows, other, "test %"), strict=True)
    differences = [a - b for a, b in pairs]
    if not any(differences):
        return f"{arm} and {other} have the same test accuracy in all {len(differences)} pairs."
    low, high = interval(differences)
    verdict = "ahead" if low > 0 else "behind" if high < 0 else "no difference can be told"
    return (
        f"{arm} minus {other}: {statistics.fmean(differences):+.2f} points of test accuracy, "
        f"95 % interval {low:+.2f} to {high:+.2f} over {len(differences)} pairs: {verdict}."
    )


def criterion_figure(found: Mapping[Setting, Criterion]) -> "Figure":
    """The distance at each update, and the first switch for each tolerance."""
    figure, (live, first) = blank()
    colors = dict(zip(found, COLORS, strict=False))
    usual, largest = next(iter(found)), max(found, key=lambda setting: setting.batch_size)
    for setting in dict.fromkeys((usual, largest)):
        distance = found[setting].distance[1:]
        updates = np.arange(2, len(distance) + 2)
        live.plot(updates, distance, ".", ms=2, color=colors[setting], label=str(setting))
    for tolerance in TOLERANCES[1:]:
        live.axhline(tolerance, color="black", lw=1, ls="--")
        paper = ", as in the paper" if tolerance == PAPER else ""
        live.annotate(
            f"tolerance {tolerance:g}{paper}",
            (0.02, tolerance),
            xycoords=("axes fraction", "data"),
            xytext=(0, -4),
            textcoords="offset points",
            va="top",
            fontsize=9,
        )
    live.set(xscale="log", yscale="log", ylim=(PAPER / 50, None))
    live.set(xlabel="update t", ylabel=r"$|\Lambda_t - \gamma_t|$, in units of a learning rate")
    live.legend(fontsize=8, markerscale=5, loc="center left", bbox_to_anchor=(0, 0.35))
    for setting, criterion in found.items():
        color = colors[setting]
        tolerances = np.geomspace(10, criterion.distance[1:].min(), 60)
        switches = [criterion.switch(tol) or np.nan for tol in tolerances]
        first.plot(tolerances, switches, color=color, label=str(setting))
        if criterion.crossings():
            beyond = np.array([float(np.quantile(criterion.distance, NEAR)), PAPER])
            first.plot(beyond, [criterion.updates_for(x) for x in beyond], color=color, ls=":")
    first.axvline(PAPER, color="black", lw=1, ls="--")
    first.set(xscale="log", yscale="log", xlabel="tolerance", ylabel="first switch, update")
    first.legend(fontsize=8, loc="upper right")
    return figure


def ends_figure(runs: Sequence[tuple[Mapping[str, Any], Run]]) -> "Figure":
    """Learning curves with the switches marked, and the test accuracies of all seeds."""
    figure, (curves, ends) = blank()
    arms = list(dict.fromkeys(row["arm"] for row, _ in runs))
    looks = looks_of(arms)
    for k, arm in enumerate(arms):
        mine = [(row, found) for row, found in runs if row["arm"] == arm]
        look = {"color": looks[arm].color}
        errors = np.mean([found.errors for _, found in mine], axis=0)
        label = f"{arm}, lr {mine[0][0]['lr']:g}"
        dashes = "--" if arm.startswith("swats") else "-"
        curves.plot(mine[0][1].updates, errors, dashes, label=label, lw=1.5, **look)
        for _, found in mine:
            if found.switched_at:
                at = (found.switched_at, found.error_at(found.switched_at))
                curves.plot(*at, "*", ms=10, mec="black", mew=0.5, **look)
        accuracies = [row["test %"] for row, _ in mine]
        ends.plot([k] * len(accuracies), accuracies, looks[arm].marker, mfc="none", **look)
        ends.plot([k - 0.25, k + 0.25], [np.mean(accuracies)] * 2, lw=2, **look)
    curves.set(xscale="log", yscale="log", xlabel="update", ylabel="validation error, %")
    curves.set_yticks((2, 5, 10, 20, 50, 90), ("2", "5", "10", "20", "50", "90"))
    curves.minorticks_off()
    curves.legend(fontsize=8, loc="lower left")
    ends.set_xticks(range(len(arms)), arms, rotation=20)
    ends.set_ylabel("test accuracy, %")
    return figure


def main(lab: Lab) -> None:
    data = lab.data(limit=lab.pick(25_000, fast=1000))
    data = nn.Dataset(
        data.name, data.classes, data.train, data.val[: lab.pick(10_000, fast=500)], data.test
    )
    settings = lab.pick(SETTINGS, fast=(Setting(epochs=2), Setting(lr=1e-2, epochs=2)))
    found = {setting: watch(data, setting) for setting in settings}
    rows = [watched(*pair) for pair in found.items()]
    lab.table(rows, "criterion")
    for sentence in about_the_criterion(rows):
        lab.say(sentence)
    lab.draw(
        criterion_figure(found),
        "Left: how far gamma is from its mean at every update, beside the tolerances. Right: the "
        "first update that a tolerance would have switched at, in one training each; dotted: the "
        "number of updates on the average, if gamma falls evenly around its mean.",
        "criterion",
    )
    epochs = lab.pick(10, fast=2)
    tuning = tuned(data, epochs, every=lab.pick(1, fast=2))
    lab.table(tuning, "tuning")
    runs = list(finals(data, tuning, epochs, range(1, lab.pick(6, fast=3))))
    rows = [row for row, _ in runs]
    lab.table(rows)
    for sentence in about_the_end(tuning, rows):
        lab.say(sentence)
    n = len(of(rows, LOOSEST, "seed"))
    lab.draw(
        ends_figure(runs),
        f"Left: validation error, mean over {n} seeds; a star marks the switch of a seed, at that "
        f"seed's own error. Right: test accuracy of each seed, and the mean. {HIDDEN} hidden "
        f"units, batch {BATCH}, {epochs} epochs of {len(data.train):,} images; the number behind "
        "swats is its tolerance.",
    )


if __name__ == "__main__":
    sys.exit(run(main))
