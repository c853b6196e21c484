"""Compare optimizers fairly: python -m nnscratch.compare --opts sgd,momentum,adam"""

import dataclasses
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tqdm import tqdm

from . import blas
from .command_line import run
from .datasets import Dataset, load_dataset
from .datasets.split import data_hash
from .errors import TrialsFailedError, UsageError
from .hyper import Interval, checked, known_name
from .optim import Optimizer
from .report import write_report
from .runs import RunFolder, alone
from .signals import Interrupted
from .study import design as designs
from .study import fingerprint
from .study.asked import BASELINE, PROG, Asked, parse
from .study.cluster import DaskPool
from .study.design import Competitor, Design
from .study.estimate import duration, seconds_per_epoch
from .study.ledger import Ledger, Row
from .study.protocol import Course, flat_values
from .study.trials import Trial, Workload
from .study.workers import Data, LocalPool, Pool, Result, results

BAR = "{percentage:3.0f} %|{bar:30}| {elapsed} so far, {remaining} left{postfix}"


def main(argv: Sequence[str]) -> None:
    """Run the trials that are still missing, and write the report."""
    asked = parse(argv)
    blas.use("auto")
    blas.set_threads(asked.threads)  # also of the processes that are started from here
    data = load_dataset(
        asked.dataset, data_dir=asked.data_dir, val_size=asked.val_size, limit=asked.limit
    )
    if asked.limit is None:
        data = dataclasses.replace(data, train=data.train[: asked.tier.limit])
    splits = {"train": data.train, "val": data.val, "test": data.test}
    workload = make_workload(asked, data, splits)
    courses = make_courses(asked, workload)
    design = make_design(asked, argv, courses, data)
    folder = open_folder(asked, design)
    with alone(folder.path):
        ledger = Ledger(folder.path / "trials.csv")
        folder.write_json(designs.FILE, design.to_json())
        images = len(data.train)
        failed = work(courses, images, ledger, lambda: make_pool(asked, splits, folder))
        write_report(folder)
    if failed:
        raise TrialsFailedError(
            f"{failed} trials failed; {folder.path / 'trials.csv'} says why",
            "the same command tries them again; leave out an optimizer that cannot run",
        )


def make_workload(asked: Asked, data: Dataset, splits: Data) -> Workload:
    n = len(data.train)
    fix = f"choose at most {n}"
    batch_size = asked.batch_size or min(128, n)
    checked("batch_size", batch_size, int, Interval(f"[1, {n}]"), fix)
    return Workload(
        data=f"{data.name} {data_hash(splits)}",
        sizes=(data.train.x.shape[1], *asked.hidden, data.classes),
        activation=asked.activation,
        init=asked.init,
        loss=asked.loss,
        batch_size=batch_size,
        threads=asked.threads,
    )


def seeds_of(asked: Asked, optimizer: Optimizer) -> int:
    return asked.matrix_seeds if optimizer.matrix_method else asked.seeds


def make_courses(asked: Asked, workload: Workload) -> list[Course]:
    """One for each schedule and optimizer; UsageError if they do not go together."""
    courses = []
    for schedule in asked.schedules:
        for optimizer in asked.optimizers.values():
            optimizer.scaled(schedule.factor(99, 100, 1))  # refuses a schedule without an lr
            seeds = seeds_of(asked, optimizer)
            courses.append(Course(workload, optimizer, schedule, asked.tier, asked.epochs, seeds))
    return courses


def make_design(
    asked: Asked, argv: Sequence[str], courses: Sequence[Course], data: Dataset
) -> Design:
    competitors: dict[str, Competitor] = {}
    for opt, optimizer in asked.optimizers.items():
        name = optimizer.full_name
        if name in competitors:
            what = f"two of the optimizers are called {name}"
            raise UsageError(what, "give yours another name, or leave one out")
        competitors[name] = Competitor(
            opt,
            flat_values(optimizer),
            optimizer.rate,
            seeds_of(asked, optimizer),
            fingerprint.of_code(optimizer),
        )
    baseline = BASELINE if BASELINE in competitors else next(iter(competitors))
    if asked.baseline is not None:
        names = {entry.opt: name for name, entry in competitors.items()}
        names |= {name: name for name in competitors}
        kind = "baseline among the optimizers"
        typed = asked.baseline if asked.baseline in names else None
        baseline = names[typed or known_name(names, kind, asked.baseline)]
    return Design(
        tier=asked.tier.name,
        epochs=asked.epochs,
        workload=fingerprint.as_json(courses[0].workload),
        images={"train": len(data.train), "val": len(data.val), "test": len(data.test)},
        schedules=[schedule.name for schedule in asked.schedules],
        seeds=asked.seeds,
        baseline=baseline,
        optimizers=competitors,
        command=shlex.join([*PROG.split(), *argv]),
    )


