"""Boxes with arrows between them, laid out by igraph, as SVG and as PNG."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from html import escape

_FONT = 12
_CHARACTER = 7.2
_BOX_HEIGHT = 26
_ROW_HEIGHT = 64
_GAP = 24
_MARGIN = 12
_TIP = 6
_LINE, _FILL, _FRAME = "#607d8b", "#e3f2fd", "#1565c0"

# Pixels for a unit of the layout, for sharp texts, and the most of all: 64 MiB of memory for a picture.
_SCALE = 2.0
_MOST_PIXELS = 16 << 20


class Drawing:
    """Boxes in their places.

    Parameters
    ----------
    labels : sequence of str
        What stands in each box.
    titles : sequence of str
        What is shown of a box when one points at it.
    edges : sequence of pairs of int
        The arrows, from the number of one box to that of another.
    """

    def __init__(self, labels: Sequence[str], titles: Sequence[str], edges: Sequence[tuple[int, int]]) -> None:
        self.labels = labels
        self.titles = titles
        self.edges = edges
        self.widths = [len(label) * _CHARACTER + 16 for label in labels]
        self.places = _layout(len(labels), edges, max(self.widths) + _GAP)
        self.width = max(x + w / 2 for (x, _), w in zip(self.places, self.widths, strict=True)) + _MARGIN
        self.height = max(y for _, y in self.places) + _BOX_HEIGHT + _MARGIN

    def svg(self) -> str:
        """Return the drawing as SVG."""
        lines = [
            f'<path d="M{x1:.1f},{y1:.1f} L{x2:.1f},{y2:.1f}" stroke="{_LINE}" fill="none" marker-end="url(#tip)"/>'
            for (x1, y1), (x2, y2) in self._arrows()
        ]
        boxes = [
            f'<g><title>{escape(title)}</title><rect x="{x - w / 2:.1f}" y="{y:.1f}" width="{w:.1f}" '
            f'height="{_BOX_HEIGHT}" rx="6" fill="{_FILL}" stroke="{_FRAME}"/><text x="{x:.1f}" y="{y + 17:.1f}" '
            f'text-anchor="middle">{escape(label)}</text></g>'
            for label, title, w, (x, y) in zip(self.labels, self.titles, self.widths, self.places, strict=True)
        ]
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.width:.0f}" height="{self.height:.0f}" '
            f'font-family="monospace" font-size="{_FONT}"><defs><marker id="tip" viewBox="0 0 8 8" refX="4" refY="4" '
            f'markerWidth="{_TIP}" markerHeight="{_TIP}" orient="auto"><path d="M0,0 L8,4 L0,8 z" fill="{_LINE}"/>'
            "</marker></defs>" + "".join(lines + boxes) + "</svg>"
        )

    def png(self) -> bytes:
        """Return the drawing as PNG."""
        try:
            from PIL import Image, ImageDraw, ImageFont
        except ImportError as error:
            raise ImportError("pictures as PNG need Pillow: pip install 'millstream[graph]'; SVG does not") from error
        scale = min(_SCALE, math.sqrt(_MOST_PIXELS / (self.width * self.height)))
        image = Image.new("RGB", (max(1, int(self.width * scale)), max(1, int(self.height * scale))), "white")
        draw = ImageDraw.Draw(image)
        font = ImageFont.load_default(_FONT * scale)
        for (x1, y1), (x2, y2) in self._arrows():
            draw.line((x1 * scale, y1 * scale, x2 * scale, y2 * scale), fill=_LINE, width=max(1, round(scale)))
            draw.regular_polygon((x2 * scale, y2 * scale, _TIP / 2 * scale), 3, _tip_rotation(x1, y1, x2, y2), _LINE)
        for label, w, (x, y) in zip(self.labels, self.widths, self.places, strict=True):
            corners = [(x - w / 2) * scale, y * scale, (x + w / 2) * scale, (y + _BOX_HEIGHT) * scale]
            draw.rounded_rectangle(corners, 6 * scale, fill=_FILL, outline=_FRAME, width=max(1, round(scale)))
            draw.text((x * scale, (y + _BOX_HEIGHT / 2) * scale), label, fill="black", font=font, anchor="mm")
        written = io.BytesIO()
        image.save(written, "PNG")
        return written.getvalue()

    def _arrows(self) -> list[tuple[tuple[float, float], tuple[float, float]]]:
        """The ends of each arrow: under one box, and just above the other."""
        return [
            ((self.places[a][0], self.places[a][1] + _BOX_HEIGHT), (self.places[b][0], self.places[b][1] - _TIP / 2))
            for a, b in self.edges
        ]


def _tip_rotation(x1: float, y1: float, x2: float, y2: float) -> float:
    """How far a triangle that points up must be turned, in degrees and against the clock, to point along an arrow."""
    return math.degrees(math.atan2(y1 - y2, x2 - x1)) - 90


def _layout(count: int, edges: Sequence[tuple[int, int]], column: float) -> list[tuple[float, float]]:
    """Place boxes in layers with few crossings (Sugiyama's method)."""
    try:
        import igraph
    except ImportError as error:
        raise ImportError("pictures need igraph: pip install 'millstream[graph]'") from error
    graph = igraph.Graph(n=count, edges=edges, directed=True)
    coordinates = graph.layout_sugiyama(hgap=1, vgap=1).coords[:count]
    left = min(x for x, _ in coordinates)
    top = min(y for _, y in coordinates)
    half = column / 2 + _MARGIN
    return [(half + (x - left) * column, _MARGIN + (y - top) * _ROW_HEIGHT) for x, y in coordinates]
