"""The lab about the order of the images: what each order is, how it is tuned, what is said."""

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from lab_tables import EXPERIMENTS, RESULTS, rows_of

import nnscratch as nn


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(EXPERIMENTS)
    return importlib.import_module("noise_order")


def rows(folder: Path) -> list[dict[str, Any]]:
    return rows_of(folder / "noise_order.csv")


@pytest.mark.parametrize(
    "order", ["shuffled anew", "shuffled once", "as in the file", "sorted by class"]
)
def test_each_image_comes_once_in_each_epoch(lab, toy, order: str) -> None:
    images = lab.ORDERS[order](toy, 3)
    for epoch in range(3):
        assert sorted(images.order(epoch)) == list(range(300))


def test_the_orders_are_what_they_are_called(lab, toy) -> None:
    orders = {
        name: [make(toy, 3).order(epoch) for epoch in range(2)] for name, make in lab.ORDERS.items()
    }
    changed = {name: bool((first != second).any()) for name, (first, second) in orders.items()}
    assert changed == {
        "shuffled anew": True,
        "shuffled once": False,
        "as in the file": False,
        "sorted by class": False,
        "one image an epoch": True,
    }
    assert (orders["as in the file"][0] == np.arange(300)).all()
    assert (np.diff(toy.labels[orders["sorted by class"][0]]) >= 0).all()
    shuffled = orders["shuffled anew"]
    assert (orders["shuffled once"][1] == shuffled[0]).all()
    for one, order in zip(orders["one image an epoch"], shuffled, strict=True):
        assert (one == order[0]).all()


def test_the_network_sees_the_one_image_and_no_other(lab, toy) -> None:
    for x, labels in lab.ORDERS["one image an epoch"](toy, 3):
        assert (np.asarray(x) == np.asarray(x)[0]).all()
        assert len(set(labels.tolist())) == 1


def test_the_rate_is_the_best_of_another_seed(lab, monkeypatch) -> None:
    def accuracy(data: object, order: str, lr: float, epochs: int, seed: int) -> float:
        return 90 - abs(lr - 3) if seed == lab.TUNING_SEED else 80 + seed

    monkeypatch.setattr(lab, "accuracy", accuracy)
    found = lab.orders(None, epochs=1, seeds=3)
    assert {row["lr"] for row in found} == {3.0}
    assert [row["val_accuracy_percent"] for row in found] == [80, 81, 82] * len(lab.ORDERS)


def test_a_training_that_diverges_has_nothing_right(lab, toy) -> None:
    data = nn.Dataset("toy", 3, toy, toy, toy)
    assert lab.accuracy(data, "shuffled anew", 1e30, epochs=1, seed=0) == 0
    assert lab.accuracy(data, "shuffled anew", 1.0, epochs=5, seed=0) > 60
    assert lab.accuracy(data, "one image an epoch", 1.0, epochs=1, seed=0) == pytest.approx(
        100 / 3, abs=5
    )


def test_worse_better_and_unseen_are_told_apart(lab) -> None:
    means = dict(zip(lab.ORDERS, (90.0, 90.0, 93.0, 50.0, 10.0), strict=True))
    wobble = [[0.0, 0.1, -0.1], [0.1, 0.0, -0.1]]
    found = [
        {
            "order": order,
            "lr": 1.0,
            "seed": seed,
            "val_accuracy_percent": mean + wobble[k % 2][seed],
        }
        for k, (order, mean) in enumerate(means.items())
        for seed in range(3)
    ]
    verdicts = [told.rpartition(": ")[2] for told in lab.findings(found)]
    assert verdicts[1:] == ["no difference that is seen.", "better.", "worse.", "worse."]


@pytest.mark.slow
def test_the_fast_form_leaves_a_table_a_figure_and_a_page(lab, tmp_path: Path) -> None:
    given = ["--fast", "--dataset", "digits", "--out", str(tmp_path)]
    assert lab.run(lab.main, given) == 0
    page = (tmp_path / "noise_order.md").read_text()
    assert page.startswith(f"# {lab.__doc__.splitlines()[0]}")
    for sentence in lab.findings(rows(tmp_path)):
        assert f"- {sentence}" in page
    assert (tmp_path / "noise_order.png").read_bytes().startswith(b"\x89PNG")


def test_the_page_says_what_the_table_has(lab) -> None:
    page = (RESULTS / "noise_order.md").read_text()
    for sentence in lab.findings(rows(RESULTS)):
        assert f"- {sentence}" in page
