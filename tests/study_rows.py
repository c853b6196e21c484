"""Rows of a study made up by hand, so that what it shows is known beforehand."""

from typing import Any

import nnscratch as nn
from nnscratch.study import fingerprint
from nnscratch.study.design import Competitor, Design
from nnscratch.study.ledger import Row
from nnscratch.study.protocol import flat_values
from nnscratch.study.trials import Outcome, Workload

CODE = "c0de"


def workload(**changes: Any) -> Workload:
    fields = {
        "data": "mnist 1234",
        "sizes": (784, 1000, 10),
        "activation": nn.ACTIVATIONS["sigmoid"](),
        "init": nn.INITIALIZERS["glorot_uniform"](),
        "loss": nn.LOSSES["softmax_cross_entropy"](),
        "batch_size": 100,
        "threads": 1,
    }
    return Workload(**fields | changes)


def design(names: list[str], seeds: int = 12, **changes: Any) -> Design:
    competitors = {
        name: Competitor(
            name,
            flat_values(nn.OPTIMIZERS[name]()),
            nn.OPTIMIZERS[name]().rate,
            3 if nn.OPTIMIZERS[name].matrix_method else seeds,
            CODE,
        )
        for name in names
    }
    fields = {
        "tier": "lr",
        "epochs": 4,
        "workload": fingerprint.as_json(workload()),
        "images": {"train": 1000, "val": 200, "test": 10_000},
        "schedules": ["constant"],
        "seeds": seeds,
        "baseline": names[0],
        "optimizers": competitors,
        "command": "python -m nnscratch.compare --opts " + ",".join(names),
    }
    return Design(**fields | changes)


def row(
    name: str,
    stage: str,
    val: list[float],
    *,
    test: float | None = None,
    lr: float | None = None,
    seed: int = 0,
    status: str = "done",
    schedule: str = "constant",
    code: str = CODE,
    passes: int = 1,
) -> Row:
    """A trial on 1,000 images in batches of 100, whose epochs take half a second."""
    optimizer = nn.OPTIMIZERS[name]()
    if lr is not None:
        optimizer = optimizer.with_lr(lr)
    epochs = range(1, len(val) + 1)
    outcome = Outcome(
        status=status,
        train_loss=[1 / k for k in epochs],
        val_loss=[2 / k for k in epochs],
        val_accuracy=val,
        gradients=[1000 * passes * k for k in epochs],
        seconds=[0.5 * k for k in epochs],
        updates=10,
        state_per_weight=8.0,
        test_loss=None if test is None else 0.1,
        test_accuracy=test,
    )
    key = f"{name} {stage} {optimizer.rate} {seed} {schedule} {code}"
    return Row(
        key,
        stage,
        optimizer.full_name,
        flat_values(optimizer),
        optimizer.rate,
        schedule,
        len(val),
        seed,
        code,
        "a machine",
        1.0,
        outcome,
    )


def finals(name: str, tests: list[float], **options: Any) -> list[Row]:
    """Final trials with these test accuracies, of the seeds 1, 2, 3, ..."""
    return [
        row(name, "final", [0.9, 0.965, 0.975, t], test=t, seed=k, **options)
        for k, t in enumerate(tests, start=1)
    ]
