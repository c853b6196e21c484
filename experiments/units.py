"""Which optimizers take steps that have the unit of the weight?

    python experiments/units.py
    python experiments/units.py --fast

If each weight is written in another unit, w' = c w, the function stays and gradients become g / c.
A step that has the unit of the weight becomes c times as large, so that the network learns the same
function; a step ~ c^k with another k does not, unless lr is multiplied by c^(1 - k).

Exponents. Along one path of a network 784-30-10, each optimizer is given the gradients g / c for
five c from 0.01 to 100; k is the slope of log |step| by log c. `newton` goes its own way on
Rosenbrock's function, with second derivatives H / c^2. What theory says, for a loss without unit:

    sgd, momentum, nesterov     ~ g                     k = -1, the inverse unit of the weight
    adagrad, rmsprop, adam      ~ g / sqrt(v)           k = 0, no unit
    newton                      ~ H^-1 g                k = 1
    adadelta                    sqrt(u + eps) / sqrt(v + eps) g, with u the mean of squared steps:
                                k = 1 if there were no eps

But u begins at 0 and grows from eps: where v is large beside eps, all steps are proportional to
sqrt(eps) g / sqrt(v), k = 0, and where v is small they are about g, k = -1. So `adadelta` is also
measured without eps: 1e-40, and u begun at (c / 1000)^2. And since eps might be forgotten with
time, its k is also measured on a parabola with noisy gradients, where it goes its own way for long.

Paths. One epoch with c = 10 against the same with c = 1: how far the weights w' / c are apart, in
parts of the way from the start; with the same lr, and with lr c^(1 - k).

Accuracy. Validation accuracy against c, with the learning rate that is best at c = 1: of five, two
a decade, by one other seed. `lbfgs` solves one batch of 1,000 images; its first step has at most
length 1 in whatever unit, and the line search mends what that spoils.

Source: Zeiler 2012, arXiv 1212.5701, section 3.2: the units of SGD and momentum are those of the
gradient, AdaGrad's step has none, and those of Newton's method and AdaDelta match.
"""

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from lab import Lab, blank, run

import nnscratch as nn
from nnscratch.arrays import Array
from nnscratch.landscape import SURFACES
from nnscratch.looks import looks_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Row = dict[str, Any]
SCALES = (0.01, 0.1, 1.0, 10.0, 100.0)
BARE = "adadelta without eps"
RATES = {  # the middle of those that are tried
    "sgd": 1.0,
    "momentum": 0.1,
    "nesterov": 0.1,
    "adagrad": 0.1,
    "rmsprop": 0.01,
    "adam": 0.01,
    "adadelta": 3.16,
    BARE: 1.0,
}
TRIED = (0.1, 0.316, 1.0, 3.16, 10.0)
LOOKS = looks_of([*RATES, "newton", "lbfgs"])
UNITS = {-1: "the inverse unit of the weight", 0: "no unit", 1: "the unit of the weight"}
BATCH = 128
TUNING_SEED = 100


def network(data: nn.Dataset, seed: int) -> nn.MLP:
    return nn.MLP([data.train.images.shape[1], 30, data.classes], seed=seed, dtype="float64")


def begun(name: str, w: Array, c: float, lr: float) -> tuple[nn.Optimizer, nn.State]:
    """An optimizer and its first state, for weights in a unit of c."""
    if name != BARE:
        optimizer = nn.OPTIMIZERS[name](lr=lr)
        return optimizer, optimizer.init(w)
    optimizer = nn.OPTIMIZERS["adadelta"](lr=lr, eps=1e-40)
    state = optimizer.init(w)
    state["u"][...] = (c / 1000) ** 2
    return optimizer, state


def slope(steps: Iterable[float], scales: Sequence[float]) -> float:
    """k of step ~ c^k, by least squares of the logarithms."""
    return float(np.polyfit(np.log(scales), np.log(list(steps)), 1)[0])


def kept(updates: int) -> set[int]:
    """Which updates are written down: some in each decade."""
    return set(np.geomspace(1, updates, 25).astype(int).tolist())


def gradients(data: nn.Dataset, updates: int) -> Iterable[Array]:
    """Those of a network that momentum trains."""
    model = network(data, seed=0)
    optimizer, state = begun("momentum", model.w, 1.0, RATES["momentum"])
    loader = nn.mini_batch(data.train, BATCH, seed=0)
    given = 0
    while True:
        for x, labels in loader:
            model.loss_and_grad(x, labels)
            yield model.dw
            given += 1
            if given == updates:
                return
            optimizer.update(model.w, model.dw, state)


