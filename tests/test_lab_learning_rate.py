"""The lab on learning rates: the limit of 2 where it is exact, and what the sentences say."""

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from lab_tables import EXPERIMENTS, RESULTS, rows_of

import nnscratch as nn


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(EXPERIMENTS))
    monkeypatch.setenv("NNSCRATCH_ENGINE", "numpy")  # compiles nothing
    return importlib.import_module("learning_rate")


@pytest.fixture
def data(toy: nn.Split) -> nn.Dataset:
    return nn.Dataset("toy", 3, toy[:200], toy[200:250], toy[250:])


def test_gradient_descent_on_a_quadratic_turns_at_twice_the_inverse_curvature(lab) -> None:
    """By hand: w_n = (1 - lr h)^n for each of the curvatures h = 1 and 10."""
    rows = lab.quadratic((0.5, 0.999, 1.001, 1.5), updates=50)
    assert [row["converges"] for row in rows] == [1, 1, 0, 0]
    for row in rows:
        lr = row["lr h"] / 10
        expected = max(abs(1 - lr) ** 50, abs(1 - 10 * lr) ** 50)
        assert row["lr"] == pytest.approx(lr)
        assert row["error after"] == pytest.approx(expected, rel=1e-10)
        assert row["(1 - lr h)^n"] == pytest.approx(expected, rel=1e-10)


def test_the_curvature_is_the_largest_eigenvalue_of_the_whole_hessian(lab, data) -> None:
    """All second derivatives from differences of the gradient, weight by weight."""
    model = nn.MLP([12, 2, 3], seed=3, dtype="float64")
    x, labels = np.asarray(data.train.x, np.float64), data.train.labels
    start, columns = model.w.copy(), []
    for k in range(len(start)):
        sides = []
        for h in (1e-5, -1e-5):
            model.w = start
            model.w[k] += h
            model.loss_and_grad(x, labels)
            sides.append(model.dw.copy())
        columns.append((sides[0] - sides[1]) / 2e-5)
    model.w = start
    largest = np.linalg.eigvalsh(np.array(columns)).max()
    assert lab.curvature(model, data.train) == pytest.approx(largest, rel=0.02)


def test_a_look_has_the_loss_and_the_curvature_before_its_update(lab, data) -> None:
    split = data.train[:60]
    rows = lab.edge(data, split, 4, 3.0, updates=12, looks=6)
    model = lab.network(data, 4, 0)
    lr = 3 * 2 / lab.curvature(model, split)
    x, labels = np.asarray(split.x), split.labels
    path = []
    for _ in range(13):
        path.append((model.loss_and_grad(x, labels), lr * lab.curvature(model, split)))
        model.w -= np.float32(lr) * model.dw
    updates = [row["update"] for row in rows]
    assert updates[0] == 1
    assert updates[-1] == 12
    for row in rows:
        loss, product = path[row["update"] - 1]
        assert row["loss"] == pytest.approx(loss, rel=1e-3)
        assert row["lr h"] == pytest.approx(product, rel=0.02)
        assert row["rises"] == (path[row["update"]][0] > loss)
    assert rows[0]["lr h"] == pytest.approx(6)


def test_far_below_the_limit_no_update_makes_the_loss_higher(lab, data) -> None:
    rows = lab.edge(data, data.train[:60], 4, 0.1, updates=20, looks=8)
    assert not any(row["rises"] for row in rows)


def test_far_above_the_limit_some_do(lab, data) -> None:
    rows = lab.edge(data, data.train[:60], 4, 30.0, updates=20, looks=8)
    assert any(row["rises"] for row in rows)


def test_a_rate_that_diverges_counts_as_guessing(lab, data) -> None:
    (row,) = lab.sweep(data, 4, {"sgd": (1e12,)}, seeds=1, epochs=2)
    assert row["val %"] == pytest.approx(100 / 3)
    assert np.isnan(row["loss 2"])


def test_the_finder_starts_from_the_network_that_is_trained(lab, data) -> None:
    (row,) = lab.suggested(data, 4, ["adam"], seeds=1, epochs=2)
    found = nn.find_lr(lab.network(data, 4, 0), "adam", nn.mini_batch(data.train, 128, seed=0))
    assert row["suggestion"] == found.suggestion
    losses, accuracy = lab.trained(data, 4, nn.OPTIMIZERS["adam"](lr=found.suggestion), 0, 2)
    assert len(losses) == 2
    assert row["val %"] == accuracy


