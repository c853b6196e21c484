"""The lab about the noise of a gradient: enumeration, gradients one by one, and what it says."""

import importlib
import itertools
from dataclasses import replace
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
    return importlib.import_module("noise")


def rows(folder: Path, part: str = "") -> list[dict[str, Any]]:
    return rows_of(folder / f"noise{part}.csv")


def sentences(lab: ModuleType, folder: Path) -> list[str]:
    return [*lab.noise_findings(rows(folder)), *lab.sum_findings(rows(folder, "_sum"))]


@pytest.mark.parametrize("size", [1, 2, 4, 6])
def test_the_theory_is_the_mean_over_all_batches_there_are(lab, size: int) -> None:
    gradients = np.random.default_rng(0).normal(size=(6, 3))
    g = gradients.mean(axis=0)
    sigma2 = np.square(gradients - g).sum(axis=1).mean()
    errors = [
        np.square(gradients[list(batch)].mean(axis=0) - g).sum()
        for batch in itertools.combinations(range(6), size)
    ]
    assert lab.expected_noise(sigma2, size, 6) == pytest.approx(np.mean(errors), abs=1e-15)


@pytest.mark.parametrize("bias", [True, False])
def test_the_squared_norm_of_one_image_is_that_of_its_own_gradient(lab, toy, bias) -> None:
    model = nn.MLP([12, 7, 5, 3], seed=1, bias=bias, dtype="float64")
    found = lab.squared_norms(model, toy)
    assert len(found) == len(toy)
    for i in (0, 17, 299):
        one = toy[[i]]
        model.loss_and_grad(one.x, one.labels)
        assert found[i] == pytest.approx(model.dw @ model.dw, rel=1e-5)


def test_the_noise_that_is_measured_is_the_noise_that_is_expected(lab, toy) -> None:
    model = lab.network(toy, 6)
    found = lab.noise(model, toy, [1, 10, 150, 300], images=6000, seed=0)
    assert [row["batches"] for row in found] == [512, 512, 40, 20]
    for row, tolerance in zip(found[:3], (0.1, 0.15, 0.4), strict=True):
        assert row["noise"] == pytest.approx(row["theory"], rel=tolerance)
    assert found[3]["theory"] == 0
    assert found[3]["noise"] < 1e-12 * found[3]["signal"]


def test_a_sum_with_the_rate_of_a_mean_steps_as_many_times_too_far(lab, toy) -> None:
    toy = replace(toy, dtype="float64")
    sgd = nn.OPTIMIZERS["sgd"]
    assert lab.parted(toy, sgd(lr=0.1), sgd(lr=0.1), 1) == pytest.approx(lab.LECTURE - 1)
    assert lab.parted(toy, sgd(lr=0.1), sgd(lr=0.1 / lab.LECTURE), 20) < 1e-12


def test_the_rate_is_divided_for_sgd_and_momentum_and_not_for_adam(lab, toy) -> None:
    found = lab.sum_or_mean(replace(toy, dtype="float64"), updates=10)
    told = {
        (row["optimizer"], row["lr_of_mean"] / row["lr_of_sum"]): row["parted"] for row in found
    }
    assert told["sgd", 50] < 1e-12
    assert told["momentum", 50] < 1e-12
    assert told["adam", 50] > 0.5
    assert told["adam", 1] < 0.01


def test_where_the_signal_is_above_the_noise_is_told(lab) -> None:
    def row(size: int, noise: float) -> dict[str, Any]:
        return {
            "when": "now",
            "batch_size": size,
            "images": 100,
            "noise": noise,
            "theory": noise,
            "signal": 2.0,
        }

    (told,) = lab.noise_findings([row(1, 16.0), row(16, 1.0), row(128, 0.1)])
    assert "is 8 times the squared norm" in told
    assert "0.5 at 16, 0.05 at 128;" in told
    assert told.endswith("from a batch size of 16 on.")
    (told,) = lab.noise_findings([row(1, 16.0), row(16, 3.0)])
    assert told.endswith("at none of these sizes.")


@pytest.mark.slow
def test_the_fast_form_leaves_a_table_a_figure_and_a_page(lab, tmp_path: Path) -> None:
    given = ["--fast", "--dataset", "digits", "--out", str(tmp_path)]
    assert lab.run(lab.main, given) == 0
    page = (tmp_path / "noise.md").read_text()
    assert page.startswith(f"# {lab.__doc__.splitlines()[0]}")
    for sentence in sentences(lab, tmp_path):
        assert f"- {sentence}" in page
    assert (tmp_path / "noise.png").read_bytes().startswith(b"\x89PNG")


def test_the_page_says_what_the_table_has(lab) -> None:
    page = (RESULTS / "noise.md").read_text()
    for sentence in sentences(lab, RESULTS):
        assert f"- {sentence}" in page
