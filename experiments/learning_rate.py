"""Which learning rates are too small, right and too large, and does the curvature tell?

    python experiments/learning_rate.py
    python experiments/learning_rate.py --fast

Four things are measured.

A sweep: SGD and Adam train the 784-1000-10 network at each of nine rates, half a decade apart, from
the same seeds. "Usually 0.01 to 0.001", says the lecture; that range is marked.

The finder: `nn.find_lr` lets the rate of one short training rise until it fails (Smith 2015, arXiv
1506.01186). Its suggestion is trained with too, and compared with the best rate of the sweep.

A quadratic with the curvatures 1 and 10, where the limit is exact. Gradient descent multiplies the
error along a direction of curvature h by 1 - lr h with each update, so that it converges if and
only if lr h < 2 for the largest h:

    |error after n updates| = |1 - lr h|^n |error before|

A network, trained on all of its images at once, where h is the largest eigenvalue of the Hessian of
that very loss, by power iteration (`nn.Hessian`). The rates are fractions and multiples of
2 / h at the start. Cohen et al. 2021 (arXiv 2103.00065) saw lr h rise to 2 and hover there, "at the
edge of stability", where the loss no longer falls at every update and yet falls in the long run.
"""

import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from lab import Lab, blank, run
from numpy.typing import NDArray

import nnscratch as nn
from nnscratch.looks import COLORS, looks_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]
Rows = Sequence[Mapping[str, Any]]

BATCH = 128
USUAL = (0.001, 0.01)  # the lecture's range
RATES: dict[str, tuple[float, ...]] = {
    "sgd": (0.001, 0.00316, 0.01, 0.0316, 0.1, 0.316, 1.0, 3.16, 10.0),
    "adam": (1e-5, 3.16e-5, 1e-4, 3.16e-4, 0.001, 0.00316, 0.01, 0.0316, 0.1),
}
GOOD = 1.0  # percentage points: rates so near to the best are called good
LIMIT = 2.0
NEAR = 0.25  # as a share of the limit: the edge
CLASSES = 10
PROBE = 300  # images over which the curvature of the large network is taken

CURVATURES = (1.0, 10.0)  # of the quadratic
SHARES = (0.5, 0.9, 0.99, 1.01, 1.1)  # of its limit 2 / 10
UPDATES = 200

MULTIPLES = (0.25, 0.9, 2.0, 4.0, 16.0)  # of 2 / h at the start of the network's training


def network(data: nn.Dataset, hidden: int, seed: int) -> nn.MLP:
    return nn.MLP([data.train.images.shape[1], hidden, data.classes], seed=seed)


def loader_of(data: nn.Dataset, seed: int) -> nn.Loader:
    return nn.mini_batch(data.train, min(BATCH, len(data.train)), seed=seed)


def trained(
    data: nn.Dataset, hidden: int, optimizer: nn.Optimizer, seed: int, epochs: int
) -> tuple[list[float], float]:
    """The mean training loss of every epoch, and the validation accuracy in percent at the end.

    A training that diverges has the accuracy of guessing.
    """
    model, losses = network(data, hidden, seed), list[float]()
    try:
        for record in nn.fit(model, optimizer, loader_of(data, seed), epochs):
            losses.append(record.train_loss)
    except nn.DivergedError:
        return losses, 100 / data.classes
    return losses, 100 * model.evaluate(data.val.x, data.val.labels).accuracy


def sweep(
    data: nn.Dataset, hidden: int, rates: Mapping[str, Sequence[float]], seeds: int, epochs: int
) -> Iterator[dict[str, object]]:
    """A row for each optimizer, rate and seed; the loss of an epoch that did not end is nan."""
    for name, tried in rates.items():
        for lr in tried:
            for seed in range(seeds):
                optimizer = nn.OPTIMIZERS[name](lr=lr)
                losses, accuracy = trained(data, hidden, optimizer, seed, epochs)
                losses += [float("nan")] * (epochs - len(losses))
                yield {
                    "optimizer": name,
                    "lr": lr,
                    "seed": seed,
                    "val %": accuracy,
                    **{f"loss {k}": loss for k, loss in enumerate(losses, start=1)},
                }


