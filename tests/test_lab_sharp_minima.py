"""The lab about sharp minima: boxes whose maximum is known, and what it says."""

import importlib
import math
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
    return importlib.import_module("sharp_minima")


def rows(folder: Path, part: str = "") -> list[dict[str, Any]]:
    return rows_of(folder / f"sharp_minima{part}.csv")


def sentences(lab: ModuleType, folder: Path) -> list[str]:
    return [*lab.findings(rows(folder)), *lab.dinh_findings(rows(folder, "_rescaled"))]


@pytest.fixture
def task(lab: ModuleType, toy: nn.Split) -> Any:
    return lab.Task(nn.Dataset("toy", 3, toy, toy[:100], toy[100:200]), 8, loss=0.3, epochs=60)


def test_the_sharpness_is_that_of_the_highest_corner_of_a_bowl(lab) -> None:
    rng = np.random.default_rng(0)
    curvature, w = rng.uniform(1, 3, 6), rng.normal(size=6)

    def bowl(w: np.ndarray) -> tuple[float, np.ndarray]:
        return float(curvature @ w**2 / 2), curvature * w

    loss = bowl(w)[0]
    highest = bowl(w + 1e-3 * (np.abs(w) + 1) * np.sign(w))[0]
    expected = 100 * (highest - loss) / (1 + loss)
    assert lab.sharpness(bowl, w, 1e-3) == pytest.approx((expected, expected), rel=1e-6)


def test_a_maximum_inside_the_box_is_found_by_the_search_and_no_corner_reaches_it(lab) -> None:
    w = np.zeros(4)
    summit = np.array([0.5, -0.2, 0.1, 0.3])  # of a box from -1 to 1

    def hill(w: np.ndarray) -> tuple[float, np.ndarray]:
        return 1 - float((w - summit) @ (w - summit)) / 2, summit - w

    loss = hill(w)[0]
    by_search, by_corners = lab.sharpness(hill, w, 1.0)
    assert by_search == pytest.approx(100 * (1 - loss) / (1 + loss), rel=1e-6)
    assert by_corners == 0


def test_no_more_than_ten_iterations_are_made(lab) -> None:
    calls = []

    def valley(w: np.ndarray) -> tuple[float, np.ndarray]:
        calls.append(w)
        a, b = w
        value = -((1 - a) ** 2) - 100 * (b - a * a) ** 2
        return value + 1e4, np.array([2 * (1 - a) + 400 * a * (b - a * a), -200 * (b - a * a)])

    lab.sharpness(valley, np.array([-1.2, 1.0]), 5.0)
    assert 20 < len(calls) < 60


def test_a_training_ends_at_the_first_tenth_of_an_epoch_with_the_loss_or_fails(lab, task) -> None:
    minimum = lab.trained(task, "large", 0.03, seed=2)
    train = task.data.train
    assert 0.28 < minimum.model.evaluate(train.x, train.labels).loss <= 0.3
    assert minimum.updates == pytest.approx(10 * minimum.epochs)  # a tenth of the images in a batch
    assert (minimum.start == nn.MLP([12, 8, 3], seed=2).w).all()
    shorter = lab.replace(task, epochs=math.ceil(minimum.epochs) - 1)
    assert lab.trained(shorter, "large", 0.03, seed=2) is None
    assert lab.trained(task, "large", 1e30, seed=2) is None


def test_batches_are_the_shares_that_are_told(lab, task) -> None:
    assert [task.batch_size(name) for name in lab.SHARES] == [1, 30]


def test_the_rate_with_the_fewest_validation_errors_is_taken_of_those_that_arrive(
    lab, task
) -> None:
    rates = (1e-6, 0.01, 0.03)
    val = task.data.val
    found = {lr: lab.trained(task, "large", lr, lab.TUNING_SEED) for lr in rates}
    assert found[1e-6] is None
    best = max(
        found[lr].model.evaluate(val.x, val.labels).accuracy
        for lr in rates
        if found[lr] is not None
    )
    chosen = found[lab.tuned(task, "large", rates)]
    assert chosen.model.evaluate(val.x, val.labels).accuracy == best
    with pytest.raises(nn.UsageError, match="no rate reaches"):
        lab.tuned(task, "large", [1e-6])


