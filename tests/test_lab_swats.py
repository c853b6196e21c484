"""The lab on SWATS: its criterion against SWATS itself and against chance known beforehand."""

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from lab_tables import EXPERIMENTS, RESULTS, rows_of

import nnscratch as nn


@pytest.fixture
def swats(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(EXPERIMENTS))
    monkeypatch.setenv("NNSCRATCH_ENGINE", "numpy")  # compiles nothing
    return importlib.import_module("swats")


@pytest.fixture
def data(toy: nn.Split) -> nn.Dataset:
    return nn.Dataset("toy", 3, toy[:200], toy[200:250], toy[250:])


@pytest.mark.parametrize("tolerance", [0.1, 0.01, 0.003])
def test_swats_switches_where_the_recorded_criterion_says(swats, data, tolerance) -> None:
    setting = swats.Setting(hidden=8, batch_size=10, epochs=6)
    criterion = swats.watch(data, setting)
    progress = nn.Progress()
    for _ in nn.fit(
        swats.network(data, 8, 0),
        nn.OPTIMIZERS["swats"](lr=setting.lr, tolerance=tolerance),
        nn.mini_batch(data.train, 10, seed=0),
        6,
        progress=progress,
    ):
        pass
    (state,) = progress.states
    assert criterion.switch(tolerance) == state["switched_at"]
    if state["switched_at"]:
        Lambda = criterion.Lambda[state["switched_at"] - 1]
        assert state["Lambda"] == pytest.approx(Lambda, rel=1e-12)


def test_some_tolerance_above_switches_and_some_does_not(swats, data) -> None:
    criterion = swats.watch(data, swats.Setting(hidden=8, batch_size=10, epochs=6))
    found = [criterion.switch(tolerance) for tolerance in (0.1, 0.01, 0.003)]
    assert found[0] > 1
    assert found == sorted(found, key=lambda update: update or np.inf)


def test_gamma_is_the_squared_step_over_the_slope_along_it(swats, data) -> None:
    """By hand, from the weights before and after: gamma = |p|^2 / -<p, dw>."""
    setting = swats.Setting(hidden=4, batch_size=20, epochs=1)
    criterion = swats.watch(data, setting)
    model = swats.network(data, 4, 0)
    optimizer, state, gammas = nn.OPTIMIZERS["swats"](lr=setting.lr, tolerance=0), {}, []
    for x, labels in nn.mini_batch(data.train, 20, seed=0):
        model.loss_and_grad(x, labels)
        before = model.w.astype(np.float64)
        optimizer.update(model.w, model.dw, state)
        p = model.w - before
        gammas.append(p @ p / -(p @ model.dw))
    assert criterion.gamma == pytest.approx(np.array(gammas), rel=1e-3)  # p in single precision
    weights = 0.999 ** np.arange(len(gammas) - 1, -1, -1)
    mean = weights @ criterion.gamma / weights.sum()
    assert criterion.Lambda[-1] == pytest.approx(mean, rel=1e-10)


def test_the_waiting_time_is_that_of_even_chances(swats) -> None:
    """|U(-a, a)| is below a small tolerance with the probability tolerance / a."""
    rng = np.random.default_rng(0)
    gamma = 5 + rng.uniform(-2, 2, 20_000)
    criterion = swats.Criterion(gamma, np.full(20_000, 5.0))
    assert criterion.updates_for(1e-9) == pytest.approx(2 / 1e-9, rel=0.05)
    firsts = [
        swats.Criterion(part, np.full(2000, 5.0)).switch(0.02) for part in np.split(gamma, 10)
    ]
    assert np.mean(firsts) == pytest.approx(2 / 0.02, rel=0.6)


def test_a_gamma_that_runs_ahead_of_its_mean_never_switches(swats) -> None:
    gamma = np.linspace(1, 3, 100)
    mean = np.cumsum(gamma) / np.arange(1, 101)
    criterion = swats.Criterion(gamma, mean)
    assert criterion.crossings() == 0
    assert criterion.updates_for(1e-9) == np.inf


def test_neither_the_first_update_nor_a_negative_mean_switches(swats) -> None:
    gamma = np.array([1.0, -1.0, 2.0])
    assert swats.Criterion(gamma, np.array([1.0, -1.0, 2.0])).switch(0.1) == 3
    assert swats.Criterion(gamma, np.array([1.0, -1.0, 5.0])).switch(0.1) == 0


def test_a_star_sits_on_the_curve_of_its_seed(swats) -> None:
    found = swats.Run([1, 4, 16], [90.0, 50.0, 10.0], 0.9, 0.9, 0.1, 8, 1.0)
    assert found.error_at(4) == pytest.approx(50)
    assert found.error_at(8) == pytest.approx(30)


def test_training_looks_at_every_doubling_and_at_the_end(swats, data) -> None:
    found = swats.train(data, nn.OPTIMIZERS["swats"](lr=1e-3, tolerance=10.0), 0, 5)
    assert found.updates == [1, 2, 4, 8, 10]
    assert found.switched_at == 2
    assert found.Lambda > 0
    assert found.errors[-1] == pytest.approx(100 * (1 - found.val_accuracy))


def test_a_training_that_diverges_counts_as_guessing(swats, data) -> None:
    found = swats.train(data, nn.OPTIMIZERS["sgd"](lr=1e12), 0, 5)
    assert found.val_accuracy == pytest.approx(1 / 3)


def test_the_verdict_follows_the_numbers(swats) -> None:
    def rows(ours: list[float], theirs: list[float]) -> list[dict[str, object]]:
        return [
            {"arm": arm, "test %": accuracy}
            for arm, accuracies in (("ours", ours), ("theirs", theirs))
            for accuracy in accuracies
        ]

    ahead = swats.compared(rows([97.1, 97.2, 97.3], [96.0, 96.2, 96.2]), "ours", "theirs")
    assert "+1.07 points" in ahead
    assert ahead.endswith("over 3 pairs: ahead.")
    behind = swats.compared(rows([96.0, 96.2, 96.2], [97.1, 97.2, 97.3]), "ours", "theirs")
    assert behind.endswith("behind.")
    unclear = swats.compared(rows([96.0, 97.2, 96.2], [96.1, 96.2, 97.3]), "ours", "theirs")
    assert unclear.endswith("no difference can be told.")
    same = swats.compared(rows([96.0, 97.2], [96.0, 97.2]), "ours", "theirs")
    assert same == "ours and theirs have the same test accuracy in all 2 pairs."


@pytest.mark.slow
def test_the_fast_form_leaves_tables_figures_and_a_page(swats, tmp_path: Path) -> None:
    arguments = ["--fast", "--dataset", "digits", "--out", str(tmp_path)]
    assert swats.run(swats.main, arguments) == 0
    tables = ["swats.csv", "swats_criterion.csv", "swats_tuning.csv"]
    figures = ["swats.png", "swats_criterion.png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [*tables, *figures, "swats.md"]
    )
    page = (tmp_path / "swats.md").read_text()
    assert page.startswith("# When does SWATS switch from Adam to SGD")
    assert all(f"]({name})" in page for name in [*tables, *figures])


def test_the_page_says_what_the_tables_say(swats) -> None:
    page = (RESULTS / "swats.md").read_text()
    tables = {name: rows_of(RESULTS / f"swats{name}.csv") for name in ("", "_criterion", "_tuning")}
    sentences = [
        *swats.about_the_criterion(tables["_criterion"]),
        *swats.about_the_end(tables["_tuning"], tables[""]),
    ]
    said = [line.removeprefix("- ") for line in page.splitlines() if line.startswith("- ")]
    assert said == sentences
