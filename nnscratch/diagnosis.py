"""The health of a network: what comes back to each layer, how it moves, and which units answer."""

from dataclasses import dataclass

import numpy as np

from .activations import Activation
from .arrays import Array, Labels
from .datasets.split import Pixels
from .errors import UsageError
from .layers import Activate
from .model import MLP

SATURATED = 0.05  # of the steepest slope: with less, next to nothing comes back through a unit


@dataclass(frozen=True)
class LayerHealth:
    """How one layer is.

    gradient      |dW, db|, the norm of its gradient
    update        |w - w before| / |w before| of its weights and biases; None without a before
    saturated     share of all units and images where |f'| is below a twentieth of its largest
    dead          share of the units that are so for every one of the images: next to nothing moves
                  them, and nothing at all where the slope is zero, as that of ReLU

    The last two are None for the last layer, whose activation belongs to the loss. For ReLU
    "saturated" is "off", and about a half is usual.

    >>> model = nn.MLP([2, 3, 2], activation="relu", init="zeros")
    >>> nn.diagnose(model, np.eye(2), np.array([0, 1]))[0]        # no unit answers to anything
    LayerHealth(gradient=0.0, update=None, saturated=1.0, dead=1.0)
    """

    gradient: float
    update: float | None
    saturated: float | None
    dead: float | None

    def __str__(self) -> str:
        text = f"gradient {self.gradient:.2e}"
        if self.update is not None:
            text += f"  update/weight {self.update:.1e}"
        if self.saturated is not None and self.dead is not None:
            text += f"  saturated {self.saturated:.1%}  dead {self.dead:.1%}"
        return text


def diagnose(
    model: MLP,
    x: Array | Pixels,
    labels: Labels,
    *,
    before: Array | None = None,
    now: Array | None = None,
) -> list[LayerHealth]:
    """The health of each layer, at these images.

    The gradient is one as training sees it: with penalties, units left out (the seed of the model
    says which), and batches normalized over these images. The units are those of the network as it
    is evaluated.

    `before` are the weights before an update, a vector like model.w, and `now` those after it,
    model.w if not given. The gradient of these images is left in model.dw. Raises UsageError for a
    vector of another length.

    >>> val = nn.load_dataset("digits").val
    >>> model = nn.MLP([784, 30, 10], init=nn.INITIALIZERS["uniform"](bound=0.5))   # too large
    >>> for layer in nn.diagnose(model, val.x, val.labels):
    ...     print(layer)
    gradient 3.81e-01  saturated 25.8%  dead 0.0%
    gradient 6.68e-01
    """
    now = model.w if now is None else now
    for name, w in (("before", before), ("now", now)):
        if w is not None and w.shape != model.w.shape:
            what = f"{name} has shape {w.shape}, and the network {len(model.w):,} weights"
            raise UsageError(what, "give a vector like model.w")
    model.loss_and_grad(x, labels, np.random.default_rng(model.seed))
    units = _units(model, x)
    start, health = 0, []
    for k, matrix in enumerate(model.matrices):
        part = slice(start, start + matrix.w.size)
        start = part.stop
        saturated, dead = units[k] if k < len(units) else (None, None)
        health.append(
            LayerHealth(
                gradient=_norm(matrix.dw),
                update=None if before is None else _ratio(now[part] - before[part], before[part]),
                saturated=saturated,
                dead=dead,
            )
        )
    return health


def _units(model: MLP, x: Array | Pixels) -> list[tuple[float, float]]:
    """The saturated and the dead share of each hidden layer."""
    hidden = [layer for layer in model.layers if isinstance(layer, Activate)]
    saturated = [0.0] * len(hidden)  # shares
    dead = [np.ones(units, bool) for units in model.sizes[1:-1]]
    for chunk in model.chunks(x):
        model.forward(chunk)
        for k, layer in enumerate(hidden):
            is_saturated = _slope(layer.activation, layer.z, layer.a) < SATURATED
            saturated[k] += float(is_saturated.mean(axis=1).sum()) / len(x)
            dead[k] &= is_saturated.all(axis=0)
    return [(share, float(units.mean())) for share, units in zip(saturated, dead, strict=True)]


def _slope(activation: Activation, z: Array, a: Array) -> Array:
    """|f'(z)| as a share of its largest value."""
    slope = np.empty_like(z)
    activation.backward(np.ones_like(z), z, a, slope)
    many = np.linspace(-10, 10, 2001)[:, None]
    values, slopes = np.empty_like(many), np.empty_like(many)
    activation.forward(many, values)
    activation.backward(np.ones_like(many), many, values, slopes)
    share: Array = np.abs(slope) / np.abs(slopes).max()
    return share


def _norm(vector: Array) -> float:
    return float(np.linalg.norm(vector.astype(np.float64)))


def _ratio(moved: Array, before: Array) -> float | None:
    """None where all weights were zero."""
    size = _norm(before)
    return _norm(moved) / size if size else None
