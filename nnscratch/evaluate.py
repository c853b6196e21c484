"""Measure a trained network on the test images: python -m nnscratch.evaluate RUN_DIR

The test images are there to be looked at once, at the end. Whoever evaluates several networks and
keeps the best has chosen by them, and its accuracy is then too good; choose by the validation
images, as python -m nnscratch.train prints them.
"""

import json
import math
import sys
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from . import confusion, trained, wording
from .arrays import Labels
from .command_line import Parser, add_number, folder, refuse_repeated, run
from .datasets import Split, load_dataset
from .errors import DivergedError, NnscratchWarning
from .files import writing
from .gallery import gallery
from .handwriting import SIDE
from .hyper import Interval
from .model import MLP, Evaluation
from .runs import RunFolder

PROG = "python -m nnscratch.evaluate"
LARGEST = 5  # confusions that are told in words


@dataclass(frozen=True)
class Mistake:
    """An image of the test set with a wrong answer, and how sure the network is of it.

    image           its number in the test set, from 0 on
    probability     the network's for its answer
    loss            of this image
    """

    image: int
    label: int
    answer: int
    probability: float
    loss: float


def main(argv: Sequence[str]) -> None:
    """Read the test images once, print how well they are told apart, and draw what went wrong."""
    parser = Parser(prog=PROG, description="Measure a trained network on the test images.")
    trained.add_arguments(parser)
    trained.add_data_dir(parser)
    text = "folder for evaluation.json and the figures (default the network's)"
    parser.add_argument("--out", type=folder, metavar="DIR", help=text)
    text = "number of mistakes that are drawn, those with the largest loss first"
    group = parser.add_argument_group("the worst mistakes")
    add_number(group, "worst", int, Interval("[1, 1000]"), text, 40)
    parser.add_argument("--json", action="store_true", help="end with one line of JSON on stdout")
    parser.add_argument("--quiet", action="store_true", help="print nothing else on stdout")
    refuse_repeated(argv)
    given = parser.parse_args(argv)
    network = trained.read(given)
    model = network.model
    data = load_dataset(network.dataset, data_dir=given.data_dir, val_size=0)
    test = replace(data.test, unit=network.unit, dtype=model.dtype.name)
    place = writable(given.out or network.folder)

    def say(text: str) -> None:
        if not given.quiet:
            print(text, flush=True)

    found = measured(model, test)
    answers = model.predict(test.x)
    counts = confusion.counted(test.labels, answers, data.classes)
    scores = confusion.scores(test.labels, answers, data.classes)
    mistakes = worst(model, test, answers, given.worst)
    say(wording.accuracy(found, data))
    say(f"test loss {found.loss:.4f}, mean {model.loss.name}")
    say(f"\n{confusion.scores_as_text(scores)}\n\n{confusion.as_text(counts)}\n")
    for label, answer, times in confusion.largest(counts, LARGEST):
        say(f"{label} taken for {answer}: {times:,} time{'s' * (times > 1)}")
    compare_with_result(network.folder, data.name, found)

    low, high = wording.interval(found, len(test))
    result = {
        "dataset": data.name,
        "images": len(test),
        "test_accuracy": found.accuracy,
        "interval_95": [low, high],
        "test_loss": found.loss,
        "classes": [asdict(of_class) for of_class in scores],
        "confusion": counts.tolist(),
        "worst": [asdict(mistake) for mistake in mistakes],
    }
    if given.json:
        print(json.dumps(result, allow_nan=False), flush=True)
    title = f"{wording.description(model)}, {wording.accuracy(found, data)}"
    place.write_json("evaluation.json", result)
    place.write("confusion.png", confusion.figure(counts, title))
    names = "evaluation.json confusion.png"
    if mistakes:
        place.write(
            "mistakes.png", drawn(test, mistakes, among=int(np.sum(answers != test.labels)))
        )
        names += " mistakes.png"
    else:
        place.remove("mistakes.png")  # of another time
    say(f"{place.path}: {names}")


def measured(model: MLP, test: Split) -> Evaluation:
    """Mean loss and accuracy; DivergedError if the loss is no number."""
    with np.errstate(over="ignore", invalid="ignore"):
        found = model.evaluate(test.x, test.labels)
        if not math.isfinite(found.loss):
            what = f"the test loss is {found.loss}: {model.trouble(test.x)}"
            raise DivergedError(what, "train it anew with a smaller learning rate")
    return found


def worst(model: MLP, test: Split, answers: Labels, most: int) -> list[Mistake]:
    """The mistakes with the largest loss, the largest first."""
    wrong = np.flatnonzero(answers != test.labels)
    probabilities = model.predict_proba(test.x)
    mistakes = [
        Mistake(
            image=int(k),
            label=int(test.labels[k]),
            answer=int(answers[k]),
            probability=float(probabilities[k, answers[k]]),
            loss=model.evaluate(test.x[k : k + 1], test.labels[k : k + 1]).loss,
        )
        for k in wrong
    ]
    return sorted(mistakes, key=lambda mistake: -mistake.loss)[:most]


def drawn(test: Split, mistakes: Sequence[Mistake], among: int) -> bytes:
    """A PNG: each with its class, the network's answer, and how sure it is."""
    pictures = test.images[[mistake.image for mistake in mistakes]].reshape(-1, SIDE, SIDE)
    captions = [f"{m.label}, not {m.answer}\n{100 * m.probability:.1f} %" for m in mistakes]
    title = f"The worst {len(mistakes)} of {among:,} mistakes: truth, answer, its probability"
    return gallery(pictures, captions, title)


def writable(path: Path) -> RunFolder:
    """The folder, made if it is new; WriteError where it cannot be written."""
    with writing(path):
        path.mkdir(parents=True, exist_ok=True)
    return RunFolder(path)


def compare_with_result(folder: Path, dataset: str, found: Evaluation) -> None:
    """A warning if the run of that folder measured another accuracy on the same images."""
    result = RunFolder.result_in(folder)
    if result and result["dataset"] == dataset and result["test_accuracy"] != found.accuracy:
        message = (
            f"result.json of {folder} says {100 * result['test_accuracy']:.2f} %: another "
            "processor rounds an image or two the other way; more than that is another network"
        )
        warnings.warn(message, NnscratchWarning, stacklevel=2)


if __name__ == "__main__":
    sys.exit(run(main))
