"""nnscratch: multilayer perceptrons and their optimizers, written by hand to be read.

import nnscratch as nn

data = nn.load_dataset("mnist")
model = nn.MLP([784, 1000, 10])
for record in nn.fit(model, nn.OPTIMIZERS["adam"](), nn.mini_batch(data.train), epochs=3):
    print(record)
"""

from .blas import choose as _choose_kernels

_choose_kernels()  # before anything imports NumPy

# ruff: noqa: E402
from .activations import ACTIVATIONS, Activation
from .checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from .curvature import Hessian
from .datasets import Dataset, DatasetWarning, Split, load_dataset
from .diagnosis import LayerHealth, diagnose
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
from .schedules import SCHEDULES, Schedule

__all__ = [
    "ACTIVATIONS",
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
    "ContractError",
    "DataError",
    "Dataset",
    "DatasetWarning",
    "DecoupledDecay",
    "DivergedError",
    "Elementwise",
    "Evaluation",
    "Hessian",
    "Initializer",
    "LayerHealth",
    "Loader",
    "Loss",
    "NnscratchError",
    "NnscratchWarning",
    "Optimizer",
    "Parameter",
    "Progress",
    "RateRange",
    "Record",
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
    "stochastic",
]
