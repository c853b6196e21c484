"""Does the order hold? The script that compares rankings, on rankings known beforehand."""

import csv
import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from study_rows import design, finals, row

from nnscratch.runs import RunFolder
from nnscratch.study import design as designs
from nnscratch.study.ledger import Ledger

SCRIPT = Path(__file__).parent.parent / "experiments" / "order.py"
NAMES = ["sgd", "momentum", "adam", "lion", "yogi"]


@pytest.fixture(scope="module")
def order() -> ModuleType:
    spec = importlib.util.spec_from_file_location("order", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def study(folder: Path, names: list[str], apart: float = 0.01) -> str:
    """The folder of a study whose best optimizer is the first of the names."""
    folder.mkdir()
    asked = design(names, seeds=5, tier="defaults", schedules=["constant", "cosine"])
    RunFolder(folder).write_json(designs.FILE, asked.to_json())
    kept = Ledger(folder / "trials.csv")
    for k, name in enumerate(names):
        tests = [0.97 - apart * k + 0.001 * seed for seed in range(5)]
        for one in (
            *finals(name, tests),
            *finals(name, tests[::-1], schedule="cosine"),
            *finals(name, [0.1 * k] * 5, code="older"),
        ):
            kept.append(one)
    return str(folder)


def test_the_same_order_has_a_correlation_of_one(order, tmp_path: Path, capsys) -> None:
    order.main([study(tmp_path / "mnist", NAMES), study(tmp_path / "digits", NAMES)])
    out = capsys.readouterr().out
    assert "mnist and digits: Kendall's tau 1.00, 95 % interval 1.00 to 1.00" in out
    with (tmp_path / "order.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row == {
        "study": "mnist",
        "other": "digits",
        "optimizers": "5",
        "tau": "1.000",
        "low": "1.000",
        "high": "1.000",
    }
    assert (tmp_path / "order.png").read_bytes().startswith(b"\x89PNG")


def test_the_opposite_order_has_minus_one_and_ranks_are_printed(order, tmp_path, capsys) -> None:
    order.main([study(tmp_path / "a", NAMES), study(tmp_path / "b", NAMES[::-1])])
    out = capsys.readouterr().out
    assert "Kendall's tau -1.00" in out
    assert [line.split() for line in out.splitlines()[1:6]] == [
        [name, str(k), str(6 - k)] for k, name in enumerate(NAMES, start=1)
    ]


def test_only_what_all_studies_have_is_ranked(order, tmp_path: Path, capsys) -> None:
    a, b = study(tmp_path / "a", NAMES), study(tmp_path / "b", ["adam", "lion", "sgd"])
    order.main([a, b])
    assert "momentum" not in capsys.readouterr().out


@pytest.mark.slow
def test_the_interval_is_wide_where_seeds_disagree_and_narrow_where_they_do_not(order) -> None:
    rng = np.random.default_rng(0)

    def noisy(noise: float) -> dict[str, dict[int, float]]:
        return {
            name: {seed: 0.9 + 0.01 * k + noise * rng.normal() for seed in range(12)}
            for k, name in enumerate(NAMES)
        }

    assert order.correlation(noisy(0.001), noisy(0.001), rng) == pytest.approx((1, 1, 1))
    _, low, high = order.correlation(noisy(0.1), noisy(0.1), rng)
    assert high - low > 0.5


def test_an_optimizer_that_diverged_keeps_its_rank(order, tmp_path: Path, capsys) -> None:
    a, b = study(tmp_path / "a", NAMES), study(tmp_path / "b", NAMES)
    kept = Ledger(Path(a) / "trials.csv")
    for seed in (1, 2):
        kept.append(row("sgd", "final", [0.5], seed=seed, status="diverged"))
    order.main([a, b])
    ranks = {line.split()[0]: line.split()[1] for line in capsys.readouterr().out.splitlines()[1:6]}
    assert ranks["sgd"] == "5"


def test_optimizers_with_fewer_seeds_do_not_cost_the_others_theirs(order) -> None:
    many = {name: dict.fromkeys(range(12), 0.9) for name in NAMES}
    drawn = order.resampled(many | {"muon": {1: 0.9, 2: 0.9}}, np.random.default_rng(0))
    assert len(drawn["sgd"]) == 12
    assert drawn["sgd"] == drawn["adam"]
    assert len(drawn["muon"]) == 2
    assert set(drawn["muon"]) <= {1, 2}


def test_one_study_alone_is_refused(order, tmp_path: Path, capsys) -> None:
    with pytest.raises(SystemExit) as left:
        order.main([study(tmp_path / "a", NAMES)])
    assert left.value.code == 2
    assert "two studies or more" in capsys.readouterr().err
