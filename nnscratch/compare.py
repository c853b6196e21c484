"""Compare optimizers fairly: python -m nnscratch.compare --opts sgd,momentum,adam"""

import dataclasses
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from . import blas
from .activations import Activation
from .command_line import Parser, add_number, flag, numbers, refuse_repeated, run
from .datasets import DATASETS, Dataset, load_dataset
from .errors import TrialsFailedError, UsageError
from .examination import check_optimizer
from .hyper import Interval, known_name
from .initializers import Initializer
from .loop import SUPPLIED, check_supplied
from .losses import Loss
from .optim import OPTIMIZERS, Optimizer
from .own_file import load_optimizer, names_a_file
from .report import write_report
from .runs import RunFolder
from .schedules import SCHEDULES, Schedule
from .settings import PARTS
from .study import design as designs
from .study import fingerprint
from .study.cluster import DaskPool
from .study.design import Competitor, Design
from .study.estimate import duration, seconds_per_epoch
from .study.ledger import Ledger, Row, alone
from .study.protocol import TIERS, Course, Tier, flat_values
from .study.trials import Trial, Workload
from .study.workers import Data, LocalPool, Pool, Result, results

PROG = "python -m nnscratch.compare"
BASELINE = "nesterov"
MATRIX_SEEDS = 3
BAR = "{percentage:3.0f} %|{bar:30}| {elapsed} so far, {remaining} left{postfix}"
NETWORK_PARTS = ("activation", "init", "loss")


@dataclass(frozen=True)
class Asked:
    """What the command line asks for."""

    optimizers: dict[str, Optimizer]  # by what was typed
    tier: Tier
    schedules: list[Schedule]
    baseline: str | None
    activation: Activation
    init: Initializer
    loss: Loss
    hidden: tuple[int, ...]
    epochs: int
    seeds: int
    matrix_seeds: int
    batch_size: int
    val_size: int | None
    limit: int | None
    dataset: str
    data_dir: Path | None
    out: Path | None
    jobs: int | None
    threads: int
    scheduler: str | None


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


def parse(argv: Sequence[str]) -> Asked:
    """What is asked for; UsageError for what is unknown, out of range or repeated."""
    refuse_repeated(argv)
    parser = Parser(prog=PROG, description="Compare optimizers on MNIST, each tuned alike.")
    count = Interval("[1, inf)")
    group = parser.add_argument_group("what is compared")
    text = "optimizers, separated by commas: all, names, or FILE.py:CLASS"
    group.add_argument("--opts", required=True, metavar="NAMES", help=text)
    text = "; ".join(f"{tier.name}: {tier.meaning}" for tier in TIERS.values())
    group.add_argument("--tier", default="lr", metavar="NAME", help=f"{text} (default lr)")
    text = "courses of the learning rate, each compared for itself: constant, cosine, ..."
    group.add_argument("--schedules", default="constant", metavar="NAMES", help=text)
    text = f"the optimizer that others are compared with (default {BASELINE}, or the first)"
    group.add_argument("--baseline", metavar="NAME", help=text)
    add_number(group, "seeds", int, count, "number of final trials; the tier's if not given", None)
    text = "number of final trials of an optimizer that multiplies or factorizes matrices"
    add_number(group, "matrix_seeds", int, count, text, MATRIX_SEEDS)
    text = "number of epochs of a full trial; the tier's if not given"
    add_number(group, "epochs", int, count, text, None)

    group = parser.add_argument_group("on which task")
    text = f"data set (default auto): {', '.join(DATASETS)}"
    group.add_argument("--dataset", default="auto", metavar="NAME", help=text)
    text = "folder with the four MNIST files, and then the only place searched"
    group.add_argument("--data-dir", type=Path, metavar="DIR", help=text)
    text = "number of images set aside for validation; one sixth of them if not given"
    add_number(group, "val_size", int, count, text, None)
    text = "number of training images to keep after that; the tier's if not given"
    add_number(group, "limit", int, count, text, None)
    add_number(group, "batch_size", int, count, "number of images in a batch", 128)
    text = "units of each hidden layer, separated by commas; the tier's if not given"
    group.add_argument("--hidden", type=numbers(int, count), metavar="N[,N]", help=text)
    for name in NETWORK_PARTS:
        _, registry, default = PARTS[name]
        text = f"(default {default}): {', '.join(registry)}"
        group.add_argument(flag(name), default=default, metavar="NAME", help=text)

    group = parser.add_argument_group("where")
    text = "folder of the study; one named after the study if not given"
    group.add_argument("--out", type=Path, metavar="DIR", help=text)
    text = "number of trials at a time; as many as there are cores for if not given"
    add_number(group, "jobs", int, count, text, None)
    add_number(group, "threads", int, count, "number of threads of a trial's matrix products", 1)
    text = "run the trials on the Dask cluster of this scheduler, like tcp://host:8786"
    group.add_argument("--scheduler", metavar="ADDRESS", help=text)
    given = vars(parser.parse_args(argv))

    tier = TIERS[known_name(TIERS, "tier", given["tier"])]
    names = [name.strip() for name in given["schedules"].split(",")]
    schedules = [SCHEDULES[known_name(SCHEDULES, "schedule", name)]() for name in names]
    for name in NETWORK_PARTS:
        kind, registry, _ = PARTS[name]
        given[name] = registry[known_name(registry, kind, given[name])]()
    for name in ("epochs", "seeds", "hidden"):
        if given[name] is None:
            given[name] = getattr(tier, name)
    if given["jobs"] and given["scheduler"]:
        what = "--jobs is for this machine, and --scheduler for another"
        raise UsageError(what, "leave out --jobs: every worker of the cluster has one trial")
    given |= {"tier": tier, "schedules": list(dict.fromkeys(schedules))}
    given["optimizers"] = optimizers(given.pop("opts"))
    return Asked(**given)


