"""What does the loss look like between and around two minima?

    python experiments/loss_slices.py
    python experiments/loss_slices.py --fast

Two networks begin with the same weights and are trained to the same loss, one with small batches
and one with large ones, as in sharp_minima.py and with the rates that are best there. The loss on
training and on test images is drawn along the line from the small-batch minimum (0) to the
large-batch one (1), as in figure 3 of Keskar et al. 2017 (arXiv 1609.04836), and around each of the
two in random directions. In these the weights into each unit, with its bias, are as long as those
of the network, so that networks with larger weights do not look flatter (Li et al. 2018, arXiv
1712.09913).
"""

import copy
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from lab import Lab, blank, run
from sharp_minima import SHARES, Task, trained

import nnscratch as nn
from nnscratch.arrays import Array
from nnscratch.looks import COLORS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Row = Mapping[str, Any]
Pair = Mapping[str, nn.MLP]
LR = {"small": 0.01, "large": 0.03}  # the best of sharp_minima.py on MNIST
LOSSES = {"train_loss": "training", "test_loss": "test"}


def pairs(task: Task, seeds: int) -> list[Pair]:
    """The networks of small and large batches, for each seed with which both reach the loss."""
    found: list[Pair] = []
    for seed in range(seeds):
        both = {name: trained(task, name, lr, seed) for name, lr in LR.items()}
        reached = {name: minimum.model for name, minimum in both.items() if minimum}
        if len(reached) == len(both):
            found.append(reached)
    return found


def losses(data: nn.Dataset, model: nn.MLP, w: Array) -> dict[str, float]:
    other = copy.deepcopy(model)
    other.w = w
    return {
        "train_loss": other.evaluate(data.train.x, data.train.labels).loss,
        "test_loss": other.evaluate(data.test.x, data.test.labels).loss,
    }


def line(data: nn.Dataset, pair: Pair, points: int) -> list[dict[str, Any]]:
    """From the small-batch minimum, at 0, to the large-batch one, at 1, and beyond both."""
    small, large = pair["small"], pair["large"]
    return [
        {"alpha": alpha, **losses(data, small, (1 - alpha) * small.w + alpha * large.w)}
        for alpha in np.linspace(-1, 2, points).tolist()
    ]


def direction(model: nn.MLP, rng: np.random.Generator) -> Array:
    """Random weights; those into each unit, with its bias, are as long as the model's."""
    other = copy.deepcopy(model)
    for drawn, matrix in zip(other.matrices, model.matrices, strict=True):
        random = rng.standard_normal(matrix.w.shape)
        drawn.w[...] = random * np.linalg.norm(matrix.w, axis=0) / np.linalg.norm(random, axis=0)
    return other.w


def slices(data: nn.Dataset, pair: Pair, points: int) -> list[dict[str, Any]]:
    """Around both minima, along one random direction, from its opposite to itself."""
    found = []
    for name, model in pair.items():
        along = direction(model, np.random.default_rng(0))
        for alpha in np.linspace(-1, 1, points).tolist():
            found.append(
                {"batch": name, "alpha": alpha, **losses(data, model, model.w + alpha * along)}
            )
    return found


def plane(data: nn.Dataset, model: nn.MLP, points: int) -> tuple[Array, Array]:
    """The training loss in the plane of two random directions, and where: from -1 to 1."""
    rng = np.random.default_rng(0)
    along, across = direction(model, rng), direction(model, rng)
    steps = np.linspace(-1, 1, points)
    height = [
        [
            losses(data, model, model.w + a * along + b * across)["train_loss"]
            for a in steps.tolist()
        ]
        for b in steps.tolist()
    ]
    return steps, np.array(height)


def line_findings(rows: Sequence[Row]) -> Iterator[str]:
    lines = [[row for row in rows if row["seed"] == seed] for seed in seeds_of(rows)]
    tops = [max(row["train_loss"] for row in line if 0 <= row["alpha"] <= 1) for line in lines]
    lowest = {kind: ", ".join(f"{place(line, kind):.1f}" for line in lines) for kind in LOSSES}
    yield (
        f"On the line from the small-batch minimum (0) to the large-batch one (1), n = "
        f"{len(lines)} seeds, the training loss rises to {min(tops):.2g} to {max(tops):.2g} "
        f"between them. It is lowest at {lowest['train_loss']}, and the test loss at "
        f"{lowest['test_loss']}."
    )
    for alpha, name in enumerate(SHARES):
        ends = [row for line in lines for row in line if abs(row["alpha"] - alpha) < 1e-9]
        train, test = (statistics.fmean(row[kind] for row in ends) for kind in LOSSES)
        yield (
            f"At the {name}-batch minima the training loss is {train:.4f} and the test loss "
            f"{test:.3f} (means)."
        )


