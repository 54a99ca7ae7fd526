"""Frames of CSV and JSON files."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from millstream.dataframe import _files, _kinds, _run, _tree
from millstream.dataframe._frame import DataFrame

if TYPE_CHECKING:
    import pyarrow as pa

    from millstream._client import Client

# Types of columns of text files, by the families of pandas' types.
_TYPES = {"bool": "bool", "int": "int", "float": "float", "str": "text", "object": "text", "datetime": "timestamp"}
# Names of columns whose texts pandas.read_json takes for times if it can.
_TIME_NAMES = re.compile(r"(?i).*(_at|_time)|timestamp.*|modified|date")


def read_csv(
    path: Any,
    *,
    sep: str | None = None,
    header: Any = "infer",
    names: Sequence[str] | None = None,
    usecols: Sequence[str] | None = None,
    dtype: Mapping[str, Any] | None = None,
    parse_dates: Sequence[str] = (),
    na_values: Any = (),
    keep_default_na: bool = True,
    quotechar: str = '"',
    escapechar: str | None = None,
    comment: str | None = None,
    multiline: bool = False,
    compression: Any = "infer",
    client: Client | None = None,
    **unknown: Any,
) -> DataFrame:
    r"""Return the rows of CSV files on the cluster, compressed or not; types are told by samples of them.

    Parameters
    ----------
    path : str or list of str
        Files, folders and patterns, on the cluster. Folders named ``key=value`` are columns after those of the files.
    sep : str, optional
        What is between fields; a comma, or a tab in ``.tsv`` files.
    header : 0 or None
        None if the first line is a row.
    names : list of str, optional
        Names of the columns.
    usecols : list of str, optional
        Which columns; all by default.
    dtype : mapping, optional
        Types of some columns.
    parse_dates : list of str
        Columns of ISO 8601 times.
    na_values, keep_default_na, quotechar, escapechar, comment
        As in pandas.
    multiline : bool
        Whether fields may hold line breaks.
    compression : str, optional
        How files are compressed, which their names tell in any case.
    client : Client, optional
        Where; the current client by default.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> path = tempfile.mktemp(suffix=".csv")
    >>> _ = pathlib.Path(path).write_text("n,letter\n1,a\n2,NA\n")
    >>> ms.read_csv(path, client=client).letter.isna().compute().tolist()
    [False, True]
    """
    _files.refuse("read_csv", unknown)
    paths = _files.paths_of(path)
    _files.check_compression(paths, compression)
    if header not in ("infer", 0, None):
        raise NotImplementedError("header is 0, or None if the first line is a row")
    if isinstance(parse_dates, bool):
        raise NotImplementedError("parse_dates is a list of columns")
    types = {name: _text_type("CSV", name, one) for name, one in (dtype or {}).items()}
    types |= dict.fromkeys(parse_dates, "timestamp")
    missing = [na_values] if isinstance(na_values, str) else list(na_values)
    options: dict[str, Any] = {"infer_dates": False, "quote": quotechar, "keep_default_na": keep_default_na}
    options |= {"na_values": list(map(str, missing)), "types": types, "multiline": multiline}
    options["header"] = header == 0 or (header == "infer" and names is None)
    optional = {"delimiter": sep, "escape": escapechar, "comment": comment}
    options |= {name: value for name, value in optional.items() if value is not None}
    if names is not None:
        options["columns"] = list(names)
    frame = _files.of_files({"paths": paths, "format": "csv", "csv": options}, client)
    if header is None and names is None:
        frame.columns = range(len(frame.columns))
    return frame if usecols is None else frame[[name for name in frame.columns if name in set(usecols)]]


def read_table(path: Any, *, sep: str | None = "\t", client: Client | None = None, **options: Any) -> DataFrame:
    """Return the rows of files whose fields are between tabs; with the arguments of :func:`read_csv`."""
    return read_csv(path, sep=sep, client=client, **options)


def read_json(
    path: Any,
    *,
    orient: str | None = None,
    lines: bool = True,
    dtype: Mapping[str, Any] | None = None,
    convert_dates: bool | Sequence[str] = True,
    compression: Any = "infer",
    ignore_unknown: bool = False,
    client: Client | None = None,
    **unknown: Any,
) -> DataFrame:
    r"""Return the rows of files with a JSON object on each line; types are told by samples of them.

    Objects within are dicts when they are computed, and lists arrays of numpy. Numbers are never taken for times.

    Parameters
    ----------
    path : str or list of str
        Files, folders and patterns, on the cluster. Folders named ``key=value`` are columns after those of the files.
    orient, lines
        Only ``"records"`` and true: other forms cannot be read in parts.
    dtype : mapping, optional
        Types of some columns; with text, values of all kinds stay as they are written.
    convert_dates : bool or list of str
        Which columns of ISO 8601 texts are times: the named ones, none, or those whose names pandas takes for such:
        ``date``, ``modified``, ``timestamp…``, ``…_at`` and ``…_time``.
    compression : str, optional
        How files are compressed, which their names tell in any case.
    ignore_unknown : bool
        Whether members that the samples do not show are left out, instead of being an error.
    client : Client, optional
        Where; the current client by default.

    Raises
    ------
    NotImplementedError
        For other forms than an object on each line.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> path = tempfile.mktemp(suffix=".jsonl")
    >>> _ = pathlib.Path(path).write_text('{"n": 1, "letter": "a"}\n{"n": 2}\n')
    >>> ms.read_json(path, client=client).letter.isna().compute().tolist()
    [False, True]
    """
    _files.refuse("read_json", unknown)
    if orient not in (None, "records") or not lines:
        raise NotImplementedError(
            'JSON is read as orient="records", lines=True: use from_pandas() of what pandas reads for another form'
        )
    paths = _files.paths_of(path)
    _files.check_compression(paths, compression)
    types = {name: _text_type("JSON", name, one) for name, one in (dtype or {}).items()}
    if not isinstance(convert_dates, bool):
        types |= dict.fromkeys(convert_dates, "timestamp")
    options: dict[str, Any] = {"infer_dates": convert_dates is True, "types": types, "ignore_unknown": ignore_unknown}
    source = {"paths": paths, "format": "json", "json": options}
    if convert_dates is True:
        schema = _run.schema(client, _tree.table(source, ()))
        options["types"] = {**_times(schema), **types}
    return _files.of_files(source, client)


def _times(schema: pa.Schema) -> dict[str, str]:
    """Types of the columns that hold times: times if the name says so, else texts."""
    import pyarrow as pa

    types = {}
    for field in schema:
        is_time = pa.types.is_timestamp(field.type)
        if is_time or pa.types.is_date(field.type):
            instant = "timestamputc" if is_time and field.type.tz else "timestamp"
            types[field.name] = instant if _TIME_NAMES.fullmatch(field.name) else "text"
    return types


def _text_type(form: str, name: str, dtype: Any) -> str:
    kind = _kinds.kind_of(pd.api.types.pandas_dtype(dtype))
    if kind not in _TYPES:
        raise NotImplementedError(f"there is no type of {form} columns for {dtype} ({name!r}): use astype() afterwards")
    return _TYPES[kind]
