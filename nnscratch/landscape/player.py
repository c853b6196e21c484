"""Races as one HTML file that plays them: it needs no network."""

import base64
import html
import json
from collections.abc import Iterable, Sequence
from pathlib import Path as File
from string import Template
from typing import Any

import numpy as np

from ..looks import Look, as_bytes, looks_of
from .figures import FLOOR, blank, draw_surface, label
from .race import Path

PAGE = File(__file__).with_name("player.html")
DASHES = {"-": [], "--": [8, 4], "-.": [8, 3, 2, 3], ":": [2, 3]}  # as a canvas wants them
DIGITS = 4  # of a coordinate


def player(races: Sequence[Sequence[Path]], caption: str) -> str:
    """The page, with the paths of one race on each surface."""
    looks = looks_of(path.optimizer.full_name for paths in races for path in paths)
    data = json.dumps([_race(paths, looks) for paths in races], allow_nan=False)
    page = Template(PAGE.read_text(encoding="utf-8"))
    # no text can end the script that it stands in
    return page.substitute(caption=html.escape(caption), data=data.replace("<", "\\u003c"))


def _race(paths: Sequence[Path], looks: dict[str, Look]) -> dict[str, Any]:
    surface = paths[0].surface
    return {
        "name": surface.name,
        "formula": surface.formula,
        "frame": surface.frame,
        "picture": "data:image/png;base64," + base64.b64encode(_picture(paths[0])).decode(),
        "last": max(path.gradients for path in paths),
        "paths": [_path(path, looks[path.optimizer.full_name]) for path in paths],
    }


def _path(path: Path, look: Look) -> dict[str, Any]:
    heights = np.log10(np.maximum(path.losses - path.surface.least, FLOOR))
    return {
        "name": path.optimizer.full_name,
        "label": label(path),
        "color": look.color,
        "dash": DASHES.get(look.dashes, [1, 3]),
        "points": [_short(point) for point in path.points],
        "left": path.left,
        "exit": None if path.left is None else _short(path.exit),
        "heights": [round(float(height), 2) for height in heights],
    }


def _short(point: Iterable[float]) -> list[float]:
    return [float(f"{x:.{DIGITS}g}") for x in point]


def _picture(path: Path) -> bytes:
    """The contours as a PNG, without axes."""
    left, right, bottom, top = path.surface.frame
    figure, _ = blank(6, 6 * (top - bottom) / (right - left), dpi=100)
    figure.set_layout_engine("none")
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    draw_surface(axes, path.surface)
    axes.set_axis_off()
    return as_bytes(figure, "png")
