"""A study on a Dask cluster: a real scheduler, real worker processes, one of which is killed."""

import json
import operator
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import distributed
import pytest

import nnscratch as nn
from nnscratch import compare
from nnscratch.command_line import run
from nnscratch.study import cluster, ledger

pytestmark = pytest.mark.filterwarnings("ignore")  # of the other library

STUDY = "--opts sgd,momentum,adam,lookahead --tier smoke --dataset digits --hidden 50 --epochs 6"


class Cluster:
    """A scheduler and its workers as processes of their own."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "scheduler.json"
        self.scheduler = self._start("scheduler", "--port", "0", "--no-dashboard")
        while not self.file.exists() or not self.file.read_text().endswith("}"):
            assert self.scheduler.poll() is None
            time.sleep(0.05)
        self.address: str = json.loads(self.file.read_text())["address"]
        self.workers: list[subprocess.Popen] = []

    def add_workers(self, count: int) -> None:
        flags = ("--nthreads", "1", "--no-nanny", "--no-dashboard")
        self.workers += [self._start("worker", *flags) for _ in range(count)]
        with distributed.Client(self.address) as client:
            client.wait_for_workers(count, timeout=60)

    def _start(self, kind: str, *flags: str) -> subprocess.Popen:
        # as `dask scheduler` and `dask worker` do, with this interpreter
        code = f"import sys; from dask.__main__ import main; sys.argv[1:1] = ['{kind}']; main()"
        return subprocess.Popen(
            [sys.executable, "-c", code, "--scheduler-file", self.file, *flags],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"PYTHONWARNINGS": "default"},  # what Dask is warned of is its own
        )

    def end(self) -> None:
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()


@pytest.fixture
def dask(tmp_path: Path, monkeypatch) -> Iterator[Cluster]:
    monkeypatch.chdir(tmp_path)
    found = Cluster(tmp_path)
    try:
        yield found
    finally:
        found.end()


def outcomes(folder: str) -> dict:
    rows = ledger.read(Path(folder, "trials.csv"))
    assert len({row.key for row in rows}) == len(rows)
    return {row.key: replace(row.outcome, seconds=[]) for row in rows}


def begun(address: str, folder: str, rows: int) -> subprocess.Popen:
    """The command as a process of its own, after so many of its trials."""
    flags = shlex.split(f"{STUDY} --scheduler {address} --out {folder}")
    process = subprocess.Popen(
        [sys.executable, "-m", "nnscratch.compare", *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    path = Path(folder, "trials.csv")
    while not path.exists() or path.read_bytes().count(b"\n") <= rows:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    return process


@pytest.mark.slow
def test_a_cluster_that_loses_a_worker_comes_to_the_results_of_one_machine(dask: Cluster) -> None:
    assert run(compare.main, shlex.split(f"{STUDY} --out local")) == 0
    dask.add_workers(2)
    process = begun(dask.address, "remote", rows=6)
    dask.workers[0].kill()
    remaining = process.communicate(timeout=120)
    assert process.returncode == 0, remaining
    assert outcomes("remote") == outcomes("local")


@pytest.mark.slow
def test_the_images_outlive_the_worker_that_holds_them(dask: Cluster) -> None:
    dask.add_workers(2)
    pool = cluster.DaskPool(dask.address, {"x": "the images"})
    try:
        assert pool.submit(operator.itemgetter("x")).result(timeout=60) == "the images"
        with distributed.Client(dask.address) as client:
            processes = client.run(os.getpid)
            holders = []
            while len(holders) != 1:  # Dask itself takes the second copy away
                time.sleep(0.1)
                holders = client.who_has()[pool._data.key]
        os.kill(processes[holders[0]], signal.SIGKILL)
        assert pool.submit(operator.itemgetter("x")).result(timeout=60) == "the images"
    finally:
        pool.close()


@pytest.mark.slow
def test_a_scheduler_that_goes_away_costs_no_finished_trial(dask: Cluster) -> None:
    dask.add_workers(1)
    process = begun(dask.address, "remote", rows=3)
    dask.scheduler.kill()
    _, err = process.communicate(timeout=120)
    assert process.returncode == 2, err
    assert "the Dask cluster lost its scheduler" in err
    assert "the same command goes on" in err
    assert len(outcomes("remote")) >= 3


@dataclass(frozen=True)
class Foreign:
    """A task that no worker can unpack, as one of another version may be."""

    def __call__(self, data: object) -> None:
        pass


def test_a_task_that_a_worker_cannot_unpack_has_failed_and_nobody_waits(dask: Cluster) -> None:
    dask.add_workers(1)
    pool = cluster.DaskPool(dask.address, {})
    try:
        result = pool.submit(Foreign()).result(timeout=60)
    finally:
        pool.close()
    assert result.outcome.status == "failed"
    assert result.outcome.message


@pytest.mark.slow
def test_a_cluster_without_any_worker_left_is_given_up_after_a_while(
    dask: Cluster, monkeypatch
) -> None:
    dask.add_workers(1)
    pool = cluster.DaskPool(dask.address, {})
    try:
        assert pool.size() == 1
        dask.workers[0].kill()
        while pool.size():
            time.sleep(0.1)
        monkeypatch.setattr(cluster, "PATIENCE_SECONDS", 0.5)
        time.sleep(1)
        with pytest.raises(nn.UsageError, match="no workers left"):
            pool.size()
        dask.add_workers(1)
        assert pool.size() == 1
    finally:
        pool.close()


def test_a_scheduler_without_workers_is_refused(dask: Cluster, capsys) -> None:
    assert run(compare.main, shlex.split(f"{STUDY} --scheduler {dask.address} --out remote")) == 2
    assert "has no workers" in capsys.readouterr().err


def test_a_scheduler_that_does_not_answer_is_refused(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cluster, "ANSWER_SECONDS", 1)
    assert run(compare.main, shlex.split(f"{STUDY} --scheduler tcp://127.0.0.1:9 --out r")) == 2
    err = capsys.readouterr().err
    assert "error: no Dask scheduler answers at tcp://127.0.0.1:9" in err
    assert "fix: start one with `dask scheduler`" in err


def test_without_dask_a_scheduler_is_refused_with_what_to_install(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(nn.UsageError, match="Dask, which is not installed") as error:
        cluster.DaskPool("tcp://127.0.0.1:8786", {})
    assert "nnscratch[cluster]" in error.value.fix
