"""The table of published numbers: how its rows are chosen and finished, and what it says."""

import concurrent.futures
import csv
import dataclasses
import importlib.util
import shlex
import statistics
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import nnscratch as nn
from nnscratch import train
from nnscratch.command_line import run
from nnscratch.settings import parse

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / "experiments" / "published.py"
RESULTS = ROOT / "experiments" / "results"
FLAGS = "--dataset digits --hidden 12 --epochs 2 --batch-size 50 --distortion affine --dropout 0.1"


@pytest.fixture
def published(tmp_path, monkeypatch) -> ModuleType:
    """The script, with a table of its own: two settings to choose from, and a committee."""
    spec = importlib.util.spec_from_file_location("published", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "published", module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "RESULTS", tmp_path)
    monkeypatch.setattr(module, "WEIGHTS", tmp_path / "weights")
    row = module.Row("twelve units", "a book", 5.0, 4.0, FLAGS, ("--lr 0.01", "--lr 0.02"))
    committee = module.CommitteeRow("all of them", "a paper", 3.0, 2.0, {"twelve": 4})
    monkeypatch.setattr(module, "ROWS", {"twelve": row, "together": committee})
    monkeypatch.setattr(module, "CHOOSING", "--val-size 250")
    return module


@pytest.fixture
def trained(published, monkeypatch) -> list[Any]:
    """The jobs that would have been trained; each gets an error that depends on its rate."""
    jobs: list[Any] = []

    def quick(asked, results):
        for job in asked:
            jobs.append(job)
            error = 3.0 if "--lr 0.02" in job.settings else 3.5
            results.add(result(job.row, job.seed, error + job.seed, job.settings))

    monkeypatch.setattr(published, "train_all", quick)
    return jobs


def result(row: str, seed: int, error: float, flags: str, loss: float = 0.1) -> dict[str, object]:
    return {
        "row": row,
        "settings": flags,
        "seed": seed,
        "loss": loss,
        "error": error,
        "seconds": 90,
        "command": f"python -m nnscratch.train {flags} --seed {seed} --threads 1",
    }


def test_a_row_is_the_train_command_bit_for_bit(published, tmp_path):
    job = published.Job("twelve", f"{FLAGS} --val-size 0", 1, "test")
    found = job.run()
    words = shlex.split(str(found["command"]).removeprefix("python -m nnscratch.train "))
    assert train.main([*words, "--quiet", "--out", str(tmp_path / "run")]) == 0
    ours, theirs = nn.load_model(published.weights_of("twelve", 1)), nn.load_model(tmp_path / "run")
    assert ours.w.tobytes() == theirs.w.tobytes()
    test = nn.load_dataset("digits").test
    wrong = np.mean(theirs.predict(test.x) != test.labels)
    assert found["error"] == f"{100 * wrong:.2f}"


def test_choosing_never_looks_at_the_test_images(published, monkeypatch):
    data = nn.load_dataset("digits", val_size=250)
    blind = dataclasses.replace(data, test=None)
    monkeypatch.setattr(nn, "load_dataset", lambda *_, **__: blind)
    found = published.Job("twelve", f"{FLAGS} --val-size 250", 0, "validation").run()
    assert found["judged_on"] == "validation"
    with pytest.raises(AttributeError):  # it would have been seen
        published.Job("twelve", f"{FLAGS} --val-size 250", 0, "test").run()


def test_the_settings_with_the_lowest_validation_error_are_finished(published, trained, tmp_path):
    run(published.main, ["--choose", "twelve", "--finish", "twelve"])
    assert [("0.02" in job.settings, job.seed, job.judged_on) for job in trained] == [
        (False, 0, "validation"),
        (True, 0, "validation"),
        *((True, seed, "test") for seed in (0, 1, 2)),
    ]
    assert all("--val-size 0" in job.settings for job in trained[2:])


def test_of_equal_errors_the_lower_loss_is_chosen(published, tmp_path):
    row, choices = published.ROWS["twelve"], published.Results(tmp_path / "choices.csv")
    for flags, loss in zip(row.settings, (0.2, 0.1), strict=True):
        choices.add(result("twelve", 0, 2.0, f"{flags} --val-size 250", loss))
    assert published.chosen("twelve", row, choices) == row.settings[1]


def test_a_row_whose_settings_were_not_tried_cannot_be_finished(
    published, trained, tmp_path, capsys
):
    assert run(published.main, ["--finish", "twelve"]) == 2
    assert "2 of the settings of twelve have not been tried" in capsys.readouterr().err
    assert trained == []


def test_what_is_finished_is_not_trained_again(published, trained, tmp_path):
    asked = ["--choose", "twelve", "--finish", "twelve"]
    run(published.main, asked)
    before = len(trained)
    run(published.main, asked)
    assert len(trained) == before == 5


def test_a_row_that_was_broken_off_goes_on_with_the_seeds_that_lack(published, trained, tmp_path):
    asked = ["--choose", "twelve", "--finish", "twelve"]
    run(published.main, asked)
    lines = (tmp_path / "published.csv").read_text().splitlines()
    (tmp_path / "published.csv").write_text("\n".join([lines[0], lines[1], lines[3]]) + "\n")
    del trained[:]
    run(published.main, asked)
    assert [job.seed for job in trained] == [1]


