"""A race as an animation: a GIF, by Pillow, without ffmpeg."""

import io
import textwrap
from collections.abc import Sequence

import numpy as np

from ..looks import looks_of
from .figures import EXIT, blank, draw_legend, draw_start, draw_surface, line_style
from .race import Path

FRAMES = 75
MILLISECONDS = 70  # a frame
REST = 2000  # milliseconds of the last one
WIDTH = 95  # characters in a line of the caption


def gif(paths: Sequence[Path], caption: str) -> bytes:
    """The paths growing with the gradients that they take; the same bytes for the same paths.

    The contours are drawn once, and each frame is drawn over them.
    """
    from PIL import Image

    looks = looks_of([path.optimizer.full_name for path in paths])
    figure, canvas = blank(6.4, 5.9, dpi=100)
    axes = figure.subplots()
    draw_surface(axes, paths[0].surface)
    draw_start(axes, paths[0])
    draw_legend(figure, paths, looks, columns=3)
    lines = (textwrap.fill(line, WIDTH) for line in caption.splitlines())
    figure.suptitle("\n".join(lines), fontsize=8)
    count = axes.set_title(" ", fontsize=9, loc="right")
    canvas.draw()  # type: ignore[no-untyped-call]
    background = canvas.copy_from_bbox(figure.bbox)  # type: ignore[no-untyped-call]
    styles = [line_style(looks[path.optimizer.full_name]) for path in paths]
    curves = [axes.plot([], [], **style, ms=8)[0] for style in styles]
    exits = [
        None if path.left is None else axes.plot(*path.exit, **EXIT, color=style["color"])[0]
        for path, style in zip(paths, styles, strict=True)
    ]
    last = max(path.gradients for path in paths)
    frames = []
    for taken in np.unique(np.linspace(0, last, min(FRAMES, last + 1)).round().astype(int)):
        canvas.restore_region(background)  # type: ignore[no-untyped-call]
        for path, line, exit in zip(paths, curves, exits, strict=True):
            points = path.points[: taken + 1]
            line.set_data(*points.T)
            line.set_markevery([len(points) - 1])
            axes.draw_artist(line)
            if exit is not None and path.left <= taken:
                axes.draw_artist(exit)
        count.set_text(f"{taken} gradients")
        axes.draw_artist(count)
        pixels = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
        frames.append(Image.fromarray(pixels[..., :3].copy()))
    palette = frames[-1].quantize(256, dither=Image.Dither.NONE)
    shown = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    file = io.BytesIO()
    shown[0].save(
        file,
        format="GIF",
        save_all=True,
        append_images=shown[1:],
        duration=[MILLISECONDS] * (len(shown) - 1) + [REST],
        loop=0,
    )
    return file.getvalue()
