"""The lab about batch sizes: twins of its trainings, memory, and what it says."""

import importlib
import itertools
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
    return importlib.import_module("batch_size")


def rows(folder: Path, part: str = "") -> list[dict[str, Any]]:
    return rows_of(folder / f"batch_size{part}.csv")


def sentences(lab: ModuleType, folder: Path) -> list[str]:
    return [*lab.memory_findings(rows(folder, "_memory")), *lab.findings(rows(folder))]


@pytest.fixture
def data(toy: nn.Split) -> nn.Dataset:
    return nn.Dataset("toy", 3, toy, toy[:100], toy[:100])


def test_one_a_few_and_all_images_are_loaded(lab, toy) -> None:
    loaders = [kind.make(toy, 5) for kind in lab.kinds((1, 2, 3, 4))]
    assert [loader.batch_size for loader in loaders] == [1, 16, 128, 300]
    assert [loader.seed for loader in loaders] == [5, 5, 5, None]


def test_a_course_counts_what_it_spends_and_ends_where_plain_descent_ends(lab, data) -> None:
    kind = lab.kinds((1, 4, 1, 1))[1]
    course = lab.course(data, kind, lr=0.5, seed=3)
    last = course[-1]
    assert (last["epochs"], last["updates"], last["gradients"]) == (4, 4 * 19, 4 * 300)
    for row in course:
        epochs, batches = divmod(row["updates"], 19)
        assert row["gradients"] == 300 * epochs + 16 * batches
        assert row["epochs"] == row["updates"] / 19
    seconds = [row["seconds"] for row in course]
    assert all(before < after for before, after in itertools.pairwise([0, *seconds]))

    model = nn.MLP([12, lab.HIDDEN, 3], seed=3)
    loader = nn.mini_batch(data.train, 16, 3)
    errors = {}
    for update, (x, labels) in enumerate(itertools.chain(*(loader for _ in range(4))), start=1):
        model.loss_and_grad(x, labels)
        model.w -= np.float32(0.5) * model.dw
        wrong = model.predict(data.val.x) != data.val.labels
        errors[update] = 100 * float(wrong.mean())
    assert [row["val_error_percent"] for row in course] == pytest.approx(
        [errors[row["updates"]] for row in course], abs=1.01
    )


def test_the_rate_with_the_fewest_errors_in_the_end_is_taken(lab, monkeypatch) -> None:
    def course(data: object, kind: object, lr: float, seed: int) -> list[dict[str, float]]:
        assert seed == lab.TUNING_SEED
        return [{"val_error_percent": 0.0}, {"val_error_percent": 10 + abs(lr - 0.3)}]

    monkeypatch.setattr(lab, "course", course)
    assert lab.tuned(None, None) == 0.3


def test_a_training_that_diverges_has_nothing_right(lab, data) -> None:
    course = lab.course(data, lab.kinds((1, 3, 1, 1))[1], lr=1e30, seed=0)
    assert course[-1]["val_error_percent"] == 100


def test_more_images_than_a_portion_take_no_more_memory(lab) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (6000, 60)).astype(np.uint8)
    split = nn.Split(images, rng.integers(0, 10, 6000), unit=255.0)
    found = {row["images"]: row for row in lab.memory(split, hidden=200)}
    assert list(found) == [1, 128, 1024, 6000]
    floats = 4 * (60 + 200)  # bytes of an image's pixels and outputs of hidden units, at the least
    assert found[1024]["peak_MB"] > 1024 * floats / 1e6
    assert found[6000]["peak_MB"] < 1.3 * found[1024]["peak_MB"]
    assert found[6000]["at_once_MB"] == pytest.approx(5.9 * found[1024]["peak_MB"], rel=0.1)
    assert found[1024]["at_once_MB"] == pytest.approx(found[1024]["peak_MB"])


def test_who_is_first_depends_on_what_is_counted(lab) -> None:
    def row(loader: str, lr: float, epochs: float, updates: int, error: float) -> dict[str, Any]:
        return {
            "loader": loader,
            "lr": lr,
            "seed": 0,
            "epochs": epochs,
            "updates": updates,
            "gradients": 100 * epochs,
            "seconds": 1.0,
            "val_error_percent": error,
        }

    made = [
        row("one", 0.03, 0.5, 50, 30.0),
        row("one", 0.03, 1.0, 100, 12.0),
        row("all", 1.0, 2.0, 2, 40.0),
        row("all", 1.0, 4.0, 4, 14.0),
        row("all", 1.0, 8.0, 8, 3.0),
    ]
    told = list(lab.findings(made))
    assert "lr 0.03, at the edge of what was tried." in told[0]
    assert told[1].endswith("lr 1.")
    assert told[2] == "85 % are right after these epochs: one: 1; all: 4. Fewest: one."
    assert told[3] == "85 % are right after these updates: one: 100; all: 4. Fewest: all."
    assert list(lab.findings(made[:1] + made[2:3]))[-1] == (
        "60 % are right after these seconds of training: one: 1; all: 1. Fewest: one."
    )
    assert list(lab.findings([row("one", 1.0, 1, 1, 90.0)]))[-1] == "Not all reach 50 %."


@pytest.mark.slow
def test_the_fast_form_leaves_tables_figures_and_a_page(lab, tmp_path: Path) -> None:
    assert lab.run(lab.main, ["--fast", "--dataset", "digits", "--out", str(tmp_path)]) == 0
    page = (tmp_path / "batch_size.md").read_text()
    assert page.startswith(f"# {lab.__doc__.splitlines()[0]}")
    for sentence in sentences(lab, tmp_path):
        assert f"- {sentence}" in page
    for name in ["batch_size.png"]:
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_the_page_says_what_the_tables_have(lab) -> None:
    page = (RESULTS / "batch_size.md").read_text()
    for sentence in sentences(lab, RESULTS):
        assert f"- {sentence}" in page
