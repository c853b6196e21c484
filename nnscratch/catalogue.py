"""Write the tables of the optimizers anew: python -m nnscratch.catalogue

They are read from docstrings, fields and states alone, and go into optim/README.md and
optim/README.ko.md; `python -m nnscratch.train --list-opts` prints the same.
"""

import inspect
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .command_line import Parser, run
from .hyper import hypers
from .optim import OPTIMIZERS, WRAPPERS, Optimizer
from .optim.base import nbytes
from .optim.korean import HEADS, INTRODUCTION, KOREAN

FOLDER = Path(__file__).parent / "optim"


@dataclass(frozen=True)
class Entry:
    """One optimizer, as a row of the table."""

    name: str
    file: str
    sentence: str
    formula: str
    paper: str
    defaults: str
    state: str
    cost: str
    fails: str


def catalogue() -> list[Entry]:
    """An entry for each optimizer of the registry and each wrapper, in that order."""
    return [entry(cls) for cls in (*OPTIMIZERS.values(), *WRAPPERS.values())]


def entry(cls: type[Optimizer]) -> Entry:
    text = inspect.getdoc(cls) or ""
    return Entry(
        name=cls.name,
        file=cls.__module__.rpartition(".")[2] + ".py",
        sentence=text.partition("\n")[0],
        formula=formula_line(text),
        paper=section(text, "Source"),
        defaults=", ".join(f"{h.name} {h.default:g}" for h in hypers(cls).values()),
        state=f"{state_per_weight(cls()):.3g}",
        cost=section(text, "Cost"),
        fails=section(text, "Fails"),
    )


def formula_line(text: str) -> str:
    """The last line of a docstring that says what becomes of w, without its remark."""
    lines = [line.strip() for line in text.splitlines() if re.match(r"\s*[wW] <- ", line)]
    return re.split(r"\s{2,}", lines[-1])[0] if lines else ""


def section(text: str, title: str) -> str:
    """What stands behind "Title:" in a docstring, as one line."""
    found = re.search(rf"^{title}: (.*?)(?=^[A-Z][A-Za-z]+: |^$|\Z)", text, re.M | re.S)
    return " ".join(found[1].split()).rstrip(".") if found else ""


def state_per_weight(optimizer: Optimizer) -> float:
    """Bytes of all arrays in the state, as a multiple of those of W, float32, (784, 1000)."""
    w = np.zeros((784, 1000), np.float32)
    return nbytes(optimizer.init(w)) / w.nbytes


def as_text() -> str:
    """The table for a terminal: a block for each optimizer."""
    blocks = []
    for e in catalogue():
        rows = [
            ("file", f"nnscratch/optim/{e.file}"),
            ("formula", e.formula),
            ("paper", e.paper),
            ("defaults", e.defaults or "none"),
            ("state", f"{e.state} times the size of W, 784 x 1000, the base included"),
            ("cost", e.cost),
            ("fails", e.fails),
        ]
        name = "--" + e.name.replace("_", "-") if e.name in WRAPPERS else e.name
        lines = [f"{name}: {e.sentence}", *(f"    {head:9} {text}" for head, text in rows)]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def as_markdown(language: str) -> str:
    """The page for readers of the folder, "en" or "ko"."""
    rows = []
    for e in catalogue():
        words = (e.sentence, e.cost, e.fails) if language == "en" else KOREAN[e.name]
        cells = [
            f"[`{e.name}`]({e.file})",
            words[0],
            f"`{e.formula}`",
            e.paper,
            e.defaults or "-",
            e.state,
            *words[1:],
        ]
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    heads = HEADS[language]
    rule = "|" + "---|" * len(heads)
    table = "\n".join(["| " + " | ".join(heads) + " |", rule, *rows])
    return f"{INTRODUCTION[language]}\n\n{table}\n"


def main(argv: Sequence[str]) -> None:
    """Write the two pages anew."""
    description = (
        "Write the tables of the optimizers anew, nnscratch/optim/README.md and README.ko.md."
    )
    Parser(prog="python -m nnscratch.catalogue", description=description).parse_args(argv)
    for name, language in (("README.md", "en"), ("README.ko.md", "ko")):
        (FOLDER / name).write_text(as_markdown(language), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(run(main))
