"""Training: an iterator that moves the weights and yields records of how it goes.

Whoever iterates prints, draws, saves or stops; the loop itself does none of that.
"""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .arrays import Array
from .datasets.split import Split
from .errors import DivergedError, UsageError
from .loaders import Loader
from .model import MLP
from .optim import Optimizer, State
from .schedules import ConstantRate, Schedule


@dataclass(frozen=True)
class Record:
    """The state of a training run after an update.

    epoch          which epoch the update belongs to, counted from 1
    update         updates so far
    examples       examples so far, that is gradients of single examples
    lr             learning rate of this update; None for an optimizer that has none
    train_loss     mean loss in this epoch so far, of each batch before its update
    seconds        time in this epoch so far: reading, gradient and update, nothing else
    ends_epoch     whether this was the last update of the epoch
    val_loss       mean loss on the validation images; None within an epoch, or without them
    val_accuracy   share of them classified rightly; None likewise
    """

    epoch: int
    update: int
    examples: int
    lr: float | None
    train_loss: float
    seconds: float
    ends_epoch: bool
    val_loss: float | None = None
    val_accuracy: float | None = None


def fit(
    model: MLP,
    optimizer: Optimizer,
    loader: Loader,
    epochs: int,
    *,
    schedule: Schedule | None = None,
    val: Split | None = None,
    every: int | None = None,
) -> Iterator[Record]:
    """Train the model, and yield a record after each epoch.

        for record in fit(model, OPTIMIZERS["adam"](lr=1e-3), mini_batch(train, 128), epochs=3):
            print(record.epoch, record.train_loss)

    `schedule` varies the learning rate; by default it stays. `val` is evaluated after each epoch.
    With `every=n` there is also a record after every n-th update within an epoch. Training goes
    on only when the next record is asked for.

    While a record is held, and after the last one, the model has the weights to evaluate and to
    save (the optimizer's `readout`). Raises DivergedError when the loss or the weights are no
    longer finite, UsageError for arguments out of range.
    """
    for name, value in (("epochs", epochs), ("every", every)):
        if value is not None and value < 1:
            raise UsageError(f"{name} must be at least 1, got {value}", f"choose {name}=1 or more")
    return _records(model, optimizer, loader, epochs, schedule or ConstantRate(), val, every)


def _records(
    model: MLP,
    optimizer: Optimizer,
    loader: Loader,
    epochs: int,
    schedule: Schedule,
    val: Split | None,
    every: int | None,
) -> Iterator[Record]:
    slots = [Slot(w, dw, optimizer.init(w)) for w, dw in arrays_to_update(model, optimizer)]
    lr: float | None = getattr(optimizer, "lr", None)
    update = examples = 0
    for epoch in range(1, epochs + 1):
        loss_sum, seen, seconds = 0.0, 0, 0.0
        began = time.perf_counter()
        for x, labels in loader:
            for slot in slots:
                slot.leave_readout()
            with np.errstate(over="ignore", invalid="ignore"):  # checked for here, by name
                loss = model.loss_and_grad(x, labels)
                _check_finite(loss, "loss", optimizer, update)
                factor = schedule.factor(update, epochs * len(loader), len(loader))
                scheduled = optimizer if factor == 1 else optimizer.with_lr(factor * (lr or 0))
                for slot in slots:
                    scheduled.update(slot.w, slot.dw, slot.state)
            update += 1
            examples += len(labels)
            seen += len(labels)
            loss_sum += loss * len(labels)
            ends_epoch = seen == len(loader.split)
            if not ends_epoch and (every is None or update % every):
                continue
            seconds += time.perf_counter() - began
            for slot in slots:
                slot.enter_readout(scheduled)
            _check_finite(float(np.sum(model.w)), "sum of the weights", optimizer, update)
            result = model.evaluate(val.x, val.labels) if ends_epoch and val else None
            yield Record(
                epoch=epoch,
                update=update,
                examples=examples,
                lr=getattr(scheduled, "lr", None),
                train_loss=loss_sum / seen,
                seconds=seconds,
                ends_epoch=ends_epoch,
                val_loss=result.loss if result else None,
                val_accuracy=result.accuracy if result else None,
            )
            began = time.perf_counter()


def arrays_to_update(model: MLP, optimizer: Optimizer) -> list[tuple[Array, Array]]:
    """The pairs (w, dw) that the optimizer is to be called with, according to its scope."""
    if optimizer.scope == "tensor":
        return [(parameter.w, parameter.dw) for parameter in model.parameters]
    return [(model.w, model.dw)]


class Slot:
    """An array, its gradient and the optimizer's state for it.

    Some optimizers want the gradient at one point and are judged at another. Between a call of
    `enter_readout` and one of `leave_readout`, w holds the point to evaluate and to save.
    """

    def __init__(self, w: Array, dw: Array, state: State) -> None:
        self.w, self.dw, self.state = w, dw, state
        self._gradient_point: Array | None = None

    def enter_readout(self, optimizer: Optimizer) -> None:
        point = optimizer.readout(self.w, self.state)
        if point is not self.w:
            self._gradient_point = self.w.copy()
            self.w[...] = point

    def leave_readout(self) -> None:
        if self._gradient_point is not None:
            self.w[...] = self._gradient_point
            self._gradient_point = None


def _check_finite(number: float, name: str, optimizer: Optimizer, updates: int) -> None:
    if not math.isfinite(number):
        lr = getattr(optimizer, "lr", None)
        raise DivergedError(
            f"training diverged: after {updates} updates the {name} is {number}",
            f"lower the learning rate of {optimizer.name}, now {lr}",
        )
