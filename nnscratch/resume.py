"""How a run that was stopped goes on: with the same flags, or not at all."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .archive import shown
from .checkpoint import Checkpoint, load_checkpoint
from .command_line import Parser, flag, folder
from .errors import CheckpointError, UsageError
from .own_file import names_a_file
from .runs import RunFolder
from .settings import PROG

# flags that a resumed run does not take over: how it is told of, and paths, which the user types
MANNER = {"out", "resume", "inexact_resume", "json", "quiet", "profile"}
MANNER |= {"data_dir", "max_minutes"}
# settings that may differ; of threads and kernels the environment tells what has come of them
FREE = MANNER | {
    "command",
    "epochs",
    "preset",
    "checkpoint_every",
    "diagnose",
    "threads",
    "blas_kernel",
}


@dataclass
class Resumed:
    """A run to go on with.

    checkpoint    its last one
    argv          the flags that it was begun with, and those typed now
    inexact       what is not as it was, though the user allows it
    """

    path: Path
    checkpoint: Checkpoint
    argv: list[str]
    allows_inexact: bool
    inexact: list[str]

    def check_settings(self, config: Mapping[str, Any]) -> None:
        """CheckpointError if anything that decides the result is not as it was."""
        now = json.loads(json.dumps(config))  # a tuple is a list there
        if changed := _differences(self.checkpoint.about["config"], now, FREE):
            raise CheckpointError(
                f"{self.path} is a run with other settings: {'; '.join(changed)}",
                f"go on with {PROG} --resume {self.path}, which takes its own, or begin a new run",
            )

    def check_environment(self, exactness: Mapping[str, Any]) -> None:
        """CheckpointError if the rest would be rounded in another way, unless it may be."""
        changed = _differences(self.checkpoint.about["exactness"], exactness, set())
        if changed and not self.allows_inexact:
            raise CheckpointError(
                f"the rest of the run would not give the same bits: {'; '.join(changed)}",
                "go on as before, or add --inexact-resume, which the run will always say",
            )
        self.inexact = changed


def resumed(argv: Sequence[str]) -> Resumed | None:
    """The run that --resume names; None without that flag.

    Raises CheckpointError where there is none that can go on.
    """
    parser = Parser(prog=PROG, add_help=False)
    parser.add_argument("--resume", type=folder)
    parser.add_argument("--out")
    parser.add_argument("--inexact-resume", action="store_true")
    given = parser.parse_known_args(argv)[0]
    if given.resume is None:
        if given.inexact_resume:
            raise UsageError("--inexact-resume without --resume", "name the run: --resume DIR")
        return None
    path = given.resume
    if given.out is not None:
        raise UsageError("--out and --resume are given", "a resumed run stays in its folder")
    checkpoint = _last(path)
    about = checkpoint.about
    if not (
        isinstance(about.get("flags"), list)
        and all(isinstance(token, str) and token.isprintable() for token in about["flags"])
        and flags_to_keep(about["flags"]) == about["flags"]
        and isinstance(about.get("config"), dict)
        and isinstance(about.get("exactness"), dict)
        and isinstance(about.get("resumed"), list)
    ):
        raise CheckpointError(
            f"the checkpoint in {path} was not written by {PROG}",
            "load it with nn.load_checkpoint, as it was saved",
        )
    return Resumed(path, checkpoint, _together(about["flags"], argv), given.inexact_resume, [])


def _last(path: Path) -> Checkpoint:
    """The last checkpoint in a run's folder. None before it is taken instead, but named."""
    try:
        if path.is_file():
            what = f"{path} is a file"
            raise CheckpointError(what, f"give the folder of the run: --resume {path.parent}")
        found = RunFolder.checkpoints_in(path)
    except OSError as error:
        what = f"{path} cannot be searched ({error.strerror})"
        raise CheckpointError(what, "give a folder that can be read") from None
    if not found:
        near = sorted({str(file.parent) for file in path.parent.glob("*/checkpoint-*.npz")})
        hint = f"there are some in {', '.join(near[-3:])}" if near else "give the folder of a run"
        raise CheckpointError(f"there is no checkpoint in {path}", hint)
    try:
        return load_checkpoint(found[-1])
    except CheckpointError as error:
        if len(found) == 1:
            raise
        fix = f"delete it, and the run goes on from {found[-2]}"
        raise CheckpointError(error.what, fix) from None


def flags_to_keep(argv: Sequence[str]) -> list[str]:
    """Of a command line, what decides the run's result: a checkpoint holds it."""
    free = {flag(name) for name in MANNER}
    return [token for group in _groups(argv) if _flag(group) not in free for token in group]


def _together(stored: Sequence[str], typed: Sequence[str]) -> list[str]:
    """The flags of the run, where they are not typed again, and those that are."""
    again = {_flag(group): group for group in _groups(typed)}
    kept = [group for group in _groups(stored) if _flag(group) not in again]
    for group in kept:
        name = _flag(group).removeprefix("--")
        if name in ("opt", "base") and any(map(names_a_file, group)):
            text = " ".join(group)
            what = f"the run has an optimizer from a file: {text!r}"
            raise CheckpointError(what, f"type it again: {text}, if you trust that file")
    return [token for group in kept for token in group] + list(typed)


def _groups(argv: Sequence[str]) -> list[list[str]]:
    """Each flag with its values."""
    groups: list[list[str]] = []
    for token in argv:
        if token.startswith("--") or not groups:
            groups.append([])
        groups[-1].append(token)
    return groups


def _flag(group: Sequence[str]) -> str:
    """The flag, of --x=1 and of --no-x too."""
    return group[0].partition("=")[0].replace("--no-", "--", 1)


def _differences(
    before: Mapping[str, Any], now: Mapping[str, Any], free: set[str], prefix: str = ""
) -> list[str]:
    """What is not the same in two JSON objects, in words."""
    found = []
    for name in [*before, *(name for name in now if name not in before)]:
        if name in free:
            continue
        a, b = before.get(name), now.get(name)
        if isinstance(a, dict) and isinstance(b, dict):
            if a.get("name") != b.get("name"):  # another part: the rest of it is no news
                a, b = {"name": a.get("name")}, {"name": b.get("name")}
            found += _differences(a, b, set(), f"{prefix}{name}.")
        elif a != b:
            found.append(f"{shown(prefix + name)} was {json.dumps(a)} and is {json.dumps(b)}")
    return found