def optimizers(text: str) -> dict[str, Optimizer]:
    """The optimizers that a list of names asks for, by name, in its order."""
    found: dict[str, Optimizer] = {}
    for name in (part.strip() for part in text.split(",")):
        if name == "all":
            found |= {key: cls() for key, cls in OPTIMIZERS.items() if can_compete(cls())}
        elif names_a_file(name):
            cls = load_optimizer(name)
            check_optimizer(cls)
            found[name] = cls()
        else:
            name = known_name(OPTIMIZERS, "optimizer", name)
            found[name] = OPTIMIZERS[name]()
    for optimizer in found.values():
        check_supplied(optimizer)
    return found


def can_compete(optimizer: Optimizer) -> bool:
    """Whether "all" contains it: not what a network cannot feed, and no line search.

    A line search solves each batch before it goes on to the next one: it is a method for the full
    batch, takes minutes an epoch on small ones, and there forgets one batch over the other.
    """
    return optimizer.needs <= SUPPLIED - {"loss"}


def make_workload(asked: Asked, data: Dataset, splits: Data) -> Workload:
    return Workload(
        data=f"{data.name} {fingerprint.of_data(splits)}",
        sizes=(data.train.x.shape[1], *asked.hidden, data.classes),
        activation=asked.activation,
        init=asked.init,
        loss=asked.loss,
        batch_size=min(asked.batch_size, len(data.train)),
        threads=asked.threads,
    )


def seeds_of(asked: Asked, optimizer: Optimizer) -> int:
    return asked.matrix_seeds if optimizer.matrix_method else asked.seeds


def make_courses(asked: Asked, workload: Workload) -> list[Course]:
    """One for each schedule and optimizer; UsageError if they do not go together."""
    courses = []
    for schedule in asked.schedules:
        for optimizer in asked.optimizers.values():
            if schedule.name != "constant":
                optimizer.scaled(0.5)  # refuses without an lr
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
            optimizer.matrix_method,
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
        tuning_epochs=courses[0].tuning_epochs,
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
    path = path.expanduser()
    if not (path / designs.FILE).exists():
        folder = RunFolder.create(path, "", 0)
        folder.write_json(designs.FILE, design.to_json())  # first of all: from now on it is ours
        return folder
    if designs.read(path).identity != design.identity:
        what = f"{path} holds another study"
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
        return 0
    pool = new_pool()
    try:
        unfinished = [course for course in courses if course.next_trials(row_of)]
        cost = seconds_per_epoch(unfinished, pool, images)
        left = sum(c.epochs_left(row_of) * cost[c.optimizer.full_name] for c in unfinished)
        workers = f"{pool.size()} worker{'s' if pool.size() > 1 else ''}"
        print(f"about {duration(left / max(1, pool.size()))} on {workers}", flush=True)
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
    except KeyboardInterrupt:
        count = len(Ledger(ledger.path).rows)  # as it lies on the disk
        kept = f"{count} trials are kept in {ledger.path}; the same command goes on"
        print(f"\n{kept}", file=sys.stderr)
        raise
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
