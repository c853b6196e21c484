"""Does the bias correction of Adam lengthen its first steps, as is taught, or shorten them?

    python experiments/warm_start.py
    python experiments/warm_start.py --fast

The lecture calls the correction a warm start that enlarges the small steps of the beginning.

Steps. `adam` and `adam_uncorrected` get one gradient, which stays, without eps. The step of the
first is lr; that of the second is lr times

    r(t) = (1 - beta1^t) / sqrt(1 - beta2^t)        at t = 1: (1 - beta1) / sqrt(1 - beta2)

so r(t) is also the uncorrected step over the corrected one, and 1 / r(t) what the correction
multiplies a step by. In a network 784-100-10 Adam goes its way, and the others are given the same
gradients and take their steps beside it; the norms of the steps are compared.

Epochs. The lecture's code has 1 + epoch in the exponent where the algorithm has the number of the
update. `AdamByEpoch` is the registry's Adam with that exponent: its step is r(t) / r(1 + epoch) of
Adam's, which is 1 where an epoch is one update.

Accuracy. Each variant gets the same learning rates, two a decade from 1e-4 to 1e-1, two seeds
each. The best by validation accuracy after the last epoch is trained with twelve fresh seeds, and
so are all at the best rate of `adam`. One seed gives the same first weights and batches to all, so
that differences are paired; the interval is Student's. Test images are read once, at the end.

Source: Kingma and Ba 2014, arXiv 1412.6980, algorithm 1 and section 3; r(t) follows from there.
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from lab import Lab, blank, run
from scipy import stats

import nnscratch as nn
from nnscratch.arrays import Array
from nnscratch.looks import COLORS, looks_of
from nnscratch.optim.adam import Adam

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Row = dict[str, Any]
BETA1, BETA2 = 0.9, 0.999
BETAS2 = (0.999, 0.99, 0.9)
BATCH = 128
FULL_EPOCH = 391  # updates in an epoch of 50,000 images
VARIANTS = ("adam", "adam_uncorrected", "adam_by_epoch")
LOOKS = looks_of(VARIANTS)
FIRST_FINAL_SEED = 100  # seeds from here on are not used to tune


@dataclass(frozen=True)
class AdamByEpoch(Adam):
    """Adam whose correction counts epochs where it should count updates."""

    name = "adam_by_epoch"

    per_epoch: int = nn.hyper(1, "[1, inf)", "number of updates in an epoch")

    def scalars(self, state: nn.State) -> dict[str, float]:
        epoch = (state["t"] - 1) // self.per_epoch
        return super().scalars({"t": 1 + epoch})


def variant(name: str, per_epoch: int, **settings: float) -> nn.Optimizer:
    if name == "adam_by_epoch":
        return AdamByEpoch(per_epoch=per_epoch, **settings)
    optimizer: nn.Optimizer = nn.OPTIMIZERS[name](**settings)
    return optimizer


def ratio(t: Array, beta1: float = BETA1, beta2: float = BETA2) -> Array:
    """r(t): the step without correction over the step with it."""
    r: Array = (1 - beta1**t) / np.sqrt(1 - beta2**t)
    return r


def kept(updates: int) -> set[int]:
    """Which updates are written down: all of the first, and then some a decade."""
    return {*range(1, 31), *np.geomspace(30, updates, 60).astype(int).tolist()}


def constant(name: str, updates: int, per_epoch: int = 1, beta2: float = BETA2) -> list[Row]:
    """The steps, in units of lr, under one gradient that stays."""
    optimizer = variant(name, per_epoch, lr=1.0, beta1=BETA1, beta2=beta2, eps=0.0)
    w, dw = np.zeros(1), np.ones(1)
    state: nn.State = {}
    rows, wanted = [], kept(updates)
    for t in range(1, updates + 1):
        before = float(w[0])
        optimizer.update(w, dw, state)
        if t in wanted:
            rows.append(
                {
                    "variant": name,
                    "beta2": beta2,
                    "updates_an_epoch": per_epoch,
                    "update": t,
                    "step_over_lr": before - float(w[0]),
                }
            )
    return rows


def network(data: nn.Dataset) -> list[int]:
    """The sizes of the network that learns these images."""
    return [data.train.images.shape[1], 100, data.classes]


def beside(data: nn.Dataset, seed: int, epochs: int) -> list[Row]:
    """The steps of all variants at the same gradients: those on Adam's path."""
    model = nn.MLP(network(data), seed=seed)
    loader = nn.mini_batch(data.train, BATCH, seed=seed)
    optimizers = {name: variant(name, len(loader), lr=1e-3) for name in VARIANTS}
    states: dict[str, nn.State] = {name: {} for name in VARIANTS}
    rows, wanted = [], kept(epochs * len(loader))
    for t, (x, labels) in enumerate((batch for _ in range(epochs) for batch in loader), start=1):
        model.loss_and_grad(x, labels)
        start = model.w.copy()
        lengths = {}
        for name in reversed(VARIANTS):  # adam last: its step is the one that is taken
            model.w = start
            optimizers[name].update(model.w, model.dw, states[name])
            lengths[name] = float(np.linalg.norm(model.w - start, ord=2))
        if t in wanted:
            rows.append(
                {
                    "seed": seed,
                    "update": t,
                    "epoch": 1 + (t - 1) // len(loader),
                    "adam_step": lengths["adam"],
                    **{
                        f"{name}_over_adam": lengths[name] / lengths["adam"]
                        for name in VARIANTS[1:]
                    },
                }
            )
    return rows


