"""Train a multilayer perceptron on MNIST: python -m nnscratch.train --opt adam"""

import json
import math
import shlex
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from . import blas, plots, wording
from .checkup import Checkup
from .command_line import run
from .datasets import Dataset, load_dataset
from .datasets.split import data_hash
from .distorted import DistortedLoader
from .distortions import Undistorted
from .divergence import check_finite
from .environment import environment, exactness
from .errors import DivergedError, NnscratchError
from .hyper import Part, described
from .loaders import LOADERS, Loader
from .loop import check_together, fit
from .model import MLP, Evaluation
from .optim import Optimizer
from .profiling import profiled, table
from .resume import resumed
from .runs import RunFolder, alone
from .saver import Saver
from .settings import PROG, Settings, parse
from .signals import Interrupted, Signals, watched


def main(argv: Sequence[str]) -> int:
    """Train, read the test images once, and leave the run's folder behind."""
    resume = resumed(argv)
    flags = resume.argv if resume else argv
    settings = parse(flags)
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
    model = make_model(settings, data.train.x.shape[1], data.classes)
    check_together(model, settings.opt, loader)
    env = environment()
    exact = exactness(env, own_classes(settings.opt))
    as_json = config(settings, flags, data, loader)
    if resume:
        resume.check_settings(as_json)
        resume.check_environment(exact)
        folder = RunFolder(resume.path)
    else:
        folder = RunFolder.create(settings.out, settings.opt.full_name, settings.seed)
    with alone(folder.path), watched() as signals:
        saver = Saver(folder, model, as_json, flags, exact)
        updates = settings.epochs * len(loader)
        if resume:
            saver.go_on(resume.checkpoint, settings.opt, resume.inexact, updates)
            result = RunFolder.result_in(folder.path)
            if result and saver.progress.update == updates:
                say_complete(settings, folder, result)
                return 0
            saver.clear()
        folder.write_json("config.json", as_json)
        folder.write_json("env.json", env)
        say(settings, wording.headline(folder, model, data, env))
        if resume:
            say(settings, f"goes on after update {saver.progress.update} of {updates}")
        saver.save()  # resumed, too: with the flags of now
        seconds: dict[str, float] = {}
        if settings.profile:
            _, seconds = profiled(
                lambda: train(settings, model, loader, data, saver, signals), model
            )
        else:
            train(settings, model, loader, data, saver, signals)
        finish(settings, model, loader, data, saver, seconds)
        return saver.exit_code


def finish(
    settings: Settings,
    model: MLP,
    loader: Loader,
    data: Dataset,
    saver: Saver,
    seconds: dict[str, float],
) -> None:
    """Read the test images, and write what the run came to."""
    folder, history = saver.folder, saver.history
    with np.errstate(over="ignore", invalid="ignore"):
        test = model.evaluate(data.test.x, data.test.labels)
    check_finite("test loss", test.loss, settings.opt, history[-1].update)
    result = outcome(settings, model, data, saver, test)
    say(settings, wording.accuracy(test, data))  # known now, whatever becomes of the files
    if seconds:
        result["profile"] = seconds
        say(settings, table(seconds, model, loader.batch_size, history[-1].examples))
    if settings.json:
        print(json.dumps(result), flush=True)
    folder.write_model(model, data.name, data.train.unit)
    folder.write_json("result.json", result)
    with figures_or_a_warning():
        png = plots.curves(history, wording.title(settings, model, data, loader), test.accuracy)
        folder.write("curves.png", png)


@contextmanager
def figures_or_a_warning() -> Iterator[None]:
    """A run is worth no less without its figures."""
    try:
        yield
    except NnscratchError:
        raise
    except Exception as error:  # whatever an installation of matplotlib may raise
        warn(f"no figure: matplotlib says {type(error).__name__}: {error}")


def say_complete(settings: Settings, folder: RunFolder, result: dict[str, Any]) -> None:
    """Of a run that has nothing left to do."""
    say(
        settings,
        f"{folder.path} is complete: {settings.epochs} epochs, test accuracy "
        f"{100 * result['test_accuracy']:.2f} %; more with --epochs {2 * settings.epochs}",
    )
    if settings.json:
        print(json.dumps(result), flush=True)


def make_loader(settings: Settings, data: Dataset) -> Loader:
    size = {} if settings.batch_size is None else {"batch_size": settings.batch_size}
    loader = LOADERS[settings.loader](data.train, seed=settings.seed, **size)
    if isinstance(settings.distortion, Undistorted):
        return loader
    return DistortedLoader(loader, settings.distortion, settings.seed)


def make_model(settings: Settings, inputs: int, classes: int) -> MLP:
    return MLP(
        [inputs, *settings.hidden, classes],
        settings.activation,
        settings.init,
        settings.loss,
        settings.seed,
        bias=settings.bias,
        batch_norm=settings.batch_norm,
        regularization=settings.regularization,
        dtype=settings.dtype,
    )


