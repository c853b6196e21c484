"""The lab that slices the loss: its ends and middles are the networks themselves."""

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
    monkeypatch.syspath_prepend(EXPERIMENTS)
    return importlib.import_module("loss_slices")


def rows(folder: Path, part: str = "") -> list[dict[str, Any]]:
    return rows_of(folder / f"loss_slices{part}.csv")


def sentences(lab: ModuleType, folder: Path) -> list[str]:
    return [*lab.line_findings(rows(folder)), *lab.slice_findings(rows(folder, "_around"))]


@pytest.fixture
def data(toy: nn.Split) -> nn.Dataset:
    return nn.Dataset("toy", 3, toy, toy[:100], toy[100:200])


@pytest.fixture
def pair() -> dict[str, nn.MLP]:
    return {name: nn.MLP([12, 5, 3], seed=seed) for seed, name in enumerate(("small", "large"))}


def losses(model: nn.MLP, data: nn.Dataset) -> list[float]:
    return [model.evaluate(split.x, split.labels).loss for split in (data.train, data.test)]


def test_the_line_goes_through_both_networks_and_beyond(lab, data, pair) -> None:
    found = {row["alpha"]: row for row in lab.line(data, pair, points=4)}
    assert list(found) == pytest.approx([-1, 0, 1, 2])
    for alpha, name in enumerate(("small", "large")):
        expected = losses(pair[name], data)
        assert [found[alpha]["train_loss"], found[alpha]["test_loss"]] == pytest.approx(expected)
    beyond = nn.MLP([12, 5, 3])
    beyond.w = 2 * pair["large"].w - pair["small"].w
    assert [found[2]["train_loss"], found[2]["test_loss"]] == pytest.approx(losses(beyond, data))


def test_a_direction_is_random_and_each_unit_of_it_as_long_as_the_networks(lab, pair) -> None:
    model = pair["small"]
    model.matrices[0].w[:, 2] *= 100
    before = model.w.copy()
    other = nn.MLP([12, 5, 3])
    rng = np.random.default_rng(0)
    for _ in range(2):
        other.w, last = lab.direction(model, rng), other.w.copy()
        for drawn, matrix in zip(other.matrices, model.matrices, strict=True):
            assert np.linalg.norm(drawn.w, axis=0) == pytest.approx(
                np.linalg.norm(matrix.w, axis=0), rel=1e-5
            )
    cosine = other.w @ last / (np.linalg.norm(other.w) * np.linalg.norm(last))
    assert abs(cosine) < 0.9
    assert (model.w == before).all()


def test_the_middle_of_every_slice_is_the_network(lab, data, pair) -> None:
    around = lab.slices(data, pair, points=3)
    for name, model in pair.items():
        (middle,) = [row for row in around if row["batch"] == name and row["alpha"] == 0]
        expected = losses(model, data)
        assert [middle["train_loss"], middle["test_loss"]] == pytest.approx(expected)
        steps, height = lab.plane(data, model, points=3)
        assert steps.tolist() == [-1, 0, 1]
        assert height[1, 1] == pytest.approx(expected[0])
        # along the first direction lies the slice
        mine = [row["train_loss"] for row in around if row["batch"] == name]
        assert height[1].tolist() == pytest.approx(mine)


def test_seeds_with_which_one_of_the_two_fails_are_left_out(lab, monkeypatch) -> None:
    def trained(task: object, name: str, lr: float, seed: int) -> Any:
        if (name, seed) == ("large", 1):
            return None
        return lab.sys.modules["sharp_minima"].Minimum(f"{name} {seed} {lr}", None, 1, 1)

    monkeypatch.setattr(lab, "trained", trained)
    assert lab.pairs(None, 3) == [
        {"small": f"small {seed} 0.01", "large": f"large {seed} 0.03"} for seed in (0, 2)
    ]


def test_the_lowest_places_and_the_rise_between_are_told(lab) -> None:
    heights = {-1.0: (5, 5), 0.0: (0.1, 0.5), 0.5: (2.0, 0.4), 1.0: (0.2, 0.9), 2.0: (7, 7)}
    made = [
        {"seed": 0, "alpha": alpha, "train_loss": train, "test_loss": test}
        for alpha, (train, test) in heights.items()
    ]
    made += [row | {"seed": 1, "train_loss": row["train_loss"] + 1} for row in made]
    told, small, large = lab.line_findings(made)
    assert "n = 2 seeds, the training loss rises to 2 to 3 between" in told
    assert told.endswith("lowest at 0.0, 0.0, and the test loss at 0.5, 0.5.")
    assert small.endswith("the training loss is 0.6000 and the test loss 0.500 (means).")
    assert large.endswith("the training loss is 0.7000 and the test loss 0.900 (means).")
    around = [
        {"batch": name, "alpha": alpha, "train_loss": scale * alpha**2, "test_loss": 2 * alpha**2}
        for name, scale in (("small", 1), ("large", 3))
        for alpha in (-1.0, 0.0, 1.0)
    ]
    small, large = lab.slice_findings(around)
    assert small.endswith("training loss rises by 1 and the test loss by 2.")
    assert large.endswith("training loss rises by 3 and the test loss by 2.")


@pytest.mark.slow
def test_the_fast_form_leaves_tables_figures_and_a_page(lab, tmp_path: Path) -> None:
    assert lab.run(lab.main, ["--fast", "--dataset", "digits", "--out", str(tmp_path)]) == 0
    page = (tmp_path / "loss_slices.md").read_text()
    assert page.startswith(f"# {lab.__doc__.splitlines()[0]}")
    for sentence in sentences(lab, tmp_path):
        assert f"- {sentence}" in page
    for name in ["loss_slices.png", "loss_slices_plane.png"]:
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_the_page_says_what_the_tables_have(lab) -> None:
    page = (RESULTS / "loss_slices.md").read_text()
    for sentence in sentences(lab, RESULTS):
        assert f"- {sentence}" in page