def train(data: nn.Dataset, name: str, lr: float, seed: int, epochs: int) -> tuple[Row, nn.MLP]:
    """A training, as a row with its validation accuracy after the first and the last epoch."""
    model = nn.MLP(network(data), seed=seed)
    loader = nn.mini_batch(data.train, BATCH, seed=seed)
    optimizer = variant(name, len(loader), lr=lr)
    accuracies = []
    try:
        for record in nn.fit(model, optimizer, loader, epochs, val=data.val):
            accuracies.append(record.val_accuracy or 0.0)
    except nn.DivergedError:  # it has learnt nothing that is of use
        accuracies += [1 / data.classes] * (epochs - len(accuracies))
    row = {"variant": name, "lr": lr, "seed": seed}
    return row | {"val_first_epoch": accuracies[0], "val_last_epoch": accuracies[-1]}, model


def best_rate(rows: Iterable[Row], name: str) -> float:
    """The rate with the best mean validation accuracy at the end; the smaller one if equal."""
    found: dict[float, list[float]] = {}
    for row in rows:
        if row["variant"] == name:
            found.setdefault(row["lr"], []).append(row["val_last_epoch"])
    return max(sorted(found), key=lambda lr: float(np.mean(found[lr])))


def finals(data: nn.Dataset, tuned: Sequence[Row], seeds: int, epochs: int) -> list[Row]:
    """Fresh seeds of each variant at its own best rate and at Adam's, with the test images."""
    rows = []
    for name in VARIANTS:
        for lr in sorted({best_rate(tuned, name), best_rate(tuned, "adam")}):
            for seed in range(FIRST_FINAL_SEED, FIRST_FINAL_SEED + seeds):
                row, model = train(data, name, lr, seed, epochs)
                test = model.evaluate(data.test.x, data.test.labels)
                rows.append(row | {"test": test.accuracy})
    return rows


def paired(rows: Sequence[Row], name: str, lr: float, adam_lr: float, column: str) -> Array:
    """Differences from Adam at its own rate, in percentage points, seed by seed."""

    def by_seed(name: str, lr: float) -> Mapping[int, float]:
        return {
            row["seed"]: row[column] for row in rows if (row["variant"], row["lr"]) == (name, lr)
        }

    mine, adam = by_seed(name, lr), by_seed("adam", adam_lr)
    return 100 * np.array([mine[seed] - adam[seed] for seed in sorted(adam)])


