"""How far does a signal come through each activation, and what comes back?

    python experiments/activations.py
    python experiments/activations.py --fast --dataset digits

All activations of `nn.ACTIVATIONS`, in networks of up to 10 hidden layers of 100 units. Each starts
from the initializer that was made for it: Glorot's, He's for those that are cut off below zero,
LeCun's for the SELU. Three things are measured.

Before training, with 10 hidden layers in double precision: what of the difference between images
reaches a layer (the standard deviation of a unit's activation over 16 images, a root mean square
over units), and what comes back (the norm of dL/dz over the images and units of the layer). The
theory follows two images a and b and takes units as independent: with q_a the variance of a's sum z
in a layer and D_ab the mean of (z_a - z_b)^2,

    q_a  <- n var(W) E f(z_a)^2,      D_ab <- n var(W) E (f(z_a) - f(z_b))^2,
    |dL/dz|^2 <- n var(W) E f'(z)^2 |dL/dz|^2 of the next layer,

(Poole et al., arXiv 1606.05340, eq. 3 and 5; Glorot and Bengio, AISTATS 2010, eq. 6; Schoenholz et
al., arXiv 1611.01232, eq. 5 and 15.) The sigmoid has f' <= 1/4, so that with n var(W) = 1 the norm
falls to a quarter or less in each layer. What holds without any assumption is a bound with the
largest singular value of W, |dL/dz| <= max f' |W|_2 |dL/dz| of the next layer.

Which depth still learns: the share of the validation images that are right after one epoch of plain
SGD, with three learning rates tried with one seed, and the best of them with fresh seeds. A network
learns if its mean is at least one half.

While it learns, with 3 hidden layers and that tuning: the norm of dL/dW, the length of an update
over the length of the weights that it moves, the share of saturated units and that of dead ones. A
unit is saturated at an image where |f'(z)| is below 0.05 of the largest |f'|, for the ReLU where it
is off; it is dead if it is that at each of 1,000 images.
"""

import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from initializers import (
    BATCH,
    FAILS,
    SATURATED,
    VARIANCES,
    WIDTH,
    derivative,
    largest_derivative,
    sizes,
    trained,
)
from lab import Lab, blank, of, run

import nnscratch as nn
from nnscratch.layers import Activate, Dense
from nnscratch.looks import looks_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = np.ndarray[Any, Any]
Row = dict[str, Any]

STARTS = dict.fromkeys(nn.ACTIVATIONS, "he_normal") | {
    "identity": "glorot_normal",
    "sigmoid": "glorot_normal",
    "tanh": "glorot_normal",
    "softplus": "glorot_normal",
    "selu": "lecun_normal",
}
DEPTHS = (1, 2, 3, 5, 10)  # hidden layers
WATCHED = 3  # hidden layers of the networks that are watched while they learn
RATES = (0.01, 0.1, 1.0)
IMAGES = 16  # followed through the networks that have not learned yet
PROBE = 1_000  # images that the networks are watched with
SHOWN = ("sigmoid", "tanh", "relu")  # in the figure of the training


def grid() -> tuple[Array, Array]:
    """Points of a standard normal distribution, none at a kink at 0, and their weights."""
    u = np.linspace(-6, 6, 48)
    density = np.exp(-(u**2) / 2)
    return u, density / density.sum()


def applied(activation: nn.Activation, z: Array) -> Array:
    a = np.empty_like(z)
    activation.forward(z, a)
    return a


def expected_signal(
    activation: nn.Activation, variances: Sequence[float], x: Array
) -> tuple[list[float], list[float]]:
    """For each hidden layer of WIDTH units: the activations' deviation between the images x, and
    the mean of f'(z)^2.

    z_a and z_b follow from two independent normal numbers, r and t, by their sum and difference.
    """
    u, weight = grid()
    a, b = np.triu_indices(len(x), k=1)
    q = variances[0] * np.square(x).sum(axis=1)
    D = variances[0] * np.square(x[a] - x[b]).sum(axis=1)
    deviations, slopes = [], []
    for following in [*variances[1:], math.nan]:
        z = np.sqrt(q)[:, np.newaxis] * u
        f = applied(activation, z)
        slopes.append(float((np.square(derivative(activation, z, f)) @ weight).mean()))
        covariance = q[a] - q[b]  # of sum and difference
        rest = np.maximum(2 * (q[a] + q[b]) - D - covariance**2 / D, 0)
        t, r = u[:, np.newaxis], u
        difference = np.sqrt(D)[:, np.newaxis, np.newaxis] * t
        total = (covariance / np.sqrt(D))[:, np.newaxis, np.newaxis] * t
        total = total + np.sqrt(rest)[:, np.newaxis, np.newaxis] * r
        apart = applied(activation, (total + difference) / 2)
        apart -= applied(activation, (total - difference) / 2)
        squared = np.square(apart) @ weight @ weight
        deviations.append(math.sqrt(squared.sum()) / len(x))
        q = WIDTH * following * np.square(f) @ weight
        D = WIDTH * following * squared
    return deviations, slopes


