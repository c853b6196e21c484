"""What the docstrings say of MNIST is what was measured, and still is what happens."""

import csv
import importlib.util
import inspect
import re
from pathlib import Path

import pytest

import nnscratch as nn

ROOT = Path(__file__).parent.parent
spec = importlib.util.spec_from_file_location(
    "optimizers_on_mnist", ROOT / "experiments" / "optimizers_on_mnist.py"
)
experiment = importlib.util.module_from_spec(spec)
spec.loader.exec_module(experiment)

with experiment.RESULTS.open(newline="") as file:
    MEASURED = {(row["optimizer"], row["flags"]): row for row in csv.DictReader(file)}
TRAINABLE = [name for name, cls in nn.OPTIMIZERS.items() if "hessian" not in cls().needs]
SLOW = {"adafactor", "muon", "shampoo", "soap", "kfac", "sam", "lbfgs"}  # seconds to minutes each


def mnist_line(name: str) -> str:
    text = " ".join((inspect.getdoc(nn.OPTIMIZERS[name]) or "").split())
    found = re.search(r"MNIST: (.*?)(?= Source: )", text)
    return found[1] if found else ""


@pytest.mark.parametrize("name", TRAINABLE)
def test_every_optimizer_reaches_97_percent_and_says_how(name: str) -> None:
    flags = experiment.other_flags(nn.OPTIMIZERS[name])
    if not mnist_line(name):
        assert float(MEASURED[name, ""]["test_accuracy"]) >= 0.97
    else:
        assert flags
        assert float(MEASURED[name, flags]["test_accuracy"]) >= 0.97


@pytest.mark.parametrize("name", [name for name in TRAINABLE if mnist_line(name)])
def test_the_docstring_has_the_measured_numbers(name: str) -> None:
    rows = [MEASURED[key] for key in MEASURED if key[0] == name]
    expected = [f"{100 * float(row['test_accuracy']):.2f}" for row in rows]
    assert re.findall(r"(\d\d\.\d\d) %", mnist_line(name)) == expected
    if (name, "") in MEASURED:
        assert float(MEASURED[name, ""]["test_accuracy"]) < 0.97, "the line is needless"


def test_nothing_is_listed_that_was_not_asked_for() -> None:
    wanted = {(name, "") for name in TRAINABLE if "loss" not in nn.OPTIMIZERS[name]().needs}
    wanted |= {
        (name, flags)
        for name in TRAINABLE
        if (flags := experiment.other_flags(nn.OPTIMIZERS[name]))
    }
    assert MEASURED.keys() == wanted


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in TRAINABLE if name not in SLOW])
def test_the_first_epoch_is_the_one_that_was_measured(name: str, mnist: nn.Dataset) -> None:
    """Other numbers of threads and BLAS kernels round otherwise: half a percent."""
    model = nn.MLP([784, 1000, 10])
    (record,) = nn.fit(model, name, nn.mini_batch(mnist.train), 1, val=mnist.val)
    measured = float(MEASURED[name, ""]["first_val_accuracy"])
    assert record.val_accuracy == pytest.approx(measured, abs=0.005)