def interval(differences: Array) -> tuple[float, float, float]:
    """The mean, and its 95 % interval by Student."""
    mean = float(differences.mean())
    if len(differences) < 2 or differences.std() == 0:
        return mean, mean, mean
    low, high = stats.t.interval(0.95, len(differences) - 1, loc=mean, scale=stats.sem(differences))
    return mean, float(low), float(high)


def of(
    rows: Iterable[Row], name: str, per_epoch: int = 1, beta2: float = BETA2
) -> dict[int, float]:
    """The steps of one variant under a gradient that stays, by update."""
    chosen = (name, beta2, per_epoch)
    return {
        int(row["update"]): row["step_over_lr"]
        for row in rows
        if (row["variant"], row["beta2"], row["updates_an_epoch"]) == chosen
    }


def say_constant(rows: Sequence[Row]) -> list[str]:
    adam, bare = of(rows, "adam"), of(rows, "adam_uncorrected")
    peak = max(bare, key=bare.__getitem__)
    long = max((t for t in bare if bare[t] > 1.1 * adam[t]), default=0)
    verb = "shortens" if bare[1] > adam[1] else "lengthens"
    holds = "does not hold" if verb == "shortens" else "holds"
    first = "; ".join(
        f"{of(rows, 'adam_uncorrected', beta2=beta2)[1]:.2f} lr at {BETA1:g} / {beta2:g}"
        for beta2 in BETAS2
    )
    return [
        f"Under a gradient that stays, at {BETA1:g} / {BETA2:g}, the first step without correction "
        f"is {bare[1]:.2f} lr and the longest {bare[peak]:.2f} lr, at update {peak}; with it the "
        f"steps are {min(adam.values()):.2f} to {max(adam.values()):.2f} lr. The correction {verb} "
        f"the first steps; that it lengthens them {holds}.",
        f"Without correction the steps stay more than 1.1 times as long until about update "
        f"{long:,}.",
        f"It depends on beta2: the first step without correction is {first}. The correction "
        f"lengthens it only where beta2 is below 1 - (1 - beta1)^2 = "
        f"{1 - (1 - BETA1) ** 2:.2f}.",
    ]


def say_beside(rows: Sequence[Row]) -> list[str]:
    seeds = len({row["seed"] for row in rows})
    t = np.array([row["update"] for row in rows])
    epoch = np.array([row["epoch"] for row in rows])
    bare = np.array([row["adam_uncorrected_over_adam"] for row in rows])
    by_epoch = np.array([row["adam_by_epoch_over_adam"] for row in rows])
    off = np.abs(bare / ratio(t) - 1).max(), np.abs(by_epoch * ratio(epoch) / ratio(t) - 1).max()
    last = by_epoch[t == t.max()].mean()
    return [
        f"At the gradients of a network the step without correction is {bare[t == 1].mean():.2f} "
        f"times Adam's at update 1 and {bare[t == 12].mean():.2f} times at update 12; over the "
        f"first {t.max():.0f} updates it is r(t) times Adam's to {off[0]:.1%} ({seeds} seeds).",
        f"With the epoch in the exponent the step is {by_epoch[t == 1].mean():.2f} of Adam's at "
        f"update 1, {by_epoch[t == 12].mean():.2f} at update 12 and {last:.2f} at the end of epoch "
        f"{epoch.max():.0f}; it is r(t) / r(epoch) of Adam's to {off[1]:.1%}.",
    ]


def say_epochs(rows: Sequence[Row]) -> list[str]:
    adam, full = of(rows, "adam"), of(rows, "adam_by_epoch")
    mini = of(rows, "adam_by_epoch", FULL_EPOCH)
    off = max(abs(full[t] / adam[t] - 1) for t in full)
    least, most = min(mini, key=mini.__getitem__), max(mini, key=mini.__getitem__)
    end = max(mini)
    return [
        f"An epoch of one update: with the epoch in the exponent the steps are Adam's, to "
        f"{off:.1g}.",
        f"An epoch of {FULL_EPOCH} updates: the step under a gradient that stays is "
        f"{mini[most]:.2f} lr at update {most} and falls to {mini[least]:.2f} lr in epoch "
        f"{1 + (least - 1) // FULL_EPOCH}; after {end // FULL_EPOCH} epochs it is "
        f"{mini[end]:.2f} lr where Adam's is {adam[max(adam)]:.2f}.",
    ]


