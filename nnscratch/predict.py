"""Tell which digits are in pictures: python -m nnscratch.predict RUN_DIR image.png ...

Any size, dark on light or light on dark: each is cut out, scaled and centred as the images were
that the network learned from (see handwriting).
"""

import json
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from . import trained
from .arrays import Array, Bytes
from .command_line import Parser, folder, refuse_repeated, run, tell
from .errors import DataError, UsageError
from .files import write_whole
from .gallery import gallery
from .handwriting import as_digits, as_mnist
from .hyper import known_name
from .model import MLP
from .pictures import read_grey

PROG = "python -m nnscratch.predict"
NEXT = 2  # answers that are told behind the first
CAPTION = 20  # characters of a file's name in a line
CENTRED: dict[str, Callable[[Array], Bytes]] = {"mnist": as_mnist, "digits": as_digits}


def main(argv: Sequence[str]) -> int:
    """Print an answer for each picture; 3 if one of them is none, and the others are answered."""
    parser = Parser(prog=PROG, description="Tell which digits are in pictures, one in each.")
    trained.add_arguments(parser)
    text = "picture of one digit: PNG, JPEG, ..."
    parser.add_argument("pictures", nargs="+", type=Path, metavar="image.png", help=text)
    text = "print a line of JSON for each picture, with the probability of each digit"
    parser.add_argument("--json", action="store_true", help=text)
    text = "draw what the network sees: the pictures cut out, scaled and centred"
    parser.add_argument("--show", type=folder, metavar="FILE.png", help=text)
    refuse_repeated(argv)
    given = parser.parse_args(argv)
    if given.show:
        check_is_new(given.show)
    network = trained.read(given)
    as_learned = CENTRED[known_name(CENTRED, "data set of digits", network.dataset)]

    seen: list[Bytes] = []
    captions: list[str] = []
    code = 0
    for path in given.pictures:
        try:
            picture = centred(path, as_learned)
        except DataError as error:
            code = tell(error)
            continue
        shares = probabilities(network.model, picture, network.unit)
        if given.json:
            print(json.dumps(as_json(path, shares)), flush=True)
        else:
            print(f"{path}: {in_words(shares)}", flush=True)
        seen.append(picture)
        name = textwrap.fill(path.name, CAPTION)
        captions.append(f"{name}\n{in_words(shares).partition(',')[0]}")
    if given.show and seen:
        title = "What the network sees, and its answer"
        write_whole(given.show, gallery(np.stack(seen), captions, title))
    return code


def check_is_new(figure: Path) -> None:
    """UsageError for a file that is there: it may be a picture that was meant to be read."""
    if figure.exists():
        raise UsageError(f"--show would write over {figure}", "give the name of a new file")
    if figure.suffix != ".png":
        raise UsageError(f"--show writes a PNG, and {figure} is named as none", "end it with .png")


def centred(path: Path, as_learned: Callable[[Array], Bytes]) -> Bytes:
    """The digit in a file as the network knows digits; DataError, with the path, without one."""
    grey = read_grey(path)
    try:
        return as_learned(grey)
    except DataError as error:
        raise DataError(f"{path}: {error.what}", error.fix) from None


def probabilities(model: MLP, picture: Bytes, unit: float) -> list[float]:
    """The network's answer for each class. Only with softmax do they add up to 1."""
    pixels = picture.reshape(1, -1) / np.float64(unit)
    return [float(share) for share in model.predict_proba(pixels)[0]]


def in_words(shares: Sequence[float]) -> str:
    """7 (99.3 %), then 1 (0.4 %), 9 (0.1 %)."""
    ranked = sorted(range(len(shares)), key=lambda k: -shares[k])
    first, *others = [f"{k} ({100 * shares[k]:.1f} %)" for k in ranked[: NEXT + 1]]
    return f"{first}, then {', '.join(others)}" if others else first


def as_json(path: Path, shares: Sequence[float]) -> dict[str, object]:
    answer = max(range(len(shares)), key=shares.__getitem__)
    return {"file": str(path), "answer": answer, "probabilities": list(shares)}


if __name__ == "__main__":
    sys.exit(run(main))
