"""The lab about eps: its two places by hand, the divisors of known gradients, and what it says."""

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
    monkeypatch.setenv("NNSCRATCH_ENGINE", "numpy")  # compiles nothing
    monkeypatch.syspath_prepend(EXPERIMENTS)
    return importlib.import_module("eps")


@pytest.fixture
def data(toy: nn.Split) -> nn.Dataset:
    return nn.Dataset("toy", 3, toy, toy, toy)


def rows(folder: Path, part: str) -> list[dict[str, Any]]:
    return rows_of(folder / f"eps_{part}.csv")


def row(eps: float, seed: int, accuracy: float, **more: Any) -> dict[str, Any]:
    usual = {"optimizer": "adam", "place": "outside", "rate": "unchanged", "lr": 0.1}
    return usual | {"eps": eps, "seed": seed, "val_accuracy": accuracy} | more


@pytest.mark.parametrize("name", ["adam", "rmsprop", "adagrad"])
def test_the_first_step_is_that_of_the_formula_in_both_places(lab, name: str) -> None:
    g, eps = 3e-4, 1e-4
    v = {"adam": g**2, "rmsprop": 0.01 * g**2, "adagrad": g**2}[name]
    for place, divisor in (("outside", math.sqrt(v) + eps), ("inside", math.sqrt(v + eps))):
        w = np.zeros(1)
        lab.setting(name, place, eps, 0.5).update(w, np.array([g]), {})
        assert w[0] == pytest.approx(-0.5 * g / divisor, rel=1e-9)


@pytest.mark.parametrize("name", ["adam", "rmsprop", "adagrad"])
def test_the_divisor_is_what_the_step_is_divided_by(lab, name: str) -> None:
    optimizer, state = lab.setting(name, "outside", 1e-300, 1.0), {}
    w = np.zeros(3)
    # one size all along, also of the mean that Adam has in the numerator
    for _ in range(5):
        before = w.copy()
        optimizer.update(w, np.array([0.0, 1e-3, 2.0]), state)
    root = lab.divisors(optimizer, state)
    assert root[0] == 0
    assert (before - w)[1:] == pytest.approx(np.array([1e-3, 2.0]) / root[1:], rel=1e-9)


def test_an_eps_far_beyond_the_gradients_keeps_the_network_from_learning(lab, data) -> None:
    small, large = (
        lab.accuracy(data, lab.setting("adam", "inside", eps, 0.01), seed=0, epochs=20)
        for eps in (1e-10, 1e4)
    )
    assert small > 0.9
    assert large < small - 0.2


def test_a_training_that_diverges_counts_as_a_guess(lab, data, monkeypatch) -> None:
    def fit(*_: Any, **__: Any) -> Any:
        yield from ()
        raise nn.DivergedError("the loss is nan", "lower lr")

    monkeypatch.setattr(nn, "fit", fit)
    guess = lab.accuracy(data, lab.setting("adam", "inside", 1e-8, 0.1), 0, 1)
    assert guess == pytest.approx(1 / 3)


def test_the_weights_that_never_move_are_counted_and_left_out(lab, data) -> None:
    dark = np.array(data.train.images)
    dark[:, :6] = 0  # half of the pixels: their weights to the hidden units get no gradient
    split = nn.Split(dark, data.train.labels, 255.0)
    found = lab.quantiles(nn.Dataset("dark", 3, split, split, split), "adagrad", 0.1, 0, 2)
    assert [one["epoch"] for one in found] == [1, 2]
    assert found[0]["share_of_zeros"] == pytest.approx(600 / (12 * 100 + 100 + 300 + 3))
    assert lab.never_moved(found, "adagrad") == found[1]["share_of_zeros"]
    assert 0 < found[0]["q0.01"] < found[0]["q0.5"] < found[1]["q0.5"]  # a sum grows


def test_differences_are_paired_and_the_first_eps_that_matters_is_found(lab) -> None:
    made = [
        *(row(lab.NONE, seed, 0.9 + seed / 100) for seed in (0, 1)),
        *(row(1e-6, seed, 0.905 + seed / 100) for seed in (1, 0)),
        *(row(1e-4, seed, 0.88 + seed / 100) for seed in (0, 1)),
        row(1e-6, 0, 0.1, place="inside"),
        row(1e-6, 0, 0.1, rate="retuned"),
        row(1e-6, 0, 0.1, optimizer="adagrad"),
    ]
    found = lab.differences(made, "adam", "outside", "unchanged")
    assert list(found) == [1e-6, 1e-4]
    assert found[1e-6] == pytest.approx([0.5, 0.5])
    assert found[1e-4] == pytest.approx([-2, -2])
    assert lab.begins(found) == 1e-4
    assert lab.begins({1e-6: found[1e-6]}) is None
    assert lab.begins({1e-6: -found[1e-4]}) == 1e-6  # to the better matters, too


def test_the_best_rate_is_that_of_the_best_mean(lab) -> None:
    tried = [row(1e-8, 0, a, lr=lr) for lr, a in [(1, 0.99), (1, 0.5), (0.1, 0.9), (0.1, 0.9)]]
    assert lab.best_rate(tried) == 0.1


@pytest.mark.slow
def test_the_fast_form_leaves_its_tables_figure_and_page(lab, tmp_path: Path) -> None:
    run = importlib.import_module("lab").run
    assert run(lab.main, ["--fast", "--dataset", "digits", "--out", str(tmp_path)]) == 0
    page = (tmp_path / "eps.md").read_text()
    assert "(eps.png)" in page
    assert (tmp_path / "eps.png").stat().st_size < 200_000
    assert all(said in page for said in lab.say(rows(tmp_path, "sweep"), rows(tmp_path, "sizes")))


def test_the_tables_that_are_kept_support_every_sentence_of_the_page(lab) -> None:
    said = (RESULTS / "eps.md").read_text().splitlines()
    made = lab.say(rows(RESULTS, "sweep"), rows(RESULTS, "sizes"))
    assert [line[2:] for line in said if line.startswith("- ")] == made