def say_accuracy(tuned: Sequence[Row], final: Sequence[Row]) -> list[str]:
    rates = {name: best_rate(tuned, name) for name in VARIANTS}
    tried = sorted({row["lr"] for row in tuned})
    edge = [name for name in VARIANTS if rates[name] in (tried[0], tried[-1])]
    n = len({row["seed"] for row in final})
    mean = np.mean(
        [row["test"] for row in final if (row["variant"], row["lr"]) == ("adam", rates["adam"])]
    )
    said = [
        f"Best of {len(tried)} learning rates: "
        + ", ".join(f"{name} {rates[name]:.3g}" for name in VARIANTS)
        + (f"; at the edge of what was tried: {', '.join(edge)}" if edge else "")
        + f". Adam's test accuracy is {mean:.2%}, mean of {n} seeds."
    ]
    for name in VARIANTS[1:]:
        for lr in sorted({rates[name], rates["adam"]}):
            whose = "its own best rate" if lr == rates[name] else "Adam's best rate"
            early = interval(paired(final, name, lr, rates["adam"], "val_first_epoch"))
            late = interval(paired(final, name, lr, rates["adam"], "test"))
            said.append(
                f"{name} at {whose}, {lr:.3g}, minus adam at {rates['adam']:.3g}: after the first "
                f"epoch {points(early)} (validation), at the end {points(late)} (test), so "
                f"{verdict(late)}; n = {n}."
            )
    return said


def points(found: tuple[float, float, float]) -> str:
    mean, low, high = found
    return f"{mean:+.2f} points [{low:+.2f}, {high:+.2f}]"


def verdict(found: tuple[float, float, float]) -> str:
    mean, low, high = found
    if low <= 0 <= high:
        return "no difference is seen"
    return "it is better at these rates" if mean > 0 else "it is worse at these rates"


def draw_steps(rows: Sequence[Row], compared: Sequence[Row]) -> "Figure":
    figure, (left, right) = blank()
    for k, beta2 in enumerate(BETAS2):
        steps = of(rows, "adam_uncorrected", beta2=beta2)
        t = np.array(list(steps))
        label = f"adam_uncorrected, beta2 {beta2:g}"
        left.plot(t, ratio(t, beta2=beta2), "k-", lw=0.8)
        left.plot(t, list(steps.values()), ".", color=COLORS[k + 1], label=label)
    steps = of(rows, "adam")
    left.plot(list(steps), list(steps.values()), color=LOOKS["adam"].color, label="adam")
    mini = of(rows, "adam_by_epoch", FULL_EPOCH)
    left.plot(
        list(mini), list(mini.values()), ":", color=COLORS[4], label="adam_by_epoch, beta2 0.999"
    )
    left.set(xlabel="update", ylabel="step / lr", xscale="log", title="a gradient that stays")
    t = np.array(sorted({row["update"] for row in compared}))
    epochs = np.array([next(r["epoch"] for r in compared if r["update"] == u) for u in t])
    for name, theory in (
        ("adam_uncorrected", ratio(t)),
        ("adam_by_epoch", ratio(t) / ratio(epochs)),
    ):
        _over_adam(right, compared, name, theory)
    right.axhline(1, color=LOOKS["adam"].color, label="adam")
    right.set(
        xlabel="update", ylabel="step / Adam's step", xscale="log", title="gradients of a network"
    )
    for one in (left, right):
        one.legend(fontsize=8)
    return figure


def _over_adam(axes: "Axes", rows: Sequence[Row], name: str, theory: Array) -> None:
    t = sorted({row["update"] for row in rows})
    found = [np.mean([row[f"{name}_over_adam"] for row in rows if row["update"] == u]) for u in t]
    axes.plot(t, theory, "k-", lw=0.8)
    axes.plot(t, found, ".", color=LOOKS[name].color, label=name)


