"""The lab of the rare features: documents of a known law, and steps in closed form."""

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
    return importlib.import_module("rare_features")


def test_words_come_by_zipfs_law_and_classes_by_the_true_weights(lab) -> None:
    made = lab.corpus(3, 4_000, 1_000)
    share = made.train.images.mean(axis=0)
    for rank in (1, 2, 10, 50):
        sd = math.sqrt((1 - 1 / rank) / rank / 4_000)
        assert share[rank - 1] == pytest.approx(1 / rank, abs=4 * sd + 1e-12)
    assert made.train.images.sum(axis=1).mean() == pytest.approx(7.485, abs=0.1)  # H_1000
    assert set(np.abs(made.weights)) == {2}
    z = made.train.images @ made.weights.astype(float)
    for low, high in ((-3, -1), (-1, 1), (1, 3)):
        among = (z > low) & (z < high)
        expected = 1 / (1 + np.exp(-z[among]))
        assert made.train.labels[among].mean() == pytest.approx(expected.mean(), abs=0.06)


def test_documents_hinge_where_rare_words_turn_the_probable_class(lab) -> None:
    made = lab.corpus(3, 10, 500)
    for words, hinges in zip(made.test.images, made.hinges, strict=True):
        with_rare, without = words @ made.weights, words[:100] @ made.weights[:100]
        assert hinges == ((with_rare > 0) != (without > 0))
    assert 0.05 < made.hinges.mean() < 0.5
    assert not np.array_equal(made.weights, lab.corpus(4, 10, 10).weights)


def test_true_weights_have_no_error_and_no_weights_have_all(lab) -> None:
    made = lab.corpus(0, 10, 10)
    model = lab.network()
    assert lab.errors(model, made) == pytest.approx([1] * len(lab.RANKS))
    model.parameters[0].w[:, 1] = made.weights / 2
    model.parameters[0].w[:, 0] = -made.weights / 2
    assert lab.errors(model, made) == pytest.approx([0] * len(lab.RANKS))
    model.parameters[0].w[3] = 0  # the word of rank 4, one of seven
    assert lab.errors(model, made) == pytest.approx([0, math.sqrt(1 / 7), 0, 0, 0, 0])


def test_the_effective_rate_moves_the_weight_as_the_optimizer_did(lab) -> None:
    rng = np.random.default_rng(0)
    for name in ("adagrad", "rmsprop"):
        optimizer = nn.OPTIMIZERS[name](lr=0.3)
        w, state = rng.normal(size=50), {}
        for _ in range(5):
            before, dw = w.copy(), rng.normal(size=50)
            optimizer.update(w, dw, state)
            assert before - lab.effective(optimizer, state) * dw == pytest.approx(w)


def test_the_rates_are_of_the_words_that_were_there_and_fall_only_with_adagrad(lab) -> None:
    made = lab.corpus(0, 400, 10)
    for name in ("adagrad", "rmsprop"):
        rows = lab.rates_over_time(made, nn.OPTIMIZERS[name](lr=0.1), 10, moments=8)
        assert all(0 < row["effective lr"] < 1e6 for row in rows)  # not lr / eps
        rare = [row for row in rows if row["rank"] == "301 to 1000"]
        assert sum(row["words"] for row in rare) == pytest.approx(
            10 * 400 * np.sum(1 / np.arange(301, 1001)), rel=0.25
        )
        frequent = [row["effective lr"] for row in rows if row["rank"] == "4 to 10"]
        falls = frequent == sorted(frequent, reverse=True)
        assert falls == (name == "adagrad")


@pytest.mark.parametrize("burst", [0, 20])
@pytest.mark.parametrize("name", ["adagrad", "rmsprop"])
def test_closed_forms_are_the_rules_unrolled(lab, name, burst) -> None:
    rho, squares, found = 0.9, 0.0, []
    for t in range(1, 101):
        g = 100.0 if t <= burst else 1.0
        squares = squares + g**2 if name == "adagrad" else rho * squares + (1 - rho) * g**2
        found.append(g / math.sqrt(squares))
    assert lab.constant_theory(name, rho, np.arange(1, 101), burst) == pytest.approx(found)


