"""See what a distortion makes of the digits: python -m nnscratch.augment --show [FILE.png]"""

import math
import sys
import textwrap
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from . import seeds, trained
from .arrays import Array
from .command_line import Parser, add_number, folder, refuse_repeated, run
from .datasets import DATASETS, load_dataset
from .distortions import DISTORTIONS, Distortion, interpolate
from .errors import UsageError
from .files import write_whole
from .hyper import Interval, hypers, in_words, known_name
from .looks import COLORS, as_bytes
from .settings import add_hypers, unknown_argument

if TYPE_CHECKING:  # matplotlib takes 0.4 s to import, and only those who draw need it
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PROG = "python -m nnscratch.augment"
COPIES = 9  # of each image, beside it
MOST = 20  # images, so that the figure fits a page
MEASURED = 1000  # images' displacements
GAP = 2  # pixels between two pictures
EVERY = 2  # pixels from arrow to arrow
WIDTH, ROW, BELOW = 9.0, 0.9, 4.2  # inches: of the figure, a row of pictures, and the arrows


def main(argv: Sequence[str]) -> None:
    """Print how far a distortion moves the pixels, and draw what becomes of some images."""
    given, distortion = parse(argv)
    images = load_dataset(given.dataset, data_dir=given.data_dir, val_size=0).train.images
    side = math.isqrt(images.shape[1])
    rng = np.random.default_rng(seeds.stream(given.seed, seeds.DISTORT))
    chosen = rng.permutation(len(images))[: given.images]
    print(f"{in_words(distortion)}: {in_numbers(distortion, side, rng)}")
    if given.show:
        drawn = figure(distortion, images[chosen].reshape(-1, side, side), rng)
        drawn.suptitle(textwrap.fill(f"{in_words(distortion)}, seed {given.seed}", 110), fontsize=9)
        write_whole(given.show, as_bytes(drawn, "png"))
        print(given.show)


def parse(argv: Sequence[str]) -> tuple[Namespace, Distortion]:
    """The flags, and the distortion that they make.

    Raises UsageError for whatever is unknown, out of range, repeated, or belongs to another
    distortion. Exits after --help.
    """
    refuse_repeated(argv)
    chooser = Parser(prog=PROG, add_help=False)
    _add_flags(chooser)
    typed = chooser.parse_known_args(argv)[0].distortion
    name = known_name(DISTORTIONS, "distortion", typed)
    part: type[Distortion] = DISTORTIONS[name]
    parser = Parser(prog=PROG, description="See what a distortion makes of the digits.")
    _add_flags(parser)
    add_hypers(parser, "distortion", part, {})
    given, unknown = parser.parse_known_args(argv)
    if unknown:
        raise unknown_argument(unknown[0], {"distortion": name}, {"distortion": part}, parser)
    if given.show and given.show.suffix != ".png":
        what = f"--show writes a PNG, and {given.show} is named as none"
        raise UsageError(what, "end it with .png")
    return given, part(**{hyper: getattr(given, hyper) for hyper in hypers(part)})


def _add_flags(parser: Parser) -> None:
    text = f"distortion (default %(default)s): {', '.join(DISTORTIONS)}"
    parser.add_argument("--distortion", default="affine_elastic", metavar="NAME", help=text)
    group = parser.add_argument_group("what is drawn")
    text = "draw images beside what becomes of them, into a file (default augment.png)"
    name = Path("augment.png")
    group.add_argument("--show", nargs="?", type=folder, const=name, metavar="FILE.png", help=text)
    add_number(group, "images", int, Interval(f"[1, {MOST}]"), "number of images drawn", 5)
    text = "seed of which images are drawn, and of all displacements"
    add_number(group, "seed", int, Interval("[0, inf)"), text, 0)
    text = f"data set (default %(default)s): {', '.join(DATASETS)}"
    group.add_argument("--dataset", default="auto", metavar="NAME", help=text)
    trained.add_data_dir(parser)


def in_numbers(distortion: Distortion, side: int, rng: np.random.Generator) -> str:
    """How far from its place a pixel is read, in words."""
    down, right = distortion.field(rng, MEASURED, side)
    lengths = np.hypot(down, right)
    return (
        f"a pixel is read {lengths.mean():.2f} pixels from its place on average, "
        f"95 of 100 within {np.quantile(lengths, 0.95):.2f}"
    )


def figure(distortion: Distortion, images: NDArray[Any], rng: np.random.Generator) -> "Figure":
    """A row for each image of (n, side, side) bytes, and below how its first copy comes about."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    n, side, _ = images.shape
    copies = np.empty((n, COPIES, side, side), np.float32)
    fields = []
    for image, of_image in zip(images, copies, strict=True):
        d = distortion.field(rng, COPIES, side)
        interpolate(np.tile(image, (COPIES, 1, 1)), d, out=of_image)
        fields.append(d[:, 0].copy())
    figure = Figure(figsize=(WIDTH, n * ROW + BELOW), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplot_mosaic([["all", "all"], ["from", "to"]], height_ratios=[n * ROW, BELOW])
    draw_sheet(axes["all"], images, copies)
    draw(axes["from"], images[0], "a pixel of the copy is read at the tip of its arrow")
    draw(axes["to"], copies[0, 0], "the first copy of the first image")
    p = np.arange(0, side, EVERY)
    down, right = fields[0][:, ::EVERY, ::EVERY]
    axes["from"].quiver(
        p, p, right, down, color=COLORS[4], angles="xy", scale_units="xy", scale=1, width=0.004
    )
    return figure


def draw_sheet(axes: "Axes", images: NDArray[Any], copies: Array) -> None:
    """A row for each image: the image, a line, and its copies."""
    n, count, side, _ = copies.shape
    cell = side + GAP
    sheet = np.full((n, 1 + count, cell, cell), np.nan)  # drawn as nothing
    sheet[:, 0, :side, :side] = images
    sheet[:, 1:, :side, :side] = copies
    draw(axes, sheet.transpose(0, 2, 1, 3).reshape(n * cell, -1)[:-GAP, :-GAP])
    axes.axvline(cell - (GAP + 1) / 2, color=COLORS[1], lw=1.5)
    for column, text in ((0, "as it is"), (1, "distorted")):
        axes.text(column * cell, -GAP, text, fontsize=9)


def draw(axes: "Axes", picture: Array, title: str = "") -> None:
    axes.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    axes.set_axis_off()
    axes.set_title(title, fontsize=9)


if __name__ == "__main__":
    sys.exit(run(main))
