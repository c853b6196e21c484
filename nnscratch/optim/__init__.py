"""The optimizers, in order of increasing complexity. One source, usually one paper, a file."""

from typing import Any

from .adadelta import AdaDelta
from .adagrad import AdaGrad
from .adam import Adam, AdamUncorrected
from .amsgrad import AMSGrad
from .base import Elementwise, Optimizer, State
from .momentum import HeavyBall, Momentum
from .nesterov import Nesterov, NesterovLookahead
from .rmsprop import RMSProp
from .sgd import SGD

__all__ = ["OPTIMIZERS", "Elementwise", "Optimizer", "State"]

OPTIMIZERS: dict[str, type[Any]] = {
    cls.name: cls
    for cls in (
        SGD,
        Momentum,
        HeavyBall,
        Nesterov,
        NesterovLookahead,
        AdaGrad,
        RMSProp,
        AdaDelta,
        Adam,
        AdamUncorrected,
        AMSGrad,
    )
}
