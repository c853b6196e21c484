"""The folder that a run leaves behind: JSON, JSON lines, and npz without pickle."""

import itertools
import json
import re
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .errors import UsageError, WriteError
from .files import write_whole, writing
from .formats import native
from .model import MLP
from .progress import Record

CHECKPOINT = re.compile(r"checkpoint-([0-9]+)\.npz")
ELSEWHERE = "choose a folder that can be written with --out, or make room"
KEPT = 2  # checkpoints; the one before the last is there if the disk has damaged the last


class RunFolder:
    """One run's folder. But for the history, a file in it appears when it is complete.

        config.json     the settings
        env.json        versions, BLAS, threads, processor
        history.jsonl   one line for each epoch, written as the run goes
        checkpoint-<update>.npz     the last two
        curves.png      loss and accuracy against epochs
        diagnosis       with --diagnose: the health of each layer, the weights of the first
        model.npz       the network (see formats.native)
        result.json     the outcome, the test accuracy among it

    Raises WriteError where the disk does not allow writing, UsageError for a folder in use.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with writing(path, ELSEWHERE):
            probe = path / ".probe"  # a folder may exist and still refuse files
            probe.touch()
            probe.unlink()

    @classmethod
    def create(cls, path: Path | None, optimizer: str, seed: int) -> "RunFolder":
        """The folder at `path`, or else a new one, runs/<time>-<optimizer>-s<seed>."""
        if path is None:
            return cls(_new_folder(f"{time.strftime('%Y%m%d-%H%M%S')}-{optimizer}-s{seed}"))
        with writing(path, ELSEWHERE):
            if path.exists() and not path.is_dir():
                what = f"{path} cannot be written (it is a file)"
                raise WriteError(what, "choose a new folder with --out")
            path.mkdir(parents=True, exist_ok=True)
            if any(not entry.name.startswith(".") for entry in path.iterdir()):
                raise UsageError(f"{path} is not empty", "choose a new folder with --out")
        return cls(path)

    def inner(self, name: str) -> "RunFolder":
        """A folder in this one, made if it is new."""
        with writing(self.path / name) as path:
            path.mkdir(exist_ok=True)
        return RunFolder(path)

    def write(self, name: str, content: bytes) -> None:
        """The file of that name, whole or not at all."""
        write_whole(self.path / name, content)

    def write_json(self, name: str, content: dict[str, Any]) -> None:
        self.write(name, (json.dumps(content, indent=2, allow_nan=False) + "\n").encode())

    @staticmethod
    def checkpoints_in(path: Path) -> list[Path]:
        """The checkpoints in a folder, the last one at the end."""
        numbered = {}
        for file in path.glob("checkpoint-*.npz"):
            if number := CHECKPOINT.fullmatch(file.name):
                numbered[int(number[1])] = file
        return [numbered[update] for update in sorted(numbered)]

    def write_checkpoint(self, update: int, content: bytes) -> None:
        """Another checkpoint; once it is there, all but the last two are removed."""
        self.write(f"checkpoint-{update}.npz", content)
        for old in self.checkpoints_in(self.path)[:-KEPT]:
            with writing(old):
                old.unlink()

    def write_history(self, history: Sequence[Record]) -> None:
        """The whole history anew: what a run that was stopped wrote later is gone."""
        self.write("history.jsonl", "".join(map(_line, history)).encode())

    @staticmethod
    def result_in(path: Path) -> dict[str, Any] | None:
        """What the run in a folder came to; None if it is not complete, or the file not whole."""
        try:
            result = json.loads((path / "result.json").read_text(encoding="utf-8"))
            float(result["test_accuracy"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None
        return dict(result)

    def remove(self, *names: str) -> None:
        for name in names:
            with writing(self.path / name) as path:
                path.unlink(missing_ok=True)

    def append_history(self, record: Record) -> None:
        with writing(self.path / "history.jsonl") as path, path.open("a") as file:
            file.write(_line(record))

    def write_model(self, model: MLP, dataset: str, unit: float) -> None:
        self.write(native.FILE, native.to_bytes(native.Saved(model, dataset, unit)))


def _line(record: Record) -> str:
    return json.dumps(asdict(record), allow_nan=False) + "\n"


def _new_folder(name: str) -> Path:
    """runs/<name>, or with a number behind it: a folder that no other run has."""
    for k in itertools.count(1):
        path = Path("runs") / (name if k == 1 else f"{name}-{k}")
        with writing(path, ELSEWHERE):
            try:
                path.mkdir(parents=True)
                break
            except FileExistsError:  # another run of this second
                continue
    return path


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the folder for this process; UsageError if another one does."""
    if sys.platform == "win32":  # no flock there: two processes in one folder are not noticed
        yield
        return
    import fcntl

    with ExitStack() as held:
        with writing(folder, ELSEWHERE):
            file = held.enter_context((folder / ".lock").open("w"))
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                what = f"another process is at work in {folder}"
                raise UsageError(what, "wait for it, or choose another folder with --out") from None
        yield