def test_what_is_told_of_a_minimum(lab, task) -> None:
    minimum = lab.trained(task, "large", 0.03, seed=0)
    told = lab.measured(task.data, minimum)
    model = minimum.model
    test = task.data.test
    assert told["test_accuracy_percent"] == 100 * float(
        np.mean(model.predict(test.x) == test.labels)
    )
    assert told["gap_points"] == told["train_accuracy_percent"] - told["test_accuracy_percent"]
    assert told["distance"] == pytest.approx(math.dist(model.w, minimum.start), rel=1e-5)
    assert 0 < told["sharpness_0.0005"] < told["sharpness_0.001"]
    assert told["largest_eigenvalue"] > 0
    assert told["eigenvalue_over_loss"] == told["largest_eigenvalue"] / told["train_loss"]


def test_a_rescaled_relu_network_is_the_same_function_with_another_curvature(lab, toy) -> None:
    model = nn.MLP([12, 8, 3], "relu", seed=0)
    model.parameters[1].w[...] = 0.1
    other = lab.rescaled(model, 4.0)
    assert other.predict_proba(toy.x) == pytest.approx(model.predict_proba(toy.x), abs=1e-6)
    assert other.matrices[0].w == pytest.approx(4 * model.matrices[0].w)
    x, labels = np.asarray(toy.x), toy.labels
    v, scaled = np.zeros(len(model.w)), np.zeros(len(model.w))
    v[13 * 8 : 13 * 8 + 24] = np.random.default_rng(0).normal(size=24)  # weights of layer 2
    scaled[:] = v
    bent = v @ (nn.Hessian(model, x, labels) @ v)
    assert scaled @ (nn.Hessian(other, x, labels) @ scaled) == pytest.approx(16 * bent, rel=1e-4)


def made(lab: ModuleType, **large: float) -> list[dict[str, Any]]:
    """Two batch sizes, alike in all but what is given, with a little noise."""
    usual = dict.fromkeys([*lab.MEASURES, "train_loss"], 1.0)
    about = {"batch_size": 1, "lr": 0.1, "epochs": 3, "updates": 30}
    noise = {("small", 0): 0.01, ("small", 1): 0.0, ("small", 2): -0.01, ("large", 1): 0.01}
    return [
        {"batch": name, "seed": seed, **about}
        | {
            key: value + noise.get((name, seed), 0.0)
            for key, value in (usual | (large if name == "large" else {})).items()
        }
        for name in lab.SHARES
        for seed in range(3)
    ]


def test_the_claim_holds_only_if_all_of_it_is_seen(lab) -> None:
    sharp = dict.fromkeys(lab.SHARP, 9.0)
    said = list(lab.findings(made(lab, **sharp, test_accuracy_percent=0.1)))[-1]
    assert said.startswith("So Keskar's claim holds on this network: ")
    assert "sharper by 6 of 6 measures, flatter by 0, and worse generalization is seen" in said
    for other in (
        made(lab),
        made(lab, **sharp),
        made(lab, **sharp, test_accuracy_percent=2.0),
        made(lab, **sharp | {"eigenvalue_over_loss": 0.5}, test_accuracy_percent=0.1),
        made(lab, test_accuracy_percent=0.1),
    ):
        assert "does not hold as a whole" in list(lab.findings(other))[-1]


def test_differences_are_large_minus_small(lab) -> None:
    mean, low, high = lab.compared(made(lab, distance=3.0), "distance")
    assert low < mean < high
    assert mean == pytest.approx(2.0, abs=0.01)
    assert lab.sign(made(lab, distance=3.0), "distance") == 1
    assert lab.sign(made(lab, distance=0.1), "distance") == -1
    assert lab.sign(made(lab), "distance") == 0


@pytest.mark.slow
def test_the_fast_form_leaves_tables_figures_and_a_page(lab, tmp_path: Path) -> None:
    assert lab.run(lab.main, ["--fast", "--dataset", "digits", "--out", str(tmp_path)]) == 0
    page = (tmp_path / "sharp_minima.md").read_text()
    assert page.startswith(f"# {lab.__doc__.splitlines()[0]}")
    for sentence in sentences(lab, tmp_path):
        assert f"- {sentence}" in page
    for name in ["sharp_minima.png"]:
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_the_page_says_what_the_tables_have(lab) -> None:
    page = (RESULTS / "sharp_minima.md").read_text()
    for sentence in sentences(lab, RESULTS):
        assert f"- {sentence}" in page