def open_folder(asked: Asked, design: Design) -> RunFolder:
    """The folder of this study, new or with trials that fit; UsageError for any other."""
    path = asked.out or Path("studies") / f"{design.tier}-{design.identity[:8]}"
    if not (path / designs.FILE).exists():
        folder = RunFolder.create(path, "", 0)
        folder.write_json(designs.FILE, design.to_json())  # first of all: from now on it is ours
        return folder
    held = designs.read(path)
    if held.identity != design.identity:
        what = f"{path} holds another study: {held.difference(design)}"
        raise UsageError(what, "choose another folder with --out, or ask for the same again")
    return RunFolder(path)


def work(
    courses: Sequence[Course], images: int, ledger: Ledger, new_pool: Callable[[], Pool]
) -> int:
    """Run all trials that are missing, and keep each as it ends; how many of them failed."""
    failed: set[str] = set()  # those of an earlier call have another chance

    def row_of(trial: Trial, stage: str) -> Row | None:
        row = ledger.rows.get(fingerprint.of_trial(trial, stage))
        return row if row and (not row.has_failed or row.key in failed) else None

    def next_trials() -> dict[Trial, str]:
        return {trial: stage for course in courses for trial, stage in course.next_trials(row_of)}

    if not next_trials():
        print("nothing to train: all trials are there")
        return 0
    pool = new_pool()
    try:
        unfinished = [course for course in courses if course.next_trials(row_of)]
        cost = seconds_per_epoch(unfinished, pool, images)
        left = sum(c.epochs_left(row_of) * cost[c.optimizer.full_name] for c in unfinished)
        workers = f"{pool.size()} worker{'s' if pool.size() > 1 else ''}"
        there = f"; {len(ledger.rows)} trials are there already" if ledger.rows else ""
        print(f"about {duration(left / max(1, pool.size()))} on {workers}{there}", flush=True)
        hidden = not sys.stderr.isatty()
        with tqdm(total=left, disable=hidden, bar_format=BAR, leave=False) as bar:
            while todo := next_trials():
                seconds = {trial: trial.epochs * cost[trial.optimizer.full_name] for trial in todo}
                longest_first = sorted(todo, key=seconds.__getitem__, reverse=True)
                for trial, result in results(longest_first, pool):
                    row = make_row(trial, todo[trial], result)
                    ledger.append(row)
                    if row.has_failed:
                        failed.add(row.key)
                    bar.set_postfix_str(f"{row.optimizer}, {row.stage}", refresh=False)
                    bar.update(min(seconds[trial], left - bar.n))  # a search may be extended
    except Interrupted as stop:
        count = len(Ledger(ledger.path).rows)  # as it lies on the disk
        kept = f"{count} trials are kept in {ledger.path}; the same command goes on"
        raise Interrupted(stop.exit_code, stop.what, kept) from None
    finally:
        pool.close()
    return len(failed)


def make_pool(asked: Asked, splits: Data, folder: RunFolder) -> Pool:
    if asked.scheduler is not None:
        return DaskPool(asked.scheduler, splits)
    return LocalPool(asked.jobs or max(1, blas.processors() // asked.threads), splits, folder.path)


def make_row(trial: Trial, stage: str, result: Result) -> Row:
    return Row(
        key=fingerprint.of_trial(trial, stage),
        stage=stage,
        optimizer=trial.optimizer.full_name,
        hypers=flat_values(trial.optimizer),
        lr=trial.optimizer.rate,
        schedule=trial.schedule.name,
        epochs=trial.epochs,
        seed=trial.seed,
        code=fingerprint.of_code(trial.optimizer),
        machine=result.machine,
        wall_seconds=result.wall_seconds,
        outcome=result.outcome,
    )


if __name__ == "__main__":
    sys.exit(run(main))
