"""The lab on large batches: what its remedies are, and what the sentences say."""

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
    monkeypatch.syspath_prepend(str(EXPERIMENTS))
    monkeypatch.setenv("NNSCRATCH_ENGINE", "numpy")  # compiles nothing
    return importlib.import_module("large_batch")


@pytest.fixture
def data(toy: nn.Split) -> nn.Dataset:
    return nn.Dataset("toy", 3, toy[:192], toy[192:250], toy[250:])


@pytest.fixture
def sizes(lab: ModuleType) -> Any:
    return lab.Sizes(small=12, large=48, images=192, epochs=2)


def test_the_rules_give_the_rates_that_the_papers_give(lab) -> None:
    sizes = lab.Sizes()
    rates = {remedy.name: remedy.scaled(0.1, sizes) for remedy in lab.REMEDIES if remedy.power}
    assert rates["linear"] == rates["linear, warm-up"] == pytest.approx(6.4)
    assert rates["square root"] == rates["square root, warm-up"] == pytest.approx(0.8)
    assert lab.SAME.scaled(0.1, sizes) == 0.1


def test_the_linear_rule_takes_one_step_for_many_small_ones(lab, data, sizes) -> None:
    """Goyal et al.: k small steps of a tiny rate are one large step of k times the rate."""
    weights = []
    for size in (sizes.small, sizes.large):
        model = nn.MLP([12, 5, 3], seed=0, dtype="float64")
        remedy = lab.SMALL if size == sizes.small else lab.Remedy("linear", power=1)
        lr = remedy.scaled(1e-6, sizes) if size == sizes.large else 1e-6
        start = model.w.copy()
        optimizer = nn.OPTIMIZERS["sgd"](lr=lr)
        for _ in nn.fit(model, optimizer, nn.mini_batch(data.train, size, seed=1), 1):
            pass
        weights.append(model.w - start)
    assert np.abs(weights[1]).max() > 0
    assert weights[0] == pytest.approx(weights[1], rel=1e-4, abs=1e-10)


def test_warm_up_raises_the_rate_over_a_fifth_of_the_updates(lab, data, monkeypatch) -> None:
    """With sgd the first step is lr / (warm-up + 1) times the gradient."""
    seen: list[float] = []
    fit = nn.fit

    def watched(*args: Any, **settings: Any) -> Any:
        for record in fit(*args, **(settings | {"every": 1})):
            seen.append(record.lr)
            yield record

    monkeypatch.setattr(lab.nn, "fit", watched)
    sizes = lab.Sizes(small=12, large=48, images=192, epochs=5)
    lab.train(data, lab.Remedy("linear, warm-up", power=1, warm=True), 0.5, sizes, 5, seed=0)
    assert len(seen) == 20
    assert seen[:5] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5])
    assert set(seen[4:]) == {0.5}


def test_a_training_is_looked_at_after_every_doubling_and_at_the_end(lab, data, sizes) -> None:
    found = lab.train(data, lab.SAME, 0.1, sizes, 3, seed=0, test=True)
    assert found.updates == [1, 2, 4, 8, 12]
    assert found.total == 12
    assert found.errors[-1] == pytest.approx(100 * (1 - found.val_accuracy))
    assert 0 <= found.test_accuracy <= 1
    assert np.isnan(lab.train(data, lab.SAME, 0.1, sizes, 3, seed=0).test_accuracy)


def test_a_training_that_diverges_counts_as_guessing(lab, data, sizes) -> None:
    found = lab.train(data, lab.SAME, 1e12, sizes, 3, seed=0, test=True)
    assert found.val_accuracy == found.test_accuracy == pytest.approx(1 / 3)
    assert len(found.errors) == len(found.updates)