def exponents(
    names: Sequence[str], source: Iterable[Array], wanted: set[int], scales: Sequence[float]
) -> list[Row]:
    """k of each optimizer's step, all being given the same gradients in other units."""
    runs: dict[tuple[str, float], tuple[nn.Optimizer, nn.State, Array]] = {}
    rows = []
    for t, dw in enumerate(source, start=1):
        for name in names:
            steps = []
            for c in scales:
                if t == 1:
                    w = np.zeros_like(dw)
                    runs[name, c] = (*begun(name, w, c, RATES[name]), w)
                optimizer, state, w = runs[name, c]
                before = w.copy()
                optimizer.update(w, dw / c, state)
                steps.append(float(np.linalg.norm(w - before)))
            if t in wanted:
                rows.append({"optimizer": name, "update": t, "k": slope(steps, scales)})
    return rows


def newton(updates: int, scales: Sequence[float]) -> list[Row]:
    """k of Newton's steps on Rosenbrock's function, each c on its own path."""
    surface = SURFACES["rosenbrock"]()
    lengths = []
    for c in scales:
        w = c * np.array(surface.start)
        optimizer, state = begun("newton", w, c, 1.0)
        steps = []
        for _ in range(updates):
            before = w.copy()
            xx, xy, yy = surface.hessian(*(w / c))
            state["hessian"] = np.array([[xx, xy], [xy, yy]]) / c**2
            optimizer.update(w, np.array(surface.gradient(*(w / c))) / c, state)
            steps.append(float(np.linalg.norm(w - before)))
        lengths.append(steps)
    return [
        {"optimizer": "newton", "update": t, "k": slope(steps, scales)}
        for t, steps in enumerate(zip(*lengths, strict=True), start=1)
    ]


def parabola(updates: int, scales: Sequence[float]) -> list[Row]:
    """k of AdaDelta on its own way on w^2 / 2 from 1, with noise of size 1 in the gradient."""
    wanted = kept(updates)
    lengths: dict[int, list[float]] = {}
    for c in scales:
        rng = np.random.default_rng(0)
        w = np.full(100, c)
        optimizer, state = begun("adadelta", w, c, 1.0)
        for t in range(1, updates + 1):
            before = w.copy()
            optimizer.update(w, (w / c + rng.normal(size=w.shape)) / c, state)
            if t in wanted:
                lengths.setdefault(t, []).append(float(np.linalg.norm(w - before)))
    return [
        {"optimizer": "adadelta", "update": t, "k": slope(steps, scales)}
        for t, steps in lengths.items()
    ]


def train(model: nn.MLP, loader: nn.Loader, epochs: int, name: str, c: float, lr: float) -> nn.MLP:
    """Train the network by an optimizer that sees c w in place of w."""
    w = c * model.w
    optimizer, state = begun(name, w, c, lr)

    def update(x: Any, labels: Any) -> None:
        model.w = w / c
        loss = model.loss_and_grad(x, labels)
        if "loss" in optimizer.needs:
            state["loss"] = loss
        optimizer.update(w, model.dw / c, state)

    with np.errstate(over="ignore", invalid="ignore"):  # in a unit that does not suit
        for _ in range(epochs):
            for x, labels in loader:
                update(x, labels)
                while optimizer.same_batch(state):
                    update(x, labels)
        model.w = optimizer.readout(w, state) / c
    return model


def trained(data: nn.Dataset, name: str, c: float, lr: float, seed: int, epochs: int) -> nn.MLP:
    """A network, trained on batches of 128, or by L-BFGS on one of 1,000."""
    if name == "lbfgs":
        loader = nn.batch(data.train[:1000])
    else:
        loader = nn.mini_batch(data.train, BATCH, seed=seed)
    return train(network(data, seed), loader, epochs, name, c, lr)


def accuracy(data: nn.Dataset, model: nn.MLP) -> float:
    """On validation images; that of a guess where the weights are no numbers, or far too large."""
    with np.errstate(over="ignore", invalid="ignore"):
        if not np.isfinite(model.w).all():
            return 1 / data.classes
        return model.evaluate(data.val.x, data.val.labels).accuracy


def best_rate(data: nn.Dataset, name: str, epochs: int, factors: Sequence[float]) -> float:
    """The learning rate with the best validation accuracy at c = 1."""
    rates = [RATES[name] * factor for factor in factors]
    return max(
        rates,
        key=lambda lr: accuracy(data, trained(data, name, 1.0, lr, TUNING_SEED, epochs)),
    )


