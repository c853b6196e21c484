"""How noisy is the gradient of a batch?

    python experiments/noise.py
    python experiments/noise.py --fast

Measured is E|g_B - g|^2, where g_B is the gradient of B images drawn without replacement and g
that of all N. In theory it is

    sigma^2 / B  (N - B) / (N - 1),    sigma^2 = mean of |g_i - g|^2 over the images,

and sigma^2 comes from one backward pass over all images, because the squared norm of the gradient
of one image is the sum of (|x|^2 + 1) |delta|^2 over the layers (Goodfellow 2015, arXiv
1510.01799). Noise and signal |g|^2 are equal where B is about sigma^2 / |g|^2, the simple noise
scale of McCandlish et al. 2018 (arXiv 1812.06162).

A sum over the images instead of their mean is the same gradient in another unit. Two networks in
float64, one with the mean of each batch and one with the sum, show which rates make them equal.
"""

import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from lab import Lab, blank, run

import nnscratch as nn
from nnscratch.arrays import Array
from nnscratch.layers import Dense
from nnscratch.looks import COLORS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Row = Mapping[str, Any]
TAUGHT = (16, 128)  # the usual batch sizes, says the lecture; its own loop has 50
LECTURE = 50
LR = 0.5  # of the epoch before the second measurement


def expected_noise(sigma2: float, size: int, n: int) -> float:
    """E|g_B - g|^2 of batches that are drawn without replacement."""
    return sigma2 / size * (n - size) / (n - 1)


def squared_norms(model: nn.MLP, split: nn.Split) -> Array:
    """|g_i|^2 of every image, without forming g_i."""
    found = []
    for x, labels in nn.Loader(split, min(1000, len(split)), seed=None):
        model.loss_and_grad(x, labels)
        norms = np.zeros(len(labels))
        for layer in model.layers:
            if isinstance(layer, Dense):
                delta = len(labels) * layer.dz.astype(np.float64)  # the network divides by n
                inputs = np.square(layer.x).sum(axis=1) + (layer.b is not None)
                norms += inputs * np.square(delta).sum(axis=1)
        found.append(norms)
    return np.concatenate(found)


def measured_noise(
    model: nn.MLP, split: nn.Split, g: Array, size: int, draws: int, rng: np.random.Generator
) -> float:
    """The mean of |g_B - g|^2 over some batches."""
    errors = []
    for _ in range(draws):
        batch = split[rng.choice(len(split), size, replace=False)]
        model.loss_and_grad(batch.x, batch.labels)
        errors.append(float(np.square(model.dw - g).sum(dtype=np.float64)))
    return statistics.fmean(errors)


