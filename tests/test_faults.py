"""Faults of the machine around a run: disks, networks, consoles, libraries that are broken.

Each of these was seen somewhere; `faults.md` lists all of them, with the tests that cover them.
"""

import errno
import gzip
import io
import os
import subprocess
import sys
import time
from pathlib import Path

import faults
import numpy as np
import pytest
from test_datasets import FILE, GOOD, IMAGES
from test_download import FILES, Server, good, serve  # noqa: F401

import nnscratch as nn
from nnscratch import compare, model, plots, runs, train
from nnscratch.command_line import run
from nnscratch.datasets import mnist

SMALL = ["--dataset", "digits", "--hidden", "10", "--epochs", "2", "--threads", "1"]
EVERY_CALL = """
import sys
def watch(event, args):
    if event == "open" and isinstance(args[0], str) and args[1] is not None:
        writes = set(args[1]) & set("wax+")
        if writes and args[0].startswith(FOLDER):
            raise PermissionError(13, "not even tried", args[0])
    if event in ("os.mkdir", "os.rename", "os.remove") and str(args[0]).startswith(FOLDER):
        raise PermissionError(13, "not even tried", args[0])
sys.addaudithook(watch)
"""


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)


def command(*argv: str) -> int:
    return run(train.main, list(argv))


def process(*argv: str, python: tuple[str, ...] = (), **env: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, *python, "-m", "nnscratch.train", *argv],
        capture_output=True,
        text=True,
        env={**os.environ, **env},
        check=False,
    )


# --- arguments -----------------------------------------------------------------------------------


def test_help_needs_neither_data_nor_home_nor_a_folder_to_write(tmp_path: Path) -> None:
    shown = process(
        "--opt", "adam", "--help", NNSCRATCH_DATA="/nowhere", HOME="/nowhere", TMPDIR="/nowhere"
    )
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "--beta1 X" in shown.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_batch_larger_than_the_training_set_is_refused_by_compare_too(capsys) -> None:
    argv = ["--opts", "sgd", "--tier", "smoke", "--dataset", "digits", "--batch-size", "100000"]
    assert run(compare.main, argv) == 2
    assert "batch_size must be a whole number in [1, " in capsys.readouterr().err


@pytest.mark.parametrize("hidden", ["9" * 16, "9" * 200 + "," + "9" * 200, "1000000000"])
def test_a_network_larger_than_the_machine_is_refused_with_both_sizes(hidden, capsys) -> None:
    assert command("--dataset", "digits", "--hidden", hidden) == 2
    err = capsys.readouterr().err
    assert "GB of memory, and this machine has" in err
    assert len(err.splitlines()) == 2


def test_memory_that_runs_out_later_is_an_error_in_two_lines(monkeypatch, capsys) -> None:
    def exhausted(*_: object) -> None:
        raise MemoryError("Unable to allocate 9.3 GiB")

    monkeypatch.setattr(nn.OPTIMIZERS["adam"], "init", exhausted)
    assert command(*SMALL, "--quiet") == 1
    what, fix = capsys.readouterr().err.splitlines()
    assert what == "nnscratch: error: out of memory (Unable to allocate 9.3 GiB)"
    assert fix.startswith("fix: choose fewer units")


@pytest.mark.parametrize("flag", ["--out", "--resume", "--data-dir"])
def test_the_home_of_nobody_and_no_path_at_all_are_refused(flag: str, capsys) -> None:
    for path in ("~nosuchuser/x", "", " "):
        assert command("--dataset", "mnist", flag, path) == 2
        assert len(capsys.readouterr().err.splitlines()) == 2


def test_a_machine_that_does_not_tell_its_memory_is_trusted(monkeypatch) -> None:
    monkeypatch.setattr(os, "sysconf", lambda name: (_ for _ in ()).throw(ValueError(name)))
    assert nn.MLP([4, 2]).w.size == 10
    assert model.memory() == float("inf")


