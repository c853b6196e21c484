"""From which size on does eps matter, inside the root and outside of it?

    python experiments/eps.py
    python experiments/eps.py --fast

The lecture adds a number between 1e-4 and 1e-8 so that nothing is divided by zero, in one document
outside the root and in the others inside; Keras' is 1e-7. For `adam`, `rmsprop` and `adagrad` both
forms are here, with v the mean or the sum of squared gradients:

    outside    lr g / (sqrt(v) + eps)         matters where eps is not small beside sqrt(v)
    inside     lr g / sqrt(v + eps_root)      matters where eps_root is not small beside v

so a number inside acts as its root would outside: 1e-8 as 1e-4.

Each optimizer gets its learning rate with eps 1e-10 outside: the best of seven, two a decade, by
the mean of three seeds. Then eps grows with this rate unchanged, and at 1e-4 and 0.1 also with a
new rate: the best of five, from the old one to 100 times it, by three seeds too. What is shown are
other seeds, the same for all, so that differences from eps 1e-10 are paired. Beside it: the
quantiles of sqrt(v), as the optimizer divides by it, over the weights whose v is not zero.

All is decided and shown on validation images. Source: Kingma and Ba 2014, arXiv 1412.6980,
algorithm 1 (outside); Choi et al. 2019, arXiv 1910.05446, who tune eps, since Adam turns into
momentum as it grows: then lr / eps is the rate.
"""

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from lab import Lab, blank, run

