"""Training: an iterator that moves the weights and yields records of how it goes.

Whoever iterates prints, draws, saves or stops; the loop itself does none of that.
"""

import math
import time
import warnings
from collections.abc import Callable, Iterator
from itertools import islice

import numpy as np

from . import seeds
from .arrays import Array, Labels
from .datasets.split import Pixels, Split
from .divergence import check_finite, check_loss, check_weights
from .errors import NnscratchWarning, UsageError
from .hyper import Interval, as_part, checked
from .loaders import Loader
from .model import MLP
from .optim import NEEDS, OPTIMIZERS, Optimizer
from .progress import Progress, Record
from .schedules import SCHEDULES, Schedule
from .slots import Slot, arrays_to_update, end_update, refuse_shared, update_all

SUPPLIED = {"loss", "norm", "moments"}  # what the network gives of what an optimizer may need
MEASURED = 4096  # images, at least, from which batch normalization of other weights is measured
RAW = 100.0  # inputs so large are pixels that nobody has divided


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

    >>> data, model = nn.load_dataset("digits"), nn.MLP([784, 30, 10])
    >>> adam, loader = nn.OPTIMIZERS["adam"](lr=0.01), nn.mini_batch(data.train, 50)
    >>> for record in nn.fit(model, adam, loader, epochs=2, val=data.val):
    ...     print(f"{record.epoch}: loss {record.train_loss:.2f}, then {record.val_loss:.2f}")
    1: loss 1.49, then 0.86
    2: loss 0.62, then 0.46

    `schedule` varies the learning rate. `val` is evaluated after each epoch. With `every=n` there
    is also a record after every n-th update within an epoch; a function of the number of the
    update can be given instead, and says whether there is one. Training goes on only when the next
    record is asked for. Each call begins with a new state of the optimizer and a new schedule,
    and takes the loader's next epochs.

    A call with the `progress` of an earlier one goes on where that one stopped, within an epoch
    too, to `epochs` epochs in all: the weights are bit for bit those of one call that went through.
    After `progress.begin_again()` it is a new run, on any loader, with the optimizer's old state.
    `progress` can be saved together with the weights while a record is held (`save_checkpoint`).

    While a record is held, and after the last one, the model has the weights to evaluate and to
    save (the optimizer's `readout`); to change them there has no effect for an optimizer whose
    readout is another point than the one where it takes its gradients. For such a point batch
    normalization is measured anew, with the first batches of the epoch.

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
    for name, value, kind, fix in (
        ("loader", loader, Loader, "give a loader, such as nn.mini_batch(nn.Split(x, labels))"),
        ("val", val, Split | None, "give the validation images as nn.Split(x, labels)"),
        ("progress", progress, Progress | None, "give nn.Progress(), or that of a run to go on"),
    ):
        if not isinstance(value, kind):
            raise UsageError(f"{name} is {value!r:.80}", fix)
    check_together(model, optimizer, loader)
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
        give_readout(model, slots, optimizer, loader, progress)
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
                check_loss(loss, progress, model, scheduled, x)
                update_all(slots, scheduled)
                gradients = 1
                while again := [slot for slot in slots if optimizer.same_batch(slot.state)]:
                    take_gradient(model, slots, optimizer, x, labels, progress)
                    update_all(again, scheduled)
                    gradients += 1
                end_update(model, slots, optimizer)
                progress.examples += gradients * len(labels)
            if progress.update == 0:
                refuse_shared(optimizer, progress.states)
            progress.update += 1
            progress.seen += len(labels)
            progress.loss_sum += loss * len(labels)
            progress.is_whole = True
            ends_epoch = progress.update % per_epoch == 0
            if not ends_epoch and not wanted(progress.update):
                continue
            progress.seconds += time.perf_counter() - began
            give_readout(model, slots, optimizer, loader, progress)
            result = None
            with np.errstate(over="ignore", invalid="ignore"):
                check_weights(progress, model, scheduled, x)
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


def _slots(model: MLP, optimizer: Optimizer, loader: Loader, progress: Progress) -> list[Slot]:
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
        progress.seed, progress.loader = model.seed, loader.origin
        progress.first_epoch = loader.epochs_begun
        if progress.optimizer is None:
            progress.optimizer = optimizer.full_name
            progress.states = [optimizer.init(w) for w, _ in arrays]
            refuse_shared(optimizer, progress.states)
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
        fix = "scale them to about 1; for bytes of images divide by 255, or give nn.Split unit=255"
        message = f"inputs go up to {largest:.4g}: {fix}"
        warnings.warn(message, NnscratchWarning, stacklevel=4)


def check_together(model: MLP, optimizer: Optimizer, loader: Loader) -> None:
    """UsageError for a network, an optimizer and batches that do not go together."""
    check_supplied(optimizer)
    arrays_to_update(model, optimizer)
    if model.moving and 1 in (loader.batch_size, len(loader.split) % loader.batch_size):
        raise UsageError(
            f"batch normalization needs two images or more in a batch; {loader} has one of one",
            "choose a batch size of at least 2 that leaves no single image over",
        )


def check_supplied(optimizer: Optimizer) -> None:
    """UsageError for an optimizer that needs what the network does not give."""
    if missing := sorted(optimizer.needs - SUPPLIED):
        needed = ", ".join(f"{need} ({NEEDS.get(need, 'unknown')})" for need in missing)
        what = f"{optimizer.name} needs what the network does not give: {needed}"
        raise UsageError(what, "choose another optimizer for the network")


def give_readout(
    model: MLP, slots: list[Slot], optimizer: Optimizer, loader: Loader, progress: Progress
) -> None:
    """Give the model the weights to evaluate, with statistics of their own if they are others.

    They are those of the first batches of the epoch.
    """
    if not (progress.enter_readout(model, slots, optimizer) and model.moving):
        return
    epoch = progress.first_epoch + (progress.update - 1) // len(loader)
    batches = islice(loader.batches(epoch), -(-MEASURED // loader.batch_size))
    model.measure((x for x, _ in batches), units_left_out(model, progress))


def units_left_out(model: MLP, progress: Progress) -> np.random.Generator | None:
    """The random numbers of the next gradient, where the network leaves out units."""
    if not model.draws:
        return None
    return np.random.default_rng(seeds.stream(progress.seed, seeds.DROP, progress.examples))


def take_gradient(
    model: MLP,
    slots: list[Slot],
    optimizer: Optimizer,
    x: Array | Pixels,
    labels: Labels,
    progress: Progress,
) -> float:
    """The loss of the batch; its gradient is left in model.dw.

    What the optimizer needs besides is put into the state of each slot. The number of gradients
    before the update picks the random labels that the moments take, and the units that are left
    out: a batch that is seen again within an update has the same.
    """
    moments: list[tuple[Array, Array]] = []
    if "moments" in optimizer.needs:  # first of all, since it overwrites the gradient
        rng = np.random.default_rng(seeds.stream(progress.seed, seeds.FISHER, progress.examples))
        moments = model.moments(x, rng)
    loss = model.loss_and_grad(x, labels, units_left_out(model, progress))
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
