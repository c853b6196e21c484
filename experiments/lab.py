"""What the labs share: their flags, the images, and how what was seen is written down.

A lab is a script with one question. Its `main` measures, and hands tables, figures and sentences
to a `Lab`, which writes them to one folder and keeps the command beside them:

    def main(lab: Lab) -> None:
        rows = measure(lab.data(limit=lab.pick(10_000, fast=1_000)), seeds=lab.pick(5, fast=1))
        lab.table(rows)
        lab.say(f"A gradient of one image is {ratio(rows):.0f} times as noisy as one of 128.")
        lab.draw(figure(rows), "The noise falls as one over the root of the batch size; n = ...")

    if __name__ == "__main__":
        sys.exit(run(main))

Sentences and captions are made of the numbers that were measured, so that another outcome makes
another sentence.
"""

import csv
import io
import os
import sys
import textwrap
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import nnscratch as nn
from nnscratch import command_line
from nnscratch.environment import environment
from nnscratch.files import write_whole, writing
from nnscratch.looks import as_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

T = TypeVar("T")
HERE = Path(__file__).parent
CAPTION = 112  # characters in a line of a caption


class Lab:
    """Where one lab writes, and how much it is to do.

    fast       whether it is to take seconds, to be seen working; its numbers are not worth keeping
    dataset    "auto", "mnist" or "digits"
    """

    def __init__(
        self, script: Path, question: str, out: Path, fast: bool = False, dataset: str = "auto"
    ) -> None:
        self.name, self.question, self.out = script.stem, question, out
        self.fast, self.dataset = fast, dataset
        self._began = time.perf_counter()
        self._files: list[str] = []
        self._said: list[str] = []
        self._data = ""
        with writing(out):
            out.mkdir(parents=True, exist_ok=True)

    def pick(self, full: T, *, fast: T) -> T:
        """One of the two, as the lab was asked to run."""
        return fast if self.fast else full

    def data(self, limit: int | None = None, **settings: object) -> nn.Dataset:
        """The data set, with at most `limit` images to train."""
        data = nn.load_dataset(self.dataset, **settings)  # type: ignore[arg-type]
        if limit is not None and limit < len(data.train):
            data = nn.load_dataset(data.name, limit=limit, **settings)  # type: ignore[arg-type]
        self._data = f"{data.name}, {len(data.train):,} images to train"
        return data

    def table(self, rows: Sequence[Mapping[str, object]], part: str = "") -> None:
        """The rows as CSV, each with the same columns."""
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: _number(value) for key, value in row.items()} for row in rows)
        self._write(f"{self._stem(part)}.csv", text.getvalue().encode())

    def draw(self, figure: "Figure", caption: str, part: str = "") -> None:
        """The figure as PNG, with its caption below; a figure is made by `blank`."""
        figure.supxlabel(textwrap.fill(caption, CAPTION), x=0.02, ha="left", fontsize=9)
        name = f"{self._stem(part)}.png"
        self._write(name, as_bytes(figure, "png"))
        self._said.append(f"\n![{caption}]({name})\n")

    def say(self, sentence: str) -> None:
        """Print what was seen, and keep it."""
        print(textwrap.fill(sentence, 100, subsequent_indent="  "), flush=True)
        self._said.append(f"- {sentence}")

    def end(self) -> None:
        """Write down the command, the machine and all that was said."""
        seconds = time.perf_counter() - self._began
        env = environment()
        command = f"python experiments/{self.name}.py" + (" --fast" if self.fast else "")
        command += "" if self.dataset == "auto" else f" --dataset {self.dataset}"
        about = [f"`{command}`: {seconds:.0f} s on {os.cpu_count()} cores ({env['processor']})"]
        about += [self._data] if self._data else []
        files = ", ".join(f"[{name}]({name})" for name in self._files if name.endswith(".csv"))
        text = "\n".join([f"# {self.question}", "", "; ".join(about), "", *self._said, "", files])
        self._write(f"{self.name}.md", f"{text.strip()}\n".encode())

    def _stem(self, part: str) -> str:
        return f"{self.name}_{part}" if part else self.name

    def _write(self, name: str, content: bytes) -> None:
        write_whole(self.out / name, content)
        self._files.append(name)
        print(self.out / name, flush=True)


def run(main: Callable[[Lab], None], argv: Sequence[str] | None = None) -> int:
    """Run a lab from the command line; its question is the first line of its docstring."""
    module = sys.modules[main.__module__]
    script = Path(str(module.__file__))
    question = (module.__doc__ or "").partition("\n")[0]

    def command(arguments: Sequence[str]) -> None:
        parser = command_line.Parser(prog=f"python experiments/{script.name}", description=question)
        parser.add_argument("--fast", action="store_true", help="seconds, with fewer of everything")
        text = "images: auto, mnist or digits (default auto: digits only where MNIST is not)"
        parser.add_argument("--dataset", default="auto", metavar="NAME", help=text)
        text = "folder for tables and figures (default experiments/results/labs, and .../fast for "
        text += "what is not worth keeping: with --fast or another data set)"
        parser.add_argument("--out", type=command_line.folder, metavar="DIR", help=text)
        command_line.refuse_repeated(arguments)
        given = parser.parse_args(arguments)
        keeps = not given.fast and given.dataset == "auto"
        usual = HERE / "results" / ("labs" if keeps else "fast")
        lab = Lab(script, question, given.out or usual, given.fast, given.dataset)
        main(lab)
        lab.end()

    return command_line.run(command, argv)


def blank(rows: int = 1, columns: int = 2, height: float = 4.2) -> "tuple[Figure, list]":  # type: ignore[type-arg]
    """A figure that needs no display, and its axes from left to right and from top to bottom."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, height * rows), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for one in axes:
        one.grid(alpha=0.3)
        one.spines[["top", "right"]].set_visible(False)
    return figure, axes


def of(rows: Iterable[Mapping[str, Any]], **wanted: object) -> list[Mapping[str, Any]]:
    """The rows that have these values."""
    return [row for row in rows if all(row[key] == value for key, value in wanted.items())]


def _number(value: object) -> object:
    """Floats with the digits that a reader can use."""
    return f"{value:.6g}" if isinstance(value, float) else value