def test_a_committee_trains_the_members_that_lack_and_answers_once(
    published, monkeypatch, tmp_path, capsys
):
    asked = ["--choose", "twelve", "--finish", "twelve", "together"]
    monkeypatch.setattr(published, "PROCESSES", 1)

    def here(jobs, results):
        for job in jobs:
            results.add(job.run())

    monkeypatch.setattr(published, "train_all", here)
    monkeypatch.setattr(published, "DATASET", "digits")
    assert run(published.main, asked) == 0
    members = [nn.load_model(tmp_path / "weights" / f"twelve-{seed}.npz") for seed in range(4)]
    test = nn.load_dataset("digits").test
    together = sum(member.predict_proba(test.x).astype(float) for member in members)
    wrong = 100 * np.mean(together.argmax(axis=1) != test.labels)
    assert f"| {wrong:.2f} |" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("errors", "verdict"), [((3.99, 4.01, 4), "reached"), ((3, 4, 5.01), "missed")]
)
def test_the_table_says_what_was_reached_and_what_was_missed(published, tmp_path, errors, verdict):
    finished = published.Results(tmp_path / "published.csv")
    for seed, error in enumerate(errors):
        finished.add(result("twelve", seed, error, FLAGS))
    line = published.table(published.Results(tmp_path / "choices.csv"), finished).splitlines()[2]
    cells = [cell.strip() for cell in line.split("|")]
    spread = statistics.stdev(errors)
    assert cells[1:3] == ["twelve", "twelve units (a book)"]
    assert cells[3:6] == ["5.00", f"{statistics.fmean(errors):.2f} ± {spread:.2f}", "4.00"]
    assert verdict in cells[6]
    assert cells[9] == "1.5"


def test_all_rows_are_chosen_and_finished_with_one_word(published, trained, monkeypatch):
    committees = []
    monkeypatch.setattr(published, "gather", lambda name, *_: committees.append(name))
    assert run(published.main, ["--choose", "all", "--finish", "all"]) == 0
    assert len(trained) == 5
    assert committees == ["together"]


def test_a_committee_whose_networks_are_elsewhere_says_which(published, trained, capsys):
    assert run(published.main, ["--choose", "twelve", "--finish", "twelve", "together"]) == 2
    err = capsys.readouterr().err
    assert "the weights of twelve-0, twelve-1, twelve-2, twelve-3 are not in" in err
    assert "delete their lines in" in err


def test_two_processes_with_a_row_each_keep_both(published, tmp_path):
    one, other = (published.Results(tmp_path / "published.csv") for _ in range(2))
    one.add(result("twelve", 0, 1.0, FLAGS))
    other.add(result("thirteen", 0, 2.0, FLAGS))
    kept = published.Results(tmp_path / "published.csv").rows
    assert [found["row"] for found in kept] == ["twelve", "thirteen"]


def test_the_mean_is_that_of_the_first_seeds_whoever_came_in_first(published, tmp_path):
    finished = published.Results(tmp_path / "published.csv")
    for seed in (4, 3, 2, 1, 0):
        finished.add(result("twelve", seed, [1.0, 2.0, 3.0, 9.0, 9.0][seed], FLAGS))
    line = published.table(published.Results(tmp_path / "choices.csv"), finished).splitlines()[2]
    assert "2.00 ± 1.00" in line


def test_the_table_counts_what_was_tried_and_shows_what_was_chosen(published, trained, capsys):
    run(published.main, ["--choose", "twelve", "--finish", "twelve"])
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "| twelve " in line)
    assert [cell.strip() for cell in line.split("|")][7:9] == ["2", "`--lr 0.02`"]


def test_a_row_is_not_finished_with_two_settings(published, trained, tmp_path, capsys):
    run(published.main, ["--choose", "twelve", "--finish", "twelve"])
    choices = tmp_path / "published_choices.csv"
    choices.write_text(choices.read_text().replace(",3.5,", ",0.5,"))  # another is the best now
    before = len(trained)
    assert run(published.main, ["--finish", "twelve"]) == 2
    assert "twelve was finished with other settings" in capsys.readouterr().err
    assert len(trained) == before


def test_what_fails_takes_nothing_with_it(published, monkeypatch, tmp_path):
    class Pool:
        """Runs here what another process would."""

        def __init__(self, *_):
            pass

        def submit(self, job):
            future = concurrent.futures.Future()
            try:
                future.set_result(job())
            except ZeroDivisionError as error:
                future.set_exception(error)
            return future

        def shutdown(self, cancel_futures):
            assert cancel_futures

    def ran(job):
        if job.seed == 0:
            raise ZeroDivisionError
        return result(job.row, job.seed, 1.0, job.settings)

    monkeypatch.setattr(published, "ProcessPoolExecutor", Pool)
    monkeypatch.setattr(published.Job, "run", ran)
    results = published.Results(tmp_path / "some.csv")
    with pytest.raises(ZeroDivisionError):
        published.train_all([published.Job("twelve", FLAGS, k, "test") for k in range(3)], results)
    kept = published.Results(tmp_path / "some.csv").rows
    assert sorted(found["seed"] for found in kept) == ["1", "2"]


