"""Is AdaGrad the optimizer for rare features, and do its steps stall where RMSProp's do not?

    python experiments/rare_features.py
    python experiments/rare_features.py --fast

The data are made up: documents, bags of 1,000 words. The word of rank r is in a document with
probability 1 / r (Zipf's law), and every word says equally much, since its weight w* is +2 or -2 at
random. A document has class 1 with probability sigmoid(sum of the w* of its words). Words beyond
rank 100 are rare. A document hinges on rare words if the more probable class is another one without
them. One layer without hidden units learns it from zero weights, so that the loss is convex, and
its W_1 - W_0 should become w*.

Five optimizers get the same budget: eleven learning rates, two a decade from 0.001 to 100, on the
documents of three seeds, and for the end of the first epoch and that of the last one the rate with
the lowest mean validation loss. Then fresh seeds, each with words and documents of its own; what is
told is measured on test documents, which are read once. Intervals are of 95 % by Student's t, from
differences paired by seed, and not corrected for their number.

The effective learning rate of a weight, lr / (sqrt(s) + eps), is read from the optimizer's own
state after its update: s is the sum of the squared gradients for AdaGrad (Duchi, Hazan and Singer,
JMLR 12, 2011, section 1.1), their moving average for RMSProp. It is read of the words that are in
the batch. What is known in closed form is a gradient that stays the same, 1: the steps are

    AdaGrad  lr / sqrt(t), in all about 2 lr sqrt(t);      RMSProp  lr / sqrt(1 - rho^t),

and after 100 updates under a gradient of 100 the t-th under one of 1 is

    AdaGrad  lr / sqrt(10^6 + t);      RMSProp  lr / sqrt(10^4 (1 - rho^100) rho^t + 1 - rho^t).
"""

import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from lab import Lab, blank, of, run
from scipy import stats
from scipy.special import expit

import nnscratch as nn
from nnscratch.looks import COLORS, looks_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = np.ndarray[Any, Any]
Row = dict[str, Any]

WORDS = 1_000
RARE = 100  # words of a higher rank are rare
WEIGHT = 2.0  # |w*|
OPTIMIZERS = ("sgd", "momentum", "adagrad", "rmsprop", "adam")
RATES = tuple(10 ** (k / 2) for k in range(-6, 5))
BATCH = 50
RANKS = ((1, 3), (4, 10), (11, 30), (31, 100), (101, 300), (301, 1000))
FREQUENT, MIDDLE, RAREST = RANKS[1], RANKS[3], RANKS[5]
LARGE, BURST = 100.0, 100  # the gradient of the first updates, and how many they are


@dataclass(frozen=True)
class Corpus:
    """Documents, the weights that made their classes, and which test documents hinge."""

    train: nn.Split
    val: nn.Split
    test: nn.Split
    weights: Array  # w*
    hinges: Array  # for each test document


def corpus(seed: int, documents: int, tested: int) -> Corpus:
    rng = np.random.default_rng(seed)
    weights = rng.choice(np.array([-WEIGHT, WEIGHT], np.float32), WORDS)
    probability = 1 / np.arange(1, WORDS + 1, dtype=np.float32)
    drawn = rng.random((documents + 2 * tested, WORDS), np.float32) < probability
    words = drawn.astype(np.uint8)
    z = words @ weights
    labels = (rng.random(len(z)) < expit(z)).astype(int)
    without = words[:, :RARE] @ weights[:RARE]
    hinges = (z > 0) != (without > 0)
    everything = nn.Split(words, labels)
    train, val, test = np.split(np.arange(len(z)), (documents, documents + tested))
    return Corpus(everything[train], everything[val], everything[test], weights, hinges[test])


def best_accuracy(corpus: Corpus, chosen: Array) -> float:
    """What the true weights get right of the chosen test documents."""
    z = corpus.test.images[chosen] @ corpus.weights
    return float(((z > 0) == corpus.test.labels[chosen]).mean())


def network() -> nn.MLP:
    return nn.MLP([WORDS, 2], init="zeros")


def learned(model: nn.MLP) -> Array:
    """The weight of each word for class 1."""
    W = model.parameters[0].w
    difference: Array = W[:, 1] - W[:, 0]
    return difference


def errors(model: nn.MLP, corpus: Corpus) -> list[float]:
    """The root mean square error of the weights over |w*|, for the words of RANKS."""
    off = np.square(learned(model) - corpus.weights)
    return [math.sqrt(off[first - 1 : last].mean()) / WEIGHT for first, last in RANKS]


