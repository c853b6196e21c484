"""Let several trained networks answer together: python -m nnscratch.committee RUN RUN

It measures each member and the committee on the test images: the accuracy, and the log loss of the
answers, whatever loss the members learned from. Nothing is measured on validation images: runs with
other seeds set other images aside, and each has learned from most of those of the others.
"""

import json
import math
import sys
from argparse import Namespace
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import trained, wording
from .arrays import Array, Labels
from .command_line import Parser, folder, refuse_repeated, run
from .datasets import load_dataset
from .datasets.split import Pixels
from .errors import UsageError
from .evaluate import compare_with_result, measured
from .formats.native import Saved
from .model import MLP, Evaluation
from .trained import Trained

PROG = "python -m nnscratch.committee"


class Committee:
    """Several trained networks that answer together: its answer is the mean of theirs.

        p = (p_1 + ... + p_k) / k        p_i what predict_proba of member i gives

    `members` are networks, or the paths of what `load_model` reads: folders of runs, files. They
    read the same inputs and tell the same classes apart; hidden layers, activations, dtypes and
    seeds may be any. One that is given twice counts twice. Training goes on in the members alone.

    Judge it by images that none of them has learned from. Runs with other seeds set other
    validation images aside, and each has learned from most of those of the others; the test images
    are nobody's.

    Raises UsageError for no members, for what is no network, and for members that differ in inputs,
    classes or output activation, or, where their files say it, in data set or scale of the pixels;
    CheckpointError for a path without a network.

    Source: Meier, Ciresan, Gambardella and Schmidhuber, "Better digit recognition with a committee
    of simple neural nets", ICDAR 2011, who also prepare the images in another way for each member,
    so that they err on other images. It is what scikit-learn's VotingClassifier calls soft voting;
    that one trains its members itself.

    >>> left, right = (nn.MLP([1, 2], init="zeros") for _ in range(2))
    >>> left.w[-2:], right.w[-2:] = np.log([9, 1]), np.log([2, 3])  # answers of 0.9 and 0.4 for 0
    >>> nn.Committee([left, right]).predict_proba(np.zeros((1, 1))).round(3)
    array([[0.65, 0.35]])
    """

    def __init__(self, members: Iterable[MLP | str | Path]) -> None:
        fix = "give a list of networks, or of paths to them"
        if isinstance(members, str) or not isinstance(members, Iterable):
            raise UsageError(f"a {type(members).__name__} is no list of members", fix)
        found = [_member(member, k) for k, member in enumerate(members, start=1)]
        if not found:
            raise UsageError("the committee has no members", fix)
        check_alike(found)
        self.members = tuple(saved.model for _, saved in found)

    def __repr__(self) -> str:
        inputs, *_, classes = self.members[0].sizes
        return f"<Committee of {len(self.members)}, {inputs} inputs, {classes} classes>"

    def predict_proba(self, x: Array | Pixels) -> Array:
        """The mean of the members' answers, a new float64 array of shape (n, classes)."""
        first, *others = self.members
        answers: Array = first.predict_proba(x).astype(np.float64)
        for member in others:
            answers += member.predict_proba(x)
        return answers / len(self.members)

    def predict(self, x: Array | Pixels) -> Labels:
        """The class with the largest mean answer, shape (n,)."""
        classes: Labels = self.predict_proba(x).argmax(axis=1)
        return classes

    def evaluate(self, x: Array | Pixels, labels: Labels) -> Evaluation:
        """The mean of -log p over the examples, p the answer for the right class, and accuracy.

        The loss is infinite where all members are so sure of other classes that p is 0. With
        sigmoids as outputs, whose answers do not add up to 1, it is not what they were trained for.
        """
        first = self.members[0]
        labels = first._checked(first._rows(x), labels)
        return judged(self.predict_proba(x), labels)


def judged(answers: Array, labels: Labels) -> Evaluation:
    """The mean of -log p, p the answer for the right class, and the share classified rightly."""
    with np.errstate(divide="ignore"):
        losses = -np.log(answers[np.arange(len(labels)), labels])
    return Evaluation(float(losses.mean()), float(np.mean(answers.argmax(axis=1) == labels)))


def _member(member: object, number: int) -> tuple[str, Saved]:
    """Its name, and the network with what its file says of the images."""
    if isinstance(member, MLP):
        return f"member {number}", Saved(member)
    if isinstance(member, str | Path):
        return str(member), trained.load(Path(member))
    what = f"member {number} is a {type(member).__name__}, which is no network"
    raise UsageError(what, "give an nn.MLP, or a path; the one of an NNClassifier is its model_")