def test_tuning_takes_the_best_rate_and_the_rules_follow_from_it(lab, data, sizes) -> None:
    rates = dict.fromkeys(lab.RATES, (1e-5, 0.1))
    tuning = list(lab.tuned(data, sizes, rates))
    for name in dict.fromkeys(row["remedy"] for row in tuning):
        mine = [row for row in tuning if row["remedy"] == name]
        assert [row["best"] for row in mine].count(1) == 1
        best = next(row for row in mine if row["best"])
        assert best["val %"] == max(row["val %"] for row in mine)
    base = lab.rate_of(lab.SMALL, tuning, sizes)
    assert base == 0.1
    linear = next(remedy for remedy in lab.REMEDIES if remedy.name == "linear")
    assert lab.rate_of(linear, tuning, sizes) == pytest.approx(0.4)


def test_equal_updates_are_compared_at_the_same_update(lab, data, sizes) -> None:
    tuning = list(lab.tuned(data, sizes, dict.fromkeys(lab.RATES, (0.1,))))
    small = [lab.train(data, lab.SMALL, 0.1, sizes, sizes.epochs, seed=1)]
    rows = [row for row, _ in lab.longer(data, sizes, tuning, small, [1])]
    assert [row["updates"] for row in rows if row["remedy"] == "same rate"] == [1, 2, 4, 8, 16, 32]
    large = lab.train(data, lab.SAME, 0.1, sizes, lab.LONGER * sizes.epochs, seed=1)
    for row in rows:
        assert row["small batch val %"] == 100 - small[0].error_at(row["updates"])
    assert rows[3]["val %"] == 100 - large.error_at(8)


def ended(accuracies: dict[str, list[float]]) -> list[dict[str, Any]]:
    return [
        {
            "remedy": name,
            "batch size": 128 if name == "small batch" else 8192,
            "lr": 0.1,
            "updates": 100,
            "seconds": 1.0,
            "val %": accuracy,
            "test %": accuracy,
        }
        for name, found in accuracies.items()
        for accuracy in found
    ]


def test_the_sentences_follow_the_numbers(lab) -> None:
    names = [remedy.name for remedy in lab.REMEDIES]
    found = {name: [80.0, 80.2, 80.4] for name in names}
    found |= {"small batch": [97.0, 97.2, 97.4], "same rate": [87.0, 87.2, 87.4]}
    found |= {"adam": [94.5, 94.7, 94.9], "lamb": [92.0, 92.2, 92.4]}
    tuning = [
        {"remedy": name, "lr": lr, "best": int(k == (0 if name == "lars" else 1))}
        for name in ("tuned", "lars")
        for k, lr in enumerate((0.1, 1.0, 10.0))
    ]
    said = lab.about_equal_epochs(tuning, ended(found))
    assert "97.20 % of the test images" in said[0]
    assert any(text.startswith("adam, lr 0.1: 94.70 %, -2.50 points") for text in said)
    best = next(text for text in said if text.startswith("The best remedy"))
    assert "is adam, before lamb: it makes good 75% of the 10.00 points" in best
    assert said[-1].endswith("for: lars.")


@pytest.mark.slow
def test_the_fast_form_leaves_tables_figure_and_page(lab, tmp_path: Path) -> None:
    assert lab.run(lab.main, ["--fast", "--dataset", "digits", "--out", str(tmp_path)]) == 0
    tables = ["large_batch.csv", "large_batch_tuning.csv", "large_batch_updates.csv"]
    names = [*tables, "large_batch.png", "large_batch.md"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)
    page = (tmp_path / "large_batch.md").read_text()
    assert page.startswith("# What does a batch of thousands need")
    assert all(f"]({name})" in page for name in [*tables, "large_batch.png"])


def test_the_page_says_what_the_tables_say(lab) -> None:
    page = (RESULTS / "large_batch.md").read_text()
    tables = {
        name: rows_of(RESULTS / f"large_batch{name}.csv") for name in ("", "_tuning", "_updates")
    }
    sentences = [
        *lab.about_equal_epochs(tables["_tuning"], tables[""]),
        *lab.about_equal_updates(tables["_updates"], tables[""]),
    ]
    said = [line.removeprefix("- ") for line in page.splitlines() if line.startswith("- ")]
    assert said == sentences
