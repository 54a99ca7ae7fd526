"""Pictures of graphs: laid out by igraph and written as SVG or PNG, or drawn by Graphviz where it is installed."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from millstream._collections import take_apart
from millstream._drawing import Drawing
from millstream._functions import name_of
from millstream._graph import inputs_of
from millstream._task import Task

# A picture of more is no picture.
MAX_TASKS = 5_000


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
        ``"svg"`` (the default) or ``"png"``, or what Graphviz draws, such as ``"pdf"``.
    engine : str, optional
        ``"igraph"`` or ``"graphviz"``; by default igraph for SVG and PNG, Graphviz for everything else.

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
    engine = engine or ("igraph" if format in ("svg", "png") else "graphviz")
    if engine not in ("igraph", "graphviz"):
        raise ValueError(f"engine is 'igraph' or 'graphviz', got {engine!r}")
    tasks = _tasks_of(args)
    path = Path(filename).with_suffix(f".{format}") if filename else None
    if engine == "graphviz":
        return _draw_with_graphviz(tasks, path, format)
    if format not in ("svg", "png"):
        raise ValueError(f"igraph's layout is written as SVG or PNG only: install Graphviz for {format!r}")
    drawing = _layout(tasks)
    picture = Picture(drawing.svg())
    if path is not None:
        path.write_bytes(drawing.png() if format == "png" else picture.svg.encode())
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


def _layout(tasks: dict[Task, list[Task]]) -> Drawing:
    numbers = {task: number for number, task in enumerate(tasks)}
    edges = [(numbers[dep], numbers[task]) for task, deps in tasks.items() for dep in deps]
    return Drawing([_label(task) for task in tasks], [task.key for task in tasks], edges)


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