def suggested(
    data: nn.Dataset, hidden: int, names: Sequence[str], seeds: int, epochs: int
) -> Iterator[dict[str, object]]:
    """What the finder suggests from each seed, and what comes of training with it.

    Beside it the limit 2 / h of SGD at the start, over the first of the training images.
    """
    few = data.train[:PROBE]
    limits = [LIMIT / curvature(network(data, hidden, seed), few) for seed in range(seeds)]
    for name in names:
        for seed in range(seeds):
            loader = loader_of(data, seed)
            found = nn.find_lr(network(data, hidden, seed), name, loader)
            optimizer = nn.OPTIMIZERS[name](lr=found.suggestion)
            _, accuracy = trained(data, hidden, optimizer, seed, epochs)
            yield {
                "optimizer": name,
                "seed": seed,
                "steepest": found.steepest,
                "lowest": found.lowest,
                "suggestion": found.suggestion,
                "last": float(found.rates[-1]),
                "val %": accuracy,
                "2 / h": limits[seed],
            }


def quadratic(shares: Sequence[float] = SHARES, updates: int = UPDATES) -> list[dict[str, object]]:
    """SGD on f(w) = sum h w^2 / 2 from w = 1, at shares of the limit 2 / max h."""
    h = np.array(CURVATURES)
    rows: list[dict[str, object]] = []
    for share in shares:
        optimizer = nn.OPTIMIZERS["sgd"](lr=share * LIMIT / float(h.max()))
        w, state = np.ones_like(h), dict[str, Any]()
        for _ in range(updates):
            optimizer.update(w, h * w, state)
        size = float(np.abs(w).max())
        expected = float(np.abs(1 - share * LIMIT * h / h.max()).max() ** updates)
        rows.append(
            {
                "lr": optimizer.rate,
                "lr h": share * LIMIT,
                "error after": size,
                "(1 - lr h)^n": expected,
                "relative difference": abs(size / expected - 1),
                "converges": int(size < 1),
            }
        )
    return rows


def curvature(model: nn.MLP, split: nn.Split) -> float:
    """The largest eigenvalue of the Hessian of the mean loss over these images."""
    return nn.Hessian(model, split.x, split.labels).largest().value


def edge(
    data: nn.Dataset, split: nn.Split, hidden: int, multiple: float, updates: int, looks: int
) -> list[dict[str, object]]:
    """Full-batch SGD at a multiple of the limit 2 / h at its start.

    A row for each look: the loss and lr h before the update, and whether the loss is higher after
    it. The looks are evenly spaced on a logarithmic scale.
    """
    model = network(data, hidden, seed=0)
    h, loss = curvature(model, split), model.evaluate(split.x, split.labels).loss
    lr = multiple * LIMIT / h
    looked = set(np.unique(np.geomspace(1, updates, looks).round().astype(int)).tolist())
    around = looked | {update - 1 for update in looked}
    rows: list[dict[str, object]] = []
    optimizer = nn.OPTIMIZERS["sgd"](lr=lr)
    for record in nn.fit(model, optimizer, nn.batch(split), updates):
        if record.update not in around:
            continue
        after = model.evaluate(split.x, split.labels).loss
        if record.update in looked:
            rows.append(
                {
                    "multiple": multiple,
                    "lr": lr,
                    "update": record.update,
                    "loss": loss,
                    "lr h": lr * h,
                    "rises": int(after > loss),
                }
            )
        if record.update + 1 in looked:
            h, loss = curvature(model, split), after
    return rows


def mean_of(rows: Rows, name: str, lr: float) -> float:
    return statistics.fmean(
        row["val %"] for row in rows if row["optimizer"] == name and row["lr"] == lr
    )


def rates_of(rows: Rows, name: str) -> list[float]:
    return list(dict.fromkeys(row["lr"] for row in rows if row["optimizer"] == name))


