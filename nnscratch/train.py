"""Train a multilayer perceptron on MNIST: python -m nnscratch.train --opt adam"""

import json
import shlex
import statistics
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from . import blas, plots
from .command_line import run
from .datasets import Dataset, load_dataset
from .environment import environment
from .errors import DivergedError
from .hyper import Part
from .loaders import LOADERS, Loader
from .loop import Record, check_finite, fit
from .model import MLP, Evaluation
from .profiling import profiled, table
from .runs import RunFolder, described
from .settings import PROG, Settings, parse

BAR_STEPS = 100  # how often in an epoch the progress bar moves


def main(argv: Sequence[str]) -> None:
    """Train, read the test images once, and leave the run's folder behind."""
    settings = parse(argv)
    blas.use(settings.blas_kernel)
    if settings.threads is not None:
        blas.set_threads(settings.threads)
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
    folder = RunFolder.create(settings.out, settings.opt.full_name, settings.seed)
    folder.write_json("config.json", config(settings, argv, data, loader))
    folder.write_json("env.json", env)
    say(settings, headline(folder, model, data, env))

    seconds: dict[str, float] = {}
    if settings.profile:
        history, seconds = profiled(lambda: train(settings, model, loader, data, folder), model)
    else:
        history = train(settings, model, loader, data, folder)
    with np.errstate(over="ignore", invalid="ignore"):
        test = model.evaluate(data.test.x, data.test.labels)
    check_finite("test loss", test.loss, settings.opt, history[-1].update)
    result = outcome(settings, model, data, history, test, folder)
    say(settings, accuracy(test, data))  # known now, whatever becomes of the files
    if seconds:
        result["profile"] = seconds
        say(settings, table(seconds, model, loader.batch_size, history[-1].examples))
    if settings.json:
        print(json.dumps(result), flush=True)
    folder.write_json("result.json", result)
    png = plots.curves(history, title(settings, model, data, loader), test.accuracy)
    folder.write("curves.png", png)
    folder.write_model(model, data.name, data.train.unit)


def make_loader(settings: Settings, data: Dataset) -> Loader:
    size = {} if settings.batch_size is None else {"batch_size": settings.batch_size}
    return LOADERS[settings.loader](data.train, seed=settings.seed, **size)


def make_model(settings: Settings, data: Dataset) -> MLP:
    return MLP(
        [data.train.x.shape[1], *settings.hidden, data.classes],
        settings.activation,
        settings.init,
        settings.loss,
        settings.seed,
        bias=settings.bias,
        dtype=settings.dtype,
    )


def train(
    settings: Settings, model: MLP, loader: Loader, data: Dataset, folder: RunFolder
) -> list[Record]:
    """Run the training loop: a line for each epoch, and a bar below them on a terminal."""
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
    bar = tqdm(total=updates, unit=" updates", leave=False, disable=not shows_bar)
    try:
        for record in records:
            bar.update(record.update - bar.n)
            if record.ends_epoch:
                history.append(record)
                folder.append_history(record)
                bar.clear()
                say(settings, progress(record, settings.epochs))
    except DivergedError as error:
        kept = f"the {len(history)} epochs before are in {folder.path / 'history.jsonl'}"
        raise DivergedError(error.what, f"{error.fix}; {kept}") from None
    finally:
        bar.close()
    return history


def config(
    settings: Settings, argv: Sequence[str], data: Dataset, loader: Loader
) -> dict[str, Any]:
    """All settings, the true name of the data set, and the command as it was typed."""
    as_json: dict[str, Any] = {"command": shlex.join([*PROG.split(), *argv])}
    for field in fields(settings):
        value = getattr(settings, field.name)
        if isinstance(value, Part):
            value = described(value)
        elif isinstance(value, Path):
            value = str(value)
        as_json[field.name] = value
    images = {"train": len(data.train), "val": len(data.val), "test": len(data.test)}
    return as_json | {"dataset": data.name, "batch_size": loader.batch_size, "images": images}


def outcome(
    settings: Settings,
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
        "optimizer": settings.opt.full_name,
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
    """The network in a few words: 784-1000-10 sigmoid."""
    return f"{'-'.join(map(str, model.sizes))} {model.activation.name}"


def title(settings: Settings, model: MLP, data: Dataset, loader: Loader) -> str:
    return (
        f"{description(model)} on {data.name}, {len(data.train):,} images in batches of "
        f"{loader.batch_size:,}; {settings.opt.full_name}, lr {getattr(settings.opt, 'lr', None)}, "
        f"{settings.schedule.name}; seed {settings.seed}"
    )


def progress(record: Record, epochs: int) -> str:
    text = f"epoch {record.epoch:{len(str(epochs))}}/{epochs}  loss {record.train_loss:.4f}"
    if record.val_accuracy is not None:
        text += f"  val loss {record.val_loss:.4f}  val accuracy {100 * record.val_accuracy:.2f} %"
    return f"{text}  {record.seconds:.1f} s"


def accuracy(test: Evaluation, data: Dataset) -> str:
    """The test accuracy with Wilson's 95 % interval."""
    from scipy.stats import binomtest  # takes 0.5 s to import

    n = len(data.test)
    interval = binomtest(round(n * test.accuracy), n).proportion_ci(method="wilson")
    return (
        f"test accuracy {100 * test.accuracy:.2f} % on {data.name} (95 % interval "
        f"{100 * interval.low:.2f} to {100 * interval.high:.2f} %, {n:,} images)"
    )


def say(settings: Settings, text: str) -> None:
    if not settings.quiet:
        print(text, flush=True)


if __name__ == "__main__":
    sys.exit(run(main))
