"""The flags of the train command, and the settings that they make.

The flags of a part are its hyper-parameters: `--opt adam --help` lists Adam's, and a flag that
the chosen parts do not have is an error.
"""

import difflib
import inspect
import sys
from argparse import SUPPRESS, Action, BooleanOptionalAction
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

from .activations import ACTIVATIONS, Activation
from .catalogue import as_text
from .command_line import Parser, add_number, flag, folder, numbers, refuse_repeated
from .datasets import DATASETS
from .distortions import DISTORTIONS, Distortion
from .errors import UsageError
from .examination import check_optimizer
from .hyper import Interval, Part, hypers, known_name
from .initializers import INITIALIZERS, Initializer
from .loaders import LOADERS
from .loop import check_supplied
from .losses import LOSSES, Loss
from .optim import OPTIMIZERS, WRAPPERS, Optimizer, Wrapper
from .own_file import load_optimizer, names_a_file
from .regularization import Regularization
from .schedules import SCHEDULES, Schedule

PROG = "python -m nnscratch.train"

# flag: (what it picks, from where, default)
PARTS: dict[str, tuple[str, Mapping[str, Any], str]] = {
    "opt": ("optimizer", OPTIMIZERS, "adam"),
    "base": ("optimizer", OPTIMIZERS, "adam"),
    "schedule": ("schedule", SCHEDULES, "constant"),
    "activation": ("activation", ACTIVATIONS, "sigmoid"),
    "init": ("initializer", INITIALIZERS, "glorot_uniform"),
    "loss": ("loss", LOSSES, "softmax_cross_entropy"),
    "distortion": ("distortion", DISTORTIONS, "none"),
}
CHOICES: dict[str, tuple[str, Mapping[str, Any], str]] = {
    **PARTS,
    "loader": ("loader", LOADERS, "mini_batch"),
    "dataset": ("data set", DATASETS, "auto"),
}
REMARKS = {"opt": ", or FILE.py:CLASS", "base": " inside of lookahead and sam, or FILE.py:CLASS"}
PRESETS: dict[str, dict[str, Any]] = {
    # The lecture's program. Its lr of 1e-6 multiplies the gradient summed over 60,000 images:
    # that is 0.06 on their mean. It gives no scale for the pixels, and needs them raw.
    "lecture": {
        "opt": "sgd",
        "lr": 0.06,
        "loss": "sigmoid_cross_entropy",
        "init": "lecture",
        "bias": False,
        "loader": "batch",
        "epochs": 100,
        "val_size": 0,
        "raw_pixels": True,
    },
}


@dataclass(frozen=True)
class Settings:
    """What a run is to do, each setting under the name of its flag."""

    opt: Optimizer
    schedule: Schedule
    activation: Activation
    init: Initializer
    loss: Loss
    distortion: Distortion
    regularization: Regularization
    loader: str
    dataset: str
    epochs: int
    seed: int
    hidden: tuple[int, ...]
    bias: bool
    batch_norm: bool
    dtype: str
    raw_pixels: bool
    json: bool
    quiet: bool
    profile: bool
    diagnose: bool
    blas_kernel: str
    batch_size: int | None = None  # None: the loader's own
    val_size: int | None = None
    limit: int | None = None
    data_dir: Path | None = None
    out: Path | None = None
    threads: int | None = None  # None: BLAS's own choice
    checkpoint_every: int | None = None  # updates; None: an epoch
    max_minutes: float | None = None  # None: no limit
    resume: Path | None = None
    inexact_resume: bool = False
    preset: str | None = None


