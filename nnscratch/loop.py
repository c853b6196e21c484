"""Training: an iterator that moves the weights and yields records of how it goes.

Whoever iterates prints, draws, saves or stops; the loop itself does none of that.
"""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from . import seeds
from .arrays import Array, Labels
from .datasets.split import Pixels, Split
from .errors import DivergedError, UsageError
from .hyper import Interval, as_part, checked
from .loaders import Loader
from .model import MLP
from .optim import NEEDS, OPTIMIZERS, Optimizer, State
from .schedules import SCHEDULES, Schedule

SUPPLIED = {"loss", "norm", "moments"}  # what the network gives of what an optimizer may need


@dataclass(frozen=True)
class Record:
    """The state of a training run after an update.

    epoch          which epoch the update belongs to, counted from 1
    update         batches so far: updates, but for optimizers that want a batch more than once
    examples       gradients of single examples so far
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
    optimizer: str | Optimizer,
    loader: Loader,
    epochs: int,
    *,
    schedule: str | Schedule = "constant",
    val: Split | None = None,
    every: int | None = None,
) -> Iterator[Record]:
    """Train the model while it is iterated over, and yield a record after each epoch.

        for record in fit(model, OPTIMIZERS["adam"](lr=1e-3), mini_batch(train, 128), epochs=3):
            print(record.epoch, record.train_loss)

    `schedule` varies the learning rate. `val` is evaluated after each epoch. With `every=n` there
    is also a record after every n-th update within an epoch. Training goes on only when the next
    record is asked for. Each call begins with a new state of the optimizer and a new schedule,
    and takes the loader's next epochs.

    While a record is held, and after the last one, the model has the weights to evaluate and to
    save (the optimizer's `readout`); to change them there has no effect for an optimizer whose
    readout is another point than the one where it takes its gradients.

    Raises DivergedError when a loss or the weights are no longer finite, and UsageError for
    arguments out of range and for an optimizer whose update does not return w.
    """
    optimizer = as_part(Optimizer, OPTIMIZERS, optimizer)  # type: ignore[type-abstract]
    schedule = as_part(Schedule, SCHEDULES, schedule)  # type: ignore[type-abstract]
    count = Interval("[1, inf)")
    epochs = checked("epochs", epochs, int, count, "give the number of passes over the images")
    if every is not None:
        every = checked("every", every, int, count, "give the number of updates between records")
    check_supplied(optimizer)
    for name, value, kind in (("loader", loader, Loader), ("val", val, Split | None)):
        if not isinstance(value, kind):
            raise UsageError(f"{name} is {value!r}", f"give a {name} of type {kind}")
    return _records(model, optimizer, loader, epochs, schedule, val, every)


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
    update = examples = 0
    for epoch in range(1, epochs + 1):
        loss_sum, seen, seconds = 0.0, 0, 0.0
        began = time.perf_counter()
        for batch, (x, labels) in enumerate(loader, start=1):
            for slot in slots:
                slot.leave_readout()
            factor = schedule.factor(update, epochs * len(loader), len(loader))
            scheduled = optimizer.scaled(factor)
            with np.errstate(over="ignore", invalid="ignore"):  # checked for here, by name
                loss = take_gradient(model, slots, optimizer, x, labels, examples)
                check_finite("loss", loss, optimizer, update)
                update_all(slots, scheduled)
                examples += len(labels)
                while again := [slot for slot in slots if optimizer.same_batch(slot.state)]:
                    take_gradient(model, slots, optimizer, x, labels, examples)
                    update_all(again, scheduled)
                    examples += len(labels)
            update += 1
            seen += len(labels)
            loss_sum += loss * len(labels)
            ends_epoch = batch == len(loader)
            if not ends_epoch and (every is None or update % every):
                continue
            seconds += time.perf_counter() - began
            for slot in slots:
                slot.enter_readout(optimizer)
            result = None
            with np.errstate(over="ignore", invalid="ignore"):
                check_finite("sum of the weights", float(np.sum(model.w)), optimizer, update)
                if ends_epoch and val:
                    result = model.evaluate(val.x, val.labels)
                    check_finite("validation loss", result.loss, optimizer, update)
            yield Record(
                epoch=epoch,
                update=update,
                examples=examples,
                lr=scheduled.rate,
                train_loss=loss_sum / seen,
                seconds=seconds,
                ends_epoch=ends_epoch,
                val_loss=result.loss if result else None,
                val_accuracy=result.accuracy if result else None,
            )
            began = time.perf_counter()


def check_supplied(optimizer: Optimizer) -> None:
    """UsageError for an optimizer that needs what the network does not give."""
    if missing := sorted(optimizer.needs - SUPPLIED):
        needed = ", ".join(f"{need} ({NEEDS.get(need, 'unknown')})" for need in missing)
        what = f"{optimizer.name} needs what the network does not give: {needed}"
        raise UsageError(what, "choose another optimizer for the network")


def arrays_to_update(model: MLP, optimizer: Optimizer) -> list[tuple[Array, Array]]:
    """The pairs (w, dw) that the optimizer is to be called with, according to its scope."""
    views = {"tensor": model.parameters, "layer": model.matrices}
    if optimizer.scope in views:
        return [(parameter.w, parameter.dw) for parameter in views[optimizer.scope]]
    return [(model.w, model.dw)]


def take_gradient(
    model: MLP,
    slots: "list[Slot]",
    optimizer: Optimizer,
    x: Array | Pixels,
    labels: Labels,
    examples: int,
) -> float:
    """The loss of the batch; its gradient is left in model.dw.

    What the optimizer needs besides is put into the state of each slot. `examples`, the number of
    gradients before, picks the random labels that the moments take.
    """
    moments: list[tuple[Array, Array]] = []
    if "moments" in optimizer.needs:  # first of all, since it overwrites the gradient
        rng = np.random.default_rng(seeds.stream(model.seed, seeds.FISHER, examples))
        moments = model.moments(x, rng)
    loss = model.loss_and_grad(x, labels)
    norm = 0.0
    if "norm" in optimizer.needs:  # in double precision, where no square is too large
        norm = math.sqrt(np.einsum("i,i->", model.dw, model.dw, dtype=np.float64))
    for k, slot in enumerate(slots):
        if "loss" in optimizer.needs:
            slot.state["loss"] = loss
        if "norm" in optimizer.needs:
            slot.state["norm"] = norm
        if "moments" in optimizer.needs:
            slot.state["moments"] = moments[k]
    return loss


def update_all(slots: "list[Slot]", optimizer: Optimizer) -> None:
    for slot in slots:
        slot.update(optimizer)


class Slot:
    """An array, its gradient and the optimizer's state for it.

    Some optimizers want the gradient at one point and are judged at another. Between a call of
    `enter_readout` and one of `leave_readout`, w holds the point to evaluate and to save.
    """

    def __init__(self, w: Array, dw: Array, state: State) -> None:
        self.w, self.dw, self.state = w, dw, state
        self._gradient_point = np.empty(0, w.dtype)  # allocated for an optimizer that needs it
        self._at_readout = False

    def update(self, optimizer: Optimizer) -> None:
        if optimizer.update(self.w, self.dw, self.state) is not self.w:
            raise UsageError(
                f"{optimizer.name}: update did not return the w that it was given",
                "write w -= step or w[...] = new, so that w itself changes, and then return w",
            )

    def enter_readout(self, optimizer: Optimizer) -> None:
        point = optimizer.readout(self.w, self.state)
        if point is not self.w:
            if not self._gradient_point.size:
                self._gradient_point = np.empty_like(self.w)
            self._gradient_point[...] = self.w
            self.w[...] = point
            self._at_readout = True

    def leave_readout(self) -> None:
        if self._at_readout:
            self.w[...] = self._gradient_point
            self._at_readout = False


def check_finite(name: str, number: float, optimizer: Optimizer, updates: int) -> None:
    """DivergedError if the number is infinite or none at all."""
    if not math.isfinite(number):
        raise DivergedError(
            f"training diverged: after {updates} updates the {name} is {number}",
            f"lower the learning rate of {optimizer.name}, now {optimizer.rate}",
        )