def losses(corpus: Corpus, name: str, lr: float, epochs: int) -> list[float]:
    """The validation loss after each epoch; inf from where the training diverges."""
    loader = nn.mini_batch(corpus.train, BATCH, seed=0)
    found: list[float] = []
    try:
        for record in nn.fit(network(), nn.OPTIMIZERS[name](lr=lr), loader, epochs, val=corpus.val):
            found.append(record.val_loss or 0.0)
    except nn.DivergedError:
        found += [math.inf] * (epochs - len(found))
    return found


def tuning(corpora: Sequence[Corpus], epochs: int, rates: Sequence[float]) -> list[Row]:
    """The mean validation loss of each learning rate after the first epoch and after the last."""
    rows = []
    for name, lr in ((name, lr) for name in OPTIMIZERS for lr in rates):
        means = np.mean([losses(corpus, name, lr, epochs) for corpus in corpora], axis=0)
        for epoch in (1, epochs):
            loss = float(means[epoch - 1])
            rows.append({"optimizer": name, "lr": lr, "epochs": epoch, "val loss": loss})
    return rows


def best_rate(rows: Iterable[Mapping[str, Any]], name: str, epochs: float) -> float:
    mine = of(rows, optimizer=name, epochs=epochs)
    return float(min(mine, key=lambda row: float(row["val loss"]))["lr"])


def result(corpus: Corpus, name: str, lr: float, epochs: int, seed: int) -> Row:
    """What one training reaches on the test documents, all of them and those that hinge."""
    model = network()
    optimizer = nn.OPTIMIZERS[name](lr=lr)
    for _ in nn.fit(model, optimizer, nn.mini_batch(corpus.train, BATCH, seed), epochs):
        pass
    everything = model.evaluate(corpus.test.x, corpus.test.labels)
    hinging = corpus.test[corpus.hinges]
    on_rare = model.evaluate(hinging.x, hinging.labels)
    row = {
        "optimizer": name,
        "epochs": epochs,
        "seed": seed,
        "lr": lr,
        "test loss": everything.loss,
        "test accuracy": everything.accuracy,
        "test loss, rare": on_rare.loss,
        "test accuracy, rare": on_rare.accuracy,
        "hinging": float(corpus.hinges.mean()),
        "best possible": best_accuracy(corpus, np.full(len(corpus.hinges), True)),
        "best possible, rare": best_accuracy(corpus, corpus.hinges),
    }
    return row | {
        f"error, rank {first} to {last}": error
        for (first, last), error in zip(RANKS, errors(model, corpus), strict=True)
    }


def effective(optimizer: nn.Optimizer, state: Mapping[str, Any]) -> Array:
    """The learning rate of each weight, from the optimizer's state; inf before any gradient."""
    squares = state["s"] if optimizer.name == "adagrad" else state["v"]
    numbers: Any = optimizer
    with np.errstate(divide="ignore"):
        rates: Array = numbers.lr / (np.sqrt(squares) + numbers.eps)
    return rates


def rates_over_time(
    corpus: Corpus, optimizer: nn.Optimizer, epochs: int, moments: int = 24
) -> list[Row]:
    """The median effective rate of the words in a batch, by rank, in spans of updates."""
    model, state = network(), dict[str, Any]()
    loader = nn.mini_batch(corpus.train, BATCH, seed=0)
    updates = epochs * len(loader)
    ends = np.unique(np.geomspace(1, updates, moments).astype(int))
    seen: dict[tuple[int, tuple[int, int]], list[Array]] = {}
    t = 0
    for _ in range(epochs):
        for x, labels in loader:
            model.loss_and_grad(x, labels)
            optimizer.update(model.w, model.dw, state)
            t += 1
            rates = effective(optimizer, state)[: 2 * WORDS].reshape(WORDS, 2)[:, 0]
            is_there = np.asarray(x).max(axis=0) > 0
            end = int(ends[np.searchsorted(ends, t)])
            for first, last in (FREQUENT, MIDDLE, RAREST):
                words = slice(first - 1, last)
                seen.setdefault((end, (first, last)), []).append(rates[words][is_there[words]])
    rows = []
    for (end, (first, last)), found in seen.items():
        values = np.concatenate(found)
        if len(values):
            rows.append(
                {
                    "optimizer": optimizer.name,
                    "rank": f"{first} to {last}",
                    "update": end,
                    "effective lr": float(np.median(values)),
                    "over lr": float(np.median(values)) / float(optimizer.rate or 1),
                    "words": len(values),
                }
            )
    return rows