def test_settings_that_diverge_were_tried_too(published):
    flags = "--dataset digits --hidden 12 --activation relu --opt sgd --lr 1e9 --val-size 250"
    found = published.Job("twelve", flags, 0, "validation").run()
    assert (found["error"], found["loss"]) == ("100.00", "inf")


def test_nielsens_validation_images_are_the_last_and_train_nothing(published, monkeypatch):
    monkeypatch.setattr(published, "HELD_BACK", 100)
    seen = {}

    def make_loader(settings, data):
        seen["train"] = data.train
        return train.make_loader(settings, data)

    monkeypatch.setattr(published, "make_loader", make_loader)
    job = published.Job("twelve", f"{FLAGS} --val-size 0", 0, published.LAST)
    found = job.run()
    everything = nn.load_dataset("digits", val_size=0).train
    assert (seen["train"].images == everything.images[:-100]).all()
    assert found["images"] == len(everything) - 100
    assert float(found["error"]) == int(float(found["error"]))  # of a hundred images


def test_a_row_that_is_not_finished_has_no_number(published, tmp_path):
    finished = published.Results(tmp_path / "published.csv")
    finished.add(result("twelve", 0, 1.0, FLAGS))
    line = published.table(published.Results(tmp_path / "choices.csv"), finished).splitlines()[2]
    assert "not finished" in line
    assert "1.00" not in line


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (["--finish", "twelfe"], "did you mean 'twelve'"),
        (["--choose", "together"], "unknown row 'together'"),
    ],
    ids=["unknown", "committee"],
)
def test_a_wrong_row_is_named(published, trained, tmp_path, capsys, asked, words):
    assert run(published.main, asked) == 2
    assert words in capsys.readouterr().err
    assert trained == []


# --- what is committed ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real() -> ModuleType:
    spec = importlib.util.spec_from_file_location("published_as_it_is", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["published_as_it_is"] = module
    spec.loader.exec_module(module)
    return module


def committed(name: str) -> list[dict[str, str]]:
    with (RESULTS / name).open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_setting_of_the_table_is_one_that_the_train_command_takes(real):
    for row in real.ROWS.values():
        if isinstance(row, real.Row):
            for flags in row.settings:
                parse(shlex.split(f"{flags} {row.images} --seed 0"))


def test_each_finished_network_has_the_settings_that_validation_chose(real):
    choices = real.Results(RESULTS / "published_choices.csv")
    for found in committed("published.csv"):
        row = real.ROWS[found["row"]]
        if isinstance(row, real.Row):
            flags = real.chosen(found["row"], row, choices)
            assert found["settings"] == f"{flags} {row.images}"
            assert found["judged_on"] == row.judged_on


@pytest.mark.parametrize("name", ["simard", "simard_affine", "simard_elastic"])
def test_simards_networks_have_the_same_settings_with_less_images(real, name):
    choices = real.Results(RESULTS / "published_choices.csv")
    fewer = real.ROWS[f"{name}_50000"]
    assert fewer.settings == [real.chosen(name, real.ROWS[name], choices)]
    assert {line["images"] for line in committed("published.csv") if line["row"] == name} == {
        "60000"
    }
    found = [
        line["images"] for line in committed("published.csv") if line["row"] == f"{name}_50000"
    ]
    assert found == ["50000"] * 3


def test_each_row_has_a_network_for_each_seed_and_no_other(real):
    found: dict[str, list[str]] = {}
    for line in committed("published.csv"):
        found.setdefault(line["row"], []).append(line["seed"])
    for name, seeds in found.items():
        row = real.ROWS[name]
        if isinstance(row, real.Row):
            committees = [row for row in real.ROWS.values() if isinstance(row, real.CommitteeRow)]
            more = [committee.of.get(name, 0) for committee in committees]
            wanted = max([len(real.SEEDS), *(n for n in more if len(seeds) > len(real.SEEDS))])
            assert sorted(seeds) == [str(seed) for seed in range(wanted)]


def test_what_was_tried_is_in_the_table(real):
    for line in committed("published_choices.csv"):
        known = real.ROWS[line["row"]].settings
        assert line["settings"].removesuffix(f" {real.CHOOSING}") in known


def test_networks_that_are_judged_by_training_images_have_not_seen_them(real):
    for line in committed("published.csv"):
        if line["judged_on"] == real.LAST:
            assert line["images"] == "50000"


def test_the_table_is_that_of_the_results(real):
    choices = real.Results(RESULTS / "published_choices.csv")
    table = real.table(choices, real.Results(RESULTS / "published.csv"))
    assert (RESULTS / "published.md").read_text(encoding="utf-8").strip() == table
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert table in readme


def test_no_network_without_distortions_is_too_good_to_be_true():
    for found in committed("published.csv"):
        if "--distortion" not in found["settings"] and found["judged_on"] == "test":
            floor = 1.0 if "--dropout" in found["settings"] else 1.3
            assert float(found["error"]) >= floor, "look for a leak"
