"""How far does each optimizer come on MNIST in ten epochs?

    python experiments/optimizers_on_mnist.py                 all of them, half an hour on 2 cores
    python experiments/optimizers_on_mnist.py sgd adam        these alone; the other rows are kept

Each is trained with its defaults, and where its docstring names other flags ("MNIST: ... % with
--lr 1"), with those too. It writes results/optimizers_on_mnist.csv, from which the numbers in the
docstrings are taken; a test compares the two.
"""

import csv
import inspect
import re
import sys
import time
from pathlib import Path

import nnscratch as nn
from nnscratch.settings import parse
from nnscratch.train import make_loader, make_model

RESULTS = Path(__file__).parent / "results" / "optimizers_on_mnist.csv"
COLUMNS = (
    "optimizer",
    "flags",
    "epochs",
    "first_val_accuracy",
    "val_accuracy",
    "test_accuracy",
    "gradients",
)


def other_flags(optimizer: type[nn.Optimizer]) -> str | None:
    """The flags that the docstring's MNIST line names besides the defaults."""
    text = " ".join((inspect.getdoc(optimizer) or "").split())
    found = re.search(r"MNIST: .*? % with (--[^%]*?)\.(?= [A-Z]|$)", text)
    return found[1] if found else None


def row(name: str, flags: str) -> dict[str, str]:
    """One run, as `python -m nnscratch.train --opt NAME FLAGS` makes it, seed 0."""
    settings = parse(["--opt", name, *flags.split(), "--dataset", "mnist"])
    data = nn.load_dataset("mnist", seed=0, val_size=settings.val_size)
    model = make_model(settings, data.train.x.shape[1], data.classes)
    loader = make_loader(settings, data)
    began = time.perf_counter()
    try:
        records = list(
            nn.fit(
                model,
                settings.opt,
                loader,
                settings.epochs,
                schedule=settings.schedule,
                val=data.val,
            )
        )
    except nn.DivergedError as error:
        print(f"{name} {flags}: {error}")
        return dict(
            zip(COLUMNS, (name, flags, str(settings.epochs), *["diverged"] * 4), strict=True)
        )
    last = records[-1]
    test = model.evaluate(data.test.x, data.test.labels)
    print(
        f"{name} {flags}: test {test.accuracy:.2%}, {time.perf_counter() - began:.0f} s", flush=True
    )
    values = (
        name,
        flags,
        str(settings.epochs),
        f"{records[0].val_accuracy:.4f}",
        f"{last.val_accuracy:.4f}",
        f"{test.accuracy:.4f}",
        str(last.examples),
    )
    return dict(zip(COLUMNS, values, strict=True))


def main(wanted: list[str]) -> None:
    trainable = [name for name, cls in nn.OPTIMIZERS.items() if "hessian" not in cls().needs]
    kept: list[dict[str, str]] = []
    if wanted and RESULTS.exists():
        with RESULTS.open(newline="") as file:
            kept = [old for old in csv.DictReader(file) if old["optimizer"] not in wanted]
    rows = kept
    for name in wanted or trainable:
        if "loss" not in nn.OPTIMIZERS[name]().needs:  # a line search solves each batch: minutes
            rows.append(row(name, ""))
        if flags := other_flags(nn.OPTIMIZERS[name]):
            rows.append(row(name, flags))
        rows.sort(key=lambda r: trainable.index(r["optimizer"]))
        with RESULTS.open("w", newline="") as file:  # after each, so that nothing is lost
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main(sys.argv[1:])