def walk(optimizer: nn.Optimizer, gradients: Array, moments: Array) -> list[tuple[float, float]]:
    """Length of the step and distance so far, at these updates, of one weight in double
    precision."""
    w, state = np.zeros(1), dict[str, Any]()
    found = []
    wanted = set(moments.tolist())
    for t, gradient in enumerate(gradients, start=1):
        before = float(w[0])
        optimizer.update(w, np.array([gradient]), state)
        if t in wanted:
            found.append((before - float(w[0]), -float(w[0])))
    return found


def constant_theory(name: str, rho: float, t: Array, burst: int = 0) -> Array:
    """The step over lr at update t, under a gradient of 1, or after a burst of LARGE ones."""
    early = np.minimum(t, burst)
    late = t - early
    gradient: Array = np.where(t <= burst, LARGE, 1.0)
    if name == "adagrad":
        squares = LARGE**2 * early + late
    else:
        squares = LARGE**2 * (1 - rho**early) * rho**late + 1 - rho**late
    step: Array = gradient / np.sqrt(squares)
    return step


def constant_rows(updates: int) -> list[Row]:
    """Steps of both optimizers under a gradient that is the same, and after large ones."""
    decades = 10 ** np.arange(math.log10(updates), dtype=int)
    moments = np.union1d(decades, np.geomspace(1, updates, 60).astype(int))
    rows = []
    for name in ("adagrad", "rmsprop"):
        optimizer = nn.OPTIMIZERS[name](lr=1.0)
        rho = getattr(optimizer, "rho", 0.0)
        for burst in (0, BURST):
            gradients = np.where(np.arange(1, updates + 1) <= burst, LARGE, 1.0)
            theory = constant_theory(name, rho, np.arange(1, updates + 1), burst)
            distances = np.cumsum(theory)
            for t, (step, distance) in zip(
                moments.tolist(), walk(optimizer, gradients, moments), strict=True
            ):
                rows.append(
                    {
                        "optimizer": name,
                        "large gradients": burst,
                        "update": t,
                        "step / lr": step,
                        "step in theory": float(theory[t - 1]),
                        "distance / lr": distance,
                        "distance in theory": float(distances[t - 1]),
                    }
                )
    return rows


def column(rows: Iterable[Mapping[str, Any]], key: str, **wanted: object) -> Array:
    return np.array([row[key] for row in of(rows, **wanted)])


def interval(differences: Array) -> tuple[float, float, float]:
    """The mean, and its 95 % interval by Student's t."""
    mean = float(differences.mean())
    if len(differences) < 2:
        return mean, -math.inf, math.inf
    half = float(stats.t.ppf(0.975, len(differences) - 1) * stats.sem(differences))
    return mean, mean - half, mean + half


def difference(
    rows: Sequence[Mapping[str, Any]], other: str, key: str, epochs: float
) -> tuple[float, float, float]:
    """AdaGrad's minus the other's, paired by seed: the mean and its interval."""
    ours, theirs = (column(rows, key, optimizer=name, epochs=epochs) for name in ("adagrad", other))
    return interval(ours - theirs)


def verdict(low: float, high: float) -> str:
    return "higher" if low > 0 else "lower" if high < 0 else "not told apart"


def compared(rows: Sequence[Mapping[str, Any]], key: str, epochs: float) -> str:
    """AdaGrad minus each of the others, in points."""
    parts = []
    for other in OPTIMIZERS:
        if other != "adagrad":
            mean, low, high = (100 * end for end in difference(rows, other, key, epochs))
            parts.append(f"{other} {mean:+.2f} ({low:+.2f} to {high:+.2f}, {verdict(low, high)})")
    return "; ".join(parts)


