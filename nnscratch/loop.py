"""Training: an iterator that moves the weights and yields records of how it goes.

Whoever iterates prints, draws, saves or stops; the loop itself does none of that.
"""

import math
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from . import seeds
from .arrays import Array, Labels
from .datasets.split import Pixels, Split
from .errors import DivergedError, NnscratchWarning, UsageError
from .hyper import Interval, as_part, checked
from .loaders import Loader
from .model import MLP
from .optim import NEEDS, OPTIMIZERS, Optimizer, State
from .optim.base import leaves
from .schedules import SCHEDULES, Schedule

SUPPLIED = {"loss", "norm", "moments"}  # what the network gives of what an optimizer may need
RAW = 100.0  # inputs so large are pixels that nobody has divided
BLOWN_UP = 1e6  # a loss so many times the first one will not come back


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


@dataclass
class Progress:
    """Where a training run stands between two updates: all that `fit` needs to go on, but for w.

        progress = Progress()
        for record in fit(model, optimizer, loader, 10, progress=progress): ...

    update        batches so far
    examples      gradients of single examples so far
    seed          the model's seed when the run began
    optimizer     full name of the optimizer
    loader        what the loader was then (see Loader.origin); None before
    first_epoch   the loader's epoch in which the run began, counted from 0
    first_loss    the loss of the first batch; None before it
    loss_sum      sum of the losses in this epoch so far
    seen          number of examples in it
    seconds       time in this epoch so far
    states        the optimizer's states, one for each array that it updates
    is_whole      False while an update is under way, and for ever if it was broken off

    There is no random generator to keep: all random numbers of a run are those of a seed and of
    the number of an epoch or of a gradient (see `seeds`).
    """

    update: int = 0
    examples: int = 0
    seed: int = 0
    optimizer: str | None = None
    loader: str | None = None
    first_epoch: int = 0
    first_loss: float | None = None
    loss_sum: float = 0.0
    seen: int = 0
    seconds: float = 0.0
    states: list[State] = field(default_factory=list)
    is_whole: bool = True
    _gradient_point: Array | None = field(default=None, repr=False)
    _at_readout: bool = field(default=False, repr=False)

    @property
    def is_new(self) -> bool:
        """Whether no run has begun with it."""
        return self.loader is None

    def gradient_point(self, model: MLP) -> Array:
        """The weights where the next gradient is wanted, not a copy.

        While a record is held, the model has the weights to evaluate; most often they are the same.
        """
        return self._gradient_point if self._at_readout else model.w  # type: ignore[return-value]

    def enter_readout(self, model: MLP, slots: "list[Slot]", optimizer: Optimizer) -> None:
        """Give the model the weights to evaluate and to save, and keep where it was."""
        points = [optimizer.readout(slot.w, slot.state) for slot in slots]
        if all(point is slot.w for point, slot in zip(points, slots, strict=True)):
            return
        if self._gradient_point is None:
            self._gradient_point = np.empty_like(model.w)
        self._gradient_point[...] = model.w
        self._at_readout = True  # before the copies: broken off among them, w is still kept
        for point, slot in zip(points, slots, strict=True):
            slot.w[...] = point

    def leave_readout(self, model: MLP) -> None:
        if self._at_readout:
            model.w = self.gradient_point(model)
            self._at_readout = False


def fit(
    model: MLP,
    optimizer: str | Optimizer,
    loader: Loader,
    epochs: int,
    *,
    schedule: str | Schedule = "constant",
    val: Split | None = None,
    every: int | Callable[[int], bool] | None = None,
    progress: Progress | None = None,
) -> Iterator[Record]:
    """Train the model while it is iterated over, and yield a record after each epoch.

        for record in fit(model, OPTIMIZERS["adam"](lr=1e-3), mini_batch(train, 128), epochs=3):
            print(record.epoch, record.train_loss)

    `schedule` varies the learning rate. `val` is evaluated after each epoch. With `every=n` there
    is also a record after every n-th update within an epoch; a function of the number of the
    update can be given instead, and says whether there is one. Training goes on only when the next
    record is asked for. Each call begins with a new state of the optimizer and a new schedule,
    and takes the loader's next epochs.

    A call with the `progress` of an earlier one goes on where that one stopped, within an epoch
    too, to `epochs` epochs in all: the weights are bit for bit those of one call that went through.
    `progress` can be saved together with the weights while a record is held (`save_checkpoint`).

    While a record is held, and after the last one, the model has the weights to evaluate and to
    save (the optimizer's `readout`); to change them there has no effect for an optimizer whose
    readout is another point than the one where it takes its gradients.

    Raises DivergedError before the step that a loss would lead to which is not finite or beyond a
    million times the first one (times 1, if that was smaller), and when the weights of a record
    are not finite; UsageError for arguments out of range, for a progress of another optimizer,
    network or loader, and for an optimizer whose update does not return w or that has one state
    for two arrays.
    """
    optimizer = as_part(Optimizer, OPTIMIZERS, optimizer)  # type: ignore[type-abstract]
    schedule = as_part(Schedule, SCHEDULES, schedule)  # type: ignore[type-abstract]
    count = Interval("[1, inf)")
    epochs = checked("epochs", epochs, int, count, "give the number of passes over the images")
    check_supplied(optimizer)
    for name, value, kind in (
        ("loader", loader, Loader),
        ("val", val, Split | None),
        ("progress", progress, Progress | None),
    ):
        if not isinstance(value, kind):
            raise UsageError(f"{name} is {value!r}", f"give a {name} of type {kind}")
    return _records(
        model, optimizer, loader, epochs, schedule, val, _wanted(every), progress or Progress()
    )


