"""nnscratch: multilayer perceptrons and their optimizers, written by hand to be read.

>>> data = nn.load_dataset("digits")                # or "mnist"
>>> model = nn.MLP([784, 30, 10], seed=0)
>>> adam, loader = nn.OPTIMIZERS["adam"](lr=0.01), nn.mini_batch(data.train, 50)
>>> for record in nn.fit(model, adam, loader, epochs=3, val=data.val):
...     print(f"epoch {record.epoch}: {record.val_accuracy:.1%} right")
epoch 1: 87.6% right
epoch 2: 91.6% right
epoch 3: 94.8% right

The parts are found by name in dicts; what lies there is called with the hyper-parameters.

    ACTIVATIONS     f(z) between two layers
    DISTORTIONS     how the images are moved and bent, anew in each epoch
    FROM_KERAS      from the names and arguments of Keras to (optimizer, schedule)
    INITIALIZERS    the weights at the start
    LOADERS         in which portions the images come; called with a split
    LOSSES          what is made small, and the output activation
    OPTIMIZERS      rules that move the weights
    SCHEDULES       the course of the learning rate
    State           dict[str, Any]: what an optimizer remembers of an array

>>> nn.OPTIMIZERS["momentum"](lr=0.1)
Momentum(lr=0.1, momentum=0.9, weight_decay=0.0)
>>> ", ".join(nn.SCHEDULES)
'constant, inverse_time, step, exponential, cosine'
"""

from .blas import choose as _choose_kernels

_choose_kernels()  # before anything imports NumPy

# ruff: noqa: E402
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from .activations import ACTIVATIONS, Activation
from .checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from .curvature import Hessian
from .datasets import Dataset, DatasetWarning, Split, load_dataset
from .diagnosis import LayerHealth, diagnose
from .distorted import DistortedLoader
from .distortions import DISTORTIONS, Distortion
from .elementwise import engine
from .errors import (
    CheckpointError,
    ContractError,
    DataError,
    DivergedError,
    NnscratchError,
    NnscratchWarning,
    UsageError,
    WriteError,
)
from .examination import check_optimizer
from .formats import load_model, save_model
from .hyper import hyper
from .initializers import INITIALIZERS, Initializer
from .keras_names import FROM_KERAS
from .loaders import LOADERS, Loader, batch, mini_batch, stochastic
from .loop import fit
from .losses import LOSSES, Loss
from .lr_finder import RateRange, find_lr
from .microscope import Trace, microscope
from .model import MLP, Evaluation, Parameter
from .numerical import numerical_gradient
from .optim import (
    OPTIMIZERS,
    ClipNorm,
    DecoupledDecay,
    Elementwise,
    Optimizer,
    State,
    WeightEMA,
    Wrapper,
)
from .progress import Progress, Record
from .regularization import Regularization
from .schedules import SCHEDULES, Schedule
from .search_space import search_space, suggest

if _TYPE_CHECKING:
    from .committee import Committee
    from .estimator import NNClassifier

_LATER = {"Committee": ".committee", "NNClassifier": ".estimator"}


def __getattr__(name: str) -> _Any:
    """Some are imported when they are asked for.

    scikit-learn, which the estimator needs, takes a second to import, and a module that is a
    command, too, is not to be there before it is run.
    """
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LATER[name], __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


__all__ = [
    "ACTIVATIONS",
    "DISTORTIONS",
    "FROM_KERAS",
    "INITIALIZERS",
    "LOADERS",
    "LOSSES",
    "MLP",
    "OPTIMIZERS",
    "SCHEDULES",
    "Activation",
    "Checkpoint",
    "CheckpointError",
    "ClipNorm",
    "Committee",
    "ContractError",
    "DataError",
    "Dataset",
    "DatasetWarning",
    "DecoupledDecay",
    "DistortedLoader",
    "Distortion",
    "DivergedError",
    "Elementwise",
    "Evaluation",
    "Hessian",
    "Initializer",
    "LayerHealth",
    "Loader",
    "Loss",
    "NNClassifier",
    "NnscratchError",
    "NnscratchWarning",
    "Optimizer",
    "Parameter",
    "Progress",
    "RateRange",
    "Record",
    "Regularization",
    "Schedule",
    "Split",
    "State",
    "Trace",
    "UsageError",
    "WeightEMA",
    "Wrapper",
    "WriteError",
    "batch",
    "check_optimizer",
    "diagnose",
    "engine",
    "find_lr",
    "fit",
    "hyper",
    "load_checkpoint",
    "load_dataset",
    "load_model",
    "microscope",
    "mini_batch",
    "numerical_gradient",
    "save_checkpoint",
    "save_model",
    "search_space",
    "stochastic",
    "suggest",
]