def draw_accuracy(tuned: Sequence[Row], final: Sequence[Row]) -> "Figure":
    figure, (left, right) = blank()
    rates = {name: best_rate(tuned, name) for name in VARIANTS}
    for name in VARIANTS:
        tried = sorted({row["lr"] for row in tuned})
        means = [
            100
            * np.mean([r["val_last_epoch"] for r in tuned if (r["variant"], r["lr"]) == (name, lr)])
            for lr in tried
        ]
        left.plot(tried, means, marker=LOOKS[name].marker, color=LOOKS[name].color, label=name)
    left.set(xlabel="lr", ylabel="validation accuracy, %", xscale="log", title="tuning")
    left.legend(fontsize=8)
    labels: list[str] = []
    for name in VARIANTS[1:]:
        for lr in sorted({rates[name], rates["adam"]}):
            found = paired(final, name, lr, rates["adam"], "test")
            mean, low, high = interval(found)
            y = len(labels)
            right.plot(found, np.full(len(found), y), ".", color="grey", ms=5)
            error = [[mean - low], [high - mean]]
            right.errorbar(
                mean,
                y + 0.15,
                xerr=error,
                fmt=LOOKS[name].marker,
                color=LOOKS[name].color,
                capsize=3,
            )
            labels.append(f"{name}\nlr {lr:.3g}")
    right.axvline(0, color=LOOKS["adam"].color)
    right.set_yticks(range(len(labels)), labels, fontsize=8)
    right.set(
        xlabel=f"test accuracy minus that of adam at lr {rates['adam']:.3g}, points",
        ylim=(-0.5, len(labels) - 0.3),
        title="paired differences",
    )
    return figure


def main(lab: Lab) -> None:
    data = lab.data(limit=lab.pick(10_000, fast=1_000))
    updates = lab.pick(20 * FULL_EPOCH, fast=2_000)
    steps = [
        *constant("adam", updates),
        *(row for b2 in BETAS2 for row in constant("adam_uncorrected", updates, beta2=b2)),
        *(row for n in (1, FULL_EPOCH) for row in constant("adam_by_epoch", updates, per_epoch=n)),
    ]
    lab.table(steps, "constant")
    seeds, epochs = lab.pick(3, fast=1), lab.pick(5, fast=2)
    compared = [row for seed in range(seeds) for row in beside(data, seed, epochs)]
    lab.table(compared, "beside")
    rates = lab.pick([1e-4, 3.16e-4, 1e-3, 3.16e-3, 1e-2, 3.16e-2, 1e-1], fast=[1e-3, 1e-2])
    tuned = [
        train(data, name, lr, seed, epochs)[0]
        for name in VARIANTS
        for lr in rates
        for seed in range(lab.pick(2, fast=1))
    ]
    lab.table(tuned, "tuning")
    final = finals(data, tuned, lab.pick(12, fast=2), epochs)
    lab.table(final, "final")
    for sentence in (
        *say_constant(steps),
        *say_beside(compared),
        *say_epochs(steps),
        *say_accuracy(tuned, final),
    ):
        lab.say(sentence)
    lab.draw(
        draw_steps(steps, compared),
        f"Left: the steps under a gradient that stays; adam_by_epoch has epochs of {FULL_EPOCH} "
        f"updates. Right: at the gradients of a network {'-'.join(map(str, network(data)))} in "
        f"{epochs} epochs, means of {seeds} seeds. Black lines: r(t), and r(t) / r(epoch).",
        "steps",
    )
    lab.draw(
        draw_accuracy(tuned, final),
        f"{len(data.train):,} images, {epochs} epochs. Left: means of {lab.pick(2, fast=1)} seeds. "
        f"Right: {lab.pick(12, fast=2)} other seeds (dots), their mean and its 95 % interval.",
        "accuracy",
    )


if __name__ == "__main__":
    sys.exit(run(main))