import nnscratch as nn
from nnscratch.arrays import Array
from nnscratch.looks import COLORS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Row = dict[str, Any]
OPTIMIZERS = ("adam", "rmsprop", "adagrad")
PLACES = {"outside": "eps", "inside": "eps_root"}
NONE = 1e-10  # so small an eps, outside, is as good as none
TAUGHT = (1e-8, 1e-4)
KERAS = 1e-7
RATES = {
    "adam": (3.16e-4, 1e-3, 3.16e-3, 1e-2, 3.16e-2, 1e-1, 3.16e-1),
    "rmsprop": (1e-4, 3.16e-4, 1e-3, 3.16e-3, 1e-2, 3.16e-2, 1e-1),
    "adagrad": (3.16e-3, 1e-2, 3.16e-2, 1e-1, 3.16e-1, 1.0, 3.16),
}
FACTORS = (1.0, 3.16, 10.0, 31.6, 100.0)
EVERY_EPS = (1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
RETUNED = (1e-4, 1e-1)  # the eps that also get a rate of their own
TUNING_SEEDS = 3
MATTERS = 1.0  # percentage points
QUANTILES = (0.01, 0.1, 0.5, 0.9, 0.99)
BATCH = 128
FIRST_SHOWN_SEED = 100  # seeds from here on are not used to tune


def setting(name: str, place: str, eps: float, lr: float) -> nn.Elementwise:
    """The optimizer with eps in that place, and nothing in the other."""
    numbers = dict.fromkeys(PLACES.values(), 0.0) | {PLACES[place]: eps}
    optimizer: nn.Elementwise = nn.OPTIMIZERS[name](lr=lr, **numbers)
    return optimizer


def network(data: nn.Dataset) -> list[int]:
    """The sizes of the network that learns these images."""
    return [data.train.images.shape[1], 100, data.classes]


def accuracy(data: nn.Dataset, optimizer: nn.Optimizer, seed: int, epochs: int) -> float:
    """Validation accuracy after a short training; that of a guess if it diverges."""
    model = nn.MLP(network(data), seed=seed)
    try:
        for _ in nn.fit(model, optimizer, nn.mini_batch(data.train, BATCH, seed=seed), epochs):
            pass
    except nn.DivergedError:
        return 1 / data.classes
    return model.evaluate(data.val.x, data.val.labels).accuracy


def tuning(
    data: nn.Dataset,
    name: str,
    place: str,
    eps: float,
    rates: Iterable[float],
    seeds: Iterable[int],
    epochs: int,
) -> list[Row]:
    """One row for each rate and seed."""
    where = {"optimizer": name, "place": place, "eps": eps}
    return [
        where
        | {
            "lr": lr,
            "seed": seed,
            "val_accuracy": accuracy(data, setting(name, place, eps, lr), seed, epochs),
        }
        for lr in rates
        for seed in seeds
    ]


def best_rate(rows: Iterable[Row]) -> float:
    """The rate with the best mean accuracy; the smaller one if equal."""
    found: dict[float, list[float]] = {}
    for row in rows:
        found.setdefault(row["lr"], []).append(row["val_accuracy"])
    return max(sorted(found), key=lambda lr: float(np.mean(found[lr])))


def sweep(
    data: nn.Dataset,
    name: str,
    every_eps: Sequence[float],
    factors: Sequence[float],
    rates: Sequence[float],
    tuners: Sequence[int],
    shown: Sequence[int],
    epochs: int,
) -> tuple[list[Row], list[Row]]:
    """What was tried to find the rates, and what came of the seeds that are shown."""
    tried = tuning(data, name, "outside", NONE, rates, tuners, epochs)
    lr = best_rate(tried)
    reference = tuning(data, name, "outside", NONE, [lr], shown, epochs)
    rows = [row | {"rate": "unchanged"} for row in reference]
    for place in PLACES:
        for eps in every_eps:
            found = tuning(data, name, place, eps, [lr], shown, epochs)
            rows += [row | {"rate": "unchanged"} for row in found]
        for eps in RETUNED:
            new = tuning(data, name, place, eps, [lr * f for f in factors], tuners, epochs)
            tried += new
            found = tuning(data, name, place, eps, [best_rate(new)], shown, epochs)
            rows += [row | {"rate": "retuned"} for row in found]
    return tried, rows


def divisors(optimizer: nn.Elementwise, state: nn.State) -> Array:
    """sqrt(v) of every weight, as the optimizer divides by it: corrected, if it corrects."""
    v = state["s"] if "s" in state else state["v"]
    correction = optimizer.scalars(state).get("correction2", 1.0)
    root: Array = np.sqrt(v / correction)
    return root


def quantiles(data: nn.Dataset, name: str, lr: float, seed: int, epochs: int) -> list[Row]:
    """The distribution of sqrt(v) after each epoch."""
    model = nn.MLP(network(data), seed=seed)
    optimizer = setting(name, "outside", NONE, lr)
    progress = nn.Progress()
    loader = nn.mini_batch(data.train, BATCH, seed=seed)
    rows = []
    for record in nn.fit(model, optimizer, loader, epochs, progress=progress):
        root = divisors(optimizer, progress.states[0])
        moved = root[root > 0]
        row = {"optimizer": name, "lr": lr, "seed": seed, "epoch": record.epoch}
        row["share_of_zeros"] = 1 - len(moved) / len(root)
        values = np.quantile(moved, QUANTILES).tolist()
        rows.append(row | {f"q{q:g}": value for q, value in zip(QUANTILES, values, strict=True)})
    return rows


def differences(rows: Iterable[Row], name: str, place: str, rate: str) -> dict[float, Array]:
    """Accuracy minus that with next to no eps, seed by seed and in points, for each eps."""
    rows = [row for row in rows if row["optimizer"] == name]
    base = {row["seed"]: row["val_accuracy"] for row in rows if row["eps"] == NONE}
    found: dict[float, list[float]] = {}
    for row in rows:
        if row["place"] == place and row["rate"] == rate and row["eps"] > NONE:
            gain = 100 * (row["val_accuracy"] - base[row["seed"]])
            found.setdefault(row["eps"], []).append(gain)
    return {eps: np.array(values) for eps, values in sorted(found.items())}


def begins(found: dict[float, Array]) -> float | None:
    """The smallest eps that changes the accuracy by more than MATTERS in the mean."""
    return next((eps for eps, values in found.items() if abs(values.mean()) > MATTERS), None)


def last_quantiles(rows: Iterable[Row], name: str) -> dict[float, float]:
    """The quantiles of sqrt(v) after the last epoch, means over the seeds."""
    mine = [row for row in rows if row["optimizer"] == name]
    last = [row for row in mine if row["epoch"] == max(row["epoch"] for row in mine)]
    return {q: float(np.mean([row[f"q{q:g}"] for row in last])) for q in QUANTILES}


def never_moved(rows: Iterable[Row], name: str) -> float:
    """The share of weights that had no gradient in all epochs, mean over the seeds."""
    mine = [row for row in rows if row["optimizer"] == name]
    last = max(row["epoch"] for row in mine)
    return float(np.mean([row["share_of_zeros"] for row in mine if row["epoch"] == last]))


def say(rows: Sequence[Row], sizes: Sequence[Row]) -> list[str]:
    zeros = never_moved(sizes, OPTIMIZERS[0])
    return [
        *(sentence for name in OPTIMIZERS for sentence in _say_one(rows, sizes, name)),
        _say_places(rows),
        f"Nothing divided by zero: {zeros:.0%} of the weights have had no gradient at all, so "
        f"v = 0 and g = 0; for them every eps above 0 serves.",
    ]


def _say_one(rows: Sequence[Row], sizes: Sequence[Row], name: str) -> list[str]:
    q = last_quantiles(sizes, name)
    base = [row for row in rows if row["optimizer"] == name and row["eps"] == NONE]
    n = len({row["seed"] for row in base})
    mean = np.mean([row["val_accuracy"] for row in base])
    parts, taught, retuned = [], [], []
    for place in PLACES:
        found = differences(rows, name, place, "unchanged")
        first = begins(found)
        parts.append(
            f"{place} it changes the accuracy by {found[first].mean():+.1f} points (sd "
            f"{found[first].std():.1f}) at {first:.0e}"
            if first
            else f"{place} it never changes the accuracy by more than {MATTERS:g} point"
        )
        usual = {eps: d for eps, d in found.items() if TAUGHT[0] <= eps <= TAUGHT[1]}
        most = max(usual, key=lambda eps: abs(float(usual[eps].mean())))
        taught.append(
            f"{place} at most {usual[most].mean():+.1f} points (at {most:.0e}), and "
            f"{found[KERAS].mean():+.1f} at Keras' {KERAS:.0e}"
        )
        for eps, again in differences(rows, name, place, "retuned").items():
            retuned.append(
                f"{eps:.0e} {place} {found[eps].mean():+.1f} with the old rate, "
                f"{again.mean():+.1f} with a new one"
            )
    return [
        f"{name} (lr {base[0]['lr']:.3g}, {mean:.1%} with eps {NONE:.0e}, n = {n}), rate "
        f"unchanged: {'; '.join(parts)}. sqrt(v) is {q[0.5]:.1e} in the median and {q[0.01]:.1e} "
        f"to {q[0.99]:.1e} for 98 % of the weights that move, so that eps is as large as the "
        f"median at {q[0.5]:.0e} outside and at {q[0.5] ** 2:.0e} inside.",
        f"{name}, the range of the lecture, {TAUGHT[0]:.0e} to {TAUGHT[1]:.0e}: "
        f"{'; '.join(taught)}.",
        f"{name}, its rate tuned anew, in points: {'; '.join(retuned)}.",
    ]


def _say_places(rows: Sequence[Row]) -> str:
    """Do the two places agree where eps outside is the root of eps inside?"""
    gaps = []
    for name in OPTIMIZERS:
        outside = differences(rows, name, "outside", "unchanged")
        inside = differences(rows, name, "inside", "unchanged")
        for eps, values in inside.items():
            near = min(outside, key=lambda other: abs(np.log(other**2 / eps)))
            if abs(np.log(near**2 / eps)) < 0.1:
                gaps.append(float(values.mean() - outside[near].mean()))
    if not gaps:
        return "No two eps were tried of which one is the root of the other."
    return (
        f"A number inside and its root outside, in {len(gaps)} pairs: the accuracies differ by "
        f"{np.mean(np.abs(gaps)):.1f} points on average and {np.max(np.abs(gaps)):.1f} at most."
    )


def draw(rows: Sequence[Row], sizes: Sequence[Row]) -> "Figure":
    figure, axes = blank(2, len(OPTIMIZERS), height=3.3)
    for k, name in enumerate(OPTIMIZERS):
        above, below = axes[k], axes[len(OPTIMIZERS) + k]
        above.axvspan(*TAUGHT, color="grey", alpha=0.15, lw=0)
        above.set(title=name, xlabel="eps, as it is given")
        q = last_quantiles(sizes, name)
        below.axvspan(q[0.01], q[0.99], color=COLORS[2], alpha=0.15, lw=0)
        below.axvspan(q[0.1], q[0.9], color=COLORS[2], alpha=0.25, lw=0)
        below.axvline(q[0.5], color=COLORS[2])
        below.set(xlabel="eps outside, root of eps inside")
        for place, color in zip(PLACES, COLORS, strict=False):
            power = 1.0 if place == "outside" else 0.5
            _curves(above, rows, name, place, color, 1.0)
            _curves(below, rows, name, place, color, power)
    for one in axes:
        one.set(xscale="log")
        one.set_ylabel("points")
        one.axhline(0, color="grey", lw=0.8)
    axes[0].legend(fontsize=7, loc="lower left")
    return figure


def _curves(
    axes: "Axes", rows: Sequence[Row], name: str, place: str, color: str, power: float
) -> None:
    for rate, dashes in (("unchanged", "o-"), ("retuned", "^:")):
        found = differences(rows, name, place, rate)
        axes.errorbar(
            np.array(list(found)) ** power,
            [values.mean() for values in found.values()],
            [values.std() for values in found.values()],
            fmt=dashes,
            ms=3,
            lw=1,
            color=color,
            label=f"{place}, lr {rate}",
        )


def main(lab: Lab) -> None:
    whole = lab.data(limit=lab.pick(5_000, fast=500))
    data = nn.Dataset(whole.name, whole.classes, whole.train, whole.val[:5_000], whole.test)
    every_eps = lab.pick(EVERY_EPS, fast=(1e-7, 1e-4, 1e-1))
    factors, epochs = lab.pick(FACTORS, fast=(1.0, 10.0)), lab.pick(3, fast=1)
    tuners = range(lab.pick(TUNING_SEEDS, fast=1))
    shown = range(FIRST_SHOWN_SEED, FIRST_SHOWN_SEED + lab.pick(4, fast=1))
    tried, rows, sizes = [], [], []
    for name in OPTIMIZERS:
        rates = lab.pick(RATES[name], fast=RATES[name][2:4])
        new, found = sweep(data, name, every_eps, factors, rates, tuners, shown, epochs)
        tried += new
        rows += found
        for seed in shown:
            sizes += quantiles(data, name, found[0]["lr"], seed, epochs)
    lab.table(tried, "tuning")
    lab.table(rows, "sweep")
    lab.table(sizes, "sizes")
    for sentence in say(rows, sizes):
        lab.say(sentence)
    lab.draw(
        draw(rows, sizes),
        f"Validation accuracy minus that with eps {NONE:.0e}, in points: means and standard "
        f"deviations of {len(shown)} paired seeds, network {'-'.join(map(str, network(data)))}, "
        f"{len(data.train):,} images, {epochs} epochs. Above, grey: the range of the lecture. "
        f"Below, green: sqrt(v) of the weights that move, the median, 80 % and 98 % of them.",
    )


if __name__ == "__main__":
    sys.exit(run(main))