def paths(data: nn.Dataset, rates: dict[str, float], k: dict[str, int], c: float) -> list[Row]:
    """How far a network ends from where it ends at c = 1, after one epoch."""
    rows = []
    for name, lr in rates.items():
        start = network(data, 0).w.copy()
        end = trained(data, name, 1.0, lr, 0, 1).w
        apart = {
            rate: float(np.linalg.norm(trained(data, name, c, new, 0, 1).w - end))
            for rate, new in (("same", lr), ("scaled", lr * c ** (1 - k[name])))
        }
        way = float(np.linalg.norm(end - start))
        rows.append(
            {
                "optimizer": name,
                "c": c,
                "k": k[name],
                "apart_same_lr": apart["same"] / way,
                "apart_scaled_lr": apart["scaled"] / way,
            }
        )
    return rows


def accuracies(
    data: nn.Dataset, rates: dict[str, float], scales: Iterable[float], seeds: int, epochs: int
) -> list[Row]:
    return [
        {
            "optimizer": name,
            "lr": lr,
            "c": c,
            "seed": seed,
            "val_accuracy": accuracy(data, trained(data, name, c, lr, seed, epochs)),
        }
        for name, lr in rates.items()
        for c in scales
        for seed in range(seeds)
    ]


def course(rows: Iterable[Row], name: str) -> dict[int, float]:
    """k of an optimizer, by update."""
    return {int(row["update"]): row["k"] for row in rows if row["optimizer"] == name}


def names_in(rows: Iterable[Row]) -> list[str]:
    return list(dict.fromkeys(row["optimizer"] for row in rows))


def whole(rows: Iterable[Row], name: str) -> int | None:
    """The whole number that all k of an optimizer are near to; None if there is none."""
    values = list(course(rows, name).values())
    k = round(float(np.median(values)))
    return k if max(abs(value - k) for value in values) < 0.1 else None


def say_exponents(rows: Sequence[Row]) -> list[str]:
    said = []
    for unit, meaning in UNITS.items():
        found = [name for name in names_in(rows) if whole(rows, name) == unit]
        if found:
            said.append(f"Steps with {meaning}, k = {unit} at every update: {', '.join(found)}.")
    for name in names_in(rows):
        if whole(rows, name) is None:
            k = course(rows, name)
            said.append(
                f"{name} has no whole k: {k[min(k)]:+.2f} at update {min(k)}, {k[max(k)]:+.2f} at "
                f"update {max(k)}, {min(k.values()):+.2f} to {max(k.values()):+.2f} between."
            )
    k = course(rows, "adagrad")
    taught = "holds" if abs(k[max(k)] + 1) < 0.1 else "does not hold"
    return [
        *said,
        f"That AdaGrad's step has the inverse unit of the weight {taught}: its k is within "
        f"{max(map(abs, k.values())):.1g} of 0.",
    ]


def say_adadelta(rows: Sequence[Row], long: Sequence[Row]) -> list[str]:
    k, bare, far = course(rows, "adadelta"), course(rows, BARE), course(long, "adadelta")
    end = far[max(far)]
    memory = "is not forgotten" if abs(end - 1) > 0.5 else "is forgotten"
    holds = [
        f"holds for the rule {which} eps" if abs(one[max(one)] - 1) < 0.1 else f"fails {which} eps"
        for which, one in (("without", bare), ("with", k))
    ]
    return [
        f"AdaDelta's k is {k[min(k)]:+.2f} at update 1 and {k[max(k)]:+.2f} at update {max(k)}; "
        f"with eps 1e-40 and u begun in the unit of the weight it is {bare[min(bare)]:+.2f} and "
        f"{bare[max(bare)]:+.2f}. The argument about units {holds[0]}, and {holds[1]}.",
        f"On a noisy parabola, on its own way, its k is {far[min(far)]:+.2f} at update 1 and "
        f"{end:+.2f} at update {max(far):,}: within so many updates eps {memory}.",
    ]


def say_paths(rows: Sequence[Row]) -> list[str]:
    same = ", ".join(f"{row['optimizer']} {row['apart_same_lr']:.2g}" for row in rows)
    scaled = ", ".join(f"{row['optimizer']} {row['apart_scaled_lr']:.1g}" for row in rows)
    return [
        f"With c = {rows[0]['c']:g} and the same lr, an epoch ends that far from where it ends "
        f"with c = 1, in parts of its way: {same}.",
        f"With lr times c^(1 - k) it is {scaled}.",
    ]


