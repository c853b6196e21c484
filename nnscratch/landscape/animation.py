"""A race as an animation: a GIF, by Pillow, without ffmpeg."""

import io
from collections.abc import Sequence

import numpy as np

from ..looks import looks_of
from .figures import draw_surface, label
from .race import Path

FRAMES = 75
MILLISECONDS = 70  # a frame
REST = 2000  # milliseconds of the last one


def gif(paths: Sequence[Path], caption: str) -> bytes:
    """The paths growing with the gradients that they take; the same bytes for the same paths.

    The contours are drawn once, and each frame is drawn over them.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from PIL import Image

    looks = looks_of([path.optimizer.full_name for path in paths])
    figure = Figure(figsize=(6.4, 5.6), dpi=100, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots()
    draw_surface(axes, paths[0].surface)
    lines = []
    for path in paths:
        look = looks[path.optimizer.full_name]
        style = {"color": look.color, "ls": look.dashes, "lw": 1.6, "marker": look.marker}
        (line,) = axes.plot([], [], **style, mec="white", ms=8, label=label(path))
        lines.append(line)
    figure.legend(handles=lines, loc="outside lower center", ncols=3, fontsize=7, frameon=False)
    figure.suptitle(caption, fontsize=9)
    count = axes.text(0.98, 0.97, "", transform=axes.transAxes, ha="right", va="top", fontsize=9)
    canvas.draw()  # type: ignore[no-untyped-call]
    background = canvas.copy_from_bbox(figure.bbox)  # type: ignore[no-untyped-call]
    last = max(path.gradients for path in paths)
    frames = []
    for taken in np.unique(np.linspace(0, last, min(FRAMES, last + 1)).round().astype(int)):
        canvas.restore_region(background)  # type: ignore[no-untyped-call]
        for path, line in zip(paths, lines, strict=True):
            points = path.points[: taken + 1]
            line.set_data(*points.T)
            line.set_markevery([len(points) - 1])
            axes.draw_artist(line)
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
