"""Does the order hold? The script that compares rankings, on rankings known beforehand."""

import csv
import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

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
    """The files of a study whose best optimizer is the first of the names."""
    folder.mkdir()
    summary, trials = [], []
    for k, name in enumerate(names):
        summary.append({"schedule": "constant", "optimizer": name, "lr": "0.1"})
        summary.append({"schedule": "cosine", "optimizer": name, "lr": "0.2"})
        for seed in range(1, 6):
            final = {"stage": "final", "optimizer": name, "seed": seed, "schedule": "constant"}
            accuracy = 0.97 - apart * k + 0.001 * seed
            trials.append(final | {"lr": "0.1", "test_accuracy": accuracy})
            trials.append(final | {"lr": "0.3", "test_accuracy": 0.1})  # was not chosen
            trials.append(final | {"lr": "0.2", "schedule": "cosine", "test_accuracy": 0.1 * k})
        trials.append(final | {"stage": "search", "lr": "0.1", "test_accuracy": ""})
    for name, rows in (("summary.csv", summary), ("trials.csv", trials)):
        with (folder / name).open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
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


def test_the_interval_is_wide_where_seeds_disagree_and_narrow_where_they_do_not(order) -> None:
    rng = np.random.default_rng(0)

    def noisy(noise: float) -> dict[str, dict[int, float]]:
        return {
            name: {seed: 0.9 + 0.01 * k + noise * rng.normal() for seed in range(12)}
            for k, name in enumerate(NAMES)
        }

    tau, low, high = order.correlation(noisy(0.001), noisy(0.001), NAMES, rng)
    assert (tau, low, high) == (1, 1, 1)
    _, low, high = order.correlation(noisy(0.1), noisy(0.1), NAMES, rng)
    assert high - low > 0.5


def test_one_study_alone_is_refused(order, tmp_path: Path, capsys) -> None:
    with pytest.raises(SystemExit) as left:
        order.main([study(tmp_path / "a", NAMES)])
    assert left.value.code == 2
    assert "two studies or more" in capsys.readouterr().err
