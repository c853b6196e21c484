"""A trained network as one HTML file: draw a digit, and see what it makes of it."""

import base64
import hashlib
import inspect
import json
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from . import activations, losses
from .datasets import Split
from .errors import UsageError
from .formats.folding import folded
from .hyper import Part, described, known_name, values
from .model import MLP
from .trained import CLASSES, Trained

PAGE = Path(__file__).with_name("demo.html")
EXAMPLES = 2  # of each digit
CENTRING = {  # what is done to a drawing, for a network that learned these digits
    "mnist": "the ink scaled to fit into 20 x 20 and moved until its centre of mass is in the "
    "middle, as it was done for MNIST.",
    "digits": "the ink scaled to fit into 8 x 8, put into the middle and made three times as "
    "large, as the digits of scikit-learn are here.",
}


def page(network: Trained, tested: Split | None = None) -> str:
    """The page, with the weights inside and nothing to fetch.

    `tested` are the images of which a few can be chosen instead of drawn: bytes, 28 x 28. The
    weights keep their dtype; sums are computed in double precision. Batch normalization is part of
    the weights there (see `folding`), and what only training needs, such as dropout, is left out.

    Raises UsageError for another data set than "mnist" and "digits", and for an activation or loss
    of one's own, which JavaScript does not know.
    """
    model = folded(network.model)
    dataset = known_name(CENTRING, "data set of digits", network.dataset)
    data = {
        "sizes": model.sizes,
        "activation": _told(model.activation, activations.__name__),
        "loss": _told(model.loss, losses.__name__),
        "bias": model.bias,
        "dtype": model.dtype.name,
        "dataset": dataset,
        "unit": network.unit,
        "w": _base64(model.w.astype(model.dtype.newbyteorder("<")).tobytes()),
        "examples": [] if tested is None else _examples(tested),
    }
    template = Template(PAGE.read_text(encoding="utf-8"))
    parts = {  # no text of a user's is among them that could end the element it stands in
        "about": _about(network.model, dataset, len(model.w)),
        "centring": CENTRING[dataset],
        "data": json.dumps(data, allow_nan=False),
    }
    # the style and the script hold nothing that is put in: the browser runs these and no others
    bare = template.substitute(dict.fromkeys(template.get_identifiers(), ""))
    return template.substitute(
        parts, style_hash=_hash(bare, "style"), script_hash=_hash(bare, "script")
    )


def _told(part: Part, known: str) -> dict[str, Any]:
    """A part of ours, with its formula from the first line of its docstring."""
    if type(part).__module__ != known:
        what = f"{part.name} is an activation or a loss of your own, which the page cannot compute"
        raise UsageError(what, "train with one that nnscratch brings")
    formula = (inspect.getdoc(type(part)) or "").partition("\n")[0].rstrip(".")
    return {**described(part), "formula": formula}


def _examples(tested: Split) -> list[dict[str, Any]]:
    """The first few images of each digit."""
    rows = [row for k in range(CLASSES) for row in np.flatnonzero(tested.labels == k)[:EXAMPLES]]
    return [
        {
            "number": int(row),
            "label": int(tested.labels[row]),
            "pixels": _base64(tested.images[row].astype(np.uint8).tobytes()),
        }
        for row in rows
    ]


def _about(model: MLP, dataset: str, weights: int) -> str:
    numbers = "".join(f", {name} {value:g}" for name, value in values(model.activation).items())
    of_loss = "".join(f", {name} {value:g}" for name, value in values(model.loss).items() if value)
    learned = f"trained on {dataset}"
    if model.moving:
        learned += " with batch normalization, which is folded into the weights"
    return (
        f"{'-'.join(map(str, model.sizes))} {model.activation.name}{numbers}, "
        f"{model.loss.name}{of_loss}, "
        f"{learned}: {weights:,} weights in {model.dtype}, at work in this page. Nothing is sent."
    )


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _hash(page: str, tag: str) -> str:
    """The source expression that lets a Content-Security-Policy accept this element alone."""
    content = page.partition(f"<{tag}>")[2].partition(f"</{tag}>")[0]
    return f"'sha256-{_base64(hashlib.sha256(content.encode()).digest())}'"