def best_rate(rows: Rows, name: str) -> float:
    return max(rates_of(rows, name), key=lambda lr: mean_of(rows, name, lr))


def about_the_sweep(rows: Rows, found: Rows) -> list[str]:
    """The best rate, how wide the good ones reach, the lecture's range, and the finder."""
    sentences = []
    names = list(dict.fromkeys(row["optimizer"] for row in rows))
    seeds = len({row["seed"] for row in rows})
    for name in names:
        rates, best = rates_of(rows, name), best_rate(rows, name)
        top = mean_of(rows, name, best)
        good = [lr for lr in rates if top - mean_of(rows, name, lr) <= GOOD]
        low, high = rates[0], rates[-1]
        edge = " (at the edge of the sweep)" if best in (low, high) else ""
        sentences.append(
            f"{name}: best at lr {best:g}{edge}, {top:.1f} % of the validation images, mean of "
            f"{seeds} seeds. Within {GOOD:g} point of that are lr {good[0]:g} to {good[-1]:g}. "
            f"Too small: lr {low:g} reaches {mean_of(rows, name, low):.1f} %. Too large: lr "
            f"{high:g} ends at {mean_of(rows, name, high):.1f} %."
        )
        usual = [lr for lr in rates if USUAL[0] <= lr <= USUAL[1]]
        in_range = "in" if USUAL[0] <= best <= USUAL[1] else "outside of"
        at = max(usual, key=lambda lr: mean_of(rows, name, lr))
        sentences.append(
            f"{name}: the best rate is {in_range} the lecture's range of {USUAL[0]:g} to "
            f"{USUAL[1]:g}; the best of that range, {at:g}, gives {mean_of(rows, name, at):.1f} %, "
            f"{top - mean_of(rows, name, at):.1f} points less than the best of all."
        )
        mine = [row for row in found if row["optimizer"] == name]
        middle = statistics.median(row["suggestion"] for row in mine)
        accuracy = statistics.fmean(row["val %"] for row in mine)
        sentences.append(
            f"{name}: the finder suggests {middle:.2g} (median; "
            f"{min(row['suggestion'] for row in mine):.2g} to "
            f"{max(row['suggestion'] for row in mine):.2g}), {factor(middle, best)} the best rate; "
            f"trained with its suggestion the network reaches {accuracy:.1f} %, "
            f"{accuracy - top:+.1f} points from the best."
        )
    limit, best = statistics.median(row["2 / h"] for row in found), best_rate(rows, "sgd")
    last = statistics.median(row["last"] for row in found if row["optimizer"] == "sgd")
    sentences.append(
        f"At its start this network has the limit 2 / h = {limit:.2g} (median of {seeds} seeds, "
        f"over {PROBE} images). The finder's run for sgd ends at lr {last:.2g}, "
        f"{factor(last, limit)} that; the best rate of the sweep is {factor(best, limit)} that."
    )
    course = course_of(rows, "sgd", best)
    beyond = "beyond" if best > limit else "not beyond"
    sentences.append(
        f"The best rate of sgd, {best:g}, is {beyond} the limit of the start: its training loss is "
        f"{course[0]:.2f} in the first epoch, when guessing would give {np.log(CLASSES):.2f}, and "
        f"{course[-1]:.2f} in the last."
    )
    return sentences


def factor(a: float, b: float) -> str:
    return f"{a / b:.2g} times"


def about_the_limit(rows: Rows) -> str:
    """What the quadratic says."""
    below = max((row for row in rows if row["lr h"] < LIMIT), key=lambda row: row["lr h"])
    above = min((row for row in rows if row["lr h"] > LIMIT), key=lambda row: row["lr h"])
    exact = all(bool(row["converges"]) == (row["lr h"] < LIMIT) for row in rows)
    off = max(row["relative difference"] for row in rows)
    return (
        f"On the quadratic {'all' if exact else 'not all'} {len(rows)} rates do as the limit of "
        f"lr h = 2 says: after {UPDATES} updates the error is {below['error after']:.2g} of the "
        f"first at lr h = {below['lr h']:g} and {above['error after']:.3g} times the first at "
        f"{above['lr h']:g}; the formula holds to a relative {off:.0e}."
    )


