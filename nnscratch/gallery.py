"""A figure of small pictures, each with a caption."""

from collections.abc import Sequence

import numpy as np

from .arrays import Bytes
from .looks import as_bytes

IN_A_ROW = 8
PIXELS_PER_INCH = 24  # of the pictures
GAP = 4  # pixels between two pictures
LINE = 4  # pixels for a line of a caption
NARROWEST, TITLE = 4.5, 0.3  # inches


def gallery(pictures: Bytes, captions: Sequence[str], title: str) -> bytes:
    """A PNG of one picture at least, (n, height, width), 0 black and 255 white."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    n, height, width = pictures.shape
    above = LINE * (1 + max(caption.count("\n") for caption in captions))
    columns = min(IN_A_ROW, n)
    rows = -(-n // columns)
    sheet = np.full((rows, columns, above + height + GAP, width + GAP), np.nan)  # drawn as nothing
    cells = sheet.reshape(-1, *sheet.shape[2:])
    cells[:n, above : above + height, GAP // 2 : GAP // 2 + width] = pictures
    # all of them are one image: an axes for each would take five times as long
    image = sheet.transpose(0, 2, 1, 3).reshape(rows * sheet.shape[2], -1)
    tall, wide = np.array(image.shape) / PIXELS_PER_INCH
    figure = Figure(figsize=(max(NARROWEST, wide), tall + TITLE), dpi=110)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, tall / (tall + TITLE)))
    axes.set_axis_off()
    axes.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    for k, caption in enumerate(captions):
        row, column = divmod(k, columns)
        x, y = (column + 0.5) * (width + GAP), row * sheet.shape[2] + above - 1
        axes.text(x, y, caption, ha="center", va="bottom", fontsize=8)
    figure.suptitle(title, fontsize=9, y=1 - 0.5 * TITLE / (tall + TITLE), va="center")
    return as_bytes(figure, "png")
