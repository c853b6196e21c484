"""Train a multilayer perceptron on MNIST: python -m nnscratch.train --opt adam"""

import json
import shlex
import statistics
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from . import plots
from .command_line import run
from .datasets import Dataset, load_dataset
from .environment import environment
from .hyper import Part
from .loaders import LOADERS, Loader
from .loop import Record, fit
from .model import MLP, Evaluation
from .runs import RunFolder, described
from .settings import PROG, parse

BAR_STEPS = 100  # how often in an epoch the progress bar moves


def main(argv: Sequence[str]) -> None:
    """Train, read the test images once, and leave the run's folder behind."""
    settings = parse(argv)
    data = load_dataset(
        settings.dataset,
        data_dir=settings.data_dir,
        seed=settings.seed,
        val_size=settings.val_size,
        limit=settings.limit,
        raw_pixels=settings.raw_pixels,
        dtype=settings.dtype,
    )
    loader = make_loader(settings, data)
    model = make_model(settings, data)
    env = environment()
    folder = RunFolder.create(settings.out, settings.opt.name, settings.seed)
    folder.write_json("config.json", config(settings, argv, data))
    folder.write_json("env.json", env)
    say(settings, headline(folder, model, data, env))

    history = train(settings, model, loader, data, folder)
    test = model.evaluate(data.test.x, data.test.labels)
    say(settings, closing_lines(test, data, folder))  # known, whatever happens to the files
    result = outcome(settings, model, data, history, test, folder)
    folder.write("curves.png", plots.curves(history, title(settings, model, data), test.accuracy))
    folder.write_model(model, data.train.unit)
    folder.write_json("result.json", result)
    if settings.json:
        print(json.dumps(result))


def make_loader(settings: Namespace, data: Dataset) -> Loader:
    batch_size = {"batch_size": settings.batch_size} if "batch_size" in settings else {}
    return LOADERS[settings.loader](data.train, seed=settings.seed, **batch_size)


def make_model(settings: Namespace, data: Dataset) -> MLP:
    pixels, classes = data.train.x.shape[1], int(data.train.labels.max()) + 1
    return MLP(
        [pixels, *settings.hidden, classes],
        settings.activation,
        settings.init,
        settings.loss,
        settings.seed,
        bias=settings.bias,
        dtype=settings.dtype,
    )


def train(
    settings: Namespace, model: MLP, loader: Loader, data: Dataset, folder: RunFolder
) -> list[Record]:
    """Run the training loop; a bar on a terminal, a line for each epoch elsewhere."""
    shows_bar = sys.stderr.isatty() and not settings.quiet
    records = fit(
        model,
        settings.opt,
        loader,
        settings.epochs,
        schedule=settings.schedule,
        val=data.val,
        every=max(1, len(loader) // BAR_STEPS) if shows_bar else None,
    )
    history = []
    updates = settings.epochs * len(loader)
    with tqdm(total=updates, unit="update", disable=not shows_bar, dynamic_ncols=True) as bar:
        for record in records:
            bar.set_postfix_str(progress(record, settings.epochs), refresh=False)
            bar.update(record.update - bar.n)
            if record.ends_epoch:
                history.append(record)
                folder.append_history(record)
                if not shows_bar:
                    say(settings, f"{progress(record, settings.epochs)}  {record.seconds:.1f} s")
    return history


def config(settings: Namespace, argv: Sequence[str], data: Dataset) -> dict[str, Any]:
    """All settings, the true name of the data set, and the command that repeats the run."""
    as_json = {
        name: described(value) if isinstance(value, Part) else value
        for name, value in vars(settings).items()
        if not isinstance(value, Path)
    }
    sizes = {"train": len(data.train), "val": len(data.val), "test": len(data.test)}
    command = shlex.join([*PROG.split(), *argv])
    return {"command": command, **as_json, "dataset": data.name, "images": sizes}


def outcome(
    settings: Namespace,
    model: MLP,
    data: Dataset,
    history: Sequence[Record],
    test: Evaluation,
    folder: RunFolder,
) -> dict[str, Any]:
    """What --json prints and result.json keeps."""
    last = history[-1]
    return {
        "dataset": data.name,
        "optimizer": settings.opt.name,
        "seed": settings.seed,
        "epochs": settings.epochs,
        "updates": last.update,
        "examples": last.examples,
        "weights": len(model.w),
        "train_loss": last.train_loss,
        "val_loss": last.val_loss,
        "val_accuracy": last.val_accuracy,
        "test_loss": test.loss,
        "test_accuracy": test.accuracy,
        "seconds_per_epoch": statistics.median(record.seconds for record in history),
        "run_dir": str(folder.path),
    }


def description(model: MLP) -> str:
    """The network in a few words: 784-1000-10 sigmoid."""
    return f"{'-'.join(map(str, model.sizes))} {model.activation.name}"


def title(settings: Namespace, model: MLP, data: Dataset) -> str:
    batch = f"batches of {settings.batch_size}" if "batch_size" in settings else settings.loader
    return (
        f"{description(model)} on {data.name}, {len(data.train):,} images, {batch}; "
        f"{settings.opt.name}, lr {getattr(settings.opt, 'lr', None)}; seed {settings.seed}"
    )


def headline(folder: RunFolder, model: MLP, data: Dataset, env: dict[str, Any]) -> str:
    blas = env["blas"][0] if env["blas"] else {}
    return (
        f"{data.name}: {len(data.train):,} images to train, {len(data.val):,} to validate, "
        f"{len(data.test):,} to test\n"
        f"{description(model)}: {len(model.w):,} weights, {model.dtype.name}; "
        f"rules by {env['engine']}; {blas.get('internal_api')} {blas.get('version')} "
        f"{blas.get('architecture')}, {blas.get('num_threads')} threads\n"
        f"run folder {folder.path}"
    )


def progress(record: Record, epochs: int) -> str:
    text = f"epoch {record.epoch:{len(str(epochs))}}/{epochs}  loss {record.train_loss:.4f}"
    if record.val_accuracy is not None:
        text += f"  val loss {record.val_loss:.4f}  val accuracy {100 * record.val_accuracy:.2f} %"
    return text


def closing_lines(test: Evaluation, data: Dataset, folder: RunFolder) -> str:
    """The test accuracy with Wilson's 95 % interval."""
    from scipy.stats import binomtest  # takes 0.5 s to import

    n = len(data.test)
    interval = binomtest(round(n * test.accuracy), n).proportion_ci(method="wilson")
    return (
        f"test accuracy {100 * test.accuracy:.2f} % on {data.name} (95 % interval "
        f"{100 * interval.low:.2f} to {100 * interval.high:.2f} %, {n:,} images)\n"
        f"curves in {folder.path / 'curves.png'}"
    )


def say(settings: Namespace, text: str) -> None:
    if not settings.quiet:
        print(text, flush=True)


if __name__ == "__main__":
    sys.exit(run(main))
