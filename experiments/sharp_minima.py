"""Do large batches end in sharp minima, and do sharp minima generalize worse?

    python experiments/sharp_minima.py
    python experiments/sharp_minima.py --fast

Keskar et al. 2017 (arXiv 1609.04836) say yes to both. As there, a small batch is 0.4 % of the
training images and a large one 10 %, the optimizer is Adam, and the sharpness of a minimum x is

    100 (max f(x + y) - f(x)) / (1 + f(x))    over |y_i| <= eps (|x_i| + 1)    (equation 4)

with the maximum that 10 iterations of L-BFGS-B find; for a network of five hidden layers on MNIST
they have 1.23 with small batches and 205 with large ones, at eps = 1e-3. As many gradients often
find a higher point of the box in the simplest way, y_i <- eps (|x_i| + 1) sign(df/dx_i), which goes
from corner to corner; it is given beside, and so is the largest eigenvalue of the Hessian. The
learning rate is tuned for each batch size: the fewest errors on validation images. All train to the
same loss on the training images, 0.01, and not for the same time, since curvature falls as the
loss falls; as no training ends at exactly that loss, the eigenvalue is also divided by it. Test
images are read when the networks have been chosen.

Dinh et al. 2017 (arXiv 1703.04933) answer: a ReLU network whose first layer is multiplied by a
number, and the second divided by it, is the same function with another sharpness.
"""

import copy
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from lab import Lab, blank, run
from scipy.optimize import Bounds, minimize

import nnscratch as nn
from nnscratch.arrays import Array
from nnscratch.looks import COLORS
from nnscratch.study.inference import interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Row = Mapping[str, Any]
HIDDEN = 100
SHARES = {"small": 0.004, "large": 0.1}  # of the training images, in a batch
RATES = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
TUNING_SEED = 100
EPSILONS = (1e-3, 5e-4)
RELU_LR = 1e-3
RESCALED = 10.0  # what the first layer of the ReLU network is multiplied by


# Training


@dataclass(frozen=True)
class Task:
    """What is trained, and when a training ends: at this loss, or unsuccessfully."""

    data: nn.Dataset
    hidden: int
    loss: float
    epochs: int

    def batch_size(self, name: str) -> int:
        return max(1, round(SHARES[name] * len(self.data.train)))

    def __str__(self) -> str:
        return f"{len(self.data.train):,} images, {self.hidden} hidden units"


@dataclass(frozen=True)
class Minimum:
    """A network at the loss that was asked for, and how it came there."""

    model: nn.MLP
    start: Array
    epochs: float
    updates: int


