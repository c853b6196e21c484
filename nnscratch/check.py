"""Check the gradient and the optimizers: python -m nnscratch.check [my_opt.py:MyOpt]"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .command_line import Parser, run
from .contract import claimed_name
from .errors import ContractError, NnscratchError
from .examination import check_optimizer
from .hyper import known_name
from .model import MLP
from .optim import OPTIMIZERS, WRAPPERS, Optimizer
from .own_file import load_optimizer, names_a_file

PROG = "python -m nnscratch.check"
SIZES = [784, 1000, 10]  # the network of the train command
TOLERANCE = 1e-6  # relative; double precision and differences give 1e-9 when all is right
PROBES = 20  # weights of each parameter that are moved one at a time


@dataclass(frozen=True)
class Worst:
    """The parameter whose gradient disagrees most with differences of the loss."""

    name: str
    error: float
    backward: float
    difference: float


def gradient_check(model: MLP, seed: int = 0) -> Worst:
    """Compare backpropagation with central differences, parameter by parameter.

        (loss(w + h u) - loss(w - h u)) / (2 h)  against  <dw, u>

    The loss is the one that the network learns from, with its penalties, normalized by the batch,
    and with the same units left out each time. The gradient is left in model.dw.

    u is one weight alone, PROBES times for each parameter, and once a random direction of it. An
    error is relative to the larger of the two numbers, or to 1e-3 of the largest gradient of the
    parameter, below which rounding rules.
    """
    rng = np.random.default_rng(seed)
    x = rng.random((32, model.sizes[0]))
    labels = rng.integers(0, model.sizes[-1], 32)

    def loss() -> float:
        return model.loss_and_grad(x, labels, np.random.default_rng(seed))

    loss()
    gradient, h = model.dw.copy(), 1e-4
    gradients = [parameter.dw.copy() for parameter in model.parameters]
    found = []
    for parameter, dw in zip(model.parameters, gradients, strict=True):
        w = parameter.w.copy()
        directions = [_one_hot(dw.shape, k) for k in rng.integers(0, dw.size, PROBES)]
        random = rng.normal(size=dw.shape)
        floor = 1e-3 * float(np.abs(dw).max())
        for u in [*directions, random / np.linalg.norm(random)]:
            sides = []
            for sign in (1, -1):
                parameter.w[...] = w + sign * h * u
                sides.append(loss())
            parameter.w[...] = w
            difference, backward = (sides[0] - sides[1]) / (2 * h), float(np.vdot(dw, u))
            size = max(abs(difference), abs(backward), floor)
            error = abs(difference - backward) / size
            found.append(Worst(parameter.name, error, backward, difference))
    model.dw = gradient
    return max(found, key=lambda worst: worst.error)


def _one_hot(shape: tuple[int, ...], k: int) -> np.ndarray:
    u = np.zeros(shape)
    u.reshape(-1)[k] = 1
    return u


def main(argv: Sequence[str]) -> int:
    """Print PASS or FAIL for each thing that is checked; 1 if one failed."""
    parser = Parser(prog=PROG, description=__doc__)
    text = "an optimizer: a name, or FILE.py:CLASS (default: the gradient, and all optimizers)"
    parser.add_argument("optimizer", nargs="*", metavar="NAME", help=text)
    wanted = parser.parse_args(argv).optimizer
    passed = []
    if not wanted:
        passed.append(_report_gradient())
    for name, cls in _chosen(wanted).items():
        passed.append(_report(name, cls))
    print(f"{sum(passed)} of {len(passed)} passed")
    return 0 if all(passed) else 1


def _chosen(wanted: Sequence[str]) -> dict[str, type[Optimizer]]:
    if not wanted:
        return OPTIMIZERS | WRAPPERS
    return {
        name: load_optimizer(name)
        if names_a_file(name)
        else OPTIMIZERS[known_name(OPTIMIZERS, "optimizer", name)]
        for name in wanted
    }


def _report_gradient() -> bool:
    model = MLP(SIZES, dtype="float64")
    worst = gradient_check(model)
    passed = worst.error < TOLERANCE
    shape = "-".join(map(str, SIZES))
    print(
        f"{'PASS' if passed else 'FAIL'} gradient of {shape} in float64: worst parameter "
        f"{worst.name}, relative error {worst.error:.1e} (backward {worst.backward:.6g}, "
        f"difference {worst.difference:.6g})",
        flush=True,
    )
    return passed


def _report(name: str, cls: type[Optimizer]) -> bool:
    try:
        check_optimizer(cls)
    except ContractError as error:
        print(f"FAIL {name}")
        for failure in error.failures:
            print(f"  - {failure}")
        return False
    except NnscratchError as error:
        print(f"FAIL {name}\n  - {error.what}; {error.fix}")
        return False
    compared = claimed_name(cls) in OPTIMIZERS | WRAPPERS
    remark = "" if compared else ": the contract; its formula was compared with nothing"
    print(f"PASS {name}{remark}", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(run(main))
