"""When does an initializer fail, and why does the lecture take +-0.058 and +-0.077?

    python experiments/initializers.py
    python experiments/initializers.py --fast --dataset digits

Every initializer of `nn.INITIALIZERS` with its defaults, a normal one that is far too small and one
that is far too large start networks of 1, 3 and 10 hidden layers of 100 units. Two things are
measured.

Before training: the root mean square of the sums z in each hidden layer, over 256 images and all
units, and beside it the theory. A sum of n independent products has the variance

    q_1 = var(W) |x|^2,        q_{l+1} = n var(W) E f(sqrt(q_l) u)^2,    u ~ N(0, 1),

for each image x. For f near its linear part that is Glorot and Bengio (AISTATS 2010, eq. 5: the
factor is n var(W)), for the ReLU it is He et al. (arXiv 1502.01852, eq. 9: n var(W) / 2), for any f
Poole et al. (arXiv 1606.05340, eq. 3). A mean square says how large the sums are, not whether they
differ from image to image; the standard deviation over the images, a root mean square over units,
says that. A unit is called saturated at an image where f'(z) is below 0.05 of the largest f'.

After training: the share of the validation images that are right after one epoch of plain SGD.
Every cell has the same budget: three learning rates with one seed, and the best of them with fresh
seeds. Weights that diverge count as guesses. A start fails if its mean is below one half.
"""

import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from lab import Lab, blank, of, run

import nnscratch as nn
from nnscratch.layers import Activate
from nnscratch.looks import looks_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = np.ndarray[Any, Any]
Row = dict[str, Any]

WIDTH = 100  # units in each hidden layer
DEPTHS = (1, 3, 10)  # hidden layers
ACTIVATIONS = ("sigmoid", "tanh", "relu")
RATES = (0.01, 0.1, 1.0)
BATCH = 50
PROBE = 256  # images that the signal is measured with
VALIDATED = 2_000  # images that decide, of those set aside
SATURATED = 0.05  # of the largest derivative
FAILS = 0.5  # of the validation images right

STARTS: dict[str, nn.Initializer] = {name: kind() for name, kind in nn.INITIALIZERS.items()}
SMALL, LARGE = "normal, std 0.001", "normal, std 1"
STARTS |= {
    SMALL: nn.INITIALIZERS["normal"](std=0.001),
    LARGE: nn.INITIALIZERS["normal"](std=1.0),
}

# var(W) of a matrix (fan_in, fan_out), as the papers give it; zeros and constant draw nothing
VARIANCES: dict[str, Callable[[int, int], float]] = {
    "uniform": lambda fan_in, fan_out: 0.05**2 / 3,
    "normal": lambda fan_in, fan_out: 0.05**2,
    "glorot_uniform": lambda fan_in, fan_out: 2 / (fan_in + fan_out),
    "glorot_normal": lambda fan_in, fan_out: 2 / (fan_in + fan_out),
    "he_uniform": lambda fan_in, fan_out: 2 / fan_in,
    "he_normal": lambda fan_in, fan_out: 2 / fan_in,
    "lecun_uniform": lambda fan_in, fan_out: 1 / fan_in,
    "lecun_normal": lambda fan_in, fan_out: 1 / fan_in,
    "orthogonal": lambda fan_in, fan_out: 1 / max(fan_in, fan_out),
    "lecture": lambda fan_in, fan_out: glorot_limit(fan_in, fan_out, 3) ** 2 / 3,
    SMALL: lambda fan_in, fan_out: 0.001**2,
    LARGE: lambda fan_in, fan_out: 1.0,
}


def glorot_limit(fan_in: int, fan_out: int, decimals: int = 9) -> float:
    """Where Glorot's uniform distribution ends: sqrt(6 / (fan_in + fan_out))."""
    return round(math.sqrt(6 / (fan_in + fan_out)), decimals)


def sizes(data: nn.Dataset, depth: int) -> list[int]:
    return [data.train.images.shape[1], *[WIDTH] * depth, data.classes]


def expected_rms(
    activation: nn.Activation, variances: Sequence[float], squared_lengths: Array
) -> list[float]:
    """The root mean square of z in each hidden layer of WIDTH units, over weights and images.

    variances         var(W) of each layer
    squared_lengths   |x|^2 of each image
    """
    u = np.linspace(-8, 8, 401)
    density = np.exp(-(u**2) / 2)
    density /= density.sum()
    q = variances[0] * squared_lengths
    found = [float(q.mean())]
    for variance in variances[1:]:
        z = np.sqrt(q)[:, np.newaxis] * u
        a = np.empty_like(z)
        activation.forward(z, a)
        q = WIDTH * variance * np.square(a) @ density
        found.append(float(q.mean()))
    return [math.sqrt(mean) for mean in found]


