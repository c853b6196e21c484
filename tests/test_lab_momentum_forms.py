"""The lab about the forms of momentum: closed forms, twins in plain Python, and what it says."""

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
    return importlib.import_module("momentum_forms")


def rows(folder: Path, part: str) -> list[dict[str, Any]]:
    return rows_of(folder / f"momentum_forms_{part}.csv")


def sentences(lab: ModuleType, folder: Path) -> list[str]:
    """What the lab has to say about the tables in a folder."""
    return [
        *lab.say_parting(rows(folder, "parting")),
        *lab.say_memory(rows(folder, "memory"), rows(folder, "deviations")),
        *lab.say_overshoot(rows(folder, "overshoot")),
        *lab.say_swings(rows(folder, "decay")),
        *lab.say_costs(rows(folder, "cost")),
    ]


def lowest(mu: float, a: float, updates: int, ahead: bool) -> float:
    """The least theta of momentum, or of Nesterov as it is taught, on a parabola from 1."""
    theta, v, least = 1.0, 0.0, 1.0
    for _ in range(updates):
        v = mu * v - a * (theta + mu * v if ahead else theta)
        theta += v
        least = min(least, theta)
    return least


@pytest.mark.parametrize(("name", "ahead"), [("momentum", False), ("nesterov_lookahead", True)])
def test_the_overshoot_is_that_of_the_recursion_in_plain_python(lab, name, ahead) -> None:
    products = np.array([1e-3, 0.01, 0.1, 0.7])
    expected = [max(0.0, -lowest(0.9, a, 300, ahead)) for a in products.tolist()]
    assert lab.overshoot(name, 0.9, products, 300) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("mu", [0.5, 0.9])
def test_it_swings_only_where_the_roots_are_complex(lab, mu: float) -> None:
    for name, onset in (
        ("momentum", (1 - math.sqrt(mu)) ** 2),
        ("nesterov_lookahead", ((1 - mu) / (1 + mu)) ** 2),
    ):
        below, above = lab.overshoot(name, mu, np.array([0.95, 1.5]) * onset, 3000)
        assert below < 1e-12
        assert above > 1e-6


def test_without_decay_the_swing_keeps_the_size_that_the_recursion_has(lab) -> None:
    # w_(t+1) = (2 - a) w_t - w_(t-1) from 1 and 1 - a is cos((t + 1/2) b) / cos(b / 2)
    a = 0.1
    b = math.acos(1 - a / 2)
    expected = np.abs(np.cos((np.arange(5001) + 0.5) * b) / math.cos(b / 2))
    found = lab.swings(lab.UNDAMPED, a, 5000)
    assert found["first_100"] == pytest.approx(expected[1:101].max(), rel=1e-6)
    assert found["last_100"] == pytest.approx(expected[-100:].max(), rel=1e-6)
    assert lab.swings(0.9, a, 5000)["last_100"] < 1e-9


@pytest.mark.parametrize("mu", [0.5, 0.9, 0.95, 0.99])
def test_the_influence_of_a_gradient_falls_below_a_tenth_when_the_logarithm_says(lab, mu) -> None:
    found = lab.memory(mu, 250)
    assert lab.tenth(found, mu) == math.ceil(math.log(0.1) / math.log(mu))
    assert [row["left"] for row in found] == pytest.approx(mu ** np.arange(250), abs=1e-12)


def test_the_velocity_is_the_unrolled_sum(lab) -> None:
    assert lab.unrolled_error(0.9) < 1e-12


def test_without_new_gradients_the_forms_part_by_8_1_steps(lab) -> None:
    updates = 300
    rates = [0.1, *[0.01] * updates]
    ends = []
    for name in ("momentum", "heavy_ball"):
        given = iter([1.0, *[0.0] * updates])
        ends.append(lab.path(name, lambda w: np.full_like(w, next(given)), np.zeros(1), rates, 0.9))  # noqa: B023
    apart = np.abs(ends[0] - ends[1])[1:, 0]
    assert apart[-1] == pytest.approx(8.1 * 0.1)
    assert apart == pytest.approx(lab.theory_apart(0.1, np.arange(updates + 1)), abs=1e-12)


def test_two_networks_are_one_until_the_rate_drops(lab, toy: nn.Split) -> None:
    data = nn.Dataset("toy", 3, toy, toy, toy)
    found = {row["updates_after_drop"]: row for row in lab.parting(data, seed=0, half=150)}
    assert found[0]["apart"] < 1e-12 < 1e-4 < found[1]["apart"]
    assert found[0]["momentum_step"] == pytest.approx(found[0]["heavy_ball_step"])
    # the old velocity times 0.9 and a new gradient, against a tenth of both
    assert found[1]["momentum_step"] > 7 * found[1]["heavy_ball_step"]
    assert found[120]["momentum_step"] < 1.5 * found[120]["heavy_ball_step"]


def test_nesterov_takes_one_gradient_an_update_and_sam_two(lab) -> None:
    assert [lab.gradients_an_update(name) for name in (*lab.COSTED, "sam")] == [1, 1, 1, 1, 2]


def test_the_momentum_that_is_as_dear_as_a_whole_gradient_is_called_so(lab) -> None:
    said = lab.say_costs(
        [
            {
                "optimizer": name,
                "weights": 100,
                "updates": 7,
                "gradients_an_update": 2 if name == "nesterov" else 1,
                "ms_an_update": ms,
                "ms_a_gradient": 9.0,
                "state_bytes_a_weight": 4,
            }
            for name, ms in zip(lab.COSTED, (1.0, 1.0, 2.0, 1.5), strict=True)
        ]
    )
    assert "nesterov need more" in said[0]
    assert "nesterov 2.00 ms (+100%, +10.0% of a whole training step)" in said[1]


@pytest.mark.slow
def test_the_fast_form_leaves_its_tables_figures_and_page(lab, tmp_path: Path) -> None:
    run = importlib.import_module("lab").run
    assert run(lab.main, ["--fast", "--dataset", "digits", "--out", str(tmp_path)]) == 0
    page = (tmp_path / "momentum_forms.md").read_text()
    for part in ("parting", "memory", "overshoot"):
        assert f"(momentum_forms_{part}.png)" in page
        assert (tmp_path / f"momentum_forms_{part}.png").stat().st_size < 200_000
    assert all(sentence in page for sentence in sentences(lab, tmp_path))


def test_the_tables_that_are_kept_support_every_sentence_of_the_page(lab) -> None:
    said = (RESULTS / "momentum_forms.md").read_text().splitlines()
    assert [line[2:] for line in said if line.startswith("- ")] == sentences(lab, RESULTS)