def about_the_edge(rows: Rows) -> list[str]:
    """What the network says: does the loss rise where lr h is above 2, and where does lr h go?"""
    above = [row["rises"] for row in rows if row["lr h"] > LIMIT]
    below = [row["rises"] for row in rows if row["lr h"] <= LIMIT]
    sentences = [
        f"In the network the loss rises at {sum(above)} of {len(above)} looks where lr h is above "
        f"2, and at {sum(below)} of {len(below)} where it is not."
    ]
    for multiple in dict.fromkeys(row["multiple"] for row in rows):
        mine = [row for row in rows if row["multiple"] == multiple]
        path = [row["lr h"] for row in mine]
        near = [row["update"] for row in mine if abs(row["lr h"] / LIMIT - 1) < NEAR]
        at = f", from update {near[0]} to {near[-1]}" if near else ""
        sentences.append(
            f"lr {mine[0]['lr']:.2g}, {multiple:g} times the limit at the start: lr h goes from "
            f"{path[0]:.2g} to {path[-1]:.2g}, and is within a quarter of 2 at {len(near)} of "
            f"{len(mine)} looks{at}. The loss goes from {mine[0]['loss']:.2f} to "
            f"{mine[-1]['loss']:.2g} in {mine[-1]['update']} updates."
        )
    grown = ", ".join(
        f"{growth([row['lr h'] for row in rows if row['multiple'] == multiple]):.2g}-fold at "
        f"{multiple:g} times the limit"
        for multiple in dict.fromkeys(row["multiple"] for row in rows if row["multiple"] < 1)
    )
    last = rows[-1]["update"]
    reaches = any(row["lr h"] > LIMIT for row in rows if row["multiple"] < 1)
    ends = [row["lr h"] for row in rows if row["multiple"] > 1 and row["update"] == last]
    sentences.append(
        f"From below the limit lr h {'reaches' if reaches else 'does not reach'} 2: it grows at "
        f"most {grown}. From above it is below 2 at the end in {sum(x < LIMIT for x in ends)} of "
        f"{len(ends)} trainings."
    )
    return sentences


def growth(path: Sequence[float]) -> float:
    """The largest ratio of a number to one before it."""
    lowest = np.minimum.accumulate(path)
    return float((np.asarray(path) / lowest).max())


def sweep_figure(rows: Rows, found: Rows) -> "Figure":
    """The error against the rate, and the losses of three rates."""
    figure, (errors, losses) = blank(height=4.8)
    names = list(dict.fromkeys(row["optimizer"] for row in rows))
    looks = looks_of(names)
    errors.axvspan(*USUAL, color="#DDDDDD", label="the lecture's usual range")
    for name in names:
        mine = [row for row in rows if row["optimizer"] == name]
        look = {"color": looks[name].color}
        errors.plot(
            [row["lr"] for row in mine],
            [100 - row["val %"] for row in mine],
            looks[name].marker,
            mfc="none",
            ms=5,
            **look,
        )
        rates = rates_of(rows, name)
        means = [100 - mean_of(rows, name, lr) for lr in rates]
        errors.plot(rates, means, label=name, **look)
        middle = statistics.median(row["suggestion"] for row in found if row["optimizer"] == name)
        errors.axvline(middle, ls="--", lw=1.2, label=f"finder for {name}: {middle:.2g}", **look)
        best = best_rate(rows, name)
        for lr, dashes in ((rates[0], ":"), (best, "-"), (rates[-1], "--")):
            course = course_of(rows, name, lr)
            label = f"{name}, lr {lr:g}"
            losses.plot(range(1, len(course) + 1), course, dashes, label=label, **look)
    errors.set(xscale="log", yscale="log", xlabel="learning rate", ylabel="validation error, %")
    errors.set_yticks((5, 10, 20, 50, 90), ("5", "10", "20", "50", "90"))
    errors.minorticks_off()
    above = {"loc": "lower left", "bbox_to_anchor": (0, 1), "ncol": 2, "frameon": False}
    errors.legend(fontsize=8, **above)
    epochs = sum(key.startswith("loss ") for key in rows[0])
    losses.set(yscale="log", xlabel="epoch", ylabel="mean training loss in the epoch")
    losses.set_xticks(range(1, epochs + 1))
    losses.legend(fontsize=8, **above)
    return figure


