"""The folder that a run leaves behind: JSON, JSON lines, and npz without pickle."""

import io
import itertools
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .errors import UsageError, WriteError
from .hyper import Part, values
from .loop import Record
from .model import MLP

MODEL_FORMAT = 1  # version of model.npz


class RunFolder:
    """One run's folder. But for the history, a file in it appears when it is complete.

        config.json     the settings
        env.json        versions, BLAS, threads, processor
        history.jsonl   one line for each epoch, written as the run goes
        curves.png      loss and accuracy against epochs
        model.npz       the weights, and a description as JSON bytes
        result.json     the outcome, the test accuracy among it

    Raises WriteError where the disk does not allow writing, UsageError for a folder in use.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with writing(path):
            probe = path / ".probe"  # a folder may exist and still refuse files
            probe.touch()
            probe.unlink()

    @classmethod
    def create(cls, path: Path | None, optimizer: str, seed: int) -> "RunFolder":
        """The folder at `path`, or else a new one, runs/<time>-<optimizer>-s<seed>."""
        if path is None:
            return cls(_new_folder(f"{time.strftime('%Y%m%d-%H%M%S')}-{optimizer}-s{seed}"))
        path = path.expanduser()
        with writing(path):
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
        path, part = self.path / name, self.path / f".{name}.part"
        with writing(path):
            try:
                with part.open("wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                part.replace(path)
            finally:
                part.unlink(missing_ok=True)

    def write_json(self, name: str, content: dict[str, Any]) -> None:
        self.write(name, (json.dumps(content, indent=2, allow_nan=False) + "\n").encode())

    def append_history(self, record: Record) -> None:
        with writing(self.path / "history.jsonl") as path, path.open("a") as file:
            file.write(json.dumps(asdict(record), allow_nan=False) + "\n")

    def write_model(self, model: MLP, dataset: str, pixel_unit: float) -> None:
        """The arrays W1, b1, ... and `description`, the bytes of a JSON text."""
        description = {
            "format": MODEL_FORMAT,
            "sizes": model.sizes,
            "activation": described(model.activation),
            "loss": described(model.loss),
            "dtype": model.dtype.name,
            "dataset": dataset,
            "pixel_unit": pixel_unit,
        }
        arrays: dict[str, Any] = {parameter.name: parameter.w for parameter in model.parameters}
        text = np.frombuffer(json.dumps(description).encode(), dtype=np.uint8)
        buffer = io.BytesIO()
        np.savez(buffer, description=text, **arrays)
        self.write("model.npz", buffer.getvalue())


def _new_folder(name: str) -> Path:
    """runs/<name>, or with a number behind it: a folder that no other run has."""
    for k in itertools.count(1):
        path = Path("runs") / (name if k == 1 else f"{name}-{k}")
        with writing(path):
            try:
                path.mkdir(parents=True)
                break
            except FileExistsError:  # another run of this second
                continue
    return path


def described(part: Part) -> dict[str, Any]:
    """A part as JSON can hold it: its name, its hyper-parameters, and the parts inside of it."""
    names = [field.name for field in fields(part)] if is_dataclass(part) else []  # type: ignore[var-annotated]
    found = {name: getattr(part, name) for name in names}
    parts = {name: described(value) for name, value in found.items() if isinstance(value, Part)}
    return {"name": part.name, **values(part), **parts}


@contextmanager
def writing(
    path: Path, fix: str = "choose a folder that can be written with --out, or make room"
) -> Iterator[Path]:
    """The path; WriteError where the disk refuses."""
    try:
        yield path
    except OSError as error:
        raise WriteError(f"{path} cannot be written ({error.strerror})", fix) from None
