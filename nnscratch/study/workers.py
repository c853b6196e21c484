"""Where trials run: processes on this machine, or the workers of a Dask cluster."""

import functools
import multiprocessing
import os
import pickle
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..datasets.split import Split
from ..environment import environment
from ..files import writing
from ..own_file import import_file
from . import fingerprint
from .trials import Outcome, Trial, run

Data = Mapping[str, Split]
POLL_SECONDS = 1.0  # in which workers may come or go unseen


@dataclass(frozen=True)
class Result:
    """What a worker sends back: the outcome, how long it took, and on which machine."""

    outcome: Outcome
    wall_seconds: float
    machine: str


@dataclass(frozen=True)
class OwnModule:
    """A module with an optimizer of the user's own, which every worker has to import.

    name      what it is called in the process that sends trials
    folder    the root of its imports on that machine
    sources   the text of its file, and of those that it imports from there, by path in the folder
    """

    name: str
    folder: str
    sources: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, name: str, root: Path, files: Sequence[Path]) -> "OwnModule":
        sources = tuple(
            (file.relative_to(root).as_posix(), file.read_text(encoding="utf-8")) for file in files
        )
        return cls(name, str(root), sources)

    def ensure_imported(self) -> None:
        """Import it under its name, from a copy where the folder has other files or none."""
        if imported.get(self.name) == self.sources:
            return
        folder = Path(self.folder)
        if not all(_holds(folder / name, text) for name, text in self.sources):
            folder = Path(tempfile.mkdtemp())
            for name, text in self.sources:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_text(text, encoding="utf-8")
        if self.name in imported:  # with an earlier text, by a worker with a long life
            for name, _ in self.sources[1:]:
                path = Path(name).with_suffix("")
                module = path.parent if path.name == "__init__" else path
                sys.modules.pop(".".join(module.parts), None)
        import_file(folder / self.sources[0][0], self.name)
        imported[self.name] = self.sources


imported: dict[str, tuple[tuple[str, str], ...]] = {}  # the own modules of this worker


def _holds(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


@dataclass(frozen=True)
class Task:
    """A trial on its way to a worker.

    It is pickled apart, since only a worker that has imported the own modules can unpack it.
    """

    pickled: bytes
    code: str
    own_modules: tuple[OwnModule, ...]
    limit: int | None = None  # of images, in a test run

    @classmethod
    def of(cls, trial: Trial, limit: int | None = None) -> "Task":
        own = fingerprint.own_files(trial.optimizer)
        modules = tuple(OwnModule.of(name, root, files) for name, (root, files) in own.items())
        return cls(pickle.dumps(trial), fingerprint.of_code(trial.optimizer), modules, limit)

    def __call__(self, data: "Data | Stored") -> Result:
        """Run the trial; an error in it is a failed outcome."""
        began = time.perf_counter()
        try:
            for module in self.own_modules:
                module.ensure_imported()
            trial: Trial = pickle.loads(self.pickled)
            if fingerprint.of_code(trial.optimizer) == self.code:
                splits = opened(data) if isinstance(data, Stored) else data
                outcome = run(trial, {name: split[: self.limit] for name, split in splits.items()})
            else:
                outcome = Outcome("failed", "the worker has other code of nnscratch: restart it")
        except (Exception, SystemExit) as error:  # whatever a user's optimizer may raise
            outcome = failed(error)
        return Result(outcome, time.perf_counter() - began, machine_name())


def failed(error: BaseException) -> Outcome:
    return Outcome("failed", f"{type(error).__name__}: {error}")


@dataclass(frozen=True)
class Stored:
    """Splits in a folder, as .npy files: all processes that open them share one copy in memory."""

    folder: str
    scales: tuple[tuple[str, float, str], ...]  # name, unit and dtype of each split

    @classmethod
    def of(cls, data: Data, folder: Path) -> "Stored":
        folder.mkdir(exist_ok=True)  # it is there after a study that was killed
        for name, split in data.items():
            for kind in ("images", "labels"):
                path = folder / f"{name}-{kind}.npy"
                path.unlink(missing_ok=True)
                np.save(path, getattr(split, kind), allow_pickle=False)
        scales = tuple((name, split.unit, split.dtype) for name, split in data.items())
        return cls(str(folder), scales)


@functools.cache
def opened(stored: Stored) -> Data:
    """The splits, mapped once in each process."""

    def mapped(name: str, kind: str) -> Any:
        return np.load(Path(stored.folder) / f"{name}-{kind}.npy", mmap_mode="r")

    return {
        name: Split(mapped(name, "images"), mapped(name, "labels"), unit, dtype)
        for name, unit, dtype in stored.scales
    }


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
            try:
                running[pool.submit(Task.of(trial, limit))] = trial
            except BrokenProcessPool:  # it broke while it had nothing to do
                suspects.append(trial)
        if not running and not suspects:
            time.sleep(POLL_SECONDS)  # for workers
        done, _ = wait(running, POLL_SECONDS, FIRST_COMPLETED)
        for future in done:
            trial = running.pop(future)
            try:
                yield trial, future.result()
            except BrokenProcessPool:
                suspects.append(trial)
        if suspects and not running:
            pool.restart()
            for trial in suspects:
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
        self._images = folder / ".images"
        with writing(self._images):
            self._data = Stored.of(data, self._images)
        context = multiprocessing.get_context("spawn")  # a fork would inherit BLAS's threads
        self._ours, self._theirs = context.Pipe(duplex=False)[::-1]
        self._context = context
        self.restart()

    def size(self) -> int:
        return self._jobs

    def submit(self, task: Task) -> "Future[Result]":
        return self._executor.submit(task, self._data)

    def restart(self) -> None:
        self._executor = ProcessPoolExecutor(self._jobs, self._context, _live_with, (self._theirs,))

    def close(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)
        self._ours.close()
        self._theirs.close()
        shutil.rmtree(self._images, ignore_errors=True)


def _live_with(parent: Connection) -> None:
    """Leave Ctrl-C to the parent, and end when it closes its end of the pipe, or itself ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        with suppress(EOFError):
            parent.recv()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