def swept(**accuracies: float) -> list[dict[str, object]]:
    """A sweep of SGD and Adam with these accuracies, by rate."""
    return [
        {"optimizer": name, "lr": float(lr), "seed": 0, "val %": accuracy}
        | {"loss 1": 3.5, "loss 2": 0.4}
        for name in ("sgd", "adam")
        for lr, accuracy in accuracies.items()
    ]


def test_the_sentences_follow_the_numbers(lab) -> None:
    accuracies = {"0.001": 20.0, "0.01": 60.0, "0.1": 90.0, "1": 89.5, "10": 10.0}
    found = [
        {"optimizer": name, "suggestion": 0.2, "val %": 88.0, "2 / h": 0.05, "last": 0.1}
        for name in ("sgd", "adam")
    ]
    said = lab.about_the_sweep(swept(**accuracies), found)
    assert "best at lr 0.1, 90.0 %" in said[0]
    assert "Within 1 point of that are lr 0.1 to 1." in said[0]
    assert "outside of the lecture's range" in said[1]
    assert "30.0 points less" in said[1]
    assert "2 times the best rate" in said[2]
    assert "-2.0 points from the best" in said[2]
    assert "ends at lr 0.1, 2 times that; the best rate of the sweep is 2 times that" in said[-2]
    assert "loss is 3.50 in the first epoch, when guessing would give 2.30, and 0.40" in said[-1]
    said = lab.about_the_sweep(swept(**(accuracies | {"0.001": 99.0})), found)
    assert "(at the edge of the sweep)" in said[0]
    assert "the best rate is in the lecture's range" in said[1]


def test_whether_it_hovers_at_the_edge_is_read_from_the_numbers(lab) -> None:
    def rows(below: list[float], above: list[float]) -> list[dict[str, object]]:
        return [
            {"multiple": m, "lr": m, "update": k, "loss": 1.0, "lr h": lr_h, "rises": 0}
            for m, path in ((0.5, below), (4.0, above))
            for k, lr_h in enumerate(path, start=1)
        ]

    said = lab.about_the_edge(rows([1, 0.5, 2.1, 2.0], [8, 3, 2.1, 1.9]))
    assert "lr h goes from 8 to 1.9, and is within a quarter of 2 at 2 of 4 looks" in said[2]
    assert "from update 3 to 4" in said[2]
    assert "lr h reaches 2: it grows at most 4.2-fold at 0.5 times" in said[-1]
    assert "below 2 at the end in 1 of 1 trainings" in said[-1]
    said = lab.about_the_edge(rows([1, 0.8, 0.7, 0.6], [8, 7, 6, 5]))
    assert "within a quarter of 2 at 0 of 4 looks." in said[2]
    assert "does not reach 2: it grows at most 1-fold" in said[-1]
    assert "below 2 at the end in 0 of 1 trainings" in said[-1]


@pytest.mark.slow
def test_the_fast_form_leaves_tables_figures_and_a_page(lab, tmp_path: Path) -> None:
    assert lab.run(lab.main, ["--fast", "--dataset", "digits", "--out", str(tmp_path)]) == 0
    parts = ("sweep", "finder", "quadratic", "edge")
    tables = [f"learning_rate_{part}.csv" for part in parts]
    figures = ["learning_rate.png", "learning_rate_edge.png"]
    names = [*tables, *figures, "learning_rate.md"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)
    page = (tmp_path / "learning_rate.md").read_text()
    assert page.startswith("# Which learning rates are too small, right and too large")
    assert all(f"]({name})" in page for name in [*tables, *figures])


def test_the_page_says_what_the_tables_say(lab) -> None:
    page = (RESULTS / "learning_rate.md").read_text()
    tables = {
        part: rows_of(RESULTS / f"learning_rate_{part}.csv")
        for part in ("sweep", "finder", "quadratic", "edge")
    }
    sentences = [
        *lab.about_the_sweep(tables["sweep"], tables["finder"]),
        lab.about_the_limit(tables["quadratic"]),
        *lab.about_the_edge(tables["edge"]),
    ]
    said = [line.removeprefix("- ") for line in page.splitlines() if line.startswith("- ")]
    assert said == sentences
