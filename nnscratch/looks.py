"""How figures look: each optimizer has one colour, dash and marker in all of them."""

import io
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # matplotlib takes 0.4 s to import, and only those who draw need it
    from matplotlib.figure import Figure

# Okabe and Ito: told apart by every eye, and in print by the markers
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C6D31")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "h")
DASHES = ("-", "--", "-.", ":", (0, (1, 3)))


@dataclass(frozen=True)
class Look:
    """Colour, dashes and marker of one optimizer."""

    color: str
    dashes: Any
    marker: str


def looks_of(names: Iterable[str]) -> dict[str, Look]:
    """The look of each: the first eight differ in colour, the others in their dashes besides."""
    return {
        name: Look(
            COLORS[k % len(COLORS)],
            DASHES[k // len(COLORS) % len(DASHES)],
            MARKERS[k % len(MARKERS)],
        )
        for k, name in enumerate(dict.fromkeys(names))
    }


def as_bytes(figure: "Figure", kind: str) -> bytes:
    """The figure as "svg" or "png"; the same bytes for the same figure."""
    import matplotlib as mpl

    file = io.BytesIO()
    metadata = {"Date": None} if kind == "svg" else {"Software": None}
    with mpl.rc_context({"svg.hashsalt": "nnscratch"}):
        figure.savefig(file, format=kind, metadata=metadata)
    return file.getvalue()
