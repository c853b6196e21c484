"""The check-up of a run after each epoch: --diagnose."""

from dataclasses import replace

from . import plots
from .datasets import Dataset
from .diagnosis import diagnose
from .model import MLP
from .progress import Progress, Record
from .saver import Saver

IMAGES = 1000  # at which the network is looked at
FOLDER = "diagnosis"


class Checkup:
    """Diagnoses a network after each epoch, at the first validation images.

    How far the weights move in one update is seen from a record before the last update of the
    epoch, which `wants` asks for. The run goes as it goes without.
    """

    def __init__(self, model: MLP, data: Dataset, progress: Progress, per_epoch: int) -> None:
        split, kind = (data.val, "validation") if len(data.val) else (data.train, "training")
        self._x, self._labels = split.x[:IMAGES], split.labels[:IMAGES]
        self._images = f"{len(self._labels):,} {kind} images"
        self._model, self._progress, self._per_epoch = model, progress, per_epoch
        self._before = progress.gradient_point(model).copy()

    def wants(self, update: int) -> bool:
        """Whether there is to be a record after that update."""
        return (update + 1) % self._per_epoch == 0

    def look(self, record: Record) -> Record:
        """The record, at the end of an epoch with the health of each layer."""
        now = self._progress.gradient_point(self._model)
        if record.ends_epoch:
            layers = diagnose(self._model, self._x, self._labels, before=self._before, now=now)
            record = replace(record, layers=layers)
        self._before[...] = now
        return record

    def draw(self, saver: Saver, title: str) -> None:
        """The health of each layer up to now, and the weights of the first layer as they are."""
        folder = saver.folder.inner(FOLDER)
        health = plots.health(saver.history, f"{title}; at {self._images}")
        folder.write("health.png", health)
        epoch = saver.history[-1].epoch
        png = plots.first_layer(saver.model, f"first layer after epoch {epoch}\n{title}")
        folder.write(f"first-layer-{epoch:03}.png", png)
