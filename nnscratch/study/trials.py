"""A trial: one training within a study, and what came of it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from threadpoolctl import threadpool_limits

from ..activations import Activation
from ..datasets.split import Split
from ..divergence import check_finite
from ..errors import DivergedError
from ..initializers import Initializer
from ..loaders import Loader
from ..loop import fit
from ..losses import Loss
from ..model import MLP
from ..optim.base import Optimizer, nbytes
from ..progress import Progress
from ..schedules import Schedule


@dataclass(frozen=True)
class Workload:
    """What every trial of a study trains: the images and the network.

    data         name of the data set, and which images of it: the hash of all splits
    sizes        units of each layer, inputs first
    batch_size   images in an update
    threads      threads of each trial's matrix products
    """

    data: str
    sizes: tuple[int, ...]
    activation: Activation
    init: Initializer
    loss: Loss
    batch_size: int
    threads: int


@dataclass(frozen=True)
class Trial:
    """One training: everything that its result depends on, but for code and rounding.

    The seed draws the first weights and the order of the images, so that trials of the same seed
    are alike in both, whatever their optimizer. Only a trial that `reads_test` sees test images.
    """

    workload: Workload
    optimizer: Optimizer
    schedule: Schedule
    epochs: int
    seed: int
    reads_test: bool


@dataclass
class Outcome:
    """What came of a trial; the lists have an entry for each epoch that was completed.

    status              "done", "diverged", or "failed" for an error or a worker that died
    message             what went wrong, if something did
    train_loss          mean loss in the epoch, of each batch before its update
    val_loss            mean loss on the validation images after it
    val_accuracy        share of them classified rightly
    gradients           gradients of single images since the start
    seconds             training time since the start, evaluation not included
    updates             batches in an epoch
    state_per_weight    bytes of the optimizer's state for each weight
    test_loss           on the test images, after the last epoch; None for a trial that reads none
    test_accuracy       likewise
    """

    status: str = "done"
    message: str = ""
    train_loss: list[float] = field(default_factory=list)
    val_loss: list[float] = field(default_factory=list)
    val_accuracy: list[float] = field(default_factory=list)
    gradients: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    updates: int = 0
    state_per_weight: float = math.nan
    test_loss: float | None = None
    test_accuracy: float | None = None


def run(trial: Trial, data: Mapping[str, Split]) -> Outcome:
    """Train, and evaluate after each epoch; `data` holds the splits "train", "val" and "test".

    Training that diverges is an outcome; any other error is raised.
    """
    with threadpool_limits(trial.workload.threads, user_api="blas"):
        return _run(trial, data)


def _run(trial: Trial, data: Mapping[str, Split]) -> Outcome:
    workload = trial.workload
    model = MLP(workload.sizes, workload.activation, workload.init, workload.loss, trial.seed)
    loader = Loader(data["train"], workload.batch_size, trial.seed)
    outcome, progress = Outcome(updates=len(loader)), Progress()
    records = fit(
        model,
        trial.optimizer,
        loader,
        trial.epochs,
        schedule=trial.schedule,
        val=data["val"],
        progress=progress,
    )
    update, before = 0, 0.0
    try:
        for record in records:
            update, before = record.update, before + record.seconds
            outcome.train_loss.append(record.train_loss)
            outcome.val_loss.append(float(record.val_loss))  # type: ignore[arg-type]  # at epoch's end
            outcome.val_accuracy.append(float(record.val_accuracy))  # type: ignore[arg-type]
            outcome.gradients.append(record.examples)
            outcome.seconds.append(before)
        if trial.reads_test:
            with np.errstate(over="ignore", invalid="ignore"):
                test = model.evaluate(data["test"].x, data["test"].labels)
            check_finite("test loss", test.loss, trial.optimizer, update)
            outcome.test_loss, outcome.test_accuracy = test.loss, test.accuracy
    except DivergedError as error:
        outcome.status, outcome.message = "diverged", error.what
    outcome.state_per_weight = sum(map(nbytes, progress.states)) / len(model.w)
    return outcome
