"""A run that is stopped, by whatever, goes on where it was; and never as another run."""

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import nnscratch as nn
from nnscratch import command_line, files, runs, signals, train
from nnscratch.command_line import run

SMALL = ["--dataset", "digits", "--hidden", "10", "--threads", "1"]
OWN = """
from dataclasses import dataclass
import nnscratch as nn

@dataclass(frozen=True)
class Mine(nn.Elementwise):
    lr: float = nn.hyper(0.1, "(0, inf)", "step size")

    @staticmethod
    def rule(w, dw, m, *, lr):
        m = 0.9 * m + dw
        return w - lr * m, m
"""


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def _signals_arrive() -> Iterator[None]:
    """Also where the tests run behind nohup, or in the background of a shell: both ignore some."""
    numbers = [getattr(signal, name) for name in signals.NAMES]
    before = [signal.signal(number, signal.SIG_DFL) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def command(*argv: str) -> int:
    return run(train.main, list(argv))


def failure(capsys, *argv: str) -> tuple[int, str, str]:
    code = command(*argv)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2, lines
    return code, lines[0].removeprefix("nnscratch: error: "), lines[1].removeprefix("fix: ")


def weights(folder: str) -> dict[str, bytes]:
    with np.load(f"{folder}/model.npz") as file:
        return {name: file[name].tobytes() for name in file.files}


def history(folder: str) -> list[dict]:
    lines = [json.loads(line) for line in Path(folder, "history.jsonl").read_text().splitlines()]
    return [{**line, "seconds": None} for line in lines]


def result(folder: str) -> dict:
    return json.loads(Path(folder, "result.json").read_text())


def checkpoints(folder: str) -> list[str]:
    return [path.name for path in runs.RunFolder.checkpoints_in(Path(folder))]


class SignalAt:
    """Sends this process a signal in the middle of the given updates."""

    def __init__(self, monkeypatch, *moments: tuple[int, signal.Signals]) -> None:
        self.count, self.moments = 0, dict(moments)
        original = nn.MLP.loss_and_grad

        def gradient(model, *args):
            self.count += 1
            if self.count in self.moments:
                os.kill(os.getpid(), self.moments[self.count])
            return original(model, *args)

        monkeypatch.setattr(nn.MLP, "loss_and_grad", gradient)


# --- going on ------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("loader", ["batch", "mini_batch", "stochastic"])
@pytest.mark.parametrize("opt", ["sgd", "sam", "muon", "lbfgs", "weights_ema"])
def test_a_run_stopped_within_an_epoch_ends_with_the_same_bits(opt, loader, monkeypatch, capsys):
    flags = [*SMALL, "--loader", loader, "--limit", "60", "--epochs", "4", "--quiet"]
    flags += ["--opt", "adam", "--weight-ema", "0.9"] if opt == "weights_ema" else ["--opt", opt]
    assert command(*flags, "--out", "whole") == 0
    with monkeypatch.context() as patch:
        SignalAt(patch, (3, signal.SIGTERM))
        assert command(*flags, "--out", "stopped") == 143
    stopped = capsys.readouterr().err
    assert "go on with: python -m nnscratch.train --resume stopped" in stopped
    assert not Path("stopped/model.npz").exists()
    assert command("--resume", "stopped", "--quiet") == 0  # as it was printed
    assert weights("stopped") == weights("whole")
    assert history("stopped") == history("whole")
    assert result("stopped")["test_loss"] == result("whole")["test_loss"]
    assert result("whole")["resumed"] == []
    (again,) = result("stopped")["resumed"]
    assert again["inexact"] == []


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_ends_the_update_saves_and_says_how_to_go_on(number, code, monkeypatch, capsys):
    before = signal.getsignal(number)
    SignalAt(monkeypatch, (4, number))
    assert command(*SMALL, "--epochs", "3", "--out", "a b", "--quiet") == code
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        f"nnscratch: stopped after update 4 ({number.name}); the last checkpoint is "
        "a b/checkpoint-4.npz",
        "go on with: python -m nnscratch.train --resume 'a b'",
    ]
    assert checkpoints("a b") == ["checkpoint-0.npz", "checkpoint-4.npz"]
    assert signal.getsignal(number) is before


