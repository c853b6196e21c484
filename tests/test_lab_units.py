"""The lab about units: exponents that are known, the same training by `fit`, and what it says."""

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
    monkeypatch.setenv("NNSCRATCH_ENGINE", "numpy")  # compiles nothing
    monkeypatch.syspath_prepend(EXPERIMENTS)
    return importlib.import_module("units")


@pytest.fixture
def data(toy: nn.Split) -> nn.Dataset:
    return nn.Dataset("toy", 3, toy, toy, toy)


def rows(folder: Path, part: str) -> list[dict[str, Any]]:
    return rows_of(folder / f"units_{part}.csv")


def sentences(lab: ModuleType, folder: Path) -> list[str]:
    """What the lab has to say about the tables in a folder."""
    exponents = rows(folder, "exponents")
    return [
        *lab.say_exponents(exponents),
        *lab.say_adadelta(exponents, rows(folder, "parabola")),
        *lab.say_paths(rows(folder, "paths")),
        *lab.say_accuracies(rows(folder, "accuracy")),
    ]


def k(lab: ModuleType, name: str, size: float) -> list[float]:
    """The exponents under random gradients of that size."""
    gradients = size * np.random.default_rng(0).normal(size=(20, 50))
    return [row["k"] for row in lab.exponents([name], gradients, {1, 5, 20}, (0.5, 1.0, 2.0))]


def test_the_slope_is_the_power(lab) -> None:
    assert lab.slope([4 * c**-1.5 for c in (0.1, 1, 7)], (0.1, 1, 7)) == pytest.approx(-1.5)


@pytest.mark.parametrize(
    ("name", "power"),
    [("sgd", -1), ("momentum", -1), ("nesterov", -1), ("adagrad", 0), ("rmsprop", 0), ("adam", 0)],
)
def test_gradient_steps_have_the_inverse_unit_and_quotients_of_gradients_none(
    lab, name, power
) -> None:
    assert k(lab, name, 1.0) == pytest.approx([power] * 3, abs=1e-4)


def test_adadelta_has_no_unit_where_gradients_are_large_beside_eps_and_that_of_sgd_below(
    lab,
) -> None:
    assert k(lab, "adadelta", 1e3) == pytest.approx([0, 0, 0], abs=1e-3)
    assert k(lab, "adadelta", 1e-7) == pytest.approx([-1, -1, -1], abs=1e-3)


def test_without_eps_adadelta_has_the_unit_of_the_weight_whatever_the_gradients(lab) -> None:
    for size in (1e3, 1e-7):
        assert k(lab, lab.BARE, size) == pytest.approx([1, 1, 1], abs=1e-9)


def test_newtons_steps_have_the_unit_of_the_weight(lab) -> None:
    assert [row["k"] for row in lab.newton(4, (0.1, 1.0, 10.0))] == pytest.approx([1] * 4, abs=1e-6)


@pytest.mark.parametrize("name", ["sgd", "adam", "lbfgs"])
def test_in_the_old_unit_a_training_is_that_of_fit(lab, toy, name: str) -> None:
    model, twin = nn.MLP([12, 5, 3], dtype="float64"), nn.MLP([12, 5, 3], dtype="float64")

    def loader() -> nn.Loader:
        return nn.batch(toy) if name == "lbfgs" else nn.mini_batch(toy, 50)

    lab.train(model, loader(), 2, name, 1.0, 0.5)
    for _ in nn.fit(twin, nn.OPTIMIZERS[name](lr=0.5), loader(), 2):
        pass
    assert model.w == pytest.approx(twin.w, rel=1e-9, abs=1e-12)


def test_in_another_unit_a_rate_times_c_squared_makes_sgd_learn_the_same_network(lab, toy) -> None:
    ends = [
        lab.train(
            nn.MLP([12, 5, 3], dtype="float64"), nn.mini_batch(toy, 50), 2, "sgd", c, lr
        ).w.copy()
        for c, lr in ((1.0, 0.5), (10.0, 50.0), (10.0, 0.5))
    ]
    assert ends[1] == pytest.approx(ends[0], rel=1e-9)
    assert np.linalg.norm(ends[2] - ends[0]) > 0.01


def test_the_exponent_tells_which_rate_gives_the_same_path(lab, data) -> None:
    rates = {"momentum": 0.1, lab.BARE: 1.0}
    momentum, bare = lab.paths(data, rates, {"momentum": -1, lab.BARE: 1}, 10.0)
    assert momentum["apart_same_lr"] > 0.5
    assert momentum["apart_scaled_lr"] < 1e-9
    assert bare["apart_same_lr"] < 1e-9


def test_on_its_own_way_adadelta_goes_on_as_eps_made_it_begin(lab) -> None:
    found = lab.parabola(200, (0.1, 1.0, 10.0))
    assert [row["k"] for row in found] == pytest.approx([0] * len(found), abs=0.1)


def test_weights_that_are_no_numbers_count_as_a_guess(lab, data) -> None:
    model = lab.network(data, seed=0)
    model.w[0] = np.nan
    assert lab.accuracy(data, model) == pytest.approx(1 / 3)


def test_an_adagrad_with_the_inverse_unit_would_be_called_so(lab) -> None:
    made = [{"optimizer": "adagrad", "update": t, "k": -1.0} for t in (1, 2)]
    made += [{"optimizer": "adam", "update": t, "k": value} for t, value in ((1, 0.0), (2, 0.5))]
    said = lab.say_exponents(made)
    assert said[0].endswith("k = -1 at every update: adagrad.")
    assert said[1].startswith("adam has no whole k: +0.00 at update 1, +0.50 at update 2")
    assert "inverse unit of the weight holds" in said[-1]


@pytest.mark.slow
def test_the_fast_form_leaves_its_tables_figure_and_page(lab, tmp_path: Path) -> None:
    run = importlib.import_module("lab").run
    assert run(lab.main, ["--fast", "--dataset", "digits", "--out", str(tmp_path)]) == 0
    page = (tmp_path / "units.md").read_text()
    assert "(units.png)" in page
    assert (tmp_path / "units.png").stat().st_size < 200_000
    assert all(sentence in page for sentence in sentences(lab, tmp_path))


def test_the_tables_that_are_kept_support_every_sentence_of_the_page(lab) -> None:
    said = (RESULTS / "units.md").read_text().splitlines()
    assert [line[2:] for line in said if line.startswith("- ")] == sentences(lab, RESULTS)