def train(
    settings: Settings,
    model: MLP,
    loader: Loader,
    data: Dataset,
    saver: Saver,
    signals: Signals,
) -> None:
    """Run the training loop: a line for each epoch, and a bar below them on a terminal.

    Interrupted after a signal: the update under way was finished, and saved.
    """
    save_every = settings.checkpoint_every or len(loader)
    updates = settings.epochs * len(loader)
    checkup = Checkup(model, data, saver.progress, len(loader)) if settings.diagnose else None
    deadline = time.monotonic() + 60 * (settings.max_minutes or math.inf)

    def stop() -> str | None:
        """Why the run is to stop here, if it is."""
        if signals.caught:
            return signals.caught.name
        return "--max-minutes" if time.monotonic() > deadline else None

    bar = tqdm(
        total=updates,
        initial=saver.progress.update,
        unit=" updates",
        leave=False,
        disable=not sys.stderr.isatty() or settings.quiet,
    )

    def wanted(update: int) -> bool:
        bar.update(update - bar.n)
        return bool(update % save_every == 0 or (checkup and checkup.wants(update)) or stop())

    try:
        records = fit(
            model,
            settings.opt,
            loader,
            settings.epochs,
            schedule=settings.schedule,
            val=data.val,
            every=wanted,
            progress=saver.progress,
        )
        for record in records:
            reason = stop()  # asked once: another moment, another answer
            if checkup:
                record = checkup.look(record)
            if record.ends_epoch:
                saver.append(record)
                if checkup:
                    with saver.going_on(), figures_or_a_warning():
                        checkup.draw(saver, wording.title(settings, model, data, loader))
            if reason or record.update % save_every == 0 or record.update == updates:
                saver.save()
            if reason:
                raise stopped(reason, signals, settings, saver)
            if record.ends_epoch:  # told last: what reads it may be gone
                bar.clear()
                say(settings, wording.progress(record, settings.epochs))
                if len(saver.history) == 2 and wording.has_learned_nothing(saver.history, model):
                    warn(wording.STUCK)
    except DivergedError as error:
        kept = f"the last checkpoint before it is {saver.last()}"
        raise DivergedError(error.what, f"{error.fix}; {kept}") from None
    finally:
        bar.close()


def stopped(reason: str, signals: Signals, settings: Settings, saver: Saver) -> Interrupted:
    """Exit code 0 if it was the clock, which is as it was asked for."""
    words = [*PROG.split(), "--resume", str(saver.folder.path)]
    if settings.data_dir is not None:
        words += ["--data-dir", str(settings.data_dir)]
    return Interrupted(
        128 + signals.caught if signals.caught else 0,
        f"stopped after update {saver.progress.update} ({reason}); the last checkpoint is "
        f"{saver.last()}",
        f"go on with: {shlex.join(words)}",
    )


def own_classes(optimizer: Optimizer) -> list[type]:
    """The classes of an optimizer, and of those inside of it, that may lie in files of the user."""
    inner = getattr(optimizer, "base", None)
    classes = [cls for cls in type(optimizer).__mro__ if issubclass(cls, Optimizer)]
    return classes + (own_classes(inner) if isinstance(inner, Optimizer) else [])


def config(
    settings: Settings, argv: Sequence[str], data: Dataset, loader: Loader
) -> dict[str, Any]:
    """All settings, the true name of the data set, and the command that would begin such a run."""
    as_json: dict[str, Any] = {"command": shlex.join([*PROG.split(), *argv])}
    for field in fields(settings):
        value = getattr(settings, field.name)
        if isinstance(value, Part):
            value = described(value)
        elif isinstance(value, Path):
            value = str(value)
        as_json[field.name] = value
    splits = {"train": data.train, "val": data.val, "test": data.test}
    return as_json | {
        "dataset": data.name,
        "batch_size": loader.batch_size,
        "images": {name: len(split) for name, split in splits.items()},
        "data": data_hash(splits),
    }


def outcome(
    settings: Settings,
    model: MLP,
    data: Dataset,
    saver: Saver,
    test: Evaluation,
) -> dict[str, Any]:
    """What --json prints and result.json keeps."""
    last = saver.history[-1]
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
        "seconds_per_epoch": statistics.median(record.seconds for record in saver.history),
        "run_dir": str(saver.folder.path),
        "resumed": saver.resumed,
    }


def warn(text: str) -> None:
    print(f"nnscratch: warning: {' '.join(text.split())}", file=sys.stderr)


def say(settings: Settings, text: str) -> None:
    if not settings.quiet:
        print(text, flush=True)


if __name__ == "__main__":
    sys.exit(run(main))
