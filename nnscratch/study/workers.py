"""Where trials run: processes on this machine, or the workers of a Dask cluster."""

import functools
import multiprocessing
import os
import pickle
import signal
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import joblib

from ..datasets.split import Split
from ..environment import environment
from ..optim.base import Optimizer
from ..own_file import import_file
from ..runs import writing
from . import fingerprint
from .trials import Outcome, Trial, run

Data = Mapping[str, Split]


@dataclass(frozen=True)
class Result:
    """What a worker sends back: the outcome, how long it took, and on which machine."""

    outcome: Outcome
    wall_seconds: float
    machine: str


@dataclass(frozen=True)
class OwnFile:
    """A file with an optimizer of the user's own, which every worker has to import."""

    module: str
    path: str
    source: str

    def ensure_imported(self) -> None:
        """Import it under the name that it has in the process that sends trials."""
        if self.module in sys.modules:
            return
        path = Path(self.path)
        if not path.is_file() or path.read_text(encoding="utf-8") != self.source:
            path = Path(tempfile.mkdtemp()) / path.name  # another machine: it needs a copy
            path.write_text(self.source, encoding="utf-8")
        import_file(path, self.module)


@dataclass(frozen=True)
class Task:
    """A trial on its way to a worker."""

    pickled: bytes
    code: str
    own_files: tuple[OwnFile, ...]
    limit: int | None = None  # of images, in a test run

    @classmethod
    def of(cls, trial: Trial, limit: int | None = None) -> "Task":
        code = fingerprint.of_code(trial.optimizer)
        return cls(pickle.dumps(trial), code, tuple(own_files(trial.optimizer)), limit)

    def __call__(self, data: "Data | str") -> Result:
        """Run the trial; an error in it is a failed outcome. A string is a file with the data."""
        began = time.perf_counter()
        try:
            for file in self.own_files:
                file.ensure_imported()
            trial: Trial = pickle.loads(self.pickled)
            if fingerprint.of_code(trial.optimizer) == self.code:
                splits = opened(data) if isinstance(data, str) else data
                outcome = run(trial, {name: split[: self.limit] for name, split in splits.items()})
            else:
                outcome = Outcome("failed", "the worker has other code of nnscratch")
        except Exception as error:  # whatever an optimizer of the user's own may raise
            outcome = Outcome("failed", f"{type(error).__name__}: {error}")
        return Result(outcome, time.perf_counter() - began, machine_name())


def own_files(optimizer: Optimizer) -> Iterator[OwnFile]:
    """The files outside of this package that the optimizer's classes stand in."""
    for path in fingerprint.files_of(optimizer):
        module = next(m for m in sys.modules.values() if getattr(m, "__file__", None) == str(path))
        if not module.__name__.startswith(f"{__package__.partition('.')[0]}."):
            yield OwnFile(module.__name__, str(path), path.read_text(encoding="utf-8"))


@functools.cache
def opened(path: str) -> Data:
    """The data in a file; all processes that open it share one copy in memory."""
    data: Data = joblib.load(path, mmap_mode="r")
    return data


@functools.cache
def machine_name() -> str:
    """What the results of this process depend on besides code and settings."""
    env = environment()
    blas: dict[str, Any] = env["blas"][0] if env["blas"] else {}
    return (
        f"{env['processor']}, {env['cores']} cores; {blas.get('internal_api')} "
        f"{blas.get('version')} {blas.get('architecture')}; numpy {env['packages']['numpy']}; "
        f"rules by {env['engine']}"
    )


class Pool(Protocol):
    """A number of workers that take tasks."""

    def size(self) -> int:
        """How many tasks run at a time."""

    def submit(self, task: Task) -> "Future[Result]":
        """The task's result, some time; BrokenProcessPool if a worker died."""

    def restart(self) -> None:
        """Make the pool take tasks again after a worker died."""

    def close(self) -> None:
        """End all workers at once."""


def results(
    trials: Sequence[Trial], pool: Pool, limit: int | None = None
) -> Iterator[tuple[Trial, Result]]:
    """Run the trials, and yield each with its result as soon as it is there.

    With a limit they see only so many images of each split.

    A process that dies takes the pool with it, and nobody can tell whose trial did it. So the
    trials that were at work are tried again one by one: one whose worker dies also then has
    failed.
    """
    waiting, suspects = deque(trials), list[Trial]()
    running: dict[Future[Result], Trial] = {}
    while waiting or running:
        while waiting and not suspects and len(running) < pool.size():
            trial = waiting.popleft()
            running[pool.submit(Task.of(trial, limit))] = trial
        done, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            trial = running.pop(future)
            try:
                yield trial, future.result()
            except BrokenProcessPool:
                suspects.append(trial)
        if suspects and not running:
            for trial in suspects:
                pool.restart()
                yield trial, _alone(Task.of(trial, limit), pool)
            suspects = []


def _alone(task: Task, pool: Pool) -> Result:
    try:
        return pool.submit(task).result()
    except BrokenProcessPool:
        pool.restart()
        return Result(Outcome("failed", "its worker process died twice"), 0.0, machine_name())


class LocalPool:
    """Processes on this machine, which share one copy of the images.

    The standard library's pool and not joblib.Parallel, since that ends all trials with the first
    worker that dies, and says only that one did.
    """

    def __init__(self, jobs: int, data: Data, folder: Path) -> None:
        self._jobs = jobs
        self._data = folder / ".images.joblib"
        with writing(self._data):
            self._data.unlink(missing_ok=True)  # a study that was killed left it behind
            joblib.dump(dict(data), self._data)
        self.restart()

    def size(self) -> int:
        return self._jobs

    def submit(self, task: Task) -> "Future[Result]":
        return self._executor.submit(task, str(self._data))

    def restart(self) -> None:
        context = multiprocessing.get_context("spawn")  # a fork would inherit BLAS's threads
        self._executor = ProcessPoolExecutor(self._jobs, context, _live_with_parent)

    def close(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)
        for process in multiprocessing.active_children():
            process.terminate()
        self._data.unlink(missing_ok=True)


def _live_with_parent() -> None:
    """Leave Ctrl-C to the parent, and end with it, however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