def derivative(activation: nn.Activation, z: Array, a: Array) -> Array:
    """f'(z), given a = f(z)."""
    slope = np.empty_like(z)
    activation.backward(np.ones_like(z), z, a, slope)
    return slope


def largest_derivative(activation: nn.Activation) -> float:
    z = np.linspace(-10, 10, 4001)
    a = np.empty_like(z)
    activation.forward(z, a)
    return float(derivative(activation, z, a).max())


def signal(model: nn.MLP, x: Array) -> list[dict[str, float]]:
    """For each hidden layer: size of z, its spread between the images, share of saturated units."""
    model.forward(x)
    largest = largest_derivative(model.activation)
    found = []
    for layer in model.layers:
        if isinstance(layer, Activate):
            z = layer.z
            slope = derivative(model.activation, z, layer.a)
            found.append(
                {
                    "rms": math.sqrt(np.square(z).mean()),
                    "std between images": math.sqrt(z.var(axis=0).mean()),
                    "saturated": float((np.abs(slope) < SATURATED * largest).mean()),
                }
            )
    return found


def signals(data: nn.Dataset, depth: int, seeds: int) -> list[Row]:
    """The signal of networks of that depth, layer by layer, for each start and activation."""
    x = np.asarray(data.train.x[:PROBE], np.float64)
    squared_lengths = np.square(x).sum(axis=1)
    shape = sizes(data, depth)
    fans = list(pairwise(shape))[:-1]  # of the hidden layers
    rows = []
    for name, activation in ((n, a) for n in STARTS for a in ACTIVATIONS):
        models = [
            nn.MLP(shape, activation, STARTS[name], seed=seed, dtype="float64")
            for seed in range(seeds)
        ]
        measured = [signal(model, x) for model in models]
        theory: Sequence[float | str] = [""] * len(fans)
        if name in VARIANCES:
            variances = [VARIANCES[name](*fan) for fan in fans]
            theory = expected_rms(models[0].activation, variances, squared_lengths)
        for layer, in_layer in enumerate(zip(*measured, strict=True)):
            means = {key: float(np.mean([one[key] for one in in_layer])) for key in in_layer[0]}
            row = {"initializer": name, "activation": activation, "layer": layer + 1}
            rows.append(row | means | {"rms in theory": theory[layer], "seeds": seeds})
    return rows


def trained(
    data: nn.Dataset, start: nn.Initializer, activation: str, depth: int, lr: float, seed: int
) -> tuple[nn.MLP, float]:
    """The network after one epoch, and the share of the validation images that it gets right."""
    model = nn.MLP(sizes(data, depth), activation, start, seed=seed)
    loader = nn.mini_batch(data.train, BATCH, seed)
    right: float | None = None
    try:
        for record in nn.fit(
            model, nn.OPTIMIZERS["sgd"](lr=lr), loader, 1, val=data.val[:VALIDATED]
        ):
            right = record.val_accuracy
    except nn.DivergedError:
        right = 1 / data.classes
    assert right is not None
    return model, right