def _wanted(every: int | Callable[[int], bool] | None) -> Callable[[int], bool]:
    """Whether there is to be a record after the update of that number."""
    if every is None:
        return lambda update: False
    if callable(every):
        return every
    fix = "give the number of updates between records"
    n: int = checked("every", every, int, Interval("[1, inf)"), fix)
    return lambda update: update % n == 0


def _records(
    model: MLP,
    optimizer: Optimizer,
    loader: Loader,
    epochs: int,
    schedule: Schedule,
    val: Split | None,
    wanted: Callable[[int], bool],
    progress: Progress,
) -> Iterator[Record]:
    slots = _slots(model, optimizer, loader, progress)
    per_epoch = len(loader)
    total = epochs * per_epoch
    if progress.update >= total:  # nothing left to do but to give the weights to evaluate
        progress.enter_readout(model, slots, optimizer)
    while progress.update < total:
        epoch, batch = divmod(progress.update, per_epoch)
        if batch == 0:
            progress.loss_sum, progress.seen, progress.seconds = 0.0, 0, 0.0
        began = time.perf_counter()
        for x, labels in loader.batches(progress.first_epoch + epoch, batch):
            progress.leave_readout(model)
            factor = schedule.factor(progress.update, total, per_epoch)
            scheduled = optimizer.scaled(factor)
            with np.errstate(over="ignore", invalid="ignore"):  # checked for here, by name
                progress.is_whole = False
                loss = take_gradient(model, slots, optimizer, x, labels, progress)
                _check_loss(loss, progress, model, scheduled, x)
                update_all(slots, scheduled)
                progress.examples += len(labels)
                while again := [slot for slot in slots if optimizer.same_batch(slot.state)]:
                    take_gradient(model, slots, optimizer, x, labels, progress)
                    update_all(again, scheduled)
                    progress.examples += len(labels)
            if progress.update == 0:
                _refuse_shared(optimizer, progress.states)
            progress.update += 1
            progress.seen += len(labels)
            progress.loss_sum += loss * len(labels)
            progress.is_whole = True
            ends_epoch = progress.update % per_epoch == 0
            if not ends_epoch and not wanted(progress.update):
                continue
            progress.seconds += time.perf_counter() - began
            progress.enter_readout(model, slots, optimizer)
            result = None
            with np.errstate(over="ignore", invalid="ignore"):
                _check_weights(progress, model, scheduled, x)
                if ends_epoch and val:
                    result = model.evaluate(val.x, val.labels)
                    check_finite("validation loss", result.loss, optimizer, progress.update)
            yield Record(
                epoch=epoch + 1,
                update=progress.update,
                examples=progress.examples,
                lr=scheduled.rate,
                train_loss=progress.loss_sum / progress.seen,
                seconds=progress.seconds,
                ends_epoch=ends_epoch,
                val_loss=result.loss if result else None,
                val_accuracy=result.accuracy if result else None,
            )
            began = time.perf_counter()