@pytest.mark.parametrize("name", ["ü 日本 \U0001f600", "CON", "-x", ".hidden", "a" * 200, "a\nb"])
def test_a_folder_of_any_name_that_the_disk_takes_is_that_folder(name: str, capsys) -> None:
    assert command(*SMALL, f"--out={name}", "--quiet") == 0
    assert (Path(name) / "model.npz").exists()


@pytest.mark.parametrize("name", ["a" * 300, "\0", "a/\0/b"])
def test_a_name_that_the_disk_does_not_take_is_refused(name: str, capsys) -> None:
    assert command(*SMALL, f"--out={name}", "--quiet") in (2, 6)
    assert len(capsys.readouterr().err.splitlines()) == 2


# --- data ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "more", [b"x", b"\x1f", b"\x1f\x8b", b"<html>", b"\x1f\x8b\x08" + b"x" * 9]
)
def test_bytes_after_the_compressed_file_are_refused(tmp_path: Path, more: bytes) -> None:
    path = tmp_path / f"{FILE.name}.gz"
    path.write_bytes(gzip.compress(GOOD) + more)
    with pytest.raises(nn.DataError, match=r"damaged|ends too early"):
        FILE.read(path)


def test_zeros_after_the_compressed_file_are_padding(tmp_path: Path) -> None:
    """As tape drives leave them, and gzip allows."""
    path = tmp_path / f"{FILE.name}.gz"
    path.write_bytes(gzip.compress(GOOD) + bytes(100))
    assert (FILE.read(path) == IMAGES).all()


def test_reading_data_writes_nothing_beside_them(mnist_folder: str) -> None:
    code = f"FOLDER = {str(Path(mnist_folder).resolve())!r}\n{EVERY_CALL}\n" + (
        "import nnscratch as nn; print(len(nn.load_dataset('mnist', data_dir=FOLDER).train))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("50000\n", "")


def test_a_file_or_a_folder_that_may_not_be_read_is_told_so(tmp_path: Path, monkeypatch) -> None:
    """By refusing calls: the tests may run as root, who may read everything."""
    (tmp_path / FILE.name).write_bytes(GOOD)

    def refuse(path: Path, *_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refuse)
        with pytest.raises(nn.DataError, match="cannot be read"):
            FILE.read(tmp_path / FILE.name)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "is_dir", refuse)
        with pytest.raises(nn.DataError, match="cannot be searched"):
            mnist.read(tmp_path, [FILE])


def test_a_file_that_is_replaced_while_it_is_read_is_the_one_that_was_opened(
    tmp_path: Path, monkeypatch
) -> None:
    path, other = tmp_path / FILE.name, tmp_path / "other"
    path.write_bytes(GOOD)
    other.write_bytes(b"something else")
    opened = Path.open

    def and_replaced(self: Path, *args: object):
        file = opened(self, *args)
        if self == path and other.exists():
            other.replace(path)
        return file

    monkeypatch.setattr(Path, "open", and_replaced)
    assert (FILE.read(path) == IMAGES).all()
    with pytest.raises(nn.DataError):
        FILE.read(path)


def test_what_a_killed_download_has_left_is_removed_the_next_day(serve, tmp_path: Path) -> None:  # noqa: F811
    cache = tmp_path / "cache"
    for name, age in (("download-old", 2 * mnist.A_DAY), ("download-new", 60)):
        (cache / name).mkdir(parents=True)
        (cache / name / "half.gz").write_bytes(b"half")
        then = time.time() - age
        os.utime(cache / name, (then, then))
    mnist.download(cache, FILES, [serve(good).url])
    assert sorted(path.name for path in cache.glob("download-*")) == ["download-new"]


@pytest.mark.slow
def test_eight_processes_that_find_an_empty_cache_all_get_whole_files(serve, tmp_path) -> None:  # noqa: F811
    server: Server = serve(good)
    code = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from test_download import FILES
