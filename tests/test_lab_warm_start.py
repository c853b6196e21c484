"""The lab about Adam's bias correction: the ratio by hand, Adam itself, and what the lab says."""

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
    return importlib.import_module("warm_start")


@pytest.fixture
def data(toy: nn.Split) -> nn.Dataset:
    return nn.Dataset("toy", 3, toy, toy, toy)


def rows(folder: Path, part: str) -> list[dict[str, Any]]:
    return rows_of(folder / f"warm_start_{part}.csv")


def sentences(lab: ModuleType, folder: Path) -> list[str]:
    """What the lab has to say about the tables in a folder."""
    steps = rows(folder, "constant")
    return [
        *lab.say_constant(steps),
        *lab.say_beside(rows(folder, "beside")),
        *lab.say_epochs(steps),
        *lab.say_accuracy(rows(folder, "tuning"), rows(folder, "final")),
    ]


def adam_by_hand(updates: int, exponent: Any) -> list[float]:
    """The steps of algorithm 1 for a gradient of 1, lr 1 and no eps; exponent(t) in place of t."""
    m = v = 0.0
    steps = []
    for t in range(1, updates + 1):
        m = 0.9 * m + 0.1
        v = 0.999 * v + 0.001
        k = exponent(t)
        steps.append(m / (1 - 0.9**k) / math.sqrt(v / (1 - 0.999**k)))
    return steps


def test_the_first_uncorrected_steps_are_longer_3_16_and_at_most_6_57_at_update_12(lab) -> None:
    bare = lab.of(lab.constant("adam_uncorrected", 100), "adam_uncorrected")
    assert bare[1] == pytest.approx(0.1 / math.sqrt(0.001))
    assert max(bare, key=bare.__getitem__) == 12
    assert bare[12] == pytest.approx(6.57, abs=0.005)
    assert list(bare.values()) == pytest.approx(lab.ratio(np.array(list(bare))), rel=1e-12)


def test_with_the_correction_every_step_under_one_gradient_is_lr(lab) -> None:
    assert [row["step_over_lr"] for row in lab.constant("adam", 50)] == pytest.approx([1.0] * 50)


@pytest.mark.parametrize("per_epoch", [1, 4, 30])
def test_the_epoch_in_the_exponent_is_the_code_of_the_lecture(lab, per_epoch: int) -> None:
    found = lab.of(lab.constant("adam_by_epoch", 30, per_epoch), "adam_by_epoch", per_epoch)
    by_hand = adam_by_hand(30, lambda t: 1 + (t - 1) // per_epoch)
    assert list(found.values()) == pytest.approx(by_hand, rel=1e-12)


def test_where_an_epoch_is_one_update_it_is_adam_to_the_bit(lab) -> None:
    rng = np.random.default_rng(0)
    ends = []
    gradients = rng.normal(size=(20, 5))
    for name in ("adam", "adam_by_epoch"):
        w, state = np.zeros(5), {}
        for dw in gradients:
            lab.variant(name, 1, lr=0.1).update(w, dw, state)
        ends.append(w)
    assert np.array_equal(*ends)


def test_beside_adam_all_take_their_steps_from_the_same_point(lab, data) -> None:
    found = lab.beside(data, seed=0, epochs=4)
    t = np.array([row["update"] for row in found])
    bare = [row["adam_uncorrected_over_adam"] for row in found]
    assert bare == pytest.approx(lab.ratio(t), rel=0.01)
    assert found[0]["adam_by_epoch_over_adam"] == pytest.approx(1)
    epoch = np.array([row["epoch"] for row in found])
    assert epoch[-1] == 4
    by_epoch = [row["adam_by_epoch_over_adam"] for row in found]
    assert by_epoch == pytest.approx(lab.ratio(t) / lab.ratio(epoch), rel=0.01)


def test_the_best_rate_is_that_of_the_best_mean_on_validation_images(lab) -> None:
    def row(lr: float, val: float) -> dict[str, Any]:
        return {"variant": "adam", "lr": lr, "val_last_epoch": val}

    lucky = [row(0.1, 0.99), row(0.1, 0.5), row(0.01, 0.9), row(0.01, 0.9), row(0.001, 0.9)]
    assert lab.best_rate(lucky, "adam") == 0.001


def test_a_training_that_diverges_counts_as_a_guess(lab, data, monkeypatch) -> None:
    def fit(*_: Any, **__: Any) -> Any:
        yield from ()
        raise nn.DivergedError("the loss is nan", "lower lr")

    monkeypatch.setattr(nn, "fit", fit)
    row, _ = lab.train(data, "adam", 0.01, seed=0, epochs=2)
    assert row["val_last_epoch"] == pytest.approx(1 / 3)


def test_differences_are_taken_seed_by_seed_with_students_interval(lab) -> None:
    final = [
        {"variant": name, "lr": 0.1, "seed": seed, "test": test}
        for name, tests in (("adam", (0.9, 0.8, 0.7)), ("adam_by_epoch", (0.91, 0.82, 0.73)))
        for seed, test in enumerate(tests)
    ]
    final[3:] = reversed(final[3:])  # in whatever order they come
    found = lab.paired(final, "adam_by_epoch", 0.1, 0.1, "test")
    assert found == pytest.approx([1, 2, 3])
    # t of 2 degrees of freedom at 97.5 % is 4.3027; the standard error is 1 / sqrt(3)
    mean, low, high = lab.interval(found)
    assert (mean, high - mean) == pytest.approx((2, 4.3027 / math.sqrt(3)), rel=1e-4)
    assert lab.verdict((mean, low, high)) == "no difference is seen"
    assert lab.verdict((2, 1, 3)) == "it is better at these rates"


@pytest.mark.slow
def test_the_fast_form_leaves_its_tables_figures_and_page(lab, tmp_path: Path) -> None:
    run = importlib.import_module("lab").run
    assert run(lab.main, ["--fast", "--dataset", "digits", "--out", str(tmp_path)]) == 0
    page = (tmp_path / "warm_start.md").read_text()
    for part in ("steps", "accuracy"):
        assert f"(warm_start_{part}.png)" in page
        assert (tmp_path / f"warm_start_{part}.png").stat().st_size < 200_000
    assert all(sentence in page for sentence in sentences(lab, tmp_path))


def test_the_tables_that_are_kept_support_every_sentence_of_the_page(lab) -> None:
    said = (RESULTS / "warm_start.md").read_text().splitlines()
    assert [line[2:] for line in said if line.startswith("- ")] == sentences(lab, RESULTS)