def matrix(
    data: nn.Dataset, depths: Iterable[int], rates: Sequence[float], seeds: int
) -> list[Row]:
    """The accuracy of each start, activation and depth, at the best of the learning rates."""
    rows = []
    for name, start in STARTS.items():
        for activation, depth in ((a, d) for a in ACTIVATIONS for d in depths):
            tried = {lr: trained(data, start, activation, depth, lr, 0)[1] for lr in rates}
            best = max(tried, key=tried.__getitem__)
            fresh = range(1, seeds + 1)
            final = [trained(data, start, activation, depth, best, seed)[1] for seed in fresh]
            rows.append(
                {
                    "initializer": name,
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


def symmetry(data: nn.Dataset, lr: float) -> list[Row]:
    """How far the weights into one hidden layer move in an epoch, and how far apart units get."""
    rows = []
    for name, activation in ((n, a) for n in ("zeros", "constant", SMALL) for a in ACTIVATIONS):
        before = nn.MLP(sizes(data, 1), activation, STARTS[name], seed=0)
        model, right = trained(data, STARTS[name], activation, 1, lr, 0)
        W = model.parameters[0].w
        rows.append(
            {
                "initializer": name,
                "activation": activation,
                "lr": lr,
                "largest move": float(np.abs(W - before.parameters[0].w).max()),
                "largest difference of two units": float(np.ptp(W, axis=1).max()),
                "val accuracy": right,
            }
        )
    return rows


def limits() -> str:
    first, second = glorot_limit(784, 1000), glorot_limit(1000, 10)
    same = (round(first, 3), round(second, 3)) == (0.058, 0.077)
    return (
        f"Glorot's limits for 784-1000-10 are sqrt(6 / 1784) = {first:.5f} and "
        f"sqrt(6 / 1010) = {second:.5f}; to three decimals they are "
        f"{'' if same else 'not '}the lecture's 0.058 and 0.077."
    )


def findings_of_signal(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    with_theory = [row for row in rows if row["rms in theory"] != ""]
    off = [abs(row["rms"] / row["rms in theory"] - 1) for row in with_theory]
    layers = int(max(row["layer"] for row in rows))
    worst = with_theory[int(np.argmax(np.round(off, 3)))]
    said = [
        f"Over {len(off)} layers of {len(off) // layers} networks with {WIDTH} units a layer the "
        f"size of z differs from the theory by {np.median(off):.1%} in the median and "
        f"{max(off):.0%} at most ({worst['initializer']}, {worst['activation']}, layer "
        f"{worst['layer']:g}; means over {rows[0]['seeds']:g} seeds)."
    ]
    for name, activation, power, factor in (
        ("he_normal", "relu", "He", 1.0),
        ("glorot_normal", "relu", "Glorot", 0.5),
        ("uniform", "relu", "Keras' +-0.05", WIDTH * 0.05**2 / 6),
        (SMALL, "tanh", "a standard deviation of 0.001", WIDTH * 0.001**2),
    ):
        rms = [row["rms"] for row in of(rows, initializer=name, activation=activation)]
        measured = (rms[-1] / rms[0]) ** (2 / (layers - 1))
        said.append(
            f"{activation}, {power}: the variance of z is multiplied by {measured:.2g} in each "
            f"layer ({factor:.2g} in theory), from a z of {rms[0]:.2g} in the first layer to "
            f"{rms[-1]:.2g} in the last of {layers}."
        )
    return said


def findings_of_training(
    rows: Sequence[Mapping[str, Any]], sent: Sequence[Mapping[str, Any]]
) -> list[str]:
    said = []
    depths = sorted({row["hidden layers"] for row in rows})
    for activation in ACTIVATIONS:
        parts = []
        for depth in depths:
            cells = of(rows, activation=activation, **{"hidden layers": depth})
            best = max(cells, key=lambda row: row["val accuracy"])
            failed = [row["initializer"] for row in cells if row["val accuracy"] < FAILS]
            names = "; ".join(failed) if len(failed) < len(cells) else "all"
            parts.append(
                f"{depth:g} hidden: best {best['initializer']} {best['val accuracy']:.1%}, "
                f"{len(failed)} of {len(cells)} fail" + (f" ({names})" if failed else "")
            )
        said.append(f"{activation}, {'. '.join(parts)}.")
    split = [row for row in rows if row["lowest"] < FAILS <= row["highest"]]
    said.append(
        f"In {len(split)} of the {len(rows)} cells chance decides: one of {rows[0]['seeds']:g} "
        f"seeds or more learns, and one or more fails."
    )
    last = max(row["layer"] for row in sent)
    ends = {(row["initializer"], row["activation"]): row for row in sent if row["layer"] == last}
    deep = [row for row in rows if row["hidden layers"] == last]
    alive: dict[bool, list[float]] = {True: [], False: []}
    for row in deep:
        spread = ends[row["initializer"], row["activation"]]["std between images"]
        alive[row["val accuracy"] >= FAILS].append(spread)
    if alive[True] and alive[False]:
        weak = [spread for spread in alive[False] if spread < min(alive[True])]
        said.append(
            f"With {last:g} hidden layers the starts that learn let z vary between images by at "
            f"least {min(alive[True]):.2g} in the last hidden layer; {len(weak)} of the "
            f"{len(alive[False])} that fail have less, and the others more: up to "
            f"{max(alive[False]):.2g}."
        )
    tanh, sigmoid = ends[LARGE, "tanh"], ends[LARGE, "sigmoid"]
    said.append(
        f"Too large: with a standard deviation of 1 the tanh is saturated at "
        f"{tanh['saturated']:.0%} of all units and images of the last hidden layer before "
        f"the first step, the sigmoid at {sigmoid['saturated']:.0%} (Glorot: "
        f"{ends['glorot_uniform', 'tanh']['saturated']:.0%} and "
        f"{ends['glorot_uniform', 'sigmoid']['saturated']:.0%})."
    )
    return said


def findings_of_symmetry(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    said = []
    for name in dict.fromkeys(row["initializer"] for row in rows):
        parts = []
        for row in of(rows, initializer=name):
            move, apart = row["largest move"], row["largest difference of two units"]
            what = f"moves by up to {move:.2g}, two units get {apart:.2g} apart"
            parts.append(
                f"{row['activation']}: {what if move else 'nothing moves'}, "
                f"{float(row['val accuracy']):.1%} right"
            )
        said.append(f"{name}, one hidden layer, W1 after an epoch: {'; '.join(parts)}.")
    return said


def matrix_figure(rows: Sequence[Mapping[str, Any]]) -> "Figure":
    """The accuracies as a heat map with a number in each cell."""
    columns = list(dict.fromkeys((row["activation"], row["hidden layers"]) for row in rows))
    cells = np.array([float(row["val accuracy"]) for row in rows]).reshape(-1, len(columns)) * 100
    figure, (axes,) = blank(1, 1, height=6.4)
    axes.grid(False)
    image = axes.imshow(cells, aspect="auto", cmap="cividis", vmin=0, vmax=100)
    for (i, j), value in np.ndenumerate(cells):
        color = "black" if value > 55 else "white"
        axes.text(j, i, f"{value:.0f}", ha="center", va="center", color=color, fontsize=10)
    axes.set_yticks(range(len(cells)), list(dict.fromkeys(row["initializer"] for row in rows)))
    axes.set_xticks(range(len(columns)), [f"{name}\n{depth} hidden" for name, depth in columns])
    groups = len(columns) // len(ACTIVATIONS)
    for edge in range(groups, len(columns), groups):
        axes.axvline(edge - 0.5, color="white", lw=3)
    axes.spines[:].set_visible(False)
    figure.colorbar(image, ax=axes, label="validation images right / %", pad=0.01)
    return figure


def signal_figure(rows: Sequence[Mapping[str, Any]]) -> "Figure":
    """The size of z from layer to layer, with its theory, and how z differs between images."""
    shown = ("he_normal", "glorot_normal", "normal", "uniform", LARGE, SMALL)
    figure, panels = blank(2, 3, height=3.6)
    for axes, below, activation in zip(panels[:3], panels[3:], ACTIVATIONS, strict=True):
        for name, look in looks_of(shown).items():
            found = of(rows, initializer=name, activation=activation)
            layers = [row["layer"] for row in found]
            axes.plot(layers, [row["rms in theory"] for row in found], color=look.color, lw=1.2)
            measured = [row["rms"] for row in found]
            axes.plot(layers, measured, look.marker, color=look.color, ms=5, label=name)
            spread = [row["std between images"] for row in found]
            below.plot(layers, spread, f"{look.marker}:", color=look.color, ms=5, lw=1)
        axes.set_title(activation, fontsize=10)
        below.set_xlabel("hidden layer")
        for one in (axes, below):
            one.set_yscale("log")
            one.set_xticks(range(2, len(layers) + 1, 2))
    panels[0].set_ylabel("root mean square of z")
    panels[3].set_ylabel("standard deviation of z\nbetween images")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(shown), fontsize=9)
    return figure


def main(lab: Lab) -> None:
    data = lab.data(limit=lab.pick(10_000, fast=300))
    depths, rates, seeds = lab.pick((DEPTHS, RATES, 3), fast=((3,), (0.1,), 1))
    sent = signals(data, max(depths), lab.pick(5, fast=1))
    cells = matrix(data, depths, rates, seeds)
    alike = symmetry(data, lr=1.0)
    lab.table(cells)
    lab.table(sent, "signal")
    lab.table(alike, "symmetry")
    lab.say(limits())
    for sentence in findings_of_training(cells, sent):
        lab.say(sentence)
    lab.draw(
        matrix_figure(cells),
        f"Validation accuracy in percent after one epoch of SGD on {len(data.train):,} images in "
        f"batches of {BATCH}, {WIDTH} units a layer, over {min(VALIDATED, len(data.val)):,} "
        f"images; mean of {seeds} seeds, the best of the learning rates "
        f"{', '.join(f'{lr:g}' for lr in rates)} for each cell.",
    )
    for sentence in findings_of_signal(sent):
        lab.say(sentence)
    lab.draw(
        signal_figure(sent),
        f"Before training, in double precision, over {PROBE} images, {WIDTH} units and "
        f"{sent[0]['seeds']} seeds. Above: how large the sums z are in each hidden layer; marks "
        f"are measured, lines are the theory. Below: how much they differ from image to image; "
        f"measured.",
        "signal",
    )
    for sentence in findings_of_symmetry(alike):
        lab.say(sentence)


if __name__ == "__main__":
    sys.exit(run(main))
