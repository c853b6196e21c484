"""The trained network that a command is about, and the data set that it learned from."""

from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path

from .command_line import Parser, folder
from .errors import UsageError
from .formats import native
from .model import MLP

UNIT = 255.0  # of a network that was saved alone: load_dataset makes pixels of 0 to 1


@dataclass(frozen=True)
class Trained:
    """A network, its data set, the pixel value that it sees as 1, and the folder that it is in."""

    model: MLP
    dataset: str
    unit: float
    folder: Path


def add_arguments(parser: Parser) -> None:
    """RUN_DIR and --dataset, which `read` reads."""
    text = "folder of a run, or a network's own file model.npz"
    parser.add_argument("run", type=folder, metavar="RUN_DIR", help=text)
    text = "what it was trained on, with pixels of 0 to 1, if it was saved by nn.save_model"
    parser.add_argument("--dataset", metavar="NAME", help=text)


def read(given: Namespace) -> Trained:
    """The network that was asked for.

    Raises CheckpointError for a file that is missing or damaged, UsageError if nobody says what it
    was trained on, or if --dataset contradicts the file.
    """
    path: Path = given.run
    saved = native.read(path)
    where = path if path.is_dir() else path.parent
    if saved.dataset is None:
        if given.dataset is None:
            what = f"{path} does not say what its network was trained on"
            raise UsageError(what, "say it with --dataset, or give the folder of a run")
        return Trained(saved.model, given.dataset, UNIT, where)
    if given.dataset not in (None, saved.dataset):
        what = f"{path} was trained on {saved.dataset}, not on {given.dataset}"
        raise UsageError(what, "leave out --dataset")
    return Trained(saved.model, saved.dataset, saved.unit, where)
