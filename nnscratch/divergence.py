"""When a training has diverged: told before the step that would follow, and where it began."""

import math

import numpy as np

from .arrays import Array
from .datasets.split import Pixels
from .errors import DivergedError
from .model import MLP
from .optim import Optimizer
from .progress import Progress

BLOWN_UP = 1e6  # a loss so many times the first one will not come back


def check_loss(
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


def check_weights(progress: Progress, model: MLP, optimizer: Optimizer, x: Array | Pixels) -> None:
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