def test_a_second_signal_stops_at_once_and_the_last_checkpoint_is_whole(monkeypatch, capsys):
    SignalAt(monkeypatch, (14, signal.SIGINT))
    original = files.os.fsync

    def fsync(descriptor: int) -> None:  # the second signal comes while the first one is saved
        if train_is_stopping():
            os.kill(os.getpid(), signal.SIGINT)
        original(descriptor)

    def train_is_stopping() -> bool:
        return any(watch.caught for watch in watches)

    watches: list[signals.Signals] = []
    made = signals.Signals.__init__
    monkeypatch.setattr(
        signals.Signals, "__init__", lambda self: (made(self), watches.append(self))[0]
    )
    monkeypatch.setattr(files.os, "fsync", fsync)
    assert command(*SMALL, "--epochs", "3", "--out", "a", "--quiet") == 130
    assert "stopped at once (SIGINT)" in capsys.readouterr().err
    assert checkpoints("a") == ["checkpoint-0.npz", "checkpoint-10.npz"]
    assert not list(Path("a").glob(".*.part"))
    assert nn.load_checkpoint("a/checkpoint-10.npz").progress.update == 10


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    """nohup, and jobs in the background of a shell."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals.watched() as watch:
            os.kill(os.getpid(), signal.SIGHUP)
        assert watch.caught is None
    finally:
        signal.signal(signal.SIGHUP, before)


def test_checkpoints_are_written_as_often_as_asked_and_two_are_kept() -> None:
    seen: list[int] = []
    write = runs.RunFolder.write_checkpoint

    def noted(self, update: int, content: bytes) -> None:
        seen.append(update)
        write(self, update, content)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs.RunFolder, "write_checkpoint", noted)
        assert command(*SMALL, "--epochs", "2", "--out", "a", "--checkpoint-every", "7") == 0
        assert seen == [0, 7, 14, 20]
        assert checkpoints("a") == ["checkpoint-14.npz", "checkpoint-20.npz"]
        seen.clear()
        assert command(*SMALL, "--epochs", "2", "--out", "b") == 0
        assert seen == [0, 10, 20]


def test_a_finished_run_says_so_and_goes_on_when_more_epochs_are_asked_for(capsys) -> None:
    assert command(*SMALL, "--epochs", "3", "--out", "whole", "--quiet") == 0
    assert command(*SMALL, "--epochs", "2", "--out", "a", "--quiet") == 0
    before = {path.name: path.read_bytes() for path in Path("a").iterdir()}
    assert command("--resume", "a", "--threads", "1", "--json") == 0
    lines = capsys.readouterr().out.splitlines()
    assert "a is complete: 2 epochs, test accuracy" in lines[0]
    assert "more with --epochs 4" in lines[0]
    assert json.loads(lines[1]) == result("a")
    assert command("--resume", "a", "--threads", "1") == 0
    assert capsys.readouterr().out.splitlines() == lines[:1]
    assert {path.name: path.read_bytes() for path in Path("a").iterdir()} == before
    assert command("--resume", "a", "--epochs", "3", "--threads", "1", "--quiet") == 0
    assert weights("a") == weights("whole")
    assert history("a") == history("whole")


def test_a_run_killed_after_its_last_update_is_completed_without_training(monkeypatch) -> None:
    assert command(*SMALL, "--epochs", "2", "--opt", "nesterov_lookahead", "--out", "a") == 0
    kept = weights("a"), result("a")["test_loss"]
    for name in ("result.json", "model.npz", "curves.png"):
        Path("a", name).unlink()
    monkeypatch.setattr(nn.MLP, "loss_and_grad", lambda *_: pytest.fail("trains again"))
    assert command("--resume", "a", "--threads", "1") == 0
    assert (weights("a"), result("a")["test_loss"]) == kept


def test_half_a_line_of_history_is_written_anew(capsys) -> None:
    assert command(*SMALL, "--epochs", "2", "--out", "a", "--quiet") == 0
    whole = history("a")
    Path("a/history.jsonl").write_text('{"epoch": 1, "upd')
    Path("a/result.json").unlink()
    assert command("--resume", "a", "--threads", "1", "--quiet") == 0
    assert history("a") == whole


def test_a_folder_that_was_moved_goes_on(monkeypatch) -> None:
    SignalAt(monkeypatch, (12, signal.SIGTERM))
    assert command(*SMALL, "--epochs", "2", "--out", "a", "--quiet") == 143
    Path("b").mkdir()
    shutil.move("a", "b/c")
    assert command("--resume", "b/c", "--threads", "1", "--quiet") == 0
    assert result("b/c")["run_dir"] == "b/c"


def test_an_optimizer_of_ones_own_has_to_be_named_again(monkeypatch, capsys) -> None:
    Path("mine.py").write_text(OWN)
    flags = [*SMALL, "--epochs", "2", "--quiet"]
    assert command(*flags, "--opt", "mine.py:Mine", "--out", "whole") == 0
    with monkeypatch.context() as patch:
        SignalAt(patch, (12, signal.SIGTERM))
        assert command(*flags, "--opt", "mine.py:Mine", "--out", "a") == 143
    capsys.readouterr()
    code, what, fix = failure(capsys, "--resume", "a")
    assert (code, what) == (4, "the run has an optimizer from a file: '--opt mine.py:Mine'")
    assert "type it again: --opt mine.py:Mine" in fix
    Path("mine.py").write_text(OWN.replace("0.9 * m", "0.5 * m"))
    code, what, _ = failure(capsys, "--resume", "a", "--opt", "mine.py:Mine")
    assert (code, "source of one's own was" in what) == (4, True)
    Path("mine.py").write_text(OWN)
    assert command("--resume", "a", "--opt", "mine.py:Mine", "--quiet") == 0
    assert weights("a") == weights("whole")


def test_the_last_line_names_the_folder_with_the_data_too(monkeypatch, capsys) -> None:
    """It is a path, and a checkpoint keeps none."""
    load = train.load_dataset
    monkeypatch.setattr(train, "load_dataset", lambda name, data_dir, **kw: load("digits", **kw))
    SignalAt(monkeypatch, (4, signal.SIGTERM))
    assert command(*SMALL[2:], "--data-dir", "my data", "--out", "a", "--quiet") == 143
    assert capsys.readouterr().err.endswith("--resume a --data-dir 'my data'\n")


def test_a_resumed_run_saves_as_often_as_before(monkeypatch) -> None:
    with monkeypatch.context() as patch:
        SignalAt(patch, (5, signal.SIGTERM))
        flags = ["--epochs", "1", "--checkpoint-every", "3", "--quiet"]
        assert command(*SMALL, *flags, "--out", "a") == 143
    with monkeypatch.context() as patch:
        SignalAt(patch, (3, signal.SIGKILL))
        patch.setattr(os, "kill", lambda *_: (_ for _ in ()).throw(RuntimeError("killed")))
        with pytest.raises(RuntimeError, match="killed"):
            command("--resume", "a", "--quiet")
    assert checkpoints("a") == ["checkpoint-5.npz", "checkpoint-6.npz"]


def test_more_epochs_are_remembered_from_the_first_moment_on(monkeypatch) -> None:
    assert command(*SMALL, "--epochs", "1", "--out", "a", "--quiet") == 0
    with monkeypatch.context() as patch:
        patch.setattr(nn.MLP, "loss_and_grad", lambda *_: (_ for _ in ()).throw(RuntimeError))
        with pytest.raises(RuntimeError):
            command("--resume", "a", "--epochs", "3", "--quiet")
    assert command("--resume", "a", "--quiet") == 0
    assert result("a")["epochs"] == 3


def test_a_reader_who_leaves_does_not_cost_the_checkpoint(monkeypatch, capsys) -> None:
    def gone(settings, text: str) -> None:
        if "epoch" in text:
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))

    monkeypatch.setattr(train, "say", gone)
    monkeypatch.setattr(command_line, "_discard_stdout", lambda: None)
    assert command(*SMALL, "--epochs", "2", "--out", "a") == 141
    assert checkpoints("a") == ["checkpoint-0.npz", "checkpoint-10.npz"]


@pytest.mark.parametrize(
    ("number", "code"), [(errno.EIO, 129), (errno.ENOSPC, 6), (errno.EPIPE, 141)]
)
def test_output_that_goes_nowhere_is_no_bug(number, code, monkeypatch, capsys) -> None:
    """A terminal that was closed, a full disk behind >, a reader who left."""

    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(train, "say", refuse)
    monkeypatch.setattr(command_line, "_discard_stdout", lambda: None)
    assert command(*SMALL, "--out", "a") == code
    assert capsys.readouterr().err.count("\n") == (2 if number == errno.ENOSPC else 0)


# --- never as another run ------------------------------------------------------------------------


@pytest.fixture
def stopped(monkeypatch, capsys) -> str:
    with monkeypatch.context() as patch:
        SignalAt(patch, (12, signal.SIGTERM))
        assert command(*SMALL, "--epochs", "2", "--out", "run", "--quiet") == 143
    capsys.readouterr()
    return "run"


@pytest.mark.parametrize(
    ("flags", "what"),
    [
        (["--hidden", "11"], "hidden was [10] and is [11]"),
        (["--opt", "sgd"], 'opt.name was "adam" and is "sgd"'),
        (["--lr", "0.1"], "opt.lr was 0.001 and is 0.1"),
        (["--seed", "1"], "seed was 0 and is 1"),
        (["--dtype", "float64"], 'dtype was "float32" and is "float64"'),
        (["--schedule", "cosine"], 'schedule.name was "constant" and is "cosine"'),
        (["--activation", "relu"], 'activation.name was "sigmoid" and is "relu"'),
        (["--batch-size", "64"], "batch_size was 128 and is 64"),
        (["--limit", "500"], "images.train was 1250 and is 500"),
        (["--no-bias"], "bias was true and is false"),
        (["--weight-ema", "0.9"], 'opt.name was "adam" and is "weight_ema"'),
    ],
)
def test_other_settings_are_refused_by_name(stopped, flags, what, capsys) -> None:
    before = {path.name: path.read_bytes() for path in Path(stopped).iterdir()}
    code, said, _ = failure(capsys, "--resume", stopped, "--threads", "1", *flags)
    assert (code, what in said) == (4, True), said
    assert {path.name: path.read_bytes() for path in Path(stopped).iterdir()} == before


def test_the_same_settings_may_be_typed_again(stopped) -> None:
    again = ["--dataset=Digits", *SMALL[2:], "--lr", "1e-3", "--seed", "0", "--quiet"]
    assert command("--resume", stopped, *again) == 0


def test_other_images_are_refused(stopped, monkeypatch, capsys) -> None:
    load = train.load_dataset

    def altered(*args, **kwargs):
        data = load(*args, **kwargs)
        images = data.train.images.copy()
        images[3, 5] += 1
        split = nn.Split(images, data.train.labels, data.train.unit, data.train.dtype)
        return SimpleNamespace(**{**vars(data), "train": split, "classes": data.classes})

    monkeypatch.setattr(train, "load_dataset", altered)
    code, what, _ = failure(capsys, "--resume", stopped, "--threads", "1")
    assert code == 4
    assert "data was" in what


def test_other_threads_are_refused_or_the_run_says_so_for_ever(stopped, monkeypatch, capsys):
    code, what, fix = failure(capsys, "--resume", stopped, "--threads", "2")
    assert code == 4
    assert "would not give the same bits: threads was 1 and is 2" in what
    assert "--inexact-resume" in fix
    with monkeypatch.context() as patch:
        SignalAt(patch, (5, signal.SIGTERM))
        again = ["--resume", stopped, "--threads", "2", "--inexact-resume", "--quiet"]
        assert command(*again) == 143
    assert command("--resume", stopped, "--threads", "2", "--quiet") == 0
    assert [entry["inexact"] for entry in result(stopped)["resumed"]] == [
        ["threads was 1 and is 2"],
        [],
    ]


def test_other_versions_are_refused(stopped, monkeypatch, capsys) -> None:
    env = train.environment

    def newer():
        return env() | {"packages": env()["packages"] | {"numpy": "9.0"}}

    monkeypatch.setattr(train, "environment", newer)
    code, what, _ = failure(capsys, "--resume", stopped, "--threads", "1")
    assert code == 4
    assert 'and is "9.0"' in what


@pytest.mark.parametrize(
    ("argv", "code", "what"),
    [
        (["--resume", "nowhere"], 4, "there is no checkpoint in nowhere"),
        (["--resume", "run/config.json"], 4, "run/config.json is a file"),
        (["--resume", "run", "--out", "x"], 2, "--out and --resume are given"),
        (["--inexact-resume"], 2, "--inexact-resume without --resume"),
        (["--resume", "run", "--epochs", "0"], 2, "--epochs"),
        (["--resume", "run", "--resume", "run"], 2, "--resume is given twice"),
        (["--resume"], 2, "--resume"),
    ],
)
def test_misuse_is_an_error_in_two_lines(stopped, argv, code, what, capsys) -> None:
    found, said, fix = failure(capsys, *argv)
    assert (found, what in said) == (code, True), said
    assert fix


def test_fewer_epochs_than_there_were_are_refused(capsys) -> None:
    assert command(*SMALL, "--epochs", "3", "--out", "a", "--quiet") == 0
    code, what, _ = failure(capsys, "--resume", "a", "--epochs", "2", "--threads", "1")
    assert (code, what) == (4, "a has had 30 updates, and 20 were asked for")


def test_a_damaged_last_checkpoint_is_told_with_the_one_before(stopped, capsys) -> None:
    last = Path(stopped, "checkpoint-12.npz")
    last.write_bytes(last.read_bytes()[:-5])
    code, what, fix = failure(capsys, "--resume", stopped, "--threads", "1")
    assert code == 4
    assert "run/checkpoint-12.npz is no checkpoint that can be read: it is cut off" in what
    assert "delete it" in fix
    assert "run/checkpoint-10.npz" in fix
    last.unlink()
    assert command("--resume", stopped, "--threads", "1", "--quiet") == 0


def test_a_checkpoint_of_the_api_is_no_run_of_the_command(capsys) -> None:
    Path("a").mkdir()
    nn.save_checkpoint("a/checkpoint-0.npz", nn.MLP([2, 2]), nn.Progress())
    code, what, fix = failure(capsys, "--resume", "a")
    assert code == 4
    assert "was not written by" in what
    assert "nn.load_checkpoint" in fix


def test_names_in_a_checkpoint_reach_no_file_and_no_module(stopped, monkeypatch, capsys) -> None:
    """A file that was made by someone else, and asks for their code and their folders."""
    Path("theirs.py").write_text("raise SystemExit('it ran')")
    held = nn.load_checkpoint("run/checkpoint-12.npz")
    for flags in (
        [*SMALL[:4], "--opt", "theirs.py:X"],
        [*SMALL[:4], "--opt=theirs.py:X"],
        [*SMALL[:4], "--base", "theirs.py:X"],
        [*SMALL[:4], "--opt", "os.system"],
        [*SMALL[:4], "--activation", "../../x"],
        [*SMALL[:4], "--out", "elsewhere"],
        [*SMALL[:4], "--data-dir", "elsewhere"],
        [*SMALL[:4], "--resume", "elsewhere"],
        [7],
        "--opt adam",
    ):
        about = held.about | {"flags": flags}
        nn.save_checkpoint("run/checkpoint-12.npz", nn.MLP([784, 10, 10]), held.progress, (), about)
        code = command("--resume", stopped, "--threads", "1")
        err = capsys.readouterr().err
        assert code in (2, 4), (flags, err)
        reasons = (
            "from a file",
            "unknown",
            "was not written by",
            "belongs to --opt",
            "has no --base",
        )
        assert any(reason in err for reason in reasons), (flags, err)
        assert "it ran" not in err
        assert len(err.splitlines()) == 2
    assert not Path("elsewhere").exists()


def test_two_processes_do_not_write_one_run(stopped, capsys) -> None:
    with runs.alone(Path(stopped)):
        code, what, _ = failure(capsys, "--resume", stopped, "--threads", "1")
    assert (code, what) == (2, "another process is at work in run")


def test_a_run_that_another_process_went_on_with_in_between_is_left_alone(
    stopped, monkeypatch, capsys
):
    """After the checkpoint was read, and before the folder was held."""
    load = train.load_dataset

    def meanwhile(*args, **kwargs):
        monkeypatch.setattr(train, "load_dataset", load)
        assert command("--resume", stopped, "--threads", "1", "--quiet") == 0
        return load(*args, **kwargs)

    monkeypatch.setattr(train, "load_dataset", meanwhile)
    code, what, _ = failure(capsys, "--resume", stopped, "--threads", "1")
    assert (code, what) == (2, "another process has gone on with run")
    assert Path("run/result.json").exists()


# --- a disk that refuses -------------------------------------------------------------------------


def test_a_save_that_fails_on_the_way_is_told_and_tried_again(monkeypatch, capsys) -> None:
    write, fails = files.write_whole, {10, 20}

    def sometimes(path: Path, content: bytes) -> None:
        if any(path.name == f"checkpoint-{update}.npz" for update in fails):
            raise nn.WriteError(f"{path} cannot be written (No space left on device)", "make room")
        write(path, content)

    monkeypatch.setattr(runs, "write_whole", sometimes)
    assert command(*SMALL, "--epochs", "3", "--out", "a") == 6
    out, err = capsys.readouterr()
    assert "test accuracy" in out
    assert err.count("cannot be written (No space left on device)") == 2
    assert checkpoints("a") == ["checkpoint-0.npz", "checkpoint-30.npz"]
    assert result("a")["epochs"] == 3


def test_a_first_save_that_fails_stops_before_the_first_update(monkeypatch, capsys) -> None:
    def full(path: Path, content: bytes) -> None:
        raise nn.WriteError(f"{path} cannot be written (No space left on device)", "make room")

    monkeypatch.setattr(runs.RunFolder, "write_checkpoint", lambda self, n, c: full(self.path, c))
    monkeypatch.setattr(nn.MLP, "loss_and_grad", lambda *_: pytest.fail("trains"))
    assert command(*SMALL, "--out", "a", "--quiet") == 6


def test_a_run_that_diverges_keeps_its_last_good_state(capsys) -> None:
    flags = [*SMALL, "--opt", "sgd", "--lr", "1e30", "--activation", "relu", "--quiet"]
    code, what, fix = failure(capsys, *flags, "--out", "a", "--checkpoint-every", "1")
    assert code == 5
    assert "with lr 1e+30" in what
    assert "layer" in what or "in W" in what
    last = checkpoints("a")[-1]
    assert f"the last checkpoint before it is a/{last}" in fix
    assert np.isfinite(nn.load_checkpoint(f"a/{last}").w).all()


# --- learning nothing ----------------------------------------------------------------------------


def test_a_network_that_answers_every_image_alike_is_warned_of_once(capsys) -> None:
    flags = [*SMALL, "--epochs", "4", "--quiet"]
    silent = ["--init", "zeros", "--no-bias", "--activation", "relu"]  # no sum is ever but 0
    assert command(*flags, *silent, "--out", "a") == 0
    assert capsys.readouterr().err.count("answers every image alike") == 1
    assert command(*flags, "--lr", "0.01", "--out", "b") == 0
    assert capsys.readouterr().err == ""


# --- kill -9 -------------------------------------------------------------------------------------


def start(*argv: str) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-m", "nnscratch.train", *argv, "--quiet"])


def killed(process: subprocess.Popen, rng: random.Random) -> bool:
    """Kill it at a random moment: of its whole life, or soon after it has saved something new."""
    if rng.random() < 0.2:
        moment = time.monotonic() + rng.uniform(0, 2)
    else:
        before, moment = checkpoints("killed"), None
    while process.poll() is None:
        if moment is None and checkpoints("killed") != before:
            moment = time.monotonic() + rng.uniform(0, 0.1)
        if moment is not None and time.monotonic() > moment:
            process.kill()
        time.sleep(0.001)
    return process.returncode == -signal.SIGKILL


@pytest.mark.slow
def test_fifty_kills_at_random_moments_change_no_bit() -> None:
    flags = [*SMALL, "--epochs", "1000", "--checkpoint-every", "25", "--schedule", "cosine"]
    assert start(*flags, "--out", "whole").wait() == 0
    rng, kills = random.Random(0), 0
    while kills < 60:
        if checkpoints("killed"):
            argv = ["--resume", "killed", "--threads", "1"]
        else:
            shutil.rmtree("killed", ignore_errors=True)
            argv = [*flags, "--out", "killed"]
        kills += killed(start(*argv), rng)
        assert not Path("killed/model.npz").exists(), f"complete after {kills} kills"
    assert start("--resume", "killed", "--threads", "1").wait() == 0
    assert weights("killed") == weights("whole")
    assert history("killed") == history("whole")
    assert not list(Path("killed").glob(".*.part"))
    assert 50 <= len(result("killed")["resumed"]) <= 61


def test_the_only_checkpoint_and_a_damaged_one_is_refused_by_what_it_is(capsys) -> None:
    assert command(*SMALL, "--epochs", "1", "--out", "run", "--quiet") == 0
    last = Path("run", checkpoints("run")[-1])
    for name in checkpoints("run")[:-1]:
        Path("run", name).unlink()
    Path("run/checkpoint-latest.npz").write_bytes(b"of somebody else")
    last.write_bytes(last.read_bytes()[:-1])
    code, what, fix = failure(capsys, "--resume", "run")
    assert code == 4
    assert f"{last} is no checkpoint that can be read: it is cut off" in what
    assert fix == "use an earlier checkpoint, or begin the run anew"
    assert Path("run/checkpoint-latest.npz").exists()


def test_a_thread_can_train_where_python_sees_no_signals() -> None:
    with ThreadPoolExecutor(1) as pool:
        flags = (*SMALL, "--epochs", "1", "--out", "run", "--quiet")
        assert pool.submit(command, *flags).result() == 0
    assert Path("run/model.npz").exists()
