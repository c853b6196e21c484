"""The comparison of speeds: its arithmetic, its page and figure, and what the README quotes."""

import csv
import importlib.util
import math
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "experiments" / "results"


@pytest.fixture(scope="module")
def speed() -> ModuleType:
    spec = importlib.util.spec_from_file_location("speed", ROOT / "experiments" / "speed.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["speed"] = module  # a dataclass looks its module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def results() -> list[dict[str, str]]:
    with (RESULTS / "speed.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def made_up(speed: ModuleType, measure: str, contender, seconds: list[float], **work) -> dict:
    return speed.row(measure, contender, speed.Work(**work), seconds)


def test_the_median_of_the_rounds_counts(speed: ModuleType) -> None:
    row = made_up(speed, "epoch", speed.OURS, [3.0, 1.0, 9.0, 2.0, 2.5], batch_size=8)
    assert (row["median"], row["least"], row["most"], row["rounds"]) == ("2.5", "1", "9", "5")
    assert (row["optimizer"], row["batch_size"], row["hidden"]) == ("adam", "8", "1000")


def test_a_ratio_is_ours_over_theirs_and_against_their_fastest(speed: ModuleType) -> None:
    rows = [
        made_up(speed, "epoch", speed.OURS, [1.0]),
        made_up(speed, "epoch", speed.TORCH, [4.0]),
        made_up(speed, "epoch", speed.TORCH_FUSED, [2.0]),
        made_up(speed, "epoch", speed.PLAIN, [1.5]),
    ]
    found = {(r.measure, r.against): r.cells()[2] for r in speed.ratios(speed.Medians(rows))}
    assert found["s/epoch, adam, batch 128", "PyTorch"] == "0.25"
    assert found["s/epoch, adam, batch 128", "PyTorch's fastest"] == "0.5"
    assert found["s/epoch, adam, batch 128, without numba", "PyTorch fused"] == "0.75"
    assert found["s/update, sgd, batch 1", "PyTorch's fastest"] == ""  # not measured, not made up


def test_an_accuracy_that_is_never_reached_is_called_so(speed: ModuleType) -> None:
    assert speed.number(math.inf) == "never"
    assert speed.number(math.nan) == ""
    assert speed.number(0.123456) == "0.123"


def test_every_peer_is_measured_on_the_same_work(speed: ModuleType) -> None:
    """Those with fewer contenders are optimizers that PyTorch alone has."""
    for work in speed.works(fast=False):
        assert speed.OURS in work.contenders
        assert set(speed.TORCHES) <= set(work.contenders)
        assert 1 <= work.updates <= work.epoch
    adam = [work for work in speed.works(fast=False) if work.optimizer == "adam"]
    assert {work.batch_size for work in adam} == {1, 8, 32, 128, 512, 4096, 60_000}
    assert {work.hidden for work in adam} == {100, 300, 1000, 3000, 8000}
    assert all(work.contenders == speed.EVERYONE for work in adam)


def test_the_page_belongs_to_the_numbers(speed: ModuleType, results) -> None:
    page = (RESULTS / "speed.md").read_text(encoding="utf-8")
    machine = page.splitlines()[2]
    assert speed.report(speed.Medians(results), machine) == page


def test_the_figure_can_be_drawn_from_the_numbers(speed: ModuleType, results, tmp_path) -> None:
    speed.figure(speed.Medians(results), tmp_path / "speed.png")
    assert (tmp_path / "speed.png").stat().st_size > 50_000


def test_every_number_has_five_rounds_behind_it(results) -> None:
    assert results
    for row in results:
        if not row["measure"].startswith(("accuracy after", "seconds to epoch")):
            assert int(row["rounds"]) >= 5, row


def test_the_readme_quotes_the_ratios_that_were_measured(speed: ModuleType, results) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    section = readme.split("## Fast")[1].split("\n## ")[0]
    quoted = re.findall(r"^\| (s/|whole|peak)(.*) \|$", section, re.MULTILINE)
    measured = [" | ".join(ratio.cells()) for ratio in speed.ratios(speed.Medians(results))]
    assert len(quoted) >= 10
    for begin, rest in quoted:
        assert begin + rest in measured
