"""Where a training run stands: its records, and all that it needs to go on."""

from dataclasses import dataclass, field

import numpy as np

from .arrays import Array
from .diagnosis import LayerHealth
from .model import MLP
from .optim import Optimizer, State
from .slots import Slot


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
    layers         the health of each layer, where somebody has diagnosed it; `fit` does not

    >>> loader = nn.mini_batch(nn.Split(np.eye(5), np.arange(5)), 2)
    >>> record = next(nn.fit(nn.MLP([5, 5]), "sgd", loader, epochs=1))
    >>> record.epoch, record.update, record.examples, record.lr
    (1, 3, 5, 0.001)
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
    layers: list[LayerHealth] | None = None


@dataclass
class Progress:
    """Where a training run stands between two updates: all that `fit` needs to go on, but for w.

    >>> model, loader = nn.MLP([5, 5]), nn.mini_batch(nn.Split(np.eye(5), np.arange(5)), 2)
    >>> progress = nn.Progress()
    >>> record = next(nn.fit(model, "adam", loader, 10, every=2, progress=progress))
    >>> progress.update                                 # broken off within the first epoch
    2
    >>> records = list(nn.fit(model, "adam", loader, 10, progress=progress))
    >>> progress.update                                 # ten epochs of three updates
    30

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
    _training: tuple[Array, Array] | None = field(default=None, repr=False)
    _at_readout: bool = field(default=False, repr=False)

    @property
    def is_new(self) -> bool:
        """Whether no run has begun with it, or another one is to begin."""
        return self.loader is None

    def begin_again(self) -> None:
        """Stand at the beginning of a run on any images, with the optimizer's memory so far."""
        self.loader = None
        self.update, self.loss_sum, self.seen, self.seconds = 0, 0.0, 0, 0.0

    def gradient_point(self, model: MLP) -> Array:
        """The weights where the next gradient is wanted, not a copy.

        While a record is held, the model has the weights to evaluate; most often they are the same.
        """
        return self._in_training(model)[0]

    def statistics(self, model: MLP) -> Array:
        """Those of batch normalization for the weights where the next gradient is wanted."""
        return self._in_training(model)[1]

    def _in_training(self, model: MLP) -> tuple[Array, Array]:
        if self._at_readout and self._training:
            return self._training
        return model.w, model.statistics

    def enter_readout(self, model: MLP, slots: list[Slot], optimizer: Optimizer) -> bool:
        """Give the model the weights to evaluate and to save, and keep where it was.

        Returns whether they are others.
        """
        points = [optimizer.readout(slot.w, slot.state) for slot in slots]
        if all(point is slot.w for point, slot in zip(points, slots, strict=True)):
            return False
        if self._training is None:
            self._training = np.empty_like(model.w), np.empty_like(model.statistics)
        self._training[0][...], self._training[1][...] = model.w, model.statistics
        self._at_readout = True  # before the copies: broken off among them, w is still kept
        for point, slot in zip(points, slots, strict=True):
            slot.w[...] = point
        return True

    def leave_readout(self, model: MLP) -> None:
        """Give the model the weights where the next gradient is wanted, if it has others."""
        if self._at_readout:
            model.w, model.statistics[...] = self._in_training(model)
            self._at_readout = False