def findings_of_results(
    rows: Sequence[Mapping[str, Any]], tuned: Sequence[Mapping[str, Any]]
) -> list[str]:
    said = []
    horizons = sorted({row["epochs"] for row in rows})
    seeds = len({row["seed"] for row in rows})
    last_error = f"error, rank {RAREST[0]} to {RAREST[1]}"
    for epochs in horizons:
        for title, key in (
            ("all test documents", ""),
            ("those that hinge on rare words", ", rare"),
        ):
            found = {
                name: 100 * column(rows, f"test accuracy{key}", optimizer=name, epochs=epochs)
                for name in OPTIMIZERS
            }
            order = ", ".join(
                f"{name} {found[name].mean():.1f} %"
                for name in sorted(found, key=lambda name: -float(found[name].mean()))
            )
            ceiling = float(column(rows, f"best possible{key}", epochs=epochs).mean())
            said.append(
                f"After {epochs:g} epoch{'s' if epochs > 1 else ''}, {title}: {order}; "
                f"the true weights get {ceiling:.1%}. AdaGrad minus the others in points, over "
                f"{seeds} seeds: {compared(rows, f'test accuracy{key}', epochs)}."
            )
        off = {
            name: float(column(rows, last_error, optimizer=name, epochs=epochs).mean())
            for name in OPTIMIZERS
        }
        said.append(
            f"Error of the weights of the rarest words (rank {RAREST[0]} to {RAREST[1]}) after "
            f"{epochs:g} epoch{'s' if epochs > 1 else ''}, where 1 is that of no weights at all: "
            f"{', '.join(f'{name} {off[name]:.2f}' for name in sorted(off, key=off.__getitem__))}."
        )
    rates = sorted({row["lr"] for row in tuned})
    edges = [
        f"{name} after {epochs:g}"
        for name in OPTIMIZERS
        for epochs in horizons
        if best_rate(tuned, name, epochs) in (rates[0], rates[-1])
    ]
    edge = f"at the edge of what was tried: {', '.join(edges)}" if edges else "none at the edge"
    chosen = "; ".join(
        f"{name} {', '.join(f'{best_rate(tuned, name, epochs):.3g}' for epochs in horizons)}"
        for name in OPTIMIZERS
    )
    said.append(
        f"Best learning rates after {' and '.join(f'{epochs:g}' for epochs in horizons)} epochs: "
        f"{chosen}; {edge}."
    )
    return said


def findings_of_claims(
    rows: Sequence[Mapping[str, Any]], tuned: Sequence[Mapping[str, Any]]
) -> list[str]:
    """What holds of "for rare features" and of "stalls"."""
    horizons = sorted({row["epochs"] for row in rows})
    parts = []
    for epochs in horizons:
        is_: dict[str, list[str]] = {"higher": [], "lower": [], "not told apart": []}
        for other in OPTIMIZERS:
            if other != "adagrad":
                _, low, high = difference(rows, other, "test accuracy, rare", epochs)
                is_[verdict(low, high)].append(other)
        named = {key: ", ".join(names) or "none" for key, names in is_.items()}
        parts.append(
            f"after {epochs:g} epoch{'s' if epochs > 1 else ''} AdaGrad is ahead of "
            f"{named['higher']}, behind {named['lower']}, and not told from "
            f"{named['not told apart']}"
        )
    last = horizons[-1]
    mean, low, high = difference(rows, "rmsprop", "test loss", last)
    default = float(nn.OPTIMIZERS["adagrad"]().lr)
    best = best_rate(tuned, "adagrad", last)
    loss = {
        lr: float(of(tuned, optimizer="adagrad", epochs=last, lr=lr)[0]["val loss"])
        for lr in (default, best)
    }
    return [
        f"AdaGrad for rare features, on documents that hinge on them: {'; '.join(parts)}.",
        f"AdaGrad stalls and RMSProp cures it: after {last:g} epochs AdaGrad's test loss minus "
        f"RMSProp's is {mean:+.4f} ({low:+.4f} to {high:+.4f}, {verdict(low, high)}), each at its "
        f"best rate. At AdaGrad's default rate of {default:g} its validation loss is "
        f"{loss[default]:.3f} then, and {loss[best]:.3f} at {best:.3g}.",
    ]


def slope(rows: Sequence[Mapping[str, Any]]) -> float:
    """The power of t that the rate follows after the first tenth of the updates."""
    late = [row for row in rows if row["update"] >= rows[-1]["update"] / 10]
    t, rate = (np.log([row[key] for row in late]) for key in ("update", "effective lr"))
    return float(np.polyfit(t, rate, 1)[0])


