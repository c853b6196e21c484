"""The compare command: whatever becomes of its processes, no trial is lost and none run twice."""

import csv
import fcntl
import json
import multiprocessing
import os
import pty
import re
import shlex
import signal
import struct
import subprocess
import sys
import termios
import time
from collections import Counter
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from study_rows import workload

import nnscratch as nn
from nnscratch import compare, report, runs
from nnscratch.command_line import run
from nnscratch.study import ledger, trials
from nnscratch.study.asked import parse
from nnscratch.study.trials import Trial
from nnscratch.study.workers import LocalPool, Stored, Task, opened, results

# a trial of digits takes some hundredths of a second; two workers take two seconds to start
SMALL = "--opts sgd,momentum,adam --tier smoke --dataset digits --hidden 20 --baseline sgd"
TRIALS = 3 * (1 + 3)  # full and final; those of the search depend on what it finds


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)


def command(flags: str) -> int:
    return run(compare.main, shlex.split(flags))


def started(flags: str) -> subprocess.Popen:
    """The command as a terminal starts it: a suite in the background of a shell ignores Ctrl-C."""
    return subprocess.Popen(
        [sys.executable, "-m", "nnscratch.compare", *shlex.split(flags)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def cells(folder: str) -> list[dict[str, str]]:
    with Path(folder, "trials.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def outcomes(folder: str) -> dict:
    """What came of each trial, but for its clock."""
    return {
        row.key: replace(row.outcome, seconds=[]) for row in ledger.read(Path(folder, "trials.csv"))
    }


@pytest.fixture(scope="module")
def complete(tmp_path_factory) -> Path:
    """A study that nothing disturbed."""
    folder = tmp_path_factory.mktemp("studies") / "complete"
    assert command(f"{SMALL} --jobs 2 --out {folder}") == 0
    return folder


# --- a study ------------------------------------------------------------------------------------


def test_a_study_leaves_its_trials_and_its_report(complete: Path, capsys) -> None:
    names = {path.name for path in complete.iterdir()}
    assert names == {
        ".lock",
        "study.json",
        "trials.csv",
        "summary.csv",
        "summary.json",
        "figures",
        "report.md",
        "report.tex",
        "report.html",
    }
    rows = cells(complete)
    assert len({row["key"] for row in rows}) == len(rows)
    stages = Counter((row["optimizer"], row["stage"]) for row in rows)
    for name in ("sgd", "momentum", "adam"):
        assert stages[name, "search"] >= 4
        assert stages[name, "full"] >= 2  # the best and its neighbours
        assert stages[name, "final"] == 3
    assert {row["seed"] for row in rows if row["stage"] != "final"} == {"0"}
    assert {row["stage"] for row in rows if row["test_accuracy"]} == {"final"}
    assert all(row["code"] and row["machine"] for row in rows)


def test_trials_of_a_seed_are_paired() -> None:
    """The same first weights and the same batches: with steps of nothing, the same losses."""
    data = nn.load_dataset("digits")
    splits = {"train": data.train, "val": data.val, "test": data.test}
    task = workload(sizes=(784, 20, 10), batch_size=50)

    def losses(name: str, seed: int) -> tuple[float, ...]:
        optimizer = nn.OPTIMIZERS[name]().with_lr(1e-30)
        trial = Trial(task, optimizer, nn.SCHEDULES["constant"](), 2, seed, False)
        outcome = trials.run(trial, splits)
        return (*outcome.train_loss, *outcome.val_loss)

    expected = losses("sgd", 1)
    for name in ("nesterov_lookahead", "adam", "muon", "schedule_free_sgd"):
        assert losses(name, 1) == pytest.approx(expected, rel=1e-7)
    assert losses("sgd", 2) != pytest.approx(expected, rel=1e-4)


def test_a_trial_in_a_worker_is_the_trial_in_this_process(complete: Path) -> None:
    """Same weights, same order, same bits: what `fit` gives here."""
    row = next(r for r in ledger.read(complete / "trials.csv") if r.stage == "final")
    data = nn.load_dataset("digits")
    model = nn.MLP([784, 20, 10], seed=row.seed)
    optimizer = nn.OPTIMIZERS[row.optimizer](**row.hypers)
    loader = nn.mini_batch(data.train, seed=row.seed)
    records = list(nn.fit(model, optimizer, loader, row.epochs, val=data.val))
    assert [f"{r.val_loss:.6g}" for r in records] == [f"{v:.6g}" for v in row.outcome.val_loss]
    assert row.outcome.val_accuracy == [pytest.approx(r.val_accuracy) for r in records]
    test = model.evaluate(data.test.x, data.test.labels)
    assert row.outcome.test_accuracy == pytest.approx(test.accuracy)
    assert row.outcome.gradients == [r.examples for r in records]


def test_a_complete_study_is_only_reported_again(complete: Path, capsys, monkeypatch) -> None:
    before = (complete / "trials.csv").read_bytes()
    (complete / "report.html").unlink()
    monkeypatch.setattr(compare, "make_pool", lambda *_: pytest.fail("something is trained"))
    assert command(f"{SMALL} --jobs 2 --out {complete}") == 0
    assert (complete / "trials.csv").read_bytes() == before
    assert (complete / "report.html").exists()
    out = capsys.readouterr().out
    assert out.startswith("nothing to train: all trials are there\n")
    assert "tier smoke: the tier lr made small" in out


@pytest.mark.slow
def test_more_seeds_and_optimizers_run_only_what_is_missing(complete: Path, capsys) -> None:
    subprocess.run(["cp", "-r", complete, "more"], check=True)
    before = cells("more")
    flags = SMALL.replace("--opts sgd", "--opts adagrad,sgd")
    assert command(f"{flags} --seeds 4 --schedules constant,cosine --out more") == 0
    after = cells("more")
    assert after[: len(before)] == before
    new = after[len(before) :]
    again = [r for r in new if r["schedule"] == "constant" and r["optimizer"] != "adagrad"]
    assert [(r["stage"], r["seed"]) for r in again] == [("final", "4")] * 3
    assert len({r["key"] for r in after}) == len(after)
    summary = json.loads(Path("more/summary.json").read_text())
    assert len(summary["standings"]) == 8
    assert f"; {len(before)} trials are there already" in capsys.readouterr().out
    assert list(Path("more/figures").glob("cosine-*.svg"))
    assert command(f"{SMALL} --out more") == 0  # what was asked for first
    assert not list(Path("more/figures").glob("cosine-*"))
    out = capsys.readouterr().out
    assert f"{len(new)} more trials are kept and not shown" in out
    assert Path("more/summary.csv").read_bytes() == (complete / "summary.csv").read_bytes()


@pytest.mark.slow
def test_without_a_folder_the_same_command_finds_its_study_again(monkeypatch) -> None:
    flags = "--opts sgd --tier defaults --epochs 1 --seeds 1 --dataset digits --hidden 5"
    assert command(flags) == 0
    (folder,) = Path("studies").iterdir()
    assert re.fullmatch(r"defaults-[0-9a-f]{8}", folder.name)
    monkeypatch.setattr(compare, "make_pool", lambda *_: pytest.fail("something is trained"))
    assert command(flags) == 0
    assert list(Path("studies").iterdir()) == [folder]


@pytest.mark.slow
def test_an_estimate_is_given_before_the_work_begins() -> None:
    with started(f"{SMALL} --jobs 2 --out study") as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        assert re.fullmatch(r"about \d+ (s|min) on 2 workers\n", first)
        process.communicate()
    assert process.returncode == 0


@pytest.mark.slow
def test_a_terminal_shows_a_bar_with_the_time_left() -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    flags = shlex.split(f"{SMALL} --jobs 2 --out study")
    process = subprocess.Popen(
        [sys.executable, "-m", "nnscratch.compare", *flags], stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    shown = b""
    with suppress(OSError):  # Linux's way to say that nobody writes any more
        while part := os.read(ours, 65536):
            shown += part
    assert process.wait() == 0
    os.close(ours)
    lines = re.split(r"[\r\n]+", shown.decode())
    assert lines[0].startswith("about ")
    bars = [line for line in lines if re.match(r" *\d+ %\|", line)]
    assert len(bars) > 3
    assert all(re.search(r"\d\d:\d\d so far, (\d\d:\d\d|\?) left", bar) for bar in bars)


# --- stopped and gone on with ------------------------------------------------------------------


def wait_for_rows(process: subprocess.Popen, folder: str, count: int) -> int:
    path = Path(folder, "trials.csv")
    while not path.exists() or path.read_bytes().count(b"\n") <= count:
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)
    return path.read_bytes().count(b"\n") - 1


def processes_of(group: int) -> list[str]:
    """The living processes of a group: not those that only wait to be forgotten."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            _, state, _, their_group = stat.read_text().rpartition(")")[2].split(" ")[:4]
            if int(their_group) == group and state != "Z":
                found.append(stat.parent.name)
    return found


def none_stay_behind(group: int) -> bool:
    """Whether all processes of the group come to their end within a while."""
    deadline = time.monotonic() + 20
    while processes_of(group) and time.monotonic() < deadline:
        time.sleep(0.1)
    return not processes_of(group)


@pytest.mark.slow
@pytest.mark.parametrize("rows", [1, 9])
def test_a_study_that_was_killed_goes_on_where_it_was(complete: Path, rows: int) -> None:
    process = started(f"{SMALL} --jobs 2 --out study")
    wait_for_rows(process, "study", rows)
    process.kill()
    process.communicate()
    assert none_stay_behind(process.pid)
    before = Path("study/trials.csv").read_bytes()
    before = before[: before.rfind(b"\n") + 1]
    assert before.count(b"\n") > rows
    assert command(f"{SMALL} --jobs 2 --out study") == 0
    assert Path("study/trials.csv").read_bytes().startswith(before)
    assert outcomes("study") == outcomes(complete)
    assert len(cells("study")) == len(cells(complete))  # nothing ran twice


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_keeps_what_is_finished_and_says_how_to_go_on(
    number: signal.Signals, code: int, complete: Path
) -> None:
    process = started(f"{SMALL} --jobs 2 --out study")
    wait_for_rows(process, "study", 2)
    os.killpg(process.pid, number)  # as a terminal or a batch system sends it, to the workers too
    _, err = process.communicate(timeout=30)
    assert process.returncode == code
    kept = len(cells("study"))
    assert f"nnscratch: stopped ({number.name})\n" in err
    assert f"{kept} trials are kept in study/trials.csv; the same command goes on" in err
    assert "Traceback" not in err
    assert none_stay_behind(process.pid)
    assert command(f"{SMALL} --jobs 2 --out study") == 0
    assert outcomes("study") == outcomes(complete)
    assert len(cells("study")) == len(cells(complete))


# --- trials that go wrong ----------------------------------------------------------------------

OWN = """
import multiprocessing, os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import nnscratch as nn


@dataclass(frozen=True)
class Own(nn.Optimizer):
    lr: float = nn.hyper(0.1, "(0, inf)", "step size")

    def update(self, w, dw, state):
        if multiprocessing.parent_process() and w.shape[0] == 784:
            {in_a_worker}
        w -= self.lr * dw
        return w
"""
DEFAULTS = "--tier defaults --dataset digits --hidden 20 --epochs 1 --seeds 2 --jobs 2 --out study"


def own(in_a_worker: str) -> None:
    Path("own.py").write_text(OWN.format(in_a_worker=in_a_worker))


def test_an_optimizer_of_ones_own_competes() -> None:
    own("pass")
    assert command(f"--opts sgd,own.py:Own {DEFAULTS}") == 0
    mine = [r for r in cells("study") if r["optimizer"] == "own"]
    assert [r["status"] for r in mine] == ["done", "done"]


@pytest.mark.slow
def test_a_trial_whose_worker_dies_once_is_tried_again_and_all_is_well() -> None:
    own("Path('once').exists() or (Path('once').touch(), os._exit(1))")
    assert command(f"--opts sgd,own.py:Own {DEFAULTS}") == 0
    assert Counter((r["optimizer"], r["status"]) for r in cells("study")) == {
        ("sgd", "done"): 2,
        ("own", "done"): 2,
    }


@pytest.mark.slow
def test_a_trial_whose_worker_always_dies_has_failed_and_the_others_finish(capsys) -> None:
    own("os._exit(1)")
    assert command(f"--opts own.py:Own,sgd {DEFAULTS}") == 7
    assert Counter((r["optimizer"], r["status"]) for r in cells("study")) == {
        ("sgd", "done"): 2,
        ("own", "failed"): 2,
    }
    err = capsys.readouterr().err
    assert "error: 2 trials failed" in err
    assert "fix: " in err
    assert "DOUBT" in (Path("study/report.md").read_text().replace("**Doubt:**", "DOUBT"))
    own("pass")  # mended: its trials are of other code now, the others stay
    assert command(f"--opts own.py:Own,sgd {DEFAULTS}") == 0
    assert Counter(r["status"] for r in cells("study")) == {"done": 4, "failed": 2}
    assert {
        s["seeds"] for s in json.loads(Path("study/summary.json").read_text())["standings"]
    } == {2}


@pytest.mark.slow
def test_an_error_in_an_optimizer_fails_its_trials_with_the_message(capsys) -> None:
    own("raise KeyError('no m')")
    assert command(f"--opts own.py:Own,sgd {DEFAULTS}") == 7
    failed = [r for r in cells("study") if r["status"] == "failed"]
    assert [r["message"] for r in failed] == ["KeyError: 'no m'"] * 2
    capsys.readouterr()
    assert command(f"--opts own.py:Own,sgd {DEFAULTS}") == 7  # tried again: two rows more
    assert len(cells("study")) == 6


@pytest.mark.slow
def test_a_failed_trial_that_works_when_tried_again_leaves_no_trace_in_the_report() -> None:
    own("Path('stop').exists() and os._exit(1)")
    Path("stop").touch()
    assert command(f"--opts own.py:Own,sgd {DEFAULTS}") == 7
    Path("stop").unlink()  # as if the machine had more memory today
    assert command(f"--opts own.py:Own,sgd {DEFAULTS}") == 0
    summary = json.loads(Path("study/summary.json").read_text())
    assert [(s["seeds"], s["failed"]) for s in summary["standings"]] == [(2, 0)] * 2
    assert not any("failed" in doubt for doubt in summary["doubts"])


@pytest.mark.slow
def test_an_optimizer_that_ends_its_process_politely_fails_as_any_other() -> None:
    own("raise SystemExit(0)")
    assert command(f"--opts own.py:Own,sgd {DEFAULTS}") == 7
    failed = [r for r in cells("study") if r["status"] == "failed"]
    assert [r["message"] for r in failed] == ["SystemExit: 0"] * 2


def test_a_trial_that_diverges_is_a_result() -> None:
    own("w[...] = np.nan")
    assert command(f"--opts own.py:Own,sgd {DEFAULTS}") == 0
    mine = [r for r in cells("study") if r["optimizer"] == "own"]
    assert [r["status"] for r in mine] == ["diverged", "diverged"]
    assert "diverged: after" in mine[0]["message"]
    (standing,) = (
        s
        for s in json.loads(Path("study/summary.json").read_text())["standings"]
        if s["optimizer"] == "own"
    )
    assert (standing["diverged"], standing["test_mean"]) == (2, 0.1)


# --- how it refuses ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "what", "fix"),
    [
        ("", "required: --opts", "--help"),
        ("--opts sgd,adm", "unknown optimizer 'adm'", "did you mean 'adam'"),
        ("--opts sgd,,adam", "unknown optimizer ''", "choices"),
        ("--opts newton", "newton needs what the network does not give", "another optimizer"),
        ("--opts sgd --seeds 0", "must be a whole number in [1, inf), got '0'", "--help"),
        ("--opts sgd --tier best", "unknown tier 'best'", "smoke, defaults, lr, all"),
        ("--opts sgd --schedules cosin", "unknown schedule 'cosin'", "did you mean 'cosine'"),
        ("--opts sgd --baseline adam", "unknown baseline", "choices: sgd"),
        ("--opts sgd --seeds 2 --seeds 3", "--seeds is given twice", "keep one"),
        ("--opts sgd --sedes 2", "unrecognized arguments: --sedes 2", "--help"),
        ("--opts sgd --activation relo", "unknown activation", "did you mean 'relu'"),
        ("--opts sgd --dataset digits --limit 9999", "limit must be", "1250 training images"),
        ("--opts sgd --scheduler nowhere", "no Dask scheduler answers at nowhere", "dask worker"),
        ("--opts sgd --jobs 2 --scheduler tcp://a:1", "--jobs is for this machine", "leave out"),
        ("--opts no.py:Own", "there is no file no.py", "path"),
        ("--opts prodigy,lookahead --schedules constant,", "unknown schedule ''", "choices"),
    ],
)
def test_wrong_arguments_cost_two_lines(capsys, flags: str, what: str, fix: str) -> None:
    if "--dataset" not in flags:
        flags += " --dataset digits"
    assert command(flags.replace("''", "")) == 2
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert len(lines) == 2
    assert what in lines[0]
    assert fix in lines[1]


def test_a_folder_with_another_study_is_refused_and_left_alone(complete: Path, capsys) -> None:
    before = {path: path.stat().st_mtime_ns for path in complete.rglob("*")}
    for other, difference in (
        ("--hidden 21", "sizes 784-20-10 and not 784-21-10"),
        ("--epochs 3", "epochs 2 and not 3"),
        ("--batch-size 64", "batch size 128 and not 64"),
        ("--val-size 300", "data digits"),
        ("--tier lr", "tier smoke and not lr"),
        ("--activation relu", "activation sigmoid and not relu"),
    ):
        flag = other.split()[0]
        flags = f"{re.sub(f'{flag} [a-z0-9]+', '', SMALL)} {other}"
        assert command(f"{flags} --out {complete}") == 2
        (what, _) = capsys.readouterr().err.splitlines()
        assert "holds another study" in what
        assert difference in what
    assert {path: path.stat().st_mtime_ns for path in complete.rglob("*")} == before


def test_a_folder_with_something_else_is_refused_and_left_alone(capsys) -> None:
    Path("thesis").mkdir()
    Path("thesis/chapter1.tex").write_text("...")
    assert command(f"{SMALL} --out thesis") == 2
    assert "not empty" in capsys.readouterr().err
    assert [path.name for path in Path("thesis").iterdir()] == ["chapter1.tex"]


def test_a_folder_at_which_another_process_works_is_refused(complete: Path, capsys) -> None:
    with runs.alone(complete):
        assert command(f"{SMALL} --out {complete}") == 2
    assert "another process is at work" in capsys.readouterr().err


def test_two_optimizers_of_one_name_are_refused(capsys) -> None:
    own("pass")
    Path("other.py").write_text(Path("own.py").read_text())
    assert command(f"--opts own.py:Own,other.py:Own {DEFAULTS}") == 2
    assert "two of the optimizers are called own" in capsys.readouterr().err


@pytest.mark.parametrize("baseline", ["lookahead", "lookahead-adam", "Lookahead"])
def test_the_baseline_may_be_called_as_it_was_asked_for(baseline: str) -> None:
    asked = parse(shlex.split(f"--opts sgd,lookahead --baseline {baseline}"))
    data = nn.load_dataset("digits")
    courses = compare.make_courses(asked, workload())
    assert compare.make_design(asked, [], courses, data).baseline == "lookahead-adam"


def test_a_schedule_needs_an_optimizer_with_a_learning_rate(capsys) -> None:
    own("pass")
    text = Path("own.py").read_text().replace("lr: float", "size: float").replace(".lr", ".size")
    Path("own.py").write_text(text)
    assert command(f"--opts own.py:Own {DEFAULTS}") == 0
    assert command(f"--opts own.py:Own --schedules cosine {DEFAULTS}") == 2
    assert "own has no lr that a schedule could change" in capsys.readouterr().err


def test_an_own_optimizer_that_needs_what_there_is_not_is_refused_at_once(capsys) -> None:
    own("pass")
    text = Path("own.py").read_text()
    needy = text.replace("    lr:", '    needs = frozenset({"hessian"})\n    lr:')
    Path("own.py").write_text(needy.replace("w -= self", 'state.pop("hessian", None); w -= self'))
    assert command(f"--opts own.py:Own {DEFAULTS}") == 2
    assert "needs what the network does not give" in capsys.readouterr().err


@pytest.mark.slow
def test_a_study_killed_before_its_first_trial_has_an_empty_report(capsys) -> None:
    process = started(f"{SMALL} --jobs 2 --out study")
    while not Path("study/study.json").exists():
        time.sleep(0.001)
    process.kill()
    process.communicate()
    if not Path("study/trials.csv").exists():
        assert run(report.main, ["study"]) == 0
        assert "DOUBT  constant: sgd has no final trial" in capsys.readouterr().out
    assert command(f"{SMALL} --jobs 2 --out study") == 0


@pytest.mark.slow
def test_a_home_directory_in_out_is_understood_every_time(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    flags = "--opts sgd --tier defaults --epochs 1 --seeds 1 --dataset digits --hidden 5"
    for _ in range(2):
        assert command(f"{flags} --out=~/here") == 0
    assert (tmp_path / "here" / "report.md").exists()


def test_the_report_command_needs_a_study(capsys) -> None:
    assert run(report.main, ["."]) == 2
    assert "error: . holds no study\n" in capsys.readouterr().err
    Path("study.json").mkdir()
    assert run(report.main, ["."]) == 2
    assert "study.json cannot be read" in capsys.readouterr().err
    Path("study.json").rmdir()
    Path("study.json").write_text("{}")
    assert run(report.main, ["."]) == 2
    assert "describes no study" in capsys.readouterr().err


# --- the pool ----------------------------------------------------------------------------------


def test_workers_share_one_copy_of_the_images(toy: nn.Split) -> None:
    """Their arrays are mapped from one file, which goes when the pool is closed."""
    pool = LocalPool(1, {"train": toy}, Path())
    try:
        (folder,) = Path().iterdir()
        assert {path.suffix for path in folder.iterdir()} == {".npy"}  # no pickle
        assert pool._executor.submit(is_mapped, pool._data).result() == [True]
    finally:
        pool.close()
    assert not list(Path().iterdir())


def test_a_pool_ends_its_own_processes_and_no_others(toy: nn.Split) -> None:
    other = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(60,))
    other.start()
    pool = LocalPool(1, {"train": toy}, Path())
    worker = pool._executor.submit(os.getpid).result()
    try:
        pool.close()
        deadline = time.monotonic() + 20
        while is_running(worker):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert other.is_alive()
    finally:
        other.kill()


def is_running(pid: int) -> bool:
    """Whether that process runs; one that has ended may still wait for its parent."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):  # it may go while its file is being read
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def is_mapped(stored: Stored) -> list[bool]:
    import mmap

    def root(array) -> object:
        while getattr(array, "base", None) is not None:
            array = array.base
        return array

    return [isinstance(root(split.images), mmap.mmap) for split in opened(stored).values()]


def test_a_worker_has_one_thread_for_its_products(complete: Path) -> None:
    code = (
        "from threadpoolctl import threadpool_info\n"
        "from nnscratch.study import trials\n"
        "seen = []\n"
        "trials._run = lambda *_: seen.append([l['num_threads'] for l in threadpool_info()])\n"
    )
    code += (
        "from study_rows import workload; import nnscratch as nn\n"
        "trial = trials.Trial(workload(), nn.OPTIMIZERS['sgd'](), nn.SCHEDULES['constant'](), 1, 0,"
        " False)\n"
        "trials.run(trial, {})\n"
        "print(set(sum(seen, [])))"
    )
    folder = str(Path(__file__).parent)
    found = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": folder},
    )
    assert found.stdout == "{1}\n"


class Breaking:
    """A pool that runs tasks at once, and now and then has broken when a task comes."""

    def __init__(self, data: dict, breaks_at: set[int]) -> None:
        self.data, self.breaks_at, self.submitted, self.restarts = data, breaks_at, 0, 0

    def size(self) -> int:
        return 2

    def submit(self, task: Task) -> Future:
        self.submitted += 1
        if self.submitted in self.breaks_at:
            raise BrokenProcessPool
        found: Future = Future()
        found.set_result(task(self.data))
        return found

    def restart(self) -> None:
        self.restarts += 1

    def close(self) -> None:
        pass


def test_a_pool_that_breaks_while_it_is_idle_costs_no_trial(toy: nn.Split) -> None:
    small = workload(sizes=(12, 5, 3), batch_size=50)
    seeds = [
        Trial(small, nn.OPTIMIZERS["sgd"](), nn.SCHEDULES["constant"](), 1, seed, False)
        for seed in range(5)
    ]
    pool = Breaking({"train": toy, "val": toy}, breaks_at={2, 5})
    found = list(results(seeds, pool))
    assert sorted(trial.seed for trial, _ in found) == [0, 1, 2, 3, 4]
    assert {result.outcome.status for _, result in found} == {"done"}
    assert pool.restarts == 2


def test_a_worker_with_other_code_does_not_run_the_trial(toy: nn.Split) -> None:
    from study_rows import workload

    from nnscratch.study.trials import Trial

    trial = Trial(workload(), nn.OPTIMIZERS["sgd"](), nn.SCHEDULES["constant"](), 1, 0, False)
    task = replace(Task.of(trial), code="0123")
    outcome = task({"train": toy}).outcome
    assert (outcome.status, outcome.train_loss) == ("failed", [])
    assert "other code" in outcome.message


def test_results_come_from_all_trials_in_any_order(toy: nn.Split) -> None:
    from study_rows import workload

    from nnscratch.study.trials import Trial

    small = workload(sizes=(12, 5, 3), batch_size=50)
    seeds = [
        Trial(small, nn.OPTIMIZERS["sgd"](), nn.SCHEDULES["constant"](), 1, seed, False)
        for seed in range(5)
    ]
    pool = LocalPool(2, {"train": toy, "val": toy, "test": toy}, Path())
    try:
        found = dict(results(seeds, pool))
        limited = dict(results(seeds[:1], pool, limit=100))
    finally:
        pool.close()
    assert found.keys() == set(seeds)
    assert {r.outcome.status for r in found.values()} == {"done"}
    assert {r.outcome.gradients[-1] for r in found.values()} == {300}
    assert limited[seeds[0]].outcome.gradients == [100]


def test_the_bytes_of_a_state_that_is_made_at_the_first_update_count(toy: nn.Split) -> None:
    class Lazy(nn.Optimizer):
        scope = "model"
        lr = 0.1

        def update(self, w, dw, state):
            m = state.setdefault("m", np.zeros_like(w))
            m += dw
            w -= self.lr * m
            return w

    workload = trials.Workload(
        data="toy",
        sizes=(12, 5, 3),
        activation=nn.ACTIVATIONS["sigmoid"](),
        init=nn.INITIALIZERS["glorot_uniform"](),
        loss=nn.LOSSES["softmax_cross_entropy"](),
        batch_size=50,
        threads=1,
    )
    data = {"train": toy, "val": toy, "test": toy}
    for optimizer, expected in ((Lazy(), 4), (nn.OPTIMIZERS["adam"](), 8)):
        trial = Trial(workload, optimizer, nn.SCHEDULES["constant"](), 1, 0, False)
        assert trials.run(trial, data).state_per_weight == expected


@pytest.mark.slow
def test_a_limit_of_images_is_one_for_every_trial() -> None:
    assert command(f"--opts sgd {DEFAULTS} --limit 200") == 0
    assert json.loads(Path("study/study.json").read_text())["images"]["train"] == 200
    with pytest.raises(nn.UsageError):
        compare.main(shlex.split(f"--opts sgd {DEFAULTS} --limit 300"))


def test_all_are_those_that_a_network_can_feed_and_that_search_no_line() -> None:
    asked = parse(["--opts", "all", "--tier", "defaults"])
    assert set(asked.optimizers) == set(nn.OPTIMIZERS) - {"newton", "lbfgs"}