def check_alike(members: Sequence[tuple[str, Saved | Trained]]) -> None:
    """UsageError, with their names, for two members that cannot answer the same question."""
    common: dict[str, tuple[str, Any]] = {}
    for name, member in members:
        model = member.model
        found: dict[str, Any] = {
            "inputs": model.sizes[0],
            "classes": model.sizes[-1],
            "output activation": model.loss.output_activation,
        }
        if member.dataset is not None:
            found |= {"data set": member.dataset, "pixel value that is seen as 1": member.unit}
        for of, value in found.items():
            other, known = common.setdefault(of, (name, value))
            if value != known:
                what = f"the members differ in {of}: {known} in {other}, {value} in {name}"
                raise UsageError(
                    what, "give networks with the same inputs and outputs, for the same images"
                )


def main(argv: Sequence[str]) -> None:
    """Read the test images once, and print how well each member and the committee know them."""
    parser = Parser(prog=PROG, description="Measure networks that answer together, on test images.")
    text = "folder of a run, or the file of a network: .npz, .safetensors"
    parser.add_argument("runs", nargs="+", type=folder, metavar="RUN", help=text)
    text = "what they were trained on, with pixels of 0 to 1, if saved by nn.save_model"
    parser.add_argument("--dataset", metavar="NAME", help=text)
    trained.add_data_dir(parser)
    parser.add_argument("--json", action="store_true", help="end with one line of JSON on stdout")
    parser.add_argument("--quiet", action="store_true", help="print nothing else on stdout")
    refuse_repeated(argv)
    given = parser.parse_args(argv)
    names = [str(path) for path in given.runs]
    networks = [trained.read(Namespace(run=path, dataset=given.dataset)) for path in given.runs]
    check_alike(list(zip(names, networks, strict=True)))
    committee = Committee([network.model for network in networks])
    first = networks[0]
    data = load_dataset(first.dataset, data_dir=given.data_dir, val_size=0)
    test = replace(data.test, unit=first.unit)
    label = f"committee of {len(networks)}"
    width = max(map(len, [*names, label]))

    def say(text: str) -> None:
        if not given.quiet:
            print(text, flush=True)

    def told(name: str, found: Evaluation) -> dict[str, Any]:
        """What was found is printed, and given as JSON holds it."""
        low, high = wording.interval(found, len(test))
        interval = f"{100 * low:.2f} to {100 * high:.2f} %"
        say(f"{name:{width}}  {100 * found.accuracy:11.2f} %  {interval:17}  {found.loss:9.4f}")
        loss = found.loss if math.isfinite(found.loss) else None
        return {"test_accuracy": found.accuracy, "interval_95": [low, high], "log_loss": loss}

    say(f"{len(test):,} test images of {data.name}")
    say(f"{'':{width}}  test accuracy  {'95 % interval':17}   log loss")
    members, accuracies = [], []
    for name, network in zip(names, networks, strict=True):
        its = replace(test, dtype=network.model.dtype.name)
        compare_with_result(network.folder, data.name, measured(network.model, its))
        found = Committee([network.model]).evaluate(its.x, its.labels)
        members.append({"run": name} | told(name, found))
        accuracies.append(found.accuracy)
    wide = replace(test, dtype=np.result_type(*(member.dtype for member in committee.members)).name)
    answers = committee.predict_proba(wide.x)
    together = told(label, judged(answers, test.labels))
    best = int(np.argmax(accuracies))
    only_committee, only_best, p = mcnemar(
        answers.argmax(axis=1) == test.labels,
        networks[best].model.predict(wide.x) == test.labels,
    )
    if len(networks) > 1:
        say(
            f"{only_committee:,} images only the committee knows, and {only_best:,} only the best "
            f"member, {names[best]}: p = {p:.2g} (McNemar's test, exact)\n"
            "which was the best is known from these same images: they favour it a little"
        )
    if given.json:
        result = {
            "dataset": data.name,
            "images": len(test),
            "members": members,
            "committee": together,
            "best": names[best],
            "only_committee": only_committee,
            "only_best": only_best,
            "p": p,
        }
        print(json.dumps(result, allow_nan=False), flush=True)


def mcnemar(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> tuple[int, int, float]:
    """How many examples only a, and only b, has right, and the p-value of the difference.

    That is of as many heads, or more unlikely many, among so many tosses of a coin. Source:
    McNemar, Psychometrika 12, 153 (1947), with the binomial distribution itself.
    """
    from scipy.stats import binomtest  # takes 0.5 s to import

    only_a, only_b = int(np.sum(a & ~b)), int(np.sum(b & ~a))
    if only_a + only_b == 0:
        return 0, 0, 1.0
    return only_a, only_b, float(binomtest(only_a, only_a + only_b).pvalue)


if __name__ == "__main__":
    sys.exit(run(main))
