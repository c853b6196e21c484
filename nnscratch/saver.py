"""What a run writes as it goes: its history and its checkpoints, however often the disk refuses."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .checkpoint import Checkpoint, to_bytes
from .errors import CheckpointError, UsageError, WriteError
from .model import MLP
from .optim import Optimizer
from .progress import Progress, Record
from .resume import flags_to_keep
from .runs import RunFolder


class Saver:
    """Saves a run, and lets it go on where something cannot be written.

    A failure is told each time, and leaves the exit code of WriteError; before the first update it
    is raised, since nothing is lost by that.

    progress, history     those of the run, for whoever trains
    resumed               at which updates it was gone on with, and what was not as before
    exit_code             0, unless a failure was told
    """

    def __init__(
        self,
        folder: RunFolder,
        model: MLP,
        config: dict[str, Any],
        flags: Sequence[str],
        exactness: dict[str, Any],
    ) -> None:
        self.folder, self.model = folder, model
        self.progress = Progress()
        self.history: list[Record] = []
        self.resumed: list[dict[str, Any]] = []
        self.exit_code = 0
        self._about = {
            "flags": flags_to_keep(flags),
            "config": config,
            "exactness": exactness,
            "resumed": self.resumed,
        }

    def go_on(
        self, checkpoint: Checkpoint, optimizer: Optimizer, inexact: Sequence[str], updates: int
    ) -> None:
        """Be where the checkpoint is, of `updates` in all. CheckpointError where that cannot be."""
        update = checkpoint.progress.update
        if self.last().name != f"checkpoint-{update}.npz":  # read before the folder was ours
            what = f"another process has gone on with {self.folder.path}"
            raise UsageError(what, "see whether it has come to its end")
        if update > updates:
            raise CheckpointError(
                f"{self.folder.path} has had {update} updates, and {updates} were asked for",
                "ask for as many epochs as it has had, or more",
            )
        self.progress = checkpoint.restore(self.model, optimizer)
        self.history += checkpoint.history
        self.resumed += checkpoint.about["resumed"]
        self.resumed.append({"update": update, "inexact": list(inexact)})

    def clear(self) -> None:
        """Remove what belongs to a complete run, or is left of a kill; and later history."""
        parts = (part.name for part in self.folder.path.glob(".*.part"))
        self.folder.remove("result.json", "model.npz", "curves.png", *parts)
        self.folder.write_history(self.history)

    def save(self) -> None:
        """Another checkpoint, if it can be written."""
        content = to_bytes(self.model, self.progress, self.history, self._about)
        with self.going_on():
            self.folder.write_checkpoint(self.progress.update, content)

    def append(self, record: Record) -> None:
        """Another epoch has ended."""
        self.history.append(record)
        with self.going_on():
            self.folder.append_history(record)

    def last(self) -> Path:
        """The last checkpoint that was written."""
        return self.folder.checkpoints_in(self.folder.path)[-1]

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Tell of a WriteError, and let the run go on."""
        try:
            yield
        except WriteError as error:
            if self.progress.update == 0:
                raise
            print(f"nnscratch: error: {error.what}\nfix: make room", file=sys.stderr)
            self.exit_code = error.exit_code