def parse(argv: Sequence[str]) -> Settings:
    """The settings in argv.

    Raises UsageError for whatever is unknown, out of range, repeated, or belongs to a part that
    was not chosen. Exits after --help.
    """
    refuse_repeated(argv)
    chooser = Parser(prog=PROG, add_help=False)
    _add_choices(chooser)
    preset_name = chooser.parse_known_args(argv)[0].preset
    preset = PRESETS[known_name(PRESETS, "preset", preset_name)] if preset_name is not None else {}
    chooser.set_defaults(**{choice: preset[choice] for choice in CHOICES if choice in preset})
    chosen = vars(chooser.parse_known_args(argv)[0])
    registries = {choice: registry for choice, (_, registry, _) in CHOICES.items()}
    for choice in ("opt", "base"):
        if names_a_file(chosen[choice]):
            own = load_optimizer(chosen[choice])
            check_optimizer(own)
            registries[choice] = {chosen[choice]: own}
    names = {
        choice: chosen[choice]
        if chosen[choice] in registries[choice]
        else known_name(registries[choice], kind, chosen[choice])
        for choice, (kind, _, _) in CHOICES.items()
    }
    parts = {choice: registries[choice][names[choice]] for choice in PARTS}
    if not issubclass(parts["opt"], Wrapper):
        if any(token.partition("=")[0] == "--base" for token in argv):
            around = ", ".join(k for k, cls in OPTIMIZERS.items() if issubclass(cls, Wrapper))
            raise UsageError(f"{names['opt']} has no --base", f"--base belongs to --opt {around}")
        del parts["base"]

    parser = Parser(prog=PROG, description="Train a multilayer perceptron on MNIST.")
    _add_choices(parser)
    _add_run_flags(parser, names["loader"])
    parser.set_defaults(**{k: v for k, v in preset.items() if k in vars(parser.parse_args([]))})
    _add_hypers(parser, parts, preset)
    namespace, unknown = parser.parse_known_args(argv)
    if unknown:
        raise unknown_argument(unknown[0], names, parts, parser)
    values = {**vars(namespace), **names}
    for choice, part in parts.items():
        values[choice] = part(**{hyper: values.pop(hyper) for hyper in hypers(part)})
    limits = {name: values.pop(name) for name in hypers(Regularization)}
    values["regularization"] = Regularization(**limits)
    base = values.pop("base")
    if "base" in parts:
        values["opt"] = replace(values["opt"], base=base)
    for name, wrapper in WRAPPERS.items():
        number = values.pop(name)
        if number is not None:
            values["opt"] = wrapper(values["opt"], number)
    check_supplied(values["opt"])
    return Settings(**values)


def _add_choices(parser: Parser) -> None:
    group = parser.add_argument_group("parts, each with flags of its own")
    for choice, (kind, registry, default) in CHOICES.items():
        text = f"{kind}{REMARKS.get(choice, '')} (default %(default)s): {', '.join(registry)}"
        group.add_argument(f"--{choice}", default=default, metavar="NAME", help=text)
    presets = "; ".join(f"{name} is {_as_flags(preset)}" for name, preset in PRESETS.items())
    text = "print the table of the optimizers, and leave"
    group.add_argument("--list-opts", action=_ListOptimizers, nargs=0, default=SUPPRESS, help=text)
    group.add_argument("--preset", metavar="NAME", help=f"settings to start from: {presets}")


class _ListOptimizers(Action):
    def __call__(self, *_: Any) -> NoReturn:
        print(as_text())
        sys.exit(0)


def _as_flags(preset: Mapping[str, Any]) -> str:
    """A preset as one would type it."""
    words = []
    for name, value in preset.items():
        words.append(flag("no_" + name if value is False else name))
        words += [] if isinstance(value, bool) else [str(value)]
    return " ".join(words)


def _add_run_flags(parser: Parser, loader: str) -> None:
    """The flags that every run has; that of the batch size only if the loader has it."""
    count, natural = Interval("[1, inf)"), Interval("[0, inf)")
    run = parser.add_argument_group("the run")
    add_number(run, "epochs", int, count, "number of passes over the training images", 10)
    if "batch_size" in _own_flags(LOADERS[loader]):
        text = "number of images in a batch; if not given 128, or all if they are fewer"
        add_number(run, "batch_size", int, count, text, None)
    add_number(run, "seed", int, natural, "seed of weights, order and validation images", 0)
    text = "folder of this run (default runs/<time>-<opt>-s<seed>)"
    run.add_argument("--out", type=folder, metavar="DIR", help=text)
    text = "number of updates between two checkpoints; an epoch if not given"
    add_number(run, "checkpoint_every", int, count, text, None)
    text = "number of minutes after which it is saved and stopped; no limit if not given"
    add_number(run, "max_minutes", float, Interval("(0, inf)"), text, None)
    text = "go on with the run in that folder, with its own settings; --epochs may be raised"
    run.add_argument("--resume", type=folder, metavar="DIR", help=text)
    text = "go on also where the rest would be rounded in another way; the run will always say so"
    run.add_argument("--inexact-resume", action="store_true", help=text)
    run.add_argument("--json", action="store_true", help="end with one line of JSON on stdout")
    run.add_argument("--quiet", action="store_true", help="print nothing else on stdout")
    text = "end with a table of where the time went, and of the speed of the matrix products"
    run.add_argument("--profile", action="store_true", help=text)
    text = "measure gradients, updates and units after each epoch, and draw them"
    run.add_argument("--diagnose", action="store_true", help=text)
    add_number(
        run, "threads", int, count, "threads for matrix products; one a core if not given", None
    )
    text = "kernels for matrix products: auto, default (what BLAS picks), or a name of OpenBLAS's"
    run.add_argument("--blas-kernel", default="auto", metavar="NAME", help=f"{text} (default auto)")

    network = parser.add_argument_group("the network")
    text = "units of each hidden layer, separated by commas (default 1000)"
    network.add_argument(
        "--hidden", type=numbers(int, count), default=(1000,), metavar="N[,N]", help=text
    )
    network.add_argument(
        "--bias",
        action=BooleanOptionalAction,
        default=True,
        help="a bias for every unit (default %(default)s)",
    )
    text = (
        "give the sums of each hidden unit a mean and deviation of their own (default %(default)s)"
    )
    network.add_argument("--batch-norm", action=BooleanOptionalAction, default=False, help=text)
    for hyper in hypers(Regularization).values():
        text = f"{hyper.meaning}; 0 for none"
        add_number(network, hyper.name, hyper.kind, hyper.interval, text, hyper.default)
    network.add_argument(
        "--dtype", choices=("float32", "float64"), default="float32", help="(default float32)"
    )

    data = parser.add_argument_group("the data")
    text = "folder with the four MNIST files, and then the only place searched"
    data.add_argument("--data-dir", type=folder, metavar="DIR", help=text)
    text = "number of images set aside for validation; one sixth of them if not given"
    add_number(data, "val_size", int, natural, text, None)
    text = "number of training images to keep after that; all if not given"
    add_number(data, "limit", int, count, text, None)
    text = "pixels of 0 to 255 instead of 0 to 1 (default %(default)s)"
    data.add_argument("--raw-pixels", action=BooleanOptionalAction, default=False, help=text)


