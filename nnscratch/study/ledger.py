"""trials.csv: a row for each finished trial, written at once and never lost."""

import csv
import io
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..files import writing
from .trials import Outcome

GO_ON = "make room; all trials before this one are kept, and the same command goes on"
csv.field_size_limit(2**31 - 1)  # a cell has a number for each epoch
LISTS: dict[str, Callable[[str], float]] = {
    "train_loss": float,
    "val_loss": float,
    "val_accuracy": float,
    "gradients": int,
    "seconds": float,
}


@dataclass(frozen=True)
class Row:
    """A finished trial, as the file holds it.

    key            hash of all settings of the trial and of its code
    stage          "search", "full" or "final": what the trial was for
    optimizer      full name, such as lookahead-adam
    hypers         its hyper-parameters; those of an optimizer inside of it as base.lr
    lr             its learning rate, None if it has none
    code           hash of the code alone
    machine        processor, BLAS kernels, versions, engine
    wall_seconds   from start to end, evaluations included
    """

    key: str
    stage: str
    optimizer: str
    hypers: Mapping[str, float]
    lr: float | None
    schedule: str
    epochs: int
    seed: int
    code: str
    machine: str
    wall_seconds: float
    outcome: Outcome

    @property
    def is_done(self) -> bool:
        return self.outcome.status == "done"

    @property
    def has_failed(self) -> bool:
        return self.outcome.status == "failed"


HEAD = [field.name for field in fields(Row) if field.name != "outcome"]
TAIL = [field.name for field in fields(Outcome)]
COLUMNS = [*HEAD, *TAIL]


def to_cells(row: Row) -> list[str]:
    """The row as text; lists have spaces between their numbers."""
    cells = {name: getattr(row, name) for name in HEAD} | vars(row.outcome)
    cells["hypers"] = json.dumps(row.hypers)
    cells["wall_seconds"] = f"{row.wall_seconds:.3f}"
    cells["message"] = " ".join(row.outcome.message.split())
    for name in LISTS:
        cells[name] = " ".join(f"{number:.6g}" for number in cells[name])
    cells["gradients"] = " ".join(str(number) for number in row.outcome.gradients)
    return ["" if cells[name] is None else str(cells[name]) for name in COLUMNS]


def from_cells(cells: Mapping[str, str]) -> Row:
    """The row that `to_cells` wrote. ValueError for anything else."""

    def optional(name: str) -> float | None:
        return float(cells[name]) if cells[name] else None

    lists: dict[str, Any] = {
        name: [kind(number) for number in cells[name].split()] for name, kind in LISTS.items()
    }
    outcome = Outcome(
        status=cells["status"],
        message=cells["message"],
        updates=int(cells["updates"]),
        state_per_weight=float(cells["state_per_weight"]),
        test_loss=optional("test_loss"),
        test_accuracy=optional("test_accuracy"),
        **lists,
    )
    return Row(
        key=cells["key"],
        stage=cells["stage"],
        optimizer=cells["optimizer"],
        hypers=json.loads(cells["hypers"]),
        lr=optional("lr"),
        schedule=cells["schedule"],
        epochs=int(cells["epochs"]),
        seed=int(cells["seed"]),
        code=cells["code"],
        machine=cells["machine"],
        wall_seconds=float(cells["wall_seconds"]),
        outcome=outcome,
    )


class Ledger:
    """The rows of trials.csv by key; the last row of a key counts.

    A row is appended and flushed to the disk before `append` returns. What is left of a row that
    was cut off, by a full disk or a sudden end, is removed. One process at a time (see `alone`).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: dict[str, Row] = {}
        if path.exists():
            self.rows = {row.key: row for row in read(path)}
            with writing(path, GO_ON):
                os.truncate(path, _complete(path))

    def append(self, row: Row) -> None:
        """Add a row. Raises WriteError where that is not possible; rows before it stay.

        It is kept as it will be read again, with six digits: whoever decides by it decides alike.
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        with writing(self.path, GO_ON):
            file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
            end = os.fstat(file).st_size
            writer.writerows([to_cells(row)] if end else [COLUMNS, to_cells(row)])
            rest = text.getvalue().encode()
            try:
                while rest:
                    rest = rest[os.write(file, rest) :]
                os.fsync(file)
            except OSError:
                os.ftruncate(file, end)
                raise
            finally:
                os.close(file)
        self.rows[row.key] = from_cells(dict(zip(COLUMNS, to_cells(row), strict=True)))


def read(path: Path) -> list[Row]:
    """The complete rows of a trials.csv, of each key the last; UsageError for another file."""
    try:
        text = path.read_bytes()[: _complete(path)].decode()
        reader = csv.DictReader(io.StringIO(text, newline=""))
        if text and reader.fieldnames != COLUMNS:
            raise ValueError("other columns")
        rows = list(reader)
        if any(None in cells or None in cells.values() for cells in rows):
            raise ValueError("a row has other cells than the first line")
        return list({row.key: row for row in map(from_cells, rows)}.values())
    except OSError as error:
        what = f"{path} cannot be read ({error.strerror})"
        raise UsageError(what, "give the folder of a study with trials in it") from None
    except (ValueError, KeyError, TypeError, csv.Error) as error:
        what = f"{path} is no list of trials that this version can read ({error})"
        raise UsageError(what, "move it away, or choose another folder with --out") from None


def _complete(path: Path) -> int:
    """The length of the file up to the end of its last complete line."""
    return path.read_bytes().rfind(b"\n") + 1