def _slots(model: MLP, optimizer: Optimizer, loader: Loader, progress: Progress) -> "list[Slot]":
    """The slots of a run that begins, with new states, or that goes on, with those it has."""
    if not progress.is_whole:
        raise UsageError(
            f"the run was broken off in the middle of update {progress.update + 1}",
            "go on from a checkpoint, or begin with new weights and a new Progress()",
        )
    progress.leave_readout(model)
    arrays = arrays_to_update(model, optimizer)
    if progress.is_new:
        _warn_of_raw_pixels(loader.split)
        progress.seed = model.seed
        progress.optimizer, progress.loader = optimizer.full_name, loader.origin
        progress.first_epoch = loader.epochs_begun
        progress.states = [optimizer.init(w) for w, _ in arrays]
        _refuse_shared(optimizer, progress.states)
    for before, now in (
        (progress.optimizer, optimizer.full_name),
        (progress.loader, loader.origin),
        (f"states of {len(progress.states)} arrays", f"states of {len(arrays)} arrays"),
    ):
        if before != now:
            raise UsageError(
                f"the run began with {before}, and now has {now}",
                "go on with the network, the optimizer and the loader that it began with",
            )
    return [Slot(w, dw, state) for (w, dw), state in zip(arrays, progress.states, strict=True)]


def _warn_of_raw_pixels(split: Split) -> None:
    """Warn of floats that look like bytes; bytes have a unit, which somebody has chosen."""
    if split.images.dtype.kind == "f" and (largest := float(split.images.max())) > RAW * split.unit:
        message = f"inputs go up to {largest:.4g}: divide them by 255, or give nn.Split unit=255"
        warnings.warn(message, NnscratchWarning, stacklevel=4)


def _refuse_shared(optimizer: Optimizer, states: list[State]) -> None:
    """UsageError if two states, or two arrays in them, are one and the same."""
    owners: dict[int, str] = {}  # what lies at that address?
    for k, state in enumerate(states):
        places = {f"state {k}": id(state)}
        places |= {
            f"{name} in state {k}": value.ctypes.data
            for name, value in leaves(state)
            if isinstance(value, np.ndarray) and value.size
        }
        for name, place in places.items():
            if place in owners:
                raise UsageError(
                    f"{optimizer.name} has one array or state for {owners[place]} and for {name}",
                    "make a new one for each: in init, and not in the class or the file",
                )
            owners[place] = name


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
    progress: Progress,
) -> float:
    """The loss of the batch; its gradient is left in model.dw.

    What the optimizer needs besides is put into the state of each slot. The number of gradients
    before picks the random labels that the moments take.
    """
    moments: list[tuple[Array, Array]] = []
    if "moments" in optimizer.needs:  # first of all, since it overwrites the gradient
        rng = np.random.default_rng(seeds.stream(progress.seed, seeds.FISHER, progress.examples))
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
    """An array, its gradient and the optimizer's state for it."""

    def __init__(self, w: Array, dw: Array, state: State) -> None:
        self.w, self.dw, self.state = w, dw, state

    def update(self, optimizer: Optimizer) -> None:
        if optimizer.update(self.w, self.dw, self.state) is not self.w:
            raise UsageError(
                f"{optimizer.name}: update did not return the w that it was given",
                "write w -= step or w[...] = new, so that w itself changes, and then return w",
            )


def _check_loss(
    loss: float, progress: Progress, model: MLP, optimizer: Optimizer, x: Array | Pixels
) -> None:
    """DivergedError unless the loss is finite and not far beyond the first one."""
    first = progress.first_loss
    if first is None and math.isfinite(loss):
        progress.first_loss = loss
    elif not math.isfinite(loss) or loss > BLOWN_UP * max(first or 0.0, 1.0):
        for state in progress.states:  # as if this batch had not come
            for need in optimizer.needs:
                state.pop(need, None)
        progress.is_whole = True
        text = f"the loss is {loss:.4g}" + ("" if first is None else f", and was {first:.4g}")
        raise _diverged(text, progress, model, optimizer, x)


def _check_weights(progress: Progress, model: MLP, optimizer: Optimizer, x: Array | Pixels) -> None:
    """DivergedError unless all weights are finite; their sum is then finite too, or huge."""
    if not math.isfinite(float(np.sum(model.w))):
        raise _diverged("weights are not finite", progress, model, optimizer, x)


def _diverged(
    text: str, progress: Progress, model: MLP, optimizer: Optimizer, x: Array | Pixels
) -> DivergedError:
    rate = "" if optimizer.rate is None else f" with lr {optimizer.rate:.4g}"
    return DivergedError(
        f"training diverged: after {progress.update} updates of {optimizer.full_name}{rate} "
        f"{text}; {model.trouble(x)}",
        "lower the learning rate, clip the gradient with --clip-norm 1 (nn.ClipNorm), or see that "
        "the inputs are about 1 and the initializer suits the activation",
    )


def check_finite(name: str, number: float, optimizer: Optimizer, updates: int) -> None:
    """DivergedError if the number is infinite or none at all."""
    if not math.isfinite(number):
        raise DivergedError(
            f"training diverged: after {updates} updates the {name} is {number}",
            f"lower the learning rate of {optimizer.name}, now {optimizer.rate}",
        )