def findings_of_rates(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    said = []
    for name in ("adagrad", "rmsprop"):
        by_rank = {
            rank: of(rows, optimizer=name, rank=f"{rank[0]} to {rank[1]}")
            for rank in (FREQUENT, RAREST)
        }
        frequent, rare = (by_rank[rank][-1] for rank in (FREQUENT, RAREST))
        said.append(
            f"{name}: after the first tenth of the updates the effective learning rate goes as t "
            f"to the power {slope(by_rank[FREQUENT]):+.2f} for words of rank {frequent['rank']}, "
            f"and {slope(by_rank[RAREST]):+.2f} for those of rank {rare['rank']}; at the end "
            f"rare words have {rare['effective lr'] / frequent['effective lr']:.1f} times the rate "
            f"of frequent ones."
        )
    return said


def findings_of_constant(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    last = max(row["update"] for row in rows)
    off = max(abs(row["step / lr"] / row["step in theory"] - 1) for row in rows)

    def at_end(name: str, burst: int, key: str) -> float:
        return float(of(rows, optimizer=name, update=last, **{"large gradients": burst})[0][key])

    hundredth = max(row["update"] for row in rows if row["update"] <= last / 100)
    early = of(rows, optimizer="adagrad", update=hundredth, **{"large gradients": 0})[0]
    farther = at_end("adagrad", 0, "distance / lr") / early["distance / lr"]
    later = [
        (row["update"] - BURST, row["step / lr"] > 0.5)
        for row in of(rows, optimizer="rmsprop", **{"large gradients": BURST})
        if row["update"] > BURST
    ]
    recovered = [update for update, is_back in later if is_back]
    before = max((update for update, is_back in later if not is_back), default=0)
    back = f"between {before:g} and {recovered[0]:g} updates after them" if recovered else "not yet"
    return [
        f"Under a constant gradient AdaGrad's step is {at_end('adagrad', 0, 'step / lr'):.3g} lr "
        f"at update {last:g}, where 1 / sqrt(t) is {1 / math.sqrt(last):.3g}, and it has gone "
        f"{at_end('adagrad', 0, 'distance / lr'):.4g} lr: {farther:.3g} times as far as at update "
        f"{hundredth:g}, and sqrt({last / hundredth:.0f}) is {math.sqrt(last / hundredth):.3g}. "
        f"RMSProp's step is {at_end('rmsprop', 0, 'step / lr'):.3g} lr. Measured steps differ from "
        f"the formulas by no more than {max(off, 1e-5):.0e} of themselves.",
        f"After {BURST} gradients that are {LARGE:g} times as large, AdaGrad's step at update "
        f"{last:g} is {at_end('adagrad', BURST, 'step / lr'):.3g} lr, "
        f"{at_end('adagrad', 0, 'step / lr') / at_end('adagrad', BURST, 'step / lr'):.3g} times "
        f"shorter than without them; RMSProp's is over half of lr again {back}.",
    ]


def results_figure(rows: Sequence[Mapping[str, Any]]) -> "Figure":
    """Accuracies above, errors of the weights below; the first epoch left, the last right."""
    figure, panels = blank(2, 2, height=3.7)
    looks = looks_of(OPTIMIZERS)
    horizons = sorted({row["epochs"] for row in rows})
    ranks = [f"{first} to {last}" for first, last in RANKS]
    for above, below, epochs in zip(panels[:2], panels[2:], horizons, strict=True):
        for k, (name, look) in enumerate(looks.items()):
            mine = {"optimizer": name, "epochs": epochs}
            for place, key in enumerate(("", ", rare")):
                found = 100 * column(rows, f"test accuracy{key}", **mine)
                x = np.full(len(found), place + 0.13 * (k - 2))
                above.plot(x, found, look.marker, color=look.color, ms=3, alpha=0.5)
                above.plot(x[:1], found.mean(), look.marker, color=look.color, ms=9, mec="black")
            error = [column(rows, f"error, rank {rank}", **mine).mean() for rank in ranks]
            below.plot(ranks, error, marker=look.marker, color=look.color, ms=5, lw=1.3, label=name)
        for place, key in enumerate(("", ", rare")):
            best = 100 * column(rows, f"best possible{key}", epochs=epochs).mean()
            above.plot([place - 0.4, place + 0.4], [best, best], "k:", lw=1.2)
        above.set_xticks([0, 1], ["all documents", "those that hinge\non rare words"])
        above.set_title(f"after {epochs:g} epoch{'s' if epochs > 1 else ''}", fontsize=10)
        below.set_xlabel("rank of the word")
        below.tick_params(axis="x", labelsize=8)
        below.axhline(1, color="black", lw=0.8, ls=":")
    for pair, label in ((panels[:2], "right / %"), (panels[2:], "error of the weight / |w*|")):
        low = min(axes.get_ylim()[0] for axes in pair)
        high = max(axes.get_ylim()[1] for axes in pair)
        for axes in pair:
            axes.set_ylim(low, high)
        pair[0].set_ylabel(label)
    handles, labels = panels[2].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(looks), fontsize=9)
    return figure


def rates_figure(rows: Sequence[Mapping[str, Any]]) -> "Figure":
    """The effective learning rates of AdaGrad and of RMSProp, side by side."""
    figure, panels = blank(1, 2)
    for axes, name in zip(panels, ("adagrad", "rmsprop"), strict=True):
        for color, rank in zip(COLORS, (FREQUENT, MIDDLE, RAREST), strict=False):
            mine = of(rows, optimizer=name, rank=f"{rank[0]} to {rank[1]}")
            rates = [row["effective lr"] for row in mine]
            label = f"rank {rank[0]} to {rank[1]}"
            axes.plot(
                [row["update"] for row in mine], rates, "o-", color=color, ms=4, lw=1.2, label=label
            )
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_title(name, fontsize=10)
        axes.set_xlabel("updates")
    ends = of(rows, optimizer="adagrad", rank=f"{FREQUENT[0]} to {FREQUENT[1]}")
    t = np.array([row["update"] for row in ends], float)
    panels[0].plot(t, ends[-1]["effective lr"] * np.sqrt(t[-1] / t) / 2, "k:", label="1 / sqrt(t)")
    panels[0].set_ylabel("effective learning rate of a word in the batch")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4, fontsize=9)
    return figure


