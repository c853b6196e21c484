"""What a study is asked for: the flags of the compare command."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..activations import Activation
from ..command_line import Parser, add_number, flag, folder, numbers, refuse_repeated
from ..datasets import DATASETS
from ..errors import UsageError
from ..examination import check_optimizer
from ..hyper import Interval, known_name
from ..initializers import Initializer
from ..loop import SUPPLIED, check_supplied
from ..losses import Loss
from ..optim import OPTIMIZERS, Optimizer
from ..own_file import load_optimizer, names_a_file
from ..schedules import SCHEDULES, Schedule
from ..settings import PARTS
from .protocol import TIERS, Tier

PROG = "python -m nnscratch.compare"
BASELINE = "nesterov"
MATRIX_SEEDS = 3
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
    batch_size: int | None
    val_size: int | None
    limit: int | None
    dataset: str
    data_dir: Path | None
    out: Path | None
    jobs: int | None
    threads: int
    scheduler: str | None


def parse(argv: Sequence[str]) -> Asked:
    """What is asked for; UsageError for what is unknown, out of range or repeated."""
    refuse_repeated(argv)
    parser = Parser(prog=PROG, description="Compare optimizers on MNIST, each tuned alike.")
    count = Interval("[1, inf)")
    group = parser.add_argument_group("what is compared")
    text = (
        "optimizers, separated by commas: names, FILE.py:CLASS, or all, which leaves out line "
        "searches and what the network cannot feed"
    )
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
    group.add_argument("--data-dir", type=folder, metavar="DIR", help=text)
    text = "number of images set aside for validation; one sixth of them if not given"
    add_number(group, "val_size", int, count, text, None)
    text = "number of training images to keep after that; the tier's if not given"
    add_number(group, "limit", int, count, text, None)
    text = "number of images in a batch; if not given 128, or all if they are fewer"
    add_number(group, "batch_size", int, count, text, None)
    text = "units of each hidden layer, separated by commas; the tier's if not given"
    group.add_argument("--hidden", type=numbers(int, count), metavar="N[,N]", help=text)
    for name in NETWORK_PARTS:
        _, registry, default = PARTS[name]
        text = f"(default {default}): {', '.join(registry)}"
        group.add_argument(flag(name), default=default, metavar="NAME", help=text)

    group = parser.add_argument_group("where")
    text = "folder of the study; one named after the study if not given"
    group.add_argument("--out", type=folder, metavar="DIR", help=text)
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
    for optimizer in given["optimizers"].values():
        check_supplied(optimizer)
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
    return found


def can_compete(optimizer: Optimizer) -> bool:
    """Whether "all" contains it: not what a network cannot feed, and no line search.

    A line search solves each batch before it goes on to the next one: it is a method for the full
    batch, takes minutes an epoch on small ones, and there forgets one batch over the other.
    """
    return optimizer.needs <= SUPPLIED - {"loss"}