def test_adagrads_steps_fall_as_one_over_the_root_and_still_go_any_distance(lab) -> None:
    rows = [
        row
        for row in lab.constant_rows(1_000)
        if (row["optimizer"], row["large gradients"]) == ("adagrad", 0)
    ]
    for row in rows:
        t = row["update"]
        assert row["step / lr"] == pytest.approx(1 / math.sqrt(t), rel=1e-6)
        # the sum of 1 / sqrt(k) is 2 sqrt(t) + zeta(1/2) + 1 / (2 sqrt(t)), almost
        expected = 2 * math.sqrt(t) - 1.4603545 + 0.5 / math.sqrt(t)
        assert row["distance / lr"] == pytest.approx(expected, abs=0.05)


def test_rmsprops_steps_come_back_to_lr(lab) -> None:
    rows = [row for row in lab.constant_rows(3_000) if row["optimizer"] == "rmsprop"]
    for burst in (0, lab.BURST):
        (last,) = (row for row in rows if (row["update"], row["large gradients"]) == (3_000, burst))
        assert last["step / lr"] == pytest.approx(1, rel=1e-6)
    assert rows[0]["step / lr"] == pytest.approx(10, rel=1e-4)  # 1 / sqrt(1 - 0.99)


def test_the_lowest_validation_loss_decides_and_a_divergence_never_does(lab) -> None:
    rows = [
        {"optimizer": "sgd", "lr": lr, "epochs": 1, "val loss": loss}
        for lr, loss in ((0.1, 0.7), (1.0, 0.5), (10.0, math.inf))
    ]
    assert lab.best_rate(rows, "sgd", 1) == 1.0


def test_optimizers_are_told_apart_only_where_the_interval_leaves_zero_out(lab) -> None:
    def rows(name: str, values: list[float]) -> list[dict[str, Any]]:
        return [{"optimizer": name, "epochs": 1, "right": value} for value in values]

    both = [
        *rows("adagrad", [0.7, 0.8, 0.9]),
        *rows("sgd", [0.69, 0.7901, 0.8899]),
        *rows("momentum", [0.75, 0.8501, 0.9499]),
        *rows("rmsprop", [0.7, 0.8, 0.9]),
        *rows("adam", [0.8, 0.6, 0.95]),
    ]
    sgd, momentum, rmsprop, adam = lab.compared(both, "right", 1).split("; ")
    assert sgd.startswith("sgd +1.00")
    assert sgd.endswith("higher)")
    assert momentum.endswith("lower)")
    assert rmsprop == "rmsprop +0.00 (+0.00 to +0.00, not told apart)"
    assert adam.endswith("not told apart)")
    mean, low, high = lab.interval(np.array([1.0, 2.0, 3.0]))
    assert (mean, high - mean) == pytest.approx((2, 4.303 / math.sqrt(3)), rel=1e-3)
    assert high - mean == pytest.approx(mean - low)


def test_the_committed_sentences_are_those_of_the_committed_numbers(lab) -> None:
    results, tuned, rates, constant = (
        rows_of(RESULTS / f"rare_features{part}.csv")
        for part in ("", "_tuning", "_rates", "_constant")
    )
    said = [
        *lab.findings_of_results(results, tuned),
        *lab.findings_of_claims(results, tuned),
        *lab.findings_of_rates(rates),
        *lab.findings_of_constant(constant),
    ]
    page = (RESULTS / "rare_features.md").read_text()
    assert [line[2:] for line in page.splitlines() if line.startswith("- ")] == said


@pytest.mark.slow
def test_the_fast_form_leaves_tables_figures_and_a_page(lab, tmp_path: Path) -> None:
    frame = importlib.import_module("lab")
    args = ["--fast", "--dataset", "digits", "--out", str(tmp_path)]
    assert frame.run(lab.main, args) == 0
    made = {path.name for path in tmp_path.iterdir()}
    for part in ("", "_rates", "_constant"):
        assert {f"rare_features{part}.csv", f"rare_features{part}.png"} <= made
    page = (tmp_path / "rare_features.md").read_text()
    assert page.startswith("# Is AdaGrad the optimizer for rare features")