def say_accuracies(rows: Sequence[Row]) -> list[str]:
    n = len({row["seed"] for row in rows})
    parts = []
    for name in names_in(rows):
        means = mean_accuracies(rows, name)
        parts.append(f"{name} {100 * min(means.values()):.1f} to {100 * max(means.values()):.1f}")
    c = sorted({row["c"] for row in rows})
    return [
        f"Validation accuracy with c from {c[0]:g} to {c[-1]:g} and the lr that is best at c = 1, "
        f"the worst and the best mean of {n} seeds, in %: {', '.join(parts)}."
    ]


def mean_accuracies(rows: Iterable[Row], name: str) -> dict[float, float]:
    found: dict[float, list[float]] = {}
    for row in rows:
        if row["optimizer"] == name:
            found.setdefault(row["c"], []).append(row["val_accuracy"])
    return {c: float(np.mean(values)) for c, values in found.items()}


def draw(rows: Sequence[Row], long: Sequence[Row], accuracies: Sequence[Row]) -> "Figure":
    figure, (left, right) = blank(height=4.6)
    labels: dict[float, list[str]] = {}  # the names beside each line
    for name in names_in(rows):
        k, look = course(rows, name), LOOKS[name]
        left.plot(list(k), list(k.values()), look.marker, ms=4, ls="-", color=look.color)
        unit = whole(rows, name)
        labels.setdefault(max(k.values()) if unit is None else unit, []).append(name)
    k = course(long, "adadelta")
    left.plot(list(k), list(k.values()), "k:", label="adadelta on a noisy parabola")
    for y, names in labels.items():
        left.annotate(", ".join(names), (1, y), (0, 6), textcoords="offset points", fontsize=8)
    left.set(
        xlabel="update", ylabel="k of step ~ c^k", xscale="log", ylim=(-1.3, 1.3), title="the unit"
    )
    left.set_yticks([-1, 0, 1], ["-1: 1 / w", "0: none", "1: w"])
    left.legend(fontsize=8, loc="lower right")
    for name in names_in(accuracies):
        means = mean_accuracies(accuracies, name)
        look = LOOKS[name]
        values = [100 * value for value in means.values()]
        right.plot(
            list(means),
            values,
            marker=look.marker,
            ms=4,
            ls=look.dashes,
            color=look.color,
            label=name,
        )
    right.set(
        xlabel="c, new unit of the weights",
        ylabel="validation accuracy, %",
        xscale="log",
        title="lr that is best at c = 1",
    )
    right.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.15), ncols=3)
    return figure


def main(lab: Lab) -> None:
    data = lab.data(limit=lab.pick(10_000, fast=1_000))
    updates = lab.pick(300, fast=30)
    rows = exponents(list(RATES), gradients(data, updates), kept(updates), SCALES) + newton(
        5, SCALES
    )
    lab.table(rows, "exponents")
    long = parabola(lab.pick(10_000, fast=300), SCALES)
    lab.table(long, "parabola")
    epochs, factors = lab.pick(3, fast=1), lab.pick(TRIED, fast=TRIED[2:3])
    rates = {name: best_rate(data, name, epochs, factors) for name in RATES}
    k = {name: whole(rows, name) or 0 for name in RATES}
    ways = paths(data, rates, k, 10.0)
    lab.table(ways, "paths")
    scales = lab.pick([0.0316, 0.1, 0.316, 1.0, 3.16, 10.0, 31.6], fast=[0.1, 1.0, 10.0])
    found = accuracies(data, rates | {"lbfgs": 1.0}, scales, lab.pick(3, fast=1), epochs)
    lab.table(found, "accuracy")
    for sentence in (
        *say_exponents(rows),
        *say_adadelta(rows, long),
        *say_paths(ways),
        *say_accuracies(found),
    ):
        lab.say(sentence)
    lab.draw(
        draw(rows, long, found),
        f"Left: k of each step; one network and its gradients for all but newton (Rosenbrock's "
        f"function) and the dotted line. Right: network {data.train.images.shape[1]}-30-"
        f"{data.classes}, {len(data.train):,} images, {epochs} epochs, means of "
        f"{lab.pick(3, fast=1)} seeds; lbfgs on 1,000 images.",
    )


if __name__ == "__main__":
    sys.exit(run(main))
