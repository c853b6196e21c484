"""From the names and defaults of Keras' optimizers to the parts here.

>>> nn.FROM_KERAS["SGD"](lr=0.1, momentum=0.9, decay=1e-6, nesterov=True)
(Nesterov(lr=0.1, momentum=0.9, weight_decay=0.0), InverseTime(warmup=0, decay=1e-06))

Keras here is version 2.2, whose argument names the lecture uses; `learning_rate`, the later name
of `lr`, is understood too. What Keras switches with a boolean or a zero (nesterov, amsgrad,
momentum) is another optimizer here, and its `decay` is the schedule `inverse_time`.

The rules are the same but for one: Keras' Adam and AMSGrad add epsilon to the root before the
bias correction, and so act in step t as with an eps of epsilon / sqrt(1 - beta_2^t) here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .errors import UsageError
from .optim import OPTIMIZERS, Optimizer
from .schedules import InverseTime

EPSILON = 1e-7  # Keras' backend.epsilon(), which its optimizers take for epsilon=None

OUR_NAME = {
    "lr": "lr",
    "momentum": "momentum",
    "rho": "rho",
    "beta_1": "beta1",
    "beta_2": "beta2",
    "epsilon": "eps",
}


@dataclass(frozen=True)
class FromKeras:
    """One of Keras' optimizers: what its arguments are, and which optimizer here they mean."""

    defaults: Mapping[str, float | None]
    optimizer: Callable[[Mapping[str, float]], str]

    def __call__(self, **arguments: float | None) -> tuple[Optimizer, InverseTime]:
        """The optimizer and the schedule that Keras' optimizer with these arguments amounts to."""
        renamed = {"lr" if k == "learning_rate" else k: v for k, v in arguments.items()}
        unknown = sorted(renamed.keys() - self.defaults.keys())
        if unknown or len(renamed) < len(arguments):
            raise UsageError(
                f"Keras' optimizer has no argument {', '.join(unknown)}"
                if unknown
                else "lr and learning_rate are one argument",
                f"it has {', '.join(self.defaults)}, each once",
            )
        given: dict[str, Any] = {**self.defaults, **renamed}
        if "epsilon" in given and given["epsilon"] is None:
            given["epsilon"] = EPSILON
        cls = OPTIMIZERS[self.optimizer(given)]
        ours = {OUR_NAME[name]: value for name, value in given.items() if name in OUR_NAME}
        if cls.name == "sgd":
            del ours["momentum"]
        return cls(**ours), InverseTime(decay=given["decay"])


def _sgd(given: Mapping[str, float]) -> str:
    if not given["momentum"]:
        return "sgd"
    return "nesterov" if given["nesterov"] else "momentum"


FROM_KERAS: dict[str, FromKeras] = {
    "SGD": FromKeras({"lr": 0.01, "momentum": 0.0, "decay": 0.0, "nesterov": False}, _sgd),
    "RMSprop": FromKeras(
        {"lr": 0.001, "rho": 0.9, "epsilon": None, "decay": 0.0}, lambda _: "rmsprop"
    ),
    "Adagrad": FromKeras({"lr": 0.01, "epsilon": None, "decay": 0.0}, lambda _: "adagrad"),
    "Adadelta": FromKeras(
        {"lr": 1.0, "rho": 0.95, "epsilon": None, "decay": 0.0}, lambda _: "adadelta"
    ),
    "Adam": FromKeras(
        {
            "lr": 0.001,
            "beta_1": 0.9,
            "beta_2": 0.999,
            "epsilon": None,
            "decay": 0.0,
            "amsgrad": False,
        },
        lambda given: "amsgrad" if given["amsgrad"] else "adam",
    ),
}