def trained(
    task: Task, name: str, lr: float, seed: int, activation: str = "sigmoid"
) -> Minimum | None:
    """Adam with small or large batches, until the loss on all training images is low enough.

    That is looked at ten times an epoch.
    """
    train = task.data.train
    sizes = [train.images.shape[1], task.hidden, task.data.classes]
    model = nn.MLP(sizes, activation, seed=seed)
    start = model.w.copy()
    images = nn.mini_batch(train, task.batch_size(name), seed)
    adam, tenth = nn.OPTIMIZERS["adam"](lr=lr), max(1, len(images) // 10)
    try:
        for record in nn.fit(model, adam, images, task.epochs, every=tenth):
            near = record.train_loss <= 5 * task.loss  # in this epoch; the exact one costs more
            if near and model.evaluate(train.x, train.labels).loss <= task.loss:
                return Minimum(model, start, record.update / len(images), record.update)
    except nn.DivergedError:
        pass
    return None


def tuned(task: Task, name: str, rates: Sequence[float]) -> float:
    """The rate with the fewest validation errors of those that reach the loss."""
    found = {}
    for lr in rates:
        if minimum := trained(task, name, lr, TUNING_SEED):
            val = task.data.val
            found[lr] = minimum.model.evaluate(val.x, val.labels).accuracy
    if not found:
        raise nn.UsageError(f"no rate reaches a loss of {task.loss}", "allow more epochs")
    return max(found, key=found.__getitem__)


# Sharpness


def doubled(model: nn.MLP, split: nn.Split) -> Callable[[Array], tuple[float, Array]]:
    """The loss of the network on the images and its gradient at other weights, in float64."""
    twin = nn.MLP(model.sizes, model.activation, "zeros", model.loss, dtype="float64")
    x = np.asarray(replace(split, dtype="float64").x)

    def loss_and_gradient(w: Array) -> tuple[float, Array]:
        twin.w = w
        return twin.loss_and_grad(x, split.labels), twin.dw.copy()

    return loss_and_gradient


def sharpness(
    loss_and_gradient: Callable[[Array], tuple[float, Array]],
    w: Array,
    eps: float,
    iterations: int = 10,
) -> tuple[float, float]:
    """Equation 4 of Keskar et al.: with the maximum of L-BFGS-B, and with that of the corners."""

    def negative(y: Array) -> tuple[float, Array]:
        loss, gradient = loss_and_gradient(w + y)
        return -loss, -gradient

    w = w.astype(np.float64)
    box = eps * (np.abs(w) + 1)
    found = minimize(
        negative,
        np.zeros_like(w),
        jac=True,
        method="L-BFGS-B",
        bounds=Bounds(-box, box),
        options={"maxiter": iterations, "ftol": 0, "gtol": 0},  # nothing else ends it
    )
    corners = []
    loss, gradient = loss_and_gradient(w)
    for _ in range(iterations):
        higher, gradient = loss_and_gradient(w + box * np.sign(gradient))
        corners.append(higher)
    by_search, by_corners = (
        100 * max(highest - loss, 0.0) / (1 + loss) for highest in (-float(found.fun), max(corners))
    )
    return by_search, by_corners


def measured(data: nn.Dataset, minimum: Minimum) -> dict[str, float]:
    """What is told of a minimum, on training and on test images."""
    model = minimum.model
    train = model.evaluate(data.train.x, data.train.labels)
    test = model.evaluate(data.test.x, data.test.labels)
    eigenvalue = nn.Hessian(model, data.train.x, data.train.labels).largest().value
    row = {
        "train_loss": train.loss,
        "test_loss": test.loss,
        "train_accuracy_percent": 100 * train.accuracy,
        "test_accuracy_percent": 100 * test.accuracy,
        "gap_points": 100 * (train.accuracy - test.accuracy),
        "distance": float(np.linalg.norm(model.w - minimum.start)),
        "largest_eigenvalue": eigenvalue,
        "eigenvalue_over_loss": eigenvalue / train.loss,
    }
    loss_and_gradient = doubled(model, data.train)
    for eps in EPSILONS:
        by_search, by_corners = sharpness(loss_and_gradient, model.w, eps)
        row |= {f"sharpness_{eps:g}": by_search, f"sharpness_{eps:g}_corners": by_corners}
    return row


def minima(task: Task, rates: Sequence[float], seeds: int) -> list[dict[str, Any]]:
    """A row for each batch size and for each seed with which both reach the loss."""
    best = {name: tuned(task, name, rates) for name in SHARES}
    rows = []
    for seed in range(seeds):
        both = {name: trained(task, name, lr, seed) for name, lr in best.items()}
        reached = {name: minimum for name, minimum in both.items() if minimum}
        for name, minimum in reached.items() if len(reached) == len(both) else ():
            rows.append(
                {
                    "batch": name,
                    "batch_size": task.batch_size(name),
                    "lr": best[name],
                    "seed": seed,
                    "epochs": minimum.epochs,
                    "updates": minimum.updates,
                    **measured(task.data, minimum),
                }
            )
    return rows


def rescaled(model: nn.MLP, factor: float) -> nn.MLP:
    """The same function of a ReLU network with one hidden layer (Dinh et al., section 3)."""
    other = copy.deepcopy(model)
    w1, b1, w2, _ = (parameter.w for parameter in other.parameters)
    w1 *= factor
    b1 *= factor
    w2 /= factor
    return other


def dinh(task: Task) -> list[dict[str, Any]]:
    """One ReLU network, and the same one rescaled."""
    minimum = trained(task, "small", RELU_LR, 0, activation="relu")
    if minimum is None:
        raise nn.UsageError(f"the ReLU network has no loss of {task.loss}", "allow more epochs")
    x = task.data.test.x
    answers = minimum.model.predict_proba(x)
    rows = []
    for factor in (1.0, RESCALED):
        model = rescaled(minimum.model, factor)
        change = float(np.abs(model.predict_proba(x) - answers).max())
        rows.append(
            {
                "factor": factor,
                "largest_change_of_an_answer": change,
                **measured(task.data, replace(minimum, model=model)),
            }
        )
    return rows


# What was seen

MEASURES = {
    "test_accuracy_percent": "test accuracy (%)",
    "gap_points": "training minus test accuracy (points)",
    "test_loss": "test loss",
    "largest_eigenvalue": "largest eigenvalue",
    "eigenvalue_over_loss": "eigenvalue over training loss",
    "sharpness_0.001": "Keskar's sharpness at 1e-3",
    "sharpness_0.0005": "Keskar's sharpness at 5e-4",
    "sharpness_0.001_corners": "sharpness at 1e-3 by corners",
    "sharpness_0.0005_corners": "sharpness at 5e-4 by corners",
    "distance": "distance from the start",
}
SHARP = (
    "sharpness_0.001",
    "sharpness_0.001_corners",
    "eigenvalue_over_loss",
    "largest_eigenvalue",
    "sharpness_0.0005",
    "sharpness_0.0005_corners",
)


def of(rows: Sequence[Row], name: str, measure: str) -> list[float]:
    return [float(row[measure]) for row in rows if row["batch"] == name]


def compared(rows: Sequence[Row], measure: str) -> tuple[float, float, float]:
    """Large minus small, seed by seed: the mean and its 95 % interval."""
    pairs = zip(of(rows, "small", measure), of(rows, "large", measure), strict=True)
    apart = [large - small for small, large in pairs]
    return statistics.fmean(apart), *interval(apart)


def sign(rows: Sequence[Row], measure: str) -> int:
    """1 if it is more with large batches, -1 if it is less, 0 if that cannot be told."""
    _, low, high = compared(rows, measure)
    return 1 if low > 0 else -1 if high < 0 else 0


def findings(rows: Sequence[Row]) -> Iterator[str]:
    for name in SHARES:
        mine = [row for row in rows if row["batch"] == name]
        epochs = statistics.fmean(row["epochs"] for row in mine)
        updates = statistics.fmean(row["updates"] for row in mine)
        yield (
            f"{name.capitalize()} batches, {mine[0]['batch_size']} images, lr {mine[0]['lr']:g}: "
            f"{epochs:.1f} epochs, {updates:,.0f} updates (means of n = {len(mine)} seeds) to a "
            f"training loss of {statistics.fmean(row['train_loss'] for row in mine):.3g}."
        )
    for measure, name in MEASURES.items():
        small, large = of(rows, "small", measure), of(rows, "large", measure)
        mean, low, high = compared(rows, measure)
        yield (
            f"{name.capitalize()}: small {statistics.fmean(small):.4g} (sd "
            f"{statistics.stdev(small):.2g}), large {statistics.fmean(large):.4g} (sd "
            f"{statistics.stdev(large):.2g}), large minus small {mean:+.3g} (95 % interval "
            f"{low:+.3g} to {high:+.3g})."
        )
    words = {1: "sharper", -1: "flatter", 0: "neither sharper nor flatter beyond chance"}
    told = {f"by {MEASURES[measure]}": words[sign(rows, measure)] for measure in SHARP}
    minima = "; ".join(f"{word} {measure}" for measure, word in told.items())
    yield f"Large batches against small ones, at equal training loss: {minima}."
    worse = {1: "better", -1: "worse", 0: "neither better nor worse beyond chance"}
    accuracy = sign(rows, "test_accuracy_percent")
    yield f"On test images large batches are {worse[accuracy]}."
    counts = {word: list(told.values()).count(word) for word in ("sharper", "flatter")}
    holds = counts["sharper"] == len(told) and accuracy < 0
    yield (
        f"So Keskar's claim {'holds' if holds else 'does not hold as a whole'} on this network: at "
        f"equal training loss large batches are sharper by {counts['sharper']} of {len(told)} "
        f"measures, flatter by {counts['flatter']}, and worse generalization "
        f"{'is' if accuracy < 0 else 'is not'} seen."
    )


def dinh_findings(rows: Sequence[Row]) -> Iterator[str]:
    before, after = rows
    eigenvalue = after["largest_eigenvalue"] / before["largest_eigenvalue"]
    searched, corners = (after[measure] / before[measure] for measure in SHARP[:2])
    change = after["largest_change_of_an_answer"]
    yield (
        f"A ReLU network whose first layer is multiplied by {after['factor']:g} and the second "
        f"divided by it is the same function (no answer changes by more than {change:.1g}) with a "
        f"largest eigenvalue {eigenvalue:.3g} times as large; its sharpness at 1e-3 is "
        f"{searched:.3g} times as large, by corners {corners:.3g} times. "
        + (
            "Sharpness alone proves nothing."
            if change < 1e-3 < abs(eigenvalue - 1)
            else "Its sharpness did not change here."
        )
    )


# Figures


def figure(rows: Sequence[Row]) -> "Figure":
    drawing, panels = blank(2, 3, height=2.9)
    shown = ["test_accuracy_percent", "test_loss", "distance", *SHARP[:3]]
    sizes = [next(row["batch_size"] for row in rows if row["batch"] == name) for name in SHARES]
    for axes, measure in zip(panels, shown, strict=True):
        both = [of(rows, name, measure) for name in SHARES]
        for pair in zip(*both, strict=True):
            axes.plot([0, 1], pair, "o-", color=COLORS[5], lw=0.8, ms=5)
        axes.plot([0, 1], [statistics.fmean(one) for one in both], "_", color="black", ms=22)
        axes.set_xticks([0, 1], [f"batches of {size}" for size in sizes])
        axes.set(xlim=(-0.5, 1.5), title=MEASURES[measure])
        axes.title.set_fontsize(10)
    return drawing


def main(lab: Lab) -> None:
    data = lab.data(limit=lab.pick(5_000, fast=500))
    task = Task(data, lab.pick(100, fast=10), *lab.pick((0.01, 100), fast=(0.6, 30)))
    rows = minima(task, lab.pick(RATES, fast=(1e-2,)), seeds=lab.pick(5, fast=2))
    lab.table(rows)
    for sentence in findings(rows):
        lab.say(sentence)
    sizes = " and ".join(str(task.batch_size(name)) for name in SHARES)
    caption = (
        f"Minima of batches of {sizes} at a training loss of {task.loss:g}; {task}, Adam, n = "
        f"{len(rows) // 2} seeds (a line each), the best rate for each batch size; bars are means."
    )
    lab.draw(figure(rows), caption)
    rows = dinh(task)
    lab.table(rows, "rescaled")
    for sentence in dinh_findings(rows):
        lab.say(sentence)


if __name__ == "__main__":
    sys.exit(run(main))