def noise(
    model: nn.MLP, split: nn.Split, sizes: Sequence[int], images: int, seed: int
) -> list[dict[str, Any]]:
    """A row for each batch size; about `images` images are spent on each, and 16 to 512 batches."""
    n = len(split)
    mean_square = float(squared_norms(model, split).mean())
    model.loss_and_grad(split.x, split.labels)
    g = model.dw.copy()
    signal = float(np.square(g).sum(dtype=np.float64))
    rng = np.random.default_rng(seed)
    rows = []
    for size in sizes:
        draws = min(512, max(16, images // size))
        rows.append(
            {
                "batch_size": size,
                "images": n,
                "batches": draws,
                "noise": measured_noise(model, split, g, size, draws, rng),
                "theory": expected_noise(mean_square - signal, size, n),
                "signal": signal,
            }
        )
    return rows


def noise_before_and_after(
    split: nn.Split, hidden: int, sizes: Sequence[int], images: int
) -> list[dict[str, Any]]:
    model = network(split, hidden)
    before = noise(model, split, sizes, images, seed=0)
    for _ in nn.fit(model, nn.OPTIMIZERS["sgd"](lr=LR), nn.mini_batch(split, LECTURE), epochs=1):
        pass
    after = noise(model, split, sizes, images, seed=1)
    return [
        {"when": when, **row}
        for when, rows in (("at the start", before), ("after an epoch", after))
        for row in rows
    ]


def network(split: nn.Split, hidden: int, seed: int = 0, dtype: str = "float32") -> nn.MLP:
    sizes = [split.images.shape[1], hidden, int(split.labels.max()) + 1]
    return nn.MLP(sizes, seed=seed, dtype=dtype)


# Sum or mean


def parted(split: nn.Split, mean: nn.Optimizer, summed: nn.Optimizer, updates: int) -> float:
    """How far two networks end apart, one with mean and one with summed gradients.

    The distance is told in shares of the way from the start.
    """
    models = network(split, 30, dtype="float64"), network(split, 30, dtype="float64")
    start = models[0].w.copy()
    states: tuple[nn.State, nn.State] = ({}, {})
    batches = (batch for _ in range(updates) for batch in nn.mini_batch(split, LECTURE))
    for (x, labels), _ in zip(batches, range(updates), strict=False):
        for model, optimizer, state, count in zip(
            models, (mean, summed), states, (1, len(labels)), strict=True
        ):
            model.loss_and_grad(x, labels)
            optimizer.update(model.w, count * model.dw, state)
    way = float(np.linalg.norm(models[0].w - start))
    return float(np.linalg.norm(models[1].w - models[0].w)) / way


def sum_or_mean(split: nn.Split, updates: int) -> list[dict[str, Any]]:
    """Optimizers with the rate that makes the sum equal to the mean, and with one that does not."""
    pairs = [("sgd", 0.5, LECTURE), ("momentum", 0.1, LECTURE), ("adam", 1e-3, LECTURE)]
    return [
        {
            "optimizer": name,
            "lr_of_mean": lr,
            "lr_of_sum": lr / divisor,
            "updates": updates,
            "parted": parted(
                split, nn.OPTIMIZERS[name](lr=lr), nn.OPTIMIZERS[name](lr=lr / divisor), updates
            ),
        }
        for name, lr, divisor in [*pairs, ("adam", 1e-3, 1)]
    ]


def noise_findings(rows: Sequence[Row]) -> Iterator[str]:
    for when in dict.fromkeys(row["when"] for row in rows):
        found = [row for row in rows if row["when"] == when]
        ratio = [row["noise"] / row["theory"] for row in found if row["theory"] > 0]
        one, signal, n = found[0]["noise"], found[0]["signal"], found[0]["images"]
        above = [row["batch_size"] for row in found if row["noise"] < signal]
        usual = {row["batch_size"]: row["noise"] / signal for row in found}
        told = ", ".join(
            f"{usual[size]:.2g} at {size}" for size in (*TAUGHT, LECTURE) if size in usual
        )
        yield (
            f"{when.capitalize()}, the squared error of one image's gradient is {one / signal:.3g} "
            f"times the squared norm of the mean gradient of {n:,}. It falls as the theory says "
            f"(measured over theory: {min(ratio):.2f} to {max(ratio):.2f}). Noise over signal is "
            f"{told}; the signal is above the noise "
            + (f"from a batch size of {min(above)} on." if above else "at none of these sizes.")
        )


def sum_findings(rows: Sequence[Row]) -> Iterator[str]:
    for row in rows:
        path = "the same path as" if row["parted"] < 1e-9 else "another path than"
        yield (
            f"{row['optimizer']} with the sum over {LECTURE} images and lr {row['lr_of_sum']:g} "
            f"takes {path} with the mean and lr {row['lr_of_mean']:g}: after {row['updates']} "
            f"updates in float64 they are {row['parted']:.1g} of the way apart."
        )
    yield (
        "The lecture's lr of 1e-6 with the sum over 60,000 images is an lr of "
        f"{1e-6 * 60_000:g} with the mean."
    )


def noise_figure(rows: Sequence[Row]) -> "Figure":
    figure, panels = blank(1, 2, height=4.6)
    for axes, when in zip(panels, dict.fromkeys(row["when"] for row in rows), strict=True):
        found = [row for row in rows if row["when"] == when]
        sizes = [row["batch_size"] for row in found]
        axes.axvspan(*TAUGHT, color=COLORS[4], alpha=0.15, lw=0)
        axes.axvline(LECTURE, color=COLORS[4], lw=1.2)
        n, sigma2 = found[0]["images"], found[0]["theory"] * found[0]["batch_size"]
        line = np.geomspace(1, 0.99 * n, 200)
        theory = sigma2 / line * (n - line) / (n - 1)
        axes.loglog(line, theory, "-", color=COLORS[6], lw=1, label="theory")
        axes.loglog(
            sizes,
            [row["noise"] for row in found],
            "o",
            color=COLORS[0],
            label=r"noise: mean of $|g_B - g|^2$",
        )
        signal = found[0]["signal"]
        axes.axhline(signal, color=COLORS[1], ls="--", label=r"signal: $|g|^2$ of all images")
        axes.set(title=when, xlabel="batch size B (images)", ylabel="squared norm of a gradient")
        axes.legend(loc="lower left", fontsize=9)
    return figure


def main(lab: Lab) -> None:
    train = lab.data(limit=lab.pick(10_000, fast=500)).train
    n = len(train)
    sizes = sorted({LECTURE, *(2**k for k in range(lab.pick(14, fast=9)))})
    hidden, images = lab.pick((1000, 32_768), fast=(30, 256))
    rows = noise_before_and_after(train, hidden, [size for size in sizes if size <= n], images)
    lab.table(rows)
    for sentence in noise_findings(rows):
        lab.say(sentence)
    caption = (
        f"The noise of a batch against its size; n = {n:,} images, {hidden} hidden units, 16 to "
        f"512 batches for each point. Shaded: {TAUGHT[0]} to {TAUGHT[1]}, the sizes that are "
        f"taught; line: {LECTURE}. Above the dashed line a step is mostly noise."
    )
    lab.draw(noise_figure(rows), caption)

    rows = sum_or_mean(replace(train, dtype="float64"), updates=lab.pick(200, fast=20))
    lab.table(rows, "sum")
    for sentence in sum_findings(rows):
        lab.say(sentence)


if __name__ == "__main__":
    sys.exit(run(main))
