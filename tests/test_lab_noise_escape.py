"""The lab about leaving local minima: a Markov chain as its twin, and what it says."""

import importlib
import itertools
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
    return importlib.import_module("noise_escape")


def rows(folder: Path) -> list[dict[str, Any]]:
    return rows_of(folder / "noise_escape.csv")


def chain(lab: ModuleType, size: int, lr: float, updates: int) -> float:
    """The share beyond the pass, from the transition probabilities between points of a grid."""
    x = np.linspace(-3.5, 3.5, 501)
    sd = lr * lab.SLOPE_SD / math.sqrt(size)
    z = (x[np.newaxis] - (x - lr * (x**3 - x + lab.TILT))[:, np.newaxis]) / sd
    exponent = -z * z / 2
    moves = np.exp(exponent - exponent.max(axis=1, keepdims=True))
    moves /= moves.sum(axis=1, keepdims=True)
    _, top, high = lab.flat_points()
    start = np.abs(x - high).argmin()
    return float(np.linalg.matrix_power(moves, updates)[start, x < top].sum())


def test_the_slopes_are_the_derivatives(lab) -> None:
    for x in (-1.3, 0.2, 0.9):
        point = np.array([x])
        assert nn.numerical_gradient(lambda x: float(lab.height(x)[0]), point) == pytest.approx(
            lab.slope(point), abs=1e-6
        )
        assert (lab.slope(x + 1e-5) - lab.slope(x - 1e-5)) / 2e-5 == pytest.approx(lab.curvature(x))


def test_the_lower_minimum_the_pass_and_the_higher_one(lab) -> None:
    low, top, high = lab.flat_points()
    assert lab.slope(np.array([low, top, high])) == pytest.approx(0, abs=1e-12)
    assert lab.curvature(low) > 0 > lab.curvature(top)
    assert lab.curvature(high) > 0
    assert lab.height(low) < lab.height(high) < lab.height(top)


@pytest.mark.parametrize("size", [1, 8, 24])
def test_the_share_that_leaves_is_that_of_a_markov_chain(lab, size: int) -> None:
    runs, updates = 400, 300
    expected = chain(lab, size, 0.1, updates)
    x = lab.ends(np.full(runs, lab.flat_points()[2]), "drawn", size, 0.1, updates, seed=0)
    error = math.sqrt(expected * (1 - expected) / runs)
    assert float(np.mean(x < lab.flat_points()[1])) == pytest.approx(expected, abs=4 * error)
    assert lab.theory(size, 0.1, updates) == pytest.approx(expected, abs=0.05)


def test_drawn_batches_have_the_variance_of_one_example_over_their_size(lab) -> None:
    drawn = lab.batch_slopes("drawn", 16, 4000, np.random.default_rng(0))
    assert np.var(next(drawn)) == pytest.approx(lab.SLOPE_SD**2 / 16, rel=0.1)


def test_the_noise_of_a_shuffled_epoch_adds_up_to_zero(lab) -> None:
    shuffled = lab.batch_slopes("shuffled", 512, 20, np.random.default_rng(0))
    epochs = [np.array(list(itertools.islice(shuffled, 8))) for _ in range(2)]
    for epoch in epochs:
        assert epoch.sum(axis=0) == pytest.approx(0, abs=1e-12)
        assert np.var(epoch) == pytest.approx(lab.SLOPE_SD**2 / 512 * 7 / 8, rel=0.3)
    assert (epochs[0] != epochs[1]).all()
    assert (epochs[0][:, 0] != epochs[0][:, 1]).all()


def test_the_full_batch_stays_on_its_side_of_the_pass(lab) -> None:
    _, top, high = lab.flat_points()
    starts = np.array([-2.0, top - 0.01, top + 0.01, high])
    x = lab.ends(starts, "shuffled", lab.FULL, 0.1, 1000, seed=0)
    assert x == pytest.approx([*lab.flat_points()[:1] * 2, high, high], abs=1e-6)


def test_a_run_that_diverges_has_not_arrived_and_is_never_the_best(lab) -> None:
    x = lab.ends(np.full(3, 0.9), "drawn", 1, 50.0, 100, seed=0)
    assert lab.mean_height(x) == math.inf
    assert not (x < lab.flat_points()[1]).any() or np.isinf(x).any()


def test_the_rate_that_ends_lowest_is_taken(lab, monkeypatch) -> None:
    heights = dict(zip(lab.RATES, (3.0, 2.0, 5.0, 1.0, 4.0, math.inf, math.inf), strict=True))
    monkeypatch.setattr(lab, "ends", lambda *given: given[3])
    monkeypatch.setattr(lab, "mean_height", heights.__getitem__)
    assert lab.tuned(16, 10, 10) == lab.RATES[3]


def test_what_is_said_follows_what_was_measured(lab) -> None:
    def made(full: float) -> list[dict[str, Any]]:
        cases = [
            ("drawn", "same"),
            ("shuffled", "same"),
            ("shuffled", "tuned"),
            ("shuffled", "any"),
        ]
        return [
            {
                "start": "higher minimum",
                "batches": batches,
                "rates": rates,
                "batch_size": size,
                "lr": 0.1,
                "runs": 100,
                "updates": 100,
                "on_lower_side_percent": share,
                "mean_height": 0.0,
            }
            for batches, rates in cases
            for size, share in ((1, 60.0), (lab.FULL, full))
            if not (batches == "drawn" and size == lab.FULL)
        ]

    assert any("the full batch did not" in told for told in lab.findings(made(0.0)))
    assert any("The full batch left it in 30.0 %" in told for told in lab.findings(made(30.0)))


@pytest.mark.slow
def test_the_fast_form_leaves_a_table_a_figure_and_a_page(lab, tmp_path: Path) -> None:
    given = ["--fast", "--dataset", "digits", "--out", str(tmp_path)]
    assert lab.run(lab.main, given) == 0
    page = (tmp_path / "noise_escape.md").read_text()
    assert page.startswith(f"# {lab.__doc__.splitlines()[0]}")
    for sentence in lab.findings(rows(tmp_path)):
        assert f"- {sentence}" in page
    assert (tmp_path / "noise_escape.png").read_bytes().startswith(b"\x89PNG")


def test_the_page_says_what_the_table_has(lab) -> None:
    page = (RESULTS / "noise_escape.md").read_text()
    for sentence in lab.findings(rows(RESULTS)):
        assert f"- {sentence}" in page