def course_of(rows: Rows, name: str, lr: float) -> Floats:
    """The training loss of each epoch, mean over seeds."""
    losses = [
        [value for key, value in row.items() if key.startswith("loss ")]
        for row in rows
        if row["optimizer"] == name and row["lr"] == lr
    ]
    course: Floats = np.mean(losses, axis=0)
    return course


def edge_figure(rows: Rows) -> "Figure":
    """lr h and the loss against the update; crosses where the loss rises."""
    figure, (sharpness, losses) = blank()
    sharpness.axhline(LIMIT, color="black", ls="--", lw=1)
    sharpness.annotate("2", (1, LIMIT), xytext=(-10, 4), textcoords="offset points")
    for color, multiple in zip(
        COLORS, dict.fromkeys(row["multiple"] for row in rows), strict=False
    ):
        mine = [row for row in rows if row["multiple"] == multiple]
        updates = [row["update"] for row in mine]
        label = f"lr {mine[0]['lr']:.2g}: {multiple:g} times"
        for axes, column in ((sharpness, "lr h"), (losses, "loss")):
            axes.plot(updates, [row[column] for row in mine], color=color, label=label, lw=1.3)
            rises = [row for row in mine if row["rises"]]
            places = [row["update"] for row in rises]
            axes.plot(places, [row[column] for row in rises], "x", color=color, ms=6)
    sharpness.set(xscale="log", yscale="log", xlabel="update")
    sharpness.set_ylabel("lr times the largest curvature")
    losses.set(xscale="log", yscale="log", xlabel="update", ylabel="training loss")
    losses.legend(fontsize=8, loc="lower left", title="of 2 / h at the start", title_fontsize=8)
    return figure


def main(lab: Lab) -> None:
    data = lab.data(limit=lab.pick(10_000, fast=600))
    hidden, epochs, seeds = lab.pick((1000, 3, 3), fast=(30, 2, 1))
    rates = {name: tried[:: lab.pick(1, fast=3)] for name, tried in RATES.items()}
    rows = list(sweep(data, hidden, rates, seeds, epochs))
    found = list(suggested(data, hidden, list(rates), seeds, epochs))
    lab.table(rows, "sweep")
    lab.table(found, "finder")
    for sentence in about_the_sweep(rows, found):
        lab.say(sentence)
    lab.draw(
        sweep_figure(rows, found),
        f"Left: validation error after {epochs} epochs of {len(data.train):,} images, "
        f"{hidden} hidden units, batch {BATCH}; each of {seeds} seeds, and their mean. Right: "
        "training loss at the smallest (dotted), the best and the largest rate (dashed), mean "
        "over seeds; a rate that diverges has no line.",
    )
    exact = quadratic()
    lab.table(exact, "quadratic")
    lab.say(about_the_limit(exact))
    images, units, updates, looks = lab.pick((1000, 30, 400, 24), fast=(200, 10, 20, 5))
    split = data.train[:images]
    edges = [
        row for multiple in MULTIPLES for row in edge(data, split, units, multiple, updates, looks)
    ]
    lab.table(edges, "edge")
    for sentence in about_the_edge(edges):
        lab.say(sentence)
    lab.draw(
        edge_figure(edges),
        f"Full-batch SGD on {len(split):,} images, {units} hidden units, one seed. Left: lr times "
        "the largest eigenvalue of the Hessian of the same loss, before the update. Right: that "
        "loss. A cross: the update makes the loss higher.",
        "edge",
    )


if __name__ == "__main__":
    sys.exit(run(main))