def expected_gradients(last: float, variances: Sequence[float], slopes: Sequence[float]) -> Array:
    """|dL/dz| of each hidden layer, given that of the outputs.

    variances   var(W) of each layer, outputs included
    slopes      the mean of f'(z)^2 in each hidden layer
    """
    factors = WIDTH * np.array(variances[1:]) * np.array(slopes)
    return last * np.sqrt(np.cumprod(factors[::-1])[::-1])


def probed(model: nn.MLP, x: Array, labels: Array) -> list[dict[str, float]]:
    """What each hidden layer does with the images, and what comes back to it."""
    model.loss_and_grad(x, labels)
    largest = largest_derivative(model.activation)
    dense = [layer for layer in model.layers if isinstance(layer, Dense)]
    hidden = [layer for layer in model.layers if isinstance(layer, Activate)]
    found = []
    for activate, layer, after in zip(hidden, dense, dense[1:], strict=False):
        slope = derivative(model.activation, activate.z, activate.a)
        is_flat = np.abs(slope) < SATURATED * largest
        spread = activate.a.var(axis=0, dtype=np.float64)
        longest = float(np.linalg.norm(after.W, 2) * np.linalg.norm(after.dz))
        found.append(
            {
                "std of a": math.sqrt(spread.mean()),
                "|dL/dz|": float(np.linalg.norm(layer.dz)),
                "bound": largest * longest,
                "|dL/dW|": float(np.linalg.norm(layer.dW)),
                "saturated": float(is_flat.mean()),
                "dead": float(is_flat.all(axis=0).mean()),
            }
        )
    return found


def outputs_gradient(model: nn.MLP) -> float:
    """|dL/dz| of the output layer, after a backward pass."""
    last = model.layers[-1]
    assert isinstance(last, Dense)
    return float(np.linalg.norm(last.dz))


def start_rows(data: nn.Dataset, activation: str, depth: int, seeds: int) -> list[Row]:
    """The signal there and back before training, layer by layer, over seeds and in theory."""
    x = np.asarray(data.train.x[:IMAGES], np.float64)
    shape, start = sizes(data, depth), STARTS[activation]
    variances = [VARIANCES[start](*fan) for fan in pairwise(shape)]
    measured, last = [], []
    for seed in range(seeds):
        model = nn.MLP(shape, activation, start, seed=seed, dtype="float64")
        measured.append(probed(model, x, data.train.labels[:IMAGES]))
        last.append(outputs_gradient(model))
    deviations, slopes = expected_signal(model.activation, variances[:-1], x)
    gradients = expected_gradients(float(np.mean(last)), variances, slopes)
    rows = []
    for layer, found in enumerate(zip(*measured, strict=True)):
        mean = {key: float(np.mean([one[key] for one in found])) for key in found[0]}
        rows.append(
            {
                "activation": activation,
                "layer": layer + 1,
                "std of a": mean["std of a"],
                "std in theory": deviations[layer],
                "|dL/dz|": mean["|dL/dz|"],
                "|dL/dz| in theory": float(gradients[layer]),
                "largest share of the bound": max(one["|dL/dz|"] / one["bound"] for one in found),
                "saturated": mean["saturated"],
                "dead": mean["dead"],
                "seeds": seeds,
            }
        )
    return rows


def depth_rows(
    data: nn.Dataset, depths: Iterable[int], rates: Sequence[float], seeds: int
) -> list[Row]:
    """The accuracy of each activation and depth, at the best of the learning rates."""
    rows = []
    for activation, depth in ((a, d) for a in STARTS for d in depths):
        start = nn.INITIALIZERS[STARTS[activation]]()
        tried = {lr: trained(data, start, activation, depth, lr, 0)[1] for lr in rates}
        best = max(tried, key=tried.__getitem__)
        final = [
            trained(data, start, activation, depth, best, seed)[1] for seed in range(1, seeds + 1)
        ]
        rows.append(
            {
                "activation": activation,
                "hidden layers": depth,
                "lr": best,
                "val accuracy": float(np.mean(final)),
                "lowest": min(final),
                "highest": max(final),
                "seeds": seeds,
            }
        )
    return rows