def constant_figure(rows: Sequence[Mapping[str, Any]]) -> "Figure":
    """Steps and distances under a constant gradient, and steps after large ones."""
    figure, panels = blank(1, 3)
    looks = looks_of(OPTIMIZERS)
    views = (
        (0, "step", "a gradient of 1: length of a step / lr"),
        (0, "distance", "the same: distance / lr"),
        (BURST, "step", f"{BURST} gradients of {LARGE:g}, then of 1: step / lr"),
    )
    for axes, (burst, what, title) in zip(panels, views, strict=True):
        for name in ("adagrad", "rmsprop"):
            mine = of(rows, optimizer=name, **{"large gradients": burst})
            t = [row["update"] for row in mine]
            color = looks[name].color
            axes.plot(t, [row[f"{what} in theory"] for row in mine], color=color, lw=1.2)
            measured = [row[f"{what} / lr"] for row in mine]
            axes.plot(t[::3], measured[::3], looks[name].marker, color=color, ms=5, label=name)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_title(title, fontsize=9)
        axes.set_xlabel("updates")
    panels[0].legend(fontsize=9)
    return figure


def main(lab: Lab) -> None:
    documents, tested = lab.pick((10_000, 5_000), fast=(1_000, 500))
    epochs, seeds = lab.pick(10, fast=2), lab.pick(10, fast=2)
    tuned_on = [corpus(seed, documents, tested) for seed in range(lab.pick(3, fast=1))]
    tuned = tuning(tuned_on, epochs, lab.pick(RATES, fast=RATES[2::4]))
    rows = []
    for seed in range(len(tuned_on), len(tuned_on) + seeds):
        fresh = corpus(seed, documents, tested)
        rows += [
            result(fresh, name, best_rate(tuned, name, horizon), horizon, seed)
            for name in OPTIMIZERS
            for horizon in (1, epochs)
        ]
    rates = [
        row
        for name in ("adagrad", "rmsprop")
        for row in rates_over_time(
            tuned_on[0], nn.OPTIMIZERS[name](lr=best_rate(tuned, name, epochs)), epochs
        )
    ]
    constant = constant_rows(lab.pick(10_000, fast=1_000))
    lab.table(rows)
    lab.table(tuned, "tuning")
    lab.table(rates, "rates")
    lab.table(constant, "constant")
    for sentence in findings_of_results(rows, tuned):
        lab.say(sentence)
    for sentence in findings_of_claims(rows, tuned):
        lab.say(sentence)
    lab.draw(
        results_figure(rows),
        f"{documents:,} documents to train and {tested:,} to test, of which "
        f"{column(rows, 'hinging').mean():.0%} hinge on rare words; {seeds} seeds (small marks) "
        f"and their mean (large marks). Above: dotted is what the true weights get right. Below: "
        f"dotted is the error of no weights at all.",
    )
    for sentence in findings_of_rates(rates):
        lab.say(sentence)
    lab.draw(
        rates_figure(rates),
        f"The learning rate of a weight as the optimizer's state has it, when the word is in the "
        f"batch: medians, one training of {epochs} epochs with each at its best lr.",
        "rates",
    )
    for sentence in findings_of_constant(constant):
        lab.say(sentence)
    lab.draw(
        constant_figure(constant),
        "One weight whose gradient is given. Marks are measured, lines are the closed forms.",
        "constant",
    )


if __name__ == "__main__":
    sys.exit(run(main))
