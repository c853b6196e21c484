"""Does it matter in which order the images come?

    python experiments/noise_order.py
    python experiments/noise_order.py --fast

One network, trained by SGD on batches of 50 with the images shuffled anew in each epoch, shuffled
once, as they lie in the file, sorted by class, and with one image all epoch long, which is what a
loop that shuffles the images and then takes `data[0]` does. The learning rate of each is tuned
on another seed, and falls to zero along a cosine, so that the noise of the last steps does not hide
the differences. Accuracy is that on the validation images; for a seed all orders begin with the
same weights.
"""

import statistics
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from lab import Lab, blank, run

import nnscratch as nn
from nnscratch.looks import COLORS
from nnscratch.study.inference import interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Row = Mapping[str, Any]
BATCH = 50
HIDDEN = 100
RATES = (0.1, 0.3, 1.0, 3.0, 10.0)  # tried for each order
TUNING_SEED = 100


class ShuffledOnce(nn.Loader):
    """The order of the first epoch in all epochs."""

    def order(self, epoch: int) -> Any:
        return super().order(0)


class SortedByClass(nn.Loader):
    """All zeros, then all ones, ..."""

    def order(self, epoch: int) -> Any:
        return np.argsort(self.split.labels, kind="stable")


class OneImage(nn.Loader):
    """One image all epoch long, another one in the next epoch."""

    def order(self, epoch: int) -> Any:
        return np.full(len(self.split), super().order(epoch)[0])


ORDERS: dict[str, Callable[[nn.Split, int], nn.Loader]] = {
    "shuffled anew": lambda split, seed: nn.mini_batch(split, BATCH, seed),
    "shuffled once": lambda split, seed: ShuffledOnce(split, BATCH, seed),
    "as in the file": lambda split, seed: nn.Loader(split, BATCH, seed=None),
    "sorted by class": lambda split, seed: SortedByClass(split, BATCH, seed),
    "one image an epoch": lambda split, seed: OneImage(split, BATCH, seed),
}


def network(data: nn.Dataset, seed: int) -> nn.MLP:
    return nn.MLP([data.train.images.shape[1], HIDDEN, data.classes], seed=seed)


def training(
    model: nn.MLP, images: nn.Loader, lr: float, epochs: int, every: int | None = None
) -> Iterator[nn.Record]:
    sgd = nn.OPTIMIZERS["sgd"](lr=lr)
    return nn.fit(model, sgd, images, epochs, schedule="cosine", every=every)


def accuracy(data: nn.Dataset, order: str, lr: float, epochs: int, seed: int) -> float:
    """Validation accuracy in percent after some epochs; 0 for a training that diverged."""
    model = network(data, seed)
    try:
        for _ in training(model, ORDERS[order](data.train, seed), lr, epochs):
            pass
    except nn.DivergedError:
        return 0.0
    return 100 * model.evaluate(data.val.x, data.val.labels).accuracy


def orders(data: nn.Dataset, epochs: int, seeds: int) -> list[dict[str, Any]]:
    """A row for each order and seed, with the best rate that one other seed found."""
    rows = []
    for order in ORDERS:
        tried = [accuracy(data, order, lr, epochs, TUNING_SEED) for lr in RATES]
        lr = RATES[int(np.argmax(tried))]
        for seed in range(seeds):
            found = accuracy(data, order, lr, epochs, seed)
            rows.append({"order": order, "lr": lr, "seed": seed, "val_accuracy_percent": found})
    return rows


def courses(data: nn.Dataset, rows: Sequence[Row], epochs: int) -> list[dict[str, Any]]:
    """The validation loss within the epochs, for the first seed."""
    few = data.val[:2000]
    found = []
    for order in ORDERS:
        lr = next(row["lr"] for row in rows if row["order"] == order)
        model, images = network(data, 0), ORDERS[order](data.train, 0)
        every = max(1, len(images) // 20)
        for record in training(model, images, lr, epochs, every):
            loss = model.evaluate(few.x, few.labels).loss
            epoch = record.update / len(images)
            found.append({"order": order, "epoch": epoch, "val_loss": loss})
    return found


def findings(rows: Sequence[Row]) -> Iterator[str]:
    found = {
        order: [r["val_accuracy_percent"] for r in rows if r["order"] == order] for order in ORDERS
    }
    rates = {row["order"]: row["lr"] for row in rows}
    usual, *others = ORDERS
    first = found[usual]
    yield (
        f"Images {usual} in each epoch: {statistics.fmean(first):.2f} % of the validation "
        f"images are right, sd {statistics.stdev(first):.2f}, n = {len(first)} seeds, "
        f"lr {rates[usual]:g}."
    )
    for order in others:
        apart = [one - other for one, other in zip(found[order], first, strict=True)]
        low, high = interval(apart)
        verdict = "worse" if high < 0 else "better" if low > 0 else "no difference that is seen"
        mean = statistics.fmean(found[order])
        yield (
            f"Images {order}: {mean:.2f} %, {mean - statistics.fmean(first):+.2f} points "
            f"(95 % interval {low:+.2f} to {high:+.2f}), lr {rates[order]:g}: {verdict}."
        )


def figure(rows: Sequence[Row], curves: Sequence[Row]) -> "Figure":
    drawing, (left, right) = blank(1, 2, height=4.6)
    for k, order in enumerate(ORDERS):
        course = [row for row in curves if row["order"] == order]
        left.semilogy(
            [row["epoch"] for row in course],
            [row["val_loss"] for row in course],
            color=COLORS[k],
            lw=1.3,
            label=order,
        )
        found = [100 - row["val_accuracy_percent"] for row in rows if row["order"] == order]
        right.semilogx(found, np.full(len(found), k), "o", color=COLORS[k], alpha=0.5, mec="none")
        right.plot([statistics.fmean(found)], [k], "|", color="black", ms=18)
    left.set(xlabel="epochs", ylabel="validation loss")
    left.legend(fontsize=8, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)
    right.set_yticks(range(len(ORDERS)), ORDERS)
    right.invert_yaxis()
    ticks = [5, 10, 20, 50, 100]
    right.set_xticks(ticks, [str(tick) for tick in ticks])
    right.set_xticks([], minor=True)
    right.set(xlabel="validation error after the last epoch (%)")
    return drawing


def main(lab: Lab) -> None:
    data = lab.data(limit=lab.pick(10_000, fast=500))
    epochs, seeds = lab.pick((3, 10), fast=(1, 2))
    rows = orders(data, epochs, seeds)
    lab.table(rows)
    for sentence in findings(rows):
        lab.say(sentence)
    caption = (
        f"The order of {len(data.train):,} images, batches of {BATCH}, {epochs} epochs, {HIDDEN} "
        f"hidden units; rates tuned by {len(RATES)} trials of another seed. Left: one seed, the "
        f"loss of 2,000 validation images at most. Right: n = {seeds} seeds; bars are means."
    )
    lab.draw(figure(rows, courses(data, rows, epochs)), caption)


if __name__ == "__main__":
    sys.exit(run(main))