def watched_rows(
    data: nn.Dataset, activation: str, depth: int, lr: float, epochs: int, seed: int
) -> list[Row]:
    """What the layers do at the start and after each epoch.

    The update whose length is given is the first one, and later the last one of the epoch.
    """
    x, labels = np.asarray(data.train.x[:PROBE]), data.train.labels[:PROBE]
    model = nn.MLP(sizes(data, depth), activation, STARTS[activation], seed=seed)
    loader = nn.mini_batch(data.train, BATCH, seed)
    optimizer = nn.OPTIMIZERS["sgd"](lr=lr)
    last = len(loader) - 1  # updates of an epoch before its last one
    weights = [p.w for p in model.parameters if p.name.startswith("W")]
    states = [probed(model, x, labels)]
    updates: list[list[float]] = []
    before = [W.copy() for W in weights]
    for record in nn.fit(
        model, optimizer, loader, epochs, every=lambda n: n == 1 or n % len(loader) == last
    ):
        if record.update == 1 or record.ends_epoch:
            moved = [np.linalg.norm(W - old) for W, old in zip(weights, before, strict=True)]
            lengths = [np.linalg.norm(old) for old in before]
            updates.append([float(m / w) for m, w in zip(moved, lengths, strict=True)])
        if record.ends_epoch:
            states.append(probed(model, x, labels))
        before = [W.copy() for W in weights]
    keys = ("std of a", "|dL/dW|", "saturated", "dead")
    return [
        {"activation": activation, "epoch": epoch, "layer": layer + 1, "lr": lr}
        | {key: found[key] for key in keys}
        | {"|update| / |W|": updates[epoch][layer]}
        for epoch, state in enumerate(states)
        for layer, found in enumerate(state)
    ]


def per_layer(values: Sequence[float]) -> float:
    """The factor from one value to the next, as a geometric mean."""
    return float((values[-1] / values[0]) ** (1 / (len(values) - 1)))


