"""The page of corrections: each of its facts, computed, and each place that it points to."""

import csv
import math
import re
from pathlib import Path

import numpy as np
import pytest
import wrong_optimizers as wrong

import nnscratch as nn
from nnscratch.hyper import hypers

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "experiments" / "CORRECTIONS.md"
OPT = nn.OPTIMIZERS


def walk(optimizer: nn.Optimizer, gradient, w: float, updates: int) -> np.ndarray:
    """The points, from w on, of an optimizer on a function of one variable."""
    point, state = np.array([w]), {}
    points = [w]
    for _ in range(updates):
        optimizer.update(point, np.array([gradient(float(point[0]))]), state)
        points.append(float(point[0]))
    return np.array(points)


def steps(optimizer: nn.Optimizer, updates: int, gradient: float = 0.3) -> np.ndarray:
    """Lengths of the steps under a gradient that stays."""
    return np.abs(np.diff(walk(optimizer, lambda w: gradient, 0.0, updates)))


# --- what the page says --------------------------------------------------------------------------


def test_without_correction_the_first_steps_of_adam_are_longer_and_not_shorter() -> None:
    without = steps(OPT["adam_uncorrected"](lr=1.0), 100)
    assert without[0] == pytest.approx(0.1 / math.sqrt(0.001), rel=1e-5)  # 3.16
    assert without.max() == pytest.approx(6.57, abs=0.005)
    assert without.argmax() == 11  # the twelfth
    np.testing.assert_allclose(steps(OPT["adam"](lr=1.0), 100), 1, rtol=1e-5)


def test_momentum_that_forgets_nothing_swings_for_ever() -> None:
    """On w^2 / 2: V = V + alpha g against V = 0.9 V + alpha g."""
    for_ever = np.abs(walk(wrong.MomentumWithoutDecay(lr=0.1), lambda w: w, 1.0, 2000))
    assert for_ever[-100:].max() == pytest.approx(for_ever[:100].max(), rel=0.01)
    assert np.abs(walk(OPT["momentum"](lr=0.1), lambda w: w, 1.0, 2000))[-100:].max() < 1e-9


def test_beta1_in_the_place_of_one_minus_beta1_makes_steps_nine_times_as_long() -> None:
    ratio = steps(wrong.AdamBetaTwice(), 50) / steps(OPT["adam"](), 50)
    np.testing.assert_allclose(ratio, 9, rtol=1e-6)


def test_adagrad_that_assigns_takes_steps_that_never_shrink() -> None:
    np.testing.assert_allclose(steps(wrong.AdaGradAssigns(lr=0.01), 1000), 0.01, rtol=1e-6)
    summed = steps(OPT["adagrad"](lr=0.01), 1000)
    np.testing.assert_allclose(summed, 0.01 / np.sqrt(np.arange(1, 1001)), rtol=1e-6)


def test_the_steps_of_adagrad_shrink_and_what_they_come_to_grows_without_bound() -> None:
    """lr / sqrt(t) a step, and 2 lr sqrt(t) in all: four times the steps, twice the way."""
    way = np.cumsum(steps(OPT["adagrad"](lr=0.01), 40_000))
    assert way[-1] / way[9_999] == pytest.approx(2, rel=0.01)
    assert way[-1] == pytest.approx(2 * 0.01 * math.sqrt(40_000), rel=0.01)


def test_the_exponent_is_the_update_and_is_the_epoch_only_where_a_batch_is_all_images() -> None:
    by_epoch = steps(wrong.AdamExponentCountsEpochs(lr=1.0), wrong.EPOCH)
    assert by_epoch[0] == pytest.approx(1, rel=1e-5)
    assert by_epoch[11] == pytest.approx(2.08, abs=0.005)  # of an epoch with at least 12 updates


def test_the_influence_of_a_gradient_falls_below_a_tenth_after_22_updates() -> None:
    assert 0.9**21 > 0.1 > 0.9**22


def test_the_step_of_adagrad_has_no_unit() -> None:
    """The same loss in other units of the weight, w' = 10 w, where gradients are a tenth."""
    for name, exponent in (("adagrad", 0), ("rmsprop", 0), ("adam", 0), ("sgd", -1)):
        plain, scaled = (steps(OPT[name](lr=0.01), 20, g) for g in (0.3, 0.03))
        np.testing.assert_allclose(scaled / plain, 10.0**exponent, rtol=1e-4)


def test_adam_has_four_hyper_parameters_in_the_paper() -> None:
    assert list(hypers(OPT["adam"]))[:4] == ["lr", "beta1", "beta2", "eps"]


def test_the_adaptive_ones_are_as_far_ahead_of_momentum_as_it_says() -> None:
    with (ROOT / "experiments/results/mnist/summary.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["schedule"] == "constant"]
    test = {row["optimizer"]: 100 * float(row["test_mean"]) for row in rows}
    names = ("adagrad", "rmsprop", "adadelta", "adam", "amsgrad")
    ahead = sorted(round(test[name] - test["momentum"], 1) for name in names)
    assert (ahead[0], ahead[-1]) == (0.6, 1.1)


# --- where it points -----------------------------------------------------------------------------


def links() -> list[str]:
    return re.findall(r"\]\(([^)]+)\)", PAGE.read_text(encoding="utf-8"))


def test_every_figure_and_file_that_it_names_is_there() -> None:
    assert len(links()) > 10
    for link in links():
        assert (PAGE.parent / link).exists(), link


def test_every_test_that_it_names_is_there() -> None:
    named = re.findall(r"`(test_\w+)`", PAGE.read_text(encoding="utf-8"))
    assert len(named) > 5
    sources = "".join(path.read_text("utf-8") for path in Path(__file__).parent.glob("*.py"))
    for name in named:
        assert f"def {name}(" in sources, name


def test_what_it_quotes_is_what_the_measurements_say() -> None:
    quoted = re.findall(r"^> (.+)$", PAGE.read_text(encoding="utf-8"), re.M)
    assert len(quoted) > 8
    pages = (PAGE.parent / "results" / "labs").glob("*.md")
    said = {line for page in pages for line in page.read_text(encoding="utf-8").splitlines()}
    for sentence in quoted:
        assert f"- {sentence}" in said, sentence
