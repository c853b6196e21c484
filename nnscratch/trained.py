"""The trained network that a command is about, and the data set that it learned from."""

from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path

from .command_line import Parser, folder
from .errors import UsageError
from .formats import load_model, native
from .model import MLP

PIXELS, CLASSES = 784, 10  # of every data set here: 28 x 28, ten digits
UNIT = 255.0  # of a network that was saved alone: load_dataset makes pixels of 0 to 1


@dataclass(frozen=True)
class Trained:
    """A network, its data set, the pixel value that it sees as 1, and the folder that it is in.

    Raises UsageError for a network of other inputs than 784 pixels, or outputs than ten digits.
    """

    model: MLP
    dataset: str
    unit: float
    folder: Path

    def __post_init__(self) -> None:
        inputs, outputs = self.model.sizes[0], self.model.sizes[-1]
        if (inputs, outputs) != (PIXELS, CLASSES):
            what = f"the network has {inputs:,} inputs and {outputs:,} outputs"
            fix = f"give one that reads {PIXELS} pixels (28 x 28) and tells {CLASSES} digits apart"
            raise UsageError(what, fix)


def add_arguments(parser: Parser) -> None:
    """RUN_DIR and --dataset, which `read` reads."""
    text = "folder of a run, or the file of a network: .npz, .safetensors"
    parser.add_argument("run", type=folder, metavar="RUN_DIR", help=text)
    text = "what it was trained on, with pixels of 0 to 1, if it was saved by nn.save_model"
    parser.add_argument("--dataset", metavar="NAME", help=text)


def add_data_dir(parser: Parser) -> None:
    """--data-dir, for `load_dataset`."""
    text = "folder with the four MNIST files, and then the only place searched"
    parser.add_argument("--data-dir", type=folder, metavar="DIR", help=text)


def load(path: Path) -> native.Saved:
    """The network in the folder of a run, or in a file that `save_model` wrote.

    Raises CheckpointError for a file that is missing or damaged, UsageError for weights without
    their activation, as PyTorch writes them, and for a kind that is not read.
    """
    if path.is_dir() or path.suffix == ".npz":
        return native.read(path)
    return native.Saved(load_model(path))


def read(given: Namespace) -> Trained:
    """The network that was asked for.

    Raises what `load` and `Trained` raise, and UsageError if nobody says what it was trained on, or
    if --dataset contradicts the file.
    """
    path: Path = given.run
    saved = load(path)
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
