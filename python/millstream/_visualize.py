"""Pictures of graphs: laid out by igraph and written as SVG, or drawn by Graphviz where it is installed."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from millstream._collections import take_apart
from millstream._functions import name_of
from millstream._graph import inputs_of
from millstream._task import Task

# A picture of more is no picture.
MAX_TASKS = 5_000

_FONT = 12
_CHARACTER = 7.2
_BOX_HEIGHT = 26
_ROW_HEIGHT = 64
_GAP = 24
_MARGIN = 12


def visualize(
    *args: Any,
    filename: str | None = "millstream",
    format: str | None = None,  # noqa: A002 - Dask's name
    engine: str | None = None,
    **_options: Any,
) -> Any:
    """Draw the graph of lazy collections.

    Parameters
    ----------
    *args
        Delayed values, bags, or nested containers of them.
    filename : str, optional
        Name of the file, with or without its extension; ``None`` writes none.
    format : str, optional
        ``"svg"`` (the default), or what Graphviz draws, such as ``"png"`` and ``"pdf"``.
    engine : str, optional
        ``"igraph"`` or ``"graphviz"``; by default igraph for SVG, Graphviz for everything else.

    Returns
    -------
    Picture
        What a notebook shows.

    Examples
    --------
    >>> import millstream as ms
    >>> picture = ms.visualize(ms.delayed(sum)([1, 2]), filename=None)
    >>> "sum" in picture.svg
    True
    """
    format = format or (Path(filename).suffix[1:] if filename and Path(filename).suffix else "svg")  # noqa: A001
    engine = engine or ("igraph" if format == "svg" else "graphviz")
    if engine not in ("igraph", "graphviz"):
        raise ValueError(f"engine is 'igraph' or 'graphviz', got {engine!r}")
    tasks = _tasks_of(args)
    path = Path(filename).with_suffix(f".{format}") if filename else None
    if engine == "graphviz":
        return _draw_with_graphviz(tasks, path, format)
    if format != "svg":
        raise ValueError(f"igraph's layout is written as SVG only: install Graphviz for {format!r}")
    picture = Picture(_svg(tasks))
    if path is not None:
        path.write_text(picture.svg)
    return picture


class Picture:
    """A picture that notebooks show.

    Attributes
    ----------
    svg : str
        The picture.
    """

    def __init__(self, svg: str) -> None:
        self.svg = svg

    def _repr_svg_(self) -> str:
        return self.svg

    def __repr__(self) -> str:
        return f"<Picture, {len(self.svg)} characters of SVG>"


def _tasks_of(args: Sequence[Any]) -> dict[Task, list[Task]]:
    found, _ = take_apart(args)
    outputs = []
    for each in found:
        listed = each.__millstream_outputs__() if hasattr(each, "__millstream_outputs__") else [each]
        outputs += [output for output in listed if isinstance(output, Task)]
    if not outputs:
        raise ValueError("there is no lazy collection to draw")
    tasks = inputs_of(outputs)
    if len(tasks) > MAX_TASKS:
        raise ValueError(f"the graph has {len(tasks)} tasks, a picture shows at most {MAX_TASKS}")
    return tasks


def _label(task: Task) -> str:
    return name_of(task.function)[:32]


def _svg(tasks: dict[Task, list[Task]]) -> str:
    numbers = {task: number for number, task in enumerate(tasks)}
    edges = [(numbers[dep], numbers[task]) for task, deps in tasks.items() for dep in deps]
    labels = [_label(task) for task in tasks]
    widths = [len(label) * _CHARACTER + 16 for label in labels]
    places = _layout(len(labels), edges, max(widths) + _GAP)
    width = max(x + w / 2 for (x, _), w in zip(places, widths, strict=True)) + _MARGIN
    height = max(y for _, y in places) + _BOX_HEIGHT + _MARGIN
    lines = [
        f'<path d="M{places[a][0]:.1f},{places[a][1] + _BOX_HEIGHT:.1f} L{places[b][0]:.1f},{places[b][1] - 4:.1f}" '
        'stroke="#607d8b" fill="none" marker-end="url(#tip)"/>'
        for a, b in edges
    ]
    boxes = [
        f'<g><title>{escape(task.key)}</title><rect x="{x - w / 2:.1f}" y="{y:.1f}" width="{w:.1f}" '
        f'height="{_BOX_HEIGHT}" rx="6" fill="#e3f2fd" stroke="#1565c0"/><text x="{x:.1f}" y="{y + 17:.1f}" '
        f'text-anchor="middle">{escape(label)}</text></g>'
        for task, label, w, (x, y) in zip(tasks, labels, widths, places, strict=True)
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'font-family="monospace" font-size="{_FONT}"><defs><marker id="tip" viewBox="0 0 8 8" refX="4" refY="4" '
        'markerWidth="6" markerHeight="6" orient="auto"><path d="M0,0 L8,4 L0,8 z" fill="#607d8b"/></marker></defs>'
        + "".join(lines + boxes)
        + "</svg>"
    )


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


def _draw_with_graphviz(tasks: dict[Task, list[Task]], path: Path | None, kind: str) -> Any:
    try:
        import graphviz
    except ImportError as error:
        raise ImportError(f"drawing {kind!r} needs Graphviz: pip install graphviz, and the program `dot`") from error
    if shutil.which("dot") is None:
        raise RuntimeError(f"drawing {kind!r} needs Graphviz's program `dot`, which is not installed; SVG does not")
    graph = graphviz.Digraph(format=kind, graph_attr={"rankdir": "BT"}, node_attr={"shape": "box"})
    for task, deps in tasks.items():
        graph.node(task.key, _label(task), tooltip=task.key)
        for dep in deps:
            graph.edge(dep.key, task.key)
    if path is not None:
        graph.render(outfile=str(path), cleanup=True)
    return graph