from nnscratch.datasets import mnist
mnist.download(Path("cache"), FILES, [{server.url!r}])
print(sum(int(array.sum()) for array in mnist.read(Path("cache"), FILES)))
"""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(8)
    ]
    said = [process.communicate() for process in started]
    assert [process.returncode for process in started] == [0] * 8, said
    assert len({out for out, _ in said}) == 1
    assert len(list(Path("cache").iterdir())) == len(FILES)


def test_a_disk_that_is_full_leaves_no_half_file_in_the_cache(serve, tmp_path, monkeypatch) -> None:  # noqa: F811
    def full(self: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(mnist.Unavailable) as error:
        mnist.download(tmp_path / "cache", FILES, [serve(good).url])
    assert "No space left on device" in error.value.what
    assert list((tmp_path / "cache").iterdir()) == []


# --- time ---------------------------------------------------------------------------------------


def test_a_time_limit_saves_stops_and_goes_on_whatever_the_wall_clock_does(
    monkeypatch, capsys
) -> None:
    assert command(*SMALL, "--out", "whole", "--quiet") == 0
    wall = iter([1e9, 0.0, 2e9, 5.0] * 10_000)
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: next(wall))
        assert command(*SMALL, "--out", "a", "--quiet", "--max-minutes", "1e-9") == 0
    err = capsys.readouterr().err
    assert (
        "stopped after update 1 (--max-minutes); the last checkpoint is a/checkpoint-1.npz" in err
    )
    assert not Path("a/model.npz").exists()
    assert command("--resume", "a", "--quiet") == 0
    assert Path("a/model.npz").read_bytes() == Path("whole/model.npz").read_bytes()


# --- checkpoints and results ---------------------------------------------------------------------


def test_what_a_kill_has_left_is_removed_when_the_run_goes_on() -> None:
    assert command(*SMALL, "--out", "a", "--quiet") == 0
    for name in ("result.json", "model.npz"):
        Path("a", name).unlink()
    Path("a/.checkpoint-15.npz.part").write_bytes(b"half")
    assert command("--resume", "a", "--threads", "1", "--quiet") == 0
    assert not list(Path("a").glob(".*.part"))


def test_a_result_that_is_cut_off_is_made_anew() -> None:
    assert command(*SMALL, "--out", "a", "--quiet") == 0
    whole = Path("a/model.npz").read_bytes()
    Path("a/result.json").write_text('{"test_acc')
    assert command("--resume", "a", "--threads", "1", "--quiet") == 0
    assert Path("a/model.npz").read_bytes() == whole
    assert runs.RunFolder.result_in(Path("a"))["updates"] == 20


def test_a_history_that_cannot_be_written_ends_with_the_result_and_exit_code_6(
    monkeypatch, capsys
) -> None:
    def refuse(*_: object) -> None:
        raise nn.WriteError("a/history.jsonl cannot be written (Permission denied)", "")

    monkeypatch.setattr(runs.RunFolder, "append_history", refuse)
    assert command(*SMALL, "--out", "a") == 6
    out, err = capsys.readouterr()
    assert "test accuracy" in out
    assert err.count("cannot be written (Permission denied)") == 2
    assert runs.RunFolder.result_in(Path("a"))["updates"] == 20


def test_a_folder_that_may_not_be_searched_is_told_so(monkeypatch, capsys) -> None:
    def refuse(path: Path) -> bool:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "is_file", refuse)
    assert command("--resume", "a") == 4
    assert "a cannot be searched (Permission denied)" in capsys.readouterr().err


# --- the API -------------------------------------------------------------------------------------

NET = nn.MLP([6, 4], seed=3)
X = np.random.default_rng(0).random((5, 6)).astype("float32")
Y = np.array([0, 1, 2, 3, 0])


class Sparse:
    """What scipy.sparse.csr_array looks like from outside."""

    shape = (5, 6)

    def toarray(self) -> np.ndarray:
        return X


@pytest.mark.parametrize(
    ("x", "what"),
    [
        (X[0], "x has shape (6,), but the network reads (n, 6)"),
        (np.float32(1), "x has shape ()"),
        (X.reshape(5, 2, 3), "x has shape (5, 2, 3)"),
        (np.where(X > 0.5, np.nan, X), "not finite"),
        (np.where(X > 0.5, np.inf, X), "not finite"),
        (X.astype(complex), "x holds complex128"),
        (X.astype(object), "x holds object"),
        (X.astype(str), "x holds <U"),
        (X.astype(bool), "x holds bool"),
        ([["a"] * 6] * 5, "x holds <U1"),
        (None, "x has shape ()"),
        (Sparse(), "x is a sparse Sparse"),
    ],
)
@pytest.mark.parametrize("call", ["predict", "predict_proba", "evaluate", "loss_and_grad"])
def test_inputs_that_cannot_be_are_refused_by_every_method(call: str, x, what: str) -> None:
    with pytest.raises(nn.UsageError) as error:
        getattr(NET, call)(x, *[Y] * (call in ("evaluate", "loss_and_grad")))
    assert what in error.value.what
    assert error.value.fix


@pytest.mark.parametrize("layout", ["strided", "fortran", "read-only", "memmap", "list", "float16"])
def test_inputs_in_any_layout_give_the_same_answers_and_stay_as_they_are(layout, tmp_path) -> None:
    expected = NET.predict_proba(X.astype("float16") if layout == "float16" else X)
    x = X.copy()
    if layout == "strided":
        x = np.repeat(X, 2, axis=1)[:, ::2]
    elif layout == "fortran":
        x = np.asfortranarray(X)
    elif layout == "read-only":
        x.flags.writeable = False
    elif layout == "memmap":
        np.save(tmp_path / "x.npy", X)
        x = np.load(tmp_path / "x.npy", mmap_mode="r")
    elif layout == "float16":
        x = X.astype("float16")
    given = x.tolist() if layout == "list" else x
    before = np.array(x)
    np.testing.assert_allclose(NET.predict_proba(given), expected, rtol=1e-6)
    NET.loss_and_grad(given, Y)
    assert (np.asarray(x) == before).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, "a", 1j, None, True])
def test_a_split_of_what_are_no_numbers_is_refused(value) -> None:
    with pytest.raises(nn.UsageError, match="not all finite numbers"):
        nn.Split(np.full((2, 3), value), np.array([0, 1]))


def test_floats_that_nobody_has_divided_by_255_are_warned_of_once(toy: nn.Split) -> None:
    raw = nn.Split(toy.images.astype("float32"), toy.labels)
    net, progress = nn.MLP([12, 3]), nn.Progress()
    with pytest.warns(nn.NnscratchWarning, match="inputs go up to 219: scale them"):
        list(nn.fit(net, "sgd", nn.mini_batch(raw, 50), 1, progress=progress))
    for split in (nn.Split(raw.images, raw.labels, unit=255.0), toy):
        list(nn.fit(nn.MLP([12, 3]), "sgd", nn.mini_batch(split, 50), 1))
    list(nn.fit(net, "sgd", nn.mini_batch(raw, 50), 2, progress=progress))  # told before


def test_what_raises_while_a_run_is_watched_leaves_it_whole(toy: nn.Split) -> None:
    """In the loop over its records, or in the function that picks them."""
    whole = nn.MLP([12, 3])
    list(nn.fit(whole, "adam", nn.mini_batch(toy, 50), 2))
    net, progress = nn.MLP([12, 3]), nn.Progress()
    fixed = {"progress": progress}

    def picky(update: int) -> bool:
        if update == 3:
            raise RuntimeError("mine")
        return False

    with pytest.raises(RuntimeError, match="mine"):
        list(nn.fit(net, "adam", nn.mini_batch(toy, 50), 2, every=picky, **fixed))
    next(nn.fit(net, "adam", nn.mini_batch(toy, 50), 2, **fixed))  # and is left
    nn.save_checkpoint("run.npz", net, progress)
    list(nn.fit(net, "adam", nn.mini_batch(toy, 50), 2, **fixed))
    assert (net.w == whole.w).all()


def test_two_passes_over_one_loader_at_once_are_two_epochs(toy: nn.Split) -> None:
    loader, alone = nn.mini_batch(toy, 50, seed=1), nn.mini_batch(toy, 50, seed=1)
    both = list(zip(*(((y.copy() for _, y in loader)) for _ in range(2)), strict=True))
    first, second = ([y.copy() for _, y in alone] for _ in range(2))
    for (a, b), c, d in zip(both, first, second, strict=True):
        assert (a == c).all()
        assert (b == d).all()


def test_images_that_someone_changes_in_between_are_seen_as_they_are_now(toy: nn.Split) -> None:
    """A split does not copy them; whoever changes them changes what is learned."""
    images = toy.images.copy()
    split = nn.Split(images, toy.labels, 255.0)
    before = np.asarray(split.x)
    images[:] = 0
    assert before.max() > 0
    assert np.asarray(split.x).max() == 0


# --- consoles and libraries ----------------------------------------------------------------------


@pytest.mark.slow
def test_a_poor_terminal_gets_the_same_lines() -> None:
    done = process(*SMALL, TERM="dumb", COLUMNS="1", PYTHONIOENCODING="cp1252")
    assert (done.returncode, done.stderr) == (0, "")
    assert "test accuracy" in done.stdout
    assert done.stdout.isascii()


@pytest.mark.parametrize("error", [ImportError("no backend"), OSError("no font cache")])
def test_a_broken_matplotlib_costs_the_figure_and_nothing_else(error, monkeypatch, capsys) -> None:
    def broken(*_: object) -> None:
        raise error

    monkeypatch.setattr(plots, "curves", broken)
    assert command(*SMALL, "--out", "a", "--quiet") == 0
    assert f"warning: no figure: matplotlib says {type(error).__name__}" in capsys.readouterr().err
    assert {"model.npz", "result.json"} <= {path.name for path in Path("a").iterdir()}
    assert not Path("a/curves.png").exists()


@pytest.mark.slow
def test_a_backend_that_is_none_costs_nothing() -> None:
    assert process(*SMALL, "--out", "a", MPLBACKEND="nonsense").returncode == 0
    assert Path("a/model.npz").exists()


@pytest.mark.slow
def test_our_own_warnings_stay_warnings_when_python_makes_errors_of_them() -> None:
    done = process(*SMALL[:-1], "1000", "--out", "a", python=("-O", "-W", "error"))
    assert done.returncode == 0, done.stderr
    assert "nnscratch: warning: 1000 threads for" in done.stderr
    assert Path("a/model.npz").exists()


@pytest.mark.slow
def test_a_temporary_folder_that_is_not_there_plays_no_part() -> None:
    done = process(*SMALL, "--out", "a", TMPDIR="/nowhere", TMP="/nowhere", TEMP="/nowhere")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.EDQUOT, errno.EXDEV])
def test_a_system_without_file_handles_or_quota_keeps_the_old_checkpoint(number, monkeypatch):
    nn.save_checkpoint("run.npz", NET, nn.Progress())
    before = Path("run.npz").read_bytes()

    def refuse(*_: object, **__: object) -> io.BytesIO:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refuse)
        with pytest.raises(nn.WriteError):
            nn.save_checkpoint("run.npz", NET, nn.Progress())
    assert Path("run.npz").read_bytes() == before


# --- the table -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_table_of_faults_is_what_the_tests_are() -> None:
    covered, uncovered = faults.COVERED, faults.UNCOVERED
    assert sorted([*covered, *uncovered]) == list(range(1, 107))
    for number, (_, tests) in covered.items():
        assert tests, number
        for test in tests:
            file, _, name = test.partition("::")
            assert name in faults.functions(file), test
    assert (faults.HERE / "faults.md").read_text(encoding="utf-8") == faults.table()
