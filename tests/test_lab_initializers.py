"""The lab of the initializers: its theory on closed forms, its measurements on networks by hand."""

import importlib
import math
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from lab_tables import EXPERIMENTS, RESULTS, rows_of

import nnscratch as nn


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(EXPERIMENTS)
    return importlib.import_module("initializers")


@pytest.fixture(scope="module")
def digits() -> nn.Dataset:
    return nn.load_dataset("digits", limit=300)


def test_the_lectures_limits_are_glorots(lab) -> None:
    assert lab.glorot_limit(784, 1000) == pytest.approx(0.05799, abs=5e-6)
    assert lab.glorot_limit(1000, 10) == pytest.approx(0.0771, abs=5e-5)
    assert "are the lecture's 0.058 and 0.077" in lab.limits()


def test_the_variance_of_every_start_is_that_of_its_weights(lab) -> None:
    rng = np.random.default_rng(0)
    for name, variance in lab.VARIANCES.items():
        for fans in ((784, 100), (100, 100), (100, 400)):
            W = lab.STARTS[name].sample(rng, *fans)
            assert np.var(W) == pytest.approx(variance(*fans), rel=0.06), (name, fans)
    assert set(lab.STARTS) - set(lab.VARIANCES) == {"zeros", "constant"}
    assert set(nn.INITIALIZERS) <= set(lab.STARTS)


@pytest.mark.parametrize(("name", "share"), [("identity", 1.0), ("relu", 0.5)])
def test_the_theory_is_glorots_for_a_line_and_hes_for_a_relu(lab, name, share) -> None:
    variances = [0.01, 0.03, 0.002, 0.017]
    squares = np.array([3.0, 90.0])
    expected = [0.01 * squares.mean()]
    for variance in variances[1:]:
        expected.append(expected[-1] * share * lab.WIDTH * variance)
    found = lab.expected_rms(nn.ACTIVATIONS[name](), variances, squares)
    assert np.square(found) == pytest.approx(expected, rel=1e-3)


def test_the_theory_of_the_sigmoid_begins_at_a_quarter_and_saturates_at_a_half(lab) -> None:
    sigmoid = nn.ACTIVATIONS["sigmoid"]()
    for squares, mean_square in ((1e-9, 1 / 4), (1e6, 1 / 2)):
        _, second = lab.expected_rms(sigmoid, [1.0, 0.01], np.array([squares]))
        assert second**2 == pytest.approx(lab.WIDTH * 0.01 * mean_square, rel=1e-2)


@pytest.mark.parametrize("name", ["tanh", "relu", "sigmoid", "gelu"])
def test_the_theory_is_what_networks_do_on_the_average(lab, name) -> None:
    x = np.random.default_rng(1).normal(size=(8, 20))
    measured = []
    for seed in range(200):
        model = nn.MLP([20, 100, 100, 100, 3], name, "he_normal", seed=seed, dtype="float64")
        measured.append([layer["rms"] ** 2 for layer in lab.signal(model, x)])
    theory = lab.expected_rms(model.activation, [0.1, 0.02, 0.02], np.square(x).sum(axis=1))
    assert np.mean(measured, axis=0) == pytest.approx(np.square(theory), rel=0.05)


def test_the_signal_of_a_network_by_hand(lab) -> None:
    model = nn.MLP([2, 2, 2], "tanh", dtype="float64")
    W = model.parameters[0].w
    W[...] = [[1.0, 5.0], [0.0, 0.0]]
    (found,) = lab.signal(model, np.array([[1.0, 9.0], [-1.0, 9.0]]))
    assert found["rms"] == pytest.approx(math.sqrt((1 + 25) / 2))
    assert found["std between images"] == pytest.approx(math.sqrt((1 + 25) / 2))
    assert found["saturated"] == 0.5  # tanh'(5) is below 0.05, tanh'(1) is not
    same = lab.signal(model, np.array([[1.0, 0.0], [1.0, 7.0]]))[0]
    assert same["rms"] == found["rms"]
    assert same["std between images"] == 0


def test_a_sigmoid_is_saturated_below_a_twentieth_of_its_own_largest_slope(lab) -> None:
    model = nn.MLP([1, 2, 2], "sigmoid", dtype="float64")
    model.parameters[0].w[...] = [[3.5, 5.0]]  # slopes 0.028 and 0.0066; the largest is 0.25
    (found,) = lab.signal(model, np.array([[1.0]]))
    assert found["saturated"] == 0.5


def test_units_that_start_alike_stay_alike_and_a_little_noise_parts_them(lab, digits) -> None:
    rows = {(row["initializer"], row["activation"]): row for row in lab.symmetry(digits, lr=1.0)}
    for name in ("tanh", "relu"):
        assert rows["zeros", name]["largest move"] == 0
    assert rows["zeros", "sigmoid"]["largest move"] > 0
    for (start, _), row in rows.items():
        apart = row["largest difference of two units"]
        assert (apart > 0) if start == lab.SMALL else (apart == 0)
    said = " ".join(lab.findings_of_symmetry(list(rows.values())))
    assert "tanh: nothing moves" in said


def test_a_training_that_diverges_counts_as_a_guess(lab, digits) -> None:
    with np.errstate(all="ignore"):
        _, right = lab.trained(digits, lab.STARTS[lab.LARGE], "relu", 3, 1e6, 0)
    assert right == 0.1


def test_the_best_rate_is_chosen_for_each_cell(lab, digits) -> None:
    lab_rows = lab.matrix(digits, (1,), (1e-6, 0.1), 1)
    row = next(
        row for row in lab_rows if (row["initializer"], row["activation"]) == ("he_normal", "relu")
    )
    assert row["lr"] == 0.1
    assert len(lab_rows) == len(lab.STARTS) * len(lab.ACTIVATIONS)


def test_the_committed_sentences_are_those_of_the_committed_numbers(lab) -> None:
    cells, sent, alike = (
        rows_of(RESULTS / f"initializers{part}.csv") for part in ("", "_signal", "_symmetry")
    )
    said = [
        lab.limits(),
        *lab.findings_of_training(cells, sent),
        *lab.findings_of_signal(sent),
        *lab.findings_of_symmetry(alike),
    ]
    page = (RESULTS / "initializers.md").read_text()
    assert [line[2:] for line in page.splitlines() if line.startswith("- ")] == said


@pytest.mark.slow
def test_the_fast_form_leaves_tables_figures_and_a_page(lab, tmp_path: Path, capsys) -> None:
    frame = importlib.import_module("lab")
    args = ["--fast", "--dataset", "digits", "--out", str(tmp_path)]
    assert frame.run(lab.main, args) == 0
    made = {path.name for path in tmp_path.iterdir()}
    parts = ("", "_signal", "_symmetry")
    assert {f"initializers{part}.csv" for part in parts} <= made
    assert {"initializers.png", "initializers_signal.png", "initializers.md"} <= made
    page = (tmp_path / "initializers.md").read_text()
    assert page.startswith("# When does an initializer fail")