def _add_hypers(parser: Parser, parts: Mapping[str, Any], preset: Mapping[str, Any]) -> None:
    """The flags of the chosen parts. A preset's number holds for the part that it names."""
    group = parser.add_argument_group("around any optimizer")
    for name, wrapper in WRAPPERS.items():
        first_line = (wrapper.__doc__ or "").partition("\n")[0].lower().rstrip(".")
        (hyper,) = hypers(wrapper).values()  # type: ignore[arg-type]
        meaning = f"{first_line}: {hyper.meaning}"
        add_number(group, name, hyper.kind, hyper.interval, meaning, None)
    for name, part in parts.items():
        if twice := [name for name in hypers(part) if flag(name) in parser.flags()]:
            what = f"{part.name} brings the flag {flag(twice[0])} a second time"
            raise UsageError(what, "choose another --base, or put the two together in Python")
        add_hypers(parser, name, part, preset if preset.get(name) == part.name else {})


def add_hypers(parser: Parser, choice: str, part: type[Part], defaults: Mapping[str, Any]) -> None:
    """The flags of one part, which was chosen with that flag; its own defaults where none is given.

    A part without hyper-parameters adds nothing.
    """
    if not hypers(part):
        return
    first_line = (part.__doc__ or "").partition("\n")[0]
    group = parser.add_argument_group(f"--{choice} {part.name}", first_line)
    for hyper in hypers(part).values():
        default = defaults.get(hyper.name, hyper.default)
        add_number(group, hyper.name, hyper.kind, hyper.interval, hyper.meaning, default)


def unknown_argument(
    token: str, names: Mapping[str, str], parts: Mapping[str, Any], parser: Parser
) -> UsageError:
    """The error for an argument that no chosen part and no command knows.

    `names` and `parts` say what was chosen with each of the CHOICES that the command has.
    """
    given = token.partition("=")[0]
    name = given.removeprefix("--").replace("-", "_")
    if given != flag(name) and flag(name) in parser.flags():
        return UsageError(f"unknown flag {given}", f"did you mean {flag(name)}?")
    if not given.startswith("--"):
        return UsageError(f"unexpected argument {token!r}", f"see {parser.prog} --help")
    for choice in names:
        registry = CHOICES[choice][1]
        owners = [key for key, part in registry.items() if name in _own_flags(part)]
        if owners:
            chosen = parts.get(choice, registry.get(names[choice]))
            own = ", ".join(map(flag, _own_flags(chosen))) or "no flags"
            return UsageError(
                f"{names[choice]} has no {given}; it has {own}",
                f"{given} belongs to --{choice} {', '.join(owners)}",
            )
    near = difflib.get_close_matches(given, parser.flags(), n=1)
    guess = f"did you mean {near[0]}? " if near else ""
    return UsageError(f"unknown flag {given}", f"{guess}see {parser.prog} --help")


def _own_flags(part: Any) -> list[str]:
    """The names of the settings that come with a part; a loader's may be its batch size."""
    if isinstance(part, type) and issubclass(part, Part):
        return list(hypers(part))
    return [name for name in inspect.signature(part).parameters if name == "batch_size"]
