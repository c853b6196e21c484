"""What the train command tells, in words."""

from collections.abc import Sequence
from typing import Any

from .datasets import Dataset
from .loaders import Loader
from .model import MLP, Evaluation
from .progress import Record
from .regularization import NONE
from .runs import RunFolder
from .settings import Settings

NEAR = 0.02  # relative difference at which a loss is taken for that of a blind answer
STUCK = (
    "after two epochs the network still answers every image alike; usual causes: a learning rate "
    "that is far too small, or so large that all units are saturated or dead (--lr); an "
    "initializer that does not suit the activation (--init); raw pixels; --diagnose shows more"
)


def headline(folder: RunFolder, model: MLP, data: Dataset, env: dict[str, Any]) -> str:
    library = env["blas"][0] if env["blas"] else {}
    return (
        f"{data.name}: {len(data.train):,} images to train, {len(data.val):,} to validate, "
        f"{len(data.test):,} to test\n"
        f"{description(model)}: {len(model.w):,} weights, {model.dtype.name}; "
        f"rules by {env['engine']}; {library.get('internal_api')} {library.get('version')} "
        f"{library.get('architecture')}, threads: {library.get('num_threads')}\n"
        f"run folder {folder.path}"
    )


def description(model: MLP) -> str:
    """The network in a few words: 784-1000-10 sigmoid, dropout 0.5."""
    words = [f"{'-'.join(map(str, model.sizes))} {model.activation.name}"]
    words += ["batch norm"] if model.batch_norm else []
    return ", ".join(
        [*words, *([str(model.regularization)] if model.regularization != NONE else [])]
    )


def title(settings: Settings, model: MLP, data: Dataset, loader: Loader) -> str:
    rate = "" if settings.opt.rate is None else f", lr {settings.opt.rate:g}"
    return (
        f"{description(model)} on {data.name}, {len(data.train):,} images in batches of "
        f"{loader.batch_size:,}; {settings.opt.full_name}{rate}, {settings.schedule.name}; "
        f"seed {settings.seed}"
    )


def progress(record: Record, epochs: int) -> str:
    text = f"epoch {record.epoch:{len(str(epochs))}}/{epochs}  loss {record.train_loss:.4f}"
    if record.val_accuracy is not None:
        text += f"  val loss {record.val_loss:.4f}  val accuracy {100 * record.val_accuracy:.2f} %"
    layers = [f"\n    layer {k}  {layer}" for k, layer in enumerate(record.layers or [], start=1)]
    return "".join([f"{text}  {record.seconds:.1f} s", *layers])


def accuracy(test: Evaluation, data: Dataset) -> str:
    """The test accuracy with Wilson's 95 % interval."""
    low, high = interval(test, len(data.test))
    return (
        f"test accuracy {100 * test.accuracy:.2f} % on {data.name} (95 % interval "
        f"{100 * low:.2f} to {100 * high:.2f} %, {len(data.test):,} images)"
    )


def interval(test: Evaluation, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of an accuracy that was measured on n images."""
    from scipy.stats import binomtest  # takes 0.5 s to import

    found = binomtest(round(n * test.accuracy), n).proportion_ci(method="wilson")
    return float(found.low), float(found.high)


def has_learned_nothing(history: Sequence[Record], model: MLP) -> bool:
    """Whether the loss stays at that of a network that gives every image the same answer."""
    blind, chance = model.loss.blind(model.sizes[-1]), 1 / model.sizes[-1]
    return blind is not None and all(
        abs(record.train_loss - blind) < NEAR * blind
        and (record.val_accuracy is None or record.val_accuracy < min(2 * chance, (1 + chance) / 2))
        for record in history
    )
