"""Files of the cluster as tables: their paths, and what all readers have in common."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from millstream.dataframe import _meta, _run, _tree
from millstream.dataframe._frame import DataFrame
from millstream.dataframe._rows import numbered

if TYPE_CHECKING:
    import pyarrow as pa

    from millstream._client import Client

# The ends of names by which the cluster tells how a file is compressed, by pandas' names for that.
_EXTENSIONS = {"gzip": ".gz", "zstd": ".zst", "bz2": ".bz2", "xz": ".xz"}
# What chooses between programs that read the same.
_IDLE = ("engine",)


def refuse(name: str, unknown: Mapping[str, Any]) -> None:
    """Raise for arguments that a function does not have."""
    left = sorted(set(unknown) - set(_IDLE))
    if left:
        raise NotImplementedError(f"{name} has no {', '.join(left)}: see help(millstream.{name}) for what it has")


def paths_of(path: Any) -> list[str]:
    """One path or several as a list of texts."""
    if isinstance(path, str | os.PathLike):
        return [os.fspath(path)]
    if isinstance(path, Sequence):
        return [os.fspath(one) for one in path]
    raise TypeError(f"a path on the cluster, or a list of paths, is needed; got {type(path).__name__}")


def check_compression(paths: Sequence[str], compression: Any) -> None:
    """Refuse a compression that is not the one that the names of files tell.

    Raises
    ------
    NotImplementedError
        If a file of another name is meant; folders and patterns are what they hold.
    ValueError
        If there is no such compression.
    """
    if compression == "infer":
        return
    method = compression.get("method") if isinstance(compression, Mapping) else compression
    if method is not None and method not in _EXTENSIONS:
        raise ValueError(f"compression is 'infer', None, {', '.join(map(repr, _EXTENSIONS))}; got {compression!r}")
    for path in paths:
        extension = os.path.splitext(path)[1].lower()
        told = next((name for name, known in _EXTENSIONS.items() if known == extension), None)
        is_plain_file = bool(extension) and told is None
        if told != method and (told is not None or is_plain_file):
            raise NotImplementedError(
                f"compression={compression!r} does not fit {path!r}: the cluster tells compression by names, "
                f"which end in {', '.join(_EXTENSIONS.values())}; rename the file, or leave compression out"
            )


def table_of(source: Mapping[str, Any], client: Client | None) -> tuple[_tree.Node, pa.Schema]:
    """The table of some files, and its columns; it is planned for these."""
    schema = _run.schema(client, _tree.table(source, ()))
    return _tree.table(source, schema.names), schema


def of_files(source: Mapping[str, Any], client: Client | None) -> DataFrame:
    """The rows of files, numbered over all of them."""
    return of_node(*table_of(source, client), client)


def of_node(node: _tree.Node, schema: pa.Schema, client: Client | None) -> DataFrame:
    """The rows of a table, numbered."""
    rows = numbered(node)
    return DataFrame(rows, [rows.position], [{"col": name} for name in schema.names], _meta.of_schema(schema), client)