def findings_of_start(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    said = []
    depth = max(row["layer"] for row in rows)
    for key, theory, title in (
        ("std of a", "std in theory", "the difference between images is multiplied in each layer"),
        (
            "|dL/dz|",
            "|dL/dz| in theory",
            "the gradient is multiplied in each layer on its way back",
        ),
    ):
        parts = []
        for activation in STARTS:
            mine = of(rows, activation=activation)[:: 1 if key == "std of a" else -1]
            factor, expected = (per_layer([row[name] for row in mine]) for name in (key, theory))
            parts.append(f"{activation} {factor:.2f} ({expected:.2f})")
        off = [abs(row[key] / row[theory] - 1) for row in rows]
        said.append(
            f"With {depth:g} hidden layers {title} by (theory in brackets): {', '.join(parts)}. "
            f"Over all layers theory and measurement differ by {np.median(off):.1%} in the median "
            f"and {max(off):.0%} at most (means over {rows[0]['seeds']:g} seeds)."
        )
    sigmoid = [row["|dL/dz|"] for row in of(rows, activation="sigmoid")]
    ratios = [one / after for one, after in pairwise(sigmoid)]
    holds = max(ratios) <= 0.25
    said.append(
        f"The sigmoid's gradient falls to between {min(ratios):.3f} and {max(ratios):.3f} of "
        f"itself per layer, {'never' if holds else 'once or more'} above 1/4. 1/4 alone is no "
        f"bound, since the weights multiply too: with |W|_2 as a factor it is one, and of that "
        f"the gradients are at most "
        f"{max(row['largest share of the bound'] for row in rows):.0%} with any activation."
    )
    flat = max(row["saturated"] for row in of(rows, activation="sigmoid"))
    said.append(
        f"Of the sigmoid's units {flat:.1%} are saturated in its most saturated layer, so that it "
        f"is {'not ' if flat < 0.05 else ''}saturation that lets its gradient vanish at the start: "
        f"layer 1 has {sigmoid[0] / sigmoid[-1]:.1e} of the gradient of layer {depth:g}."
    )
    return said


def findings_of_depth(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    depths = sorted({row["hidden layers"] for row in rows})
    parts = []
    for activation in STARTS:
        mine = of(rows, activation=activation)
        learns = [row["hidden layers"] for row in mine if row["val accuracy"] >= FAILS]
        last = mine[-1]
        parts.append(
            f"{activation} {f'{max(learns):g}' if learns else 'none'} "
            f"({mine[0]['val accuracy']:.0%} with {depths[0]:g}, {last['lowest']:.0%} to "
            f"{last['highest']:.0%} with {depths[-1]:g})"
        )
    return [
        f"The deepest network that learns, of {', '.join(f'{depth:g}' for depth in depths)} hidden "
        f"layers (images right: mean and range of {rows[0]['seeds']:g} seeds): {'; '.join(parts)}."
    ]


def findings_of_training(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    end, depth = max(row["epoch"] for row in rows), max(row["layer"] for row in rows)

    def mean(activation: str, epoch: float, key: str) -> float:
        return float(np.mean([row[key] for row in of(rows, activation=activation, epoch=epoch)]))

    flat, dead = [], []
    for activation in STARTS:
        flat.append(
            f"{activation} {mean(activation, 0, 'saturated'):.0%} and "
            f"{mean(activation, end, 'saturated'):.0%}"
        )
        shares = mean(activation, 0, "dead"), mean(activation, end, "dead")
        if any(shares):
            dead.append(f"{activation} {shares[0]:.1%} and {shares[1]:.1%}")
    said = [
        f"Saturated, with {depth:g} hidden layers before training and after {end:g} epochs: "
        f"{'; '.join(flat)}.",
        f"Dead, flat for every one of the images, at the same times: {'; '.join(dead) or 'none'}"
        f"{', and none with the others' if dead else ''}.",
    ]
    parts = []
    for activation in SHOWN:
        first, last = (
            [row["|update| / |W|"] for row in of(rows, activation=activation, layer=layer)]
            for layer in (1, depth)
        )
        parts.append(
            f"{activation} {first[0]:.1e} and {last[0]:.1e} in the first update, {first[-1]:.1e} "
            f"and {last[-1]:.1e} in the last"
        )
    said.append(
        f"Length of an update over that of the weights, in layer 1 and in layer {depth:g}: "
        f"{'; '.join(parts)}."
    )
    return said


def start_figure(rows: Sequence[Mapping[str, Any]]) -> "Figure":
    """The signal there and back: marks measured, lines in theory."""
    figure, (there, back) = blank(1, 2, height=5)
    for activation, look in looks_of(STARTS).items():
        mine = of(rows, activation=activation)
        layers = [row["layer"] for row in mine]
        for axes, key, theory in (
            (there, "std of a", "std in theory"),
            (back, "|dL/dz|", "|dL/dz| in theory"),
        ):
            expected = [row[theory] for row in mine]
            axes.plot(layers, expected, ls=look.dashes, color=look.color, lw=1.2)
            measured = [row[key] for row in mine]
            axes.plot(layers, measured, look.marker, color=look.color, ms=5)
        both = {"color": look.color, "ls": look.dashes, "marker": look.marker, "ms": 5, "lw": 1.2}
        there.plot([], [], label=activation, **both)
    sigmoid = [row["|dL/dz|"] for row in of(rows, activation="sigmoid")]
    quarters = sigmoid[-1] * 0.25 ** (len(sigmoid) - np.array(layers, float))
    back.plot(layers, quarters, "k:", lw=1.5)
    back.annotate(
        "a quarter in each layer",
        (layers[2], quarters[2]),
        xytext=(18, -12),
        textcoords="offset points",
        fontsize=9,
    )
    for axes in (there, back):
        axes.set_yscale("log")
        axes.set_xlabel("hidden layer")
        axes.set_xticks(layers)
    there.set_ylabel("standard deviation of an activation between images")
    back.set_ylabel("norm of dL/dz")
    handles, labels = there.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=5, fontsize=9)
    return figure


def depth_figure(rows: Sequence[Mapping[str, Any]]) -> "Figure":
    """Accuracy against depth, with the range over the seeds."""
    figure, (axes,) = blank(1, 1, height=5.2)
    depths = list(dict.fromkeys(row["hidden layers"] for row in rows))
    places = np.arange(len(depths))
    for k, (activation, look) in enumerate(looks_of(STARTS).items()):
        mine = of(rows, activation=activation)
        mean, low, high = (
            100 * np.array([row[key] for row in mine])
            for key in ("val accuracy", "lowest", "highest")
        )
        axes.errorbar(
            places + 0.04 * (k - len(STARTS) / 2),
            mean,
            yerr=(mean - low, high - mean),
            color=look.color,
            ls=look.dashes,
            marker=look.marker,
            ms=5,
            lw=1.2,
            label=f"{activation}, {STARTS[activation]}",
        )
    axes.axhline(100 * FAILS, color="black", lw=0.8, ls=":")
    axes.set_xticks(places, depths)
    axes.set_xlabel("hidden layers")
    axes.set_ylabel("validation images right / %")
    figure.legend(loc="outside right center", fontsize=9)
    return figure


def training_figure(rows: Sequence[Mapping[str, Any]]) -> "Figure":
    """Gradients, updates and flat units of three activations, layer by layer and epoch by epoch."""
    figure, panels = blank(3, 3, height=2.7)
    for column, activation in enumerate(SHOWN):
        above, middle, below = panels[column::3]
        epochs = list(dict.fromkeys(row["epoch"] for row in rows))
        for epoch, look in looks_of(epochs).items():
            mine = of(rows, activation=activation, epoch=epoch)
            layers = [row["layer"] for row in mine]
            for axes, key in (
                (above, "|dL/dW|"),
                (middle, "|update| / |W|"),
                (below, "saturated"),
            ):
                line = [row[key] for row in mine]
                axes.plot(layers, line, "-", marker=look.marker, color=look.color, ms=4, lw=1.2)
            below.plot(layers, [row["dead"] for row in mine], ":", color=look.color, lw=1.5)
        above.set_title(f"{activation}, lr {mine[0]['lr']:g}", fontsize=10)
        below.set_xlabel("hidden layer")
        below.set_ylim(-0.04, 1.04)
        for axes in (above, middle):
            axes.set_yscale("log")
        for axes in (above, middle, below):
            axes.set_xticks(layers)
    for axes, label in zip(
        panels[::3], ("norm of dL/dW", "|update| / |W|", "share saturated, dead"), strict=True
    ):
        axes.set_ylabel(label)
    for panel in (panels[:3], panels[3:6]):
        low = min(axes.get_ylim()[0] for axes in panel)
        high = max(axes.get_ylim()[1] for axes in panel)
        for axes in panel:
            axes.set_ylim(low, high)
    names = [f"after epoch {epoch}" if epoch else "at the start" for epoch in epochs]
    figure.legend(
        panels[0].get_lines(), names, loc="outside upper center", ncols=len(names), fontsize=9
    )
    return figure


def main(lab: Lab) -> None:
    data = lab.data(limit=lab.pick(10_000, fast=300))
    depths, rates, seeds = lab.pick((DEPTHS, RATES, 3), fast=((1, WATCHED), (0.01,), 1))
    epochs, starts = lab.pick((5, 5), fast=(2, 1))
    start = [row for name in STARTS for row in start_rows(data, name, max(depths), starts)]
    scan = depth_rows(data, depths, rates, seeds)
    tuned = {row["activation"]: row["lr"] for row in of(scan, **{"hidden layers": WATCHED})}
    training = [
        row for name in STARTS for row in watched_rows(data, name, WATCHED, tuned[name], epochs, 1)
    ]
    lab.table(scan)
    lab.table(start, "start")
    lab.table(training, "training")
    for sentence in findings_of_start(start):
        lab.say(sentence)
    lab.draw(
        start_figure(start),
        f"Before training, over {IMAGES} images, {WIDTH} units and {start[0]['seeds']} seeds: how "
        f"much of the difference between images reaches each hidden layer (left), and what comes "
        f"back from the loss (right, to be read from right to left). Marks are measured, lines are "
        f"the theory.",
        "start",
    )
    for sentence in findings_of_depth(scan):
        lab.say(sentence)
    lab.draw(
        depth_figure(scan),
        f"Validation accuracy after one epoch of SGD on {len(data.train):,} images in batches of "
        f"{BATCH}; mean and range of {seeds} seeds, at the best of the learning rates "
        f"{', '.join(f'{lr:g}' for lr in rates)}. Below the dotted line a network has not learned.",
    )
    for sentence in findings_of_training(training):
        lab.say(sentence)
    lab.draw(
        training_figure(training),
        f"{WATCHED} hidden layers, one seed, at the best learning rate for that depth, over "
        f"{min(PROBE, len(data.train)):,} images. Below: saturated solid, dead dotted.",
        "training",
    )


if __name__ == "__main__":
    sys.exit(run(main))