def place(line: Sequence[Row], kind: str) -> float:
    """Where on the line the loss is lowest."""
    return float(min(line, key=lambda row: float(row[kind]))["alpha"])


def seeds_of(rows: Sequence[Row]) -> list[int]:
    return list(dict.fromkeys(row["seed"] for row in rows))


def slice_findings(rows: Sequence[Row]) -> Iterator[str]:
    for name in SHARES:
        mine = {row["alpha"]: row for row in rows if row["batch"] == name}
        middle, edges = mine[0.0], (mine[-1.0], mine[1.0])
        train, test = (
            statistics.fmean(edge[kind] - middle[kind] for edge in edges) for kind in LOSSES
        )
        yield (
            f"Along a random direction as long as the weights, from the {name}-batch minimum, the "
            f"training loss rises by {train:.3g} and the test loss by {test:.3g}."
        )


def line_figure(lines: Sequence[Row], around: Sequence[Row]) -> "Figure":
    drawing, (left, right) = blank(1, 2, height=4.4)
    for kind, dashes in zip(LOSSES, ("-", "--"), strict=True):
        for seed in seeds_of(lines):
            mine = [row for row in lines if row["seed"] == seed]
            left.semilogy(
                [row["alpha"] for row in mine],
                [row[kind] for row in mine],
                dashes,
                color=COLORS[6],
                lw=1.2,
                alpha=0.7,
                label=LOSSES[kind] if seed == lines[0]["seed"] else None,
            )
        for k, name in enumerate(SHARES):
            mine = [row for row in around if row["batch"] == name]
            right.semilogy(
                [row["alpha"] for row in mine],
                [row[kind] for row in mine],
                dashes,
                color=COLORS[k],
                label=f"{name} batch, {LOSSES[kind]}",
            )
    for alpha, name in enumerate(SHARES):
        left.axvline(alpha, color=COLORS[alpha], lw=1.2)
        left.text(alpha, 1.01, f"{name} batch", transform=left.get_xaxis_transform(), ha="center")
    left.set(xlabel="place on the line between the two minima", ylabel="loss")
    left.legend(title="loss on images", fontsize=9)
    right.set(xlabel="steps along a random direction, of the weights' length", ylabel="loss")
    right.legend(fontsize=9, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)
    return drawing


def plane_figure(planes: Mapping[str, tuple[Array, Array]]) -> "Figure":
    drawing, panels = blank(1, 2, height=4.4)
    levels = np.geomspace(0.01, max(height.max() for _, height in planes.values()), 12)
    for axes, (name, (steps, height)) in zip(panels, planes.items(), strict=True):
        drawn = axes.contour(steps, steps, height, levels=levels, cmap="viridis")
        axes.clabel(drawn, fmt="%.2g", fontsize=8)
        axes.plot([0], [0], "+", color="black", ms=10)
        axes.set(
            title=f"{name} batch",
            xlabel="along one direction",
            ylabel="along another",
            aspect="equal",
        )
    return drawing


def main(lab: Lab) -> None:
    data = lab.data(limit=lab.pick(5_000, fast=500))
    task = Task(data, lab.pick(100, fast=10), *lab.pick((0.01, 100), fast=(0.6, 30)))
    found = pairs(task, seeds=lab.pick(5, fast=1))
    points = lab.pick(31, fast=7)
    lines = [
        {"seed": seed, **row} for seed, pair in enumerate(found) for row in line(data, pair, points)
    ]
    around = slices(data, found[0], points)
    lab.table(lines)
    lab.table(around, "around")
    for sentence in (*line_findings(lines), *slice_findings(around)):
        lab.say(sentence)
    caption = (
        f"Loss on training and on test images. Left: on the line between the minima, n = "
        f"{len(found)} seeds. Right: around both, one seed, along one random direction in which "
        f"the weights into each unit are as long as the network's; {task}."
    )
    lab.draw(line_figure(lines, around), caption)
    planes = {name: plane(data, model, lab.pick(17, fast=5)) for name, model in found[0].items()}
    caption = (
        "Training loss in the plane of two random directions in which the weights into each unit "
        f"are as long as the network's, around both minima of one seed (+); {task}."
    )
    lab.draw(plane_figure(planes), caption, "plane")


if __name__ == "__main__":
    sys.exit(run(main))
