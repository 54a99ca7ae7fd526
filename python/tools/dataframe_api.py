"""Write the page that compares the names of frames with those of pandas and Dask.

python tools/dataframe_api.py [--check]
"""

from __future__ import annotations

import argparse
import inspect
import re
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import dask.dataframe as dd
import pandas as pd
from dask.dataframe.dask_expr._groupby import GroupBy as DaskGroupBy
from dask.dataframe.dask_expr._groupby import SeriesGroupBy as DaskSeriesGroupBy
from dask.dataframe.dask_expr._rolling import Rolling as DaskRolling

from millstream import dataframe
from millstream.dataframe._absent import ADVICE, FUNCTIONS
from millstream.dataframe._dates import Dates
from millstream.dataframe._resample import Resampler
from millstream.dataframe._strings import Strings
from millstream.dataframe._whole import Ewm

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "dataframe-api.md"
INTRODUCTION = """# Names of pandas and Dask on frames

Written by `python/tools/dataframe_api.py` from pandas {pandas} and Dask {dask}: each public name that either has.
*same* means the same arguments and the same result, up to what [the guide](../guide/dataframe.md) says of all frames:
nothing is computed before `compute()`, and the rows of a merge come in any order. *without* names arguments that are
refused. A name that is absent raises an `AttributeError` that says what this page says.
"""
# Arguments that make no difference to a result, or none on a cluster.
_IDLE = {
    "args", "axis", "by_row", "copy", "engine", "engine_kwargs", "inplace", "kind", "kwargs", "level", "numeric_only",
    "observed", "ordered", "result_type", "self", "sort_remaining", "split_every", "split_out", "shuffle_method",
}  # fmt: skip
# What the arguments do not tell.
_DIFFERS = {
    "apply": "in Python tasks; of frames with `axis=1`",
    "astype": "no categories",
    "columns": "known without computing",
    "copy": "frames share what they read",
    "describe": "of columns of numbers",
    "dtypes": "integers with missing values come out as floats",
    "empty": "computed",
    "equals": "computed",
    "eval": "operators and methods of columns",
    "ewm": "one Python task computes each column",
    "explode": "of one column",
    "items": "a list of names and columns",
    "interpolate": "one Python task computes each column",
    "iloc": "slices and single places",
    "index": "lazy; of one level it has the methods of columns",
    "iterrows": "computed",
    "itertuples": "computed",
    "join": "rows in any order; only with one frame",
    "loc": "conditions, labels, lists and slices of one level; slices are by value",
    "map_partitions": "in Python tasks; takes no other frames",
    "merge": "rows in any order",
    "ngroups": "computed",
    "persist": "rows are kept in this process, at most 32 MiB when compressed",
    "pivot": "the values of `columns` are computed at once; one label as `columns`",
    "pivot_table": "the values of `columns` are computed at once",
    "query": "operators, `in` and methods of columns",
    "resample": "where spans begin is computed at once; no upsampling",
    "rolling": "windows are numbers of rows; of groups the result keeps the frame's index",
    "sample": "`frac` chooses rows one by one",
    "shape": "computed",
    "size": "of a frame or column it is computed; of groups it is lazy",
    "to_bag": "computed; its parts stay on the cluster",
    "to_delayed": "computed; its parts stay on the cluster",
    "to_dict": "computed",
    "to_list": "computed",
    "to_numpy": "computed",
    "to_sql": "by Python tasks; `con` is a URL or a function",
    "to_markdown": "computed",
    "to_records": "computed",
    "to_string": "computed",
    "tolist": "computed",
    "unique": "a column",
    "values": "computed",
    "unstack": "the values of the level are computed at once",
}


def sections() -> list[tuple[str, Any, Any, Any]]:
    """Titles, and the classes of Millstream, pandas and Dask."""
    groupby = pd.api.typing
    times = pd.Series(pd.to_datetime(["2024-01-01"]))
    return [
        ("DataFrame", dataframe.DataFrame, pd.DataFrame, dd.DataFrame),
        ("Series", dataframe.Series, pd.Series, dd.Series),
        ("DataFrame.groupby", dataframe.DataFrameGroupBy, groupby.DataFrameGroupBy, DaskGroupBy),
        ("Series.groupby", dataframe.SeriesGroupBy, groupby.SeriesGroupBy, DaskSeriesGroupBy),
        ("rolling", dataframe.Rolling, groupby.Rolling, DaskRolling),
        ("resample", Resampler, groupby.Resampler, None),
        ("ewm", Ewm, groupby.ExponentialMovingWindow, None),
        ("Series.str", Strings, type(pd.Series(["a"]).str), None),
        ("Series.dt", Dates, type(times.dt), None),
    ]


def page() -> str:
    """The whole page."""
    lines = [INTRODUCTION.format(pandas=pd.__version__, dask=dask.__version__)]
    for title, mine, pandas_type, dask_type in sections():
        rows = list(described(mine, pandas_type, dask_type))
        there = sum(not text.startswith("absent") for _, _, text in rows)
        lines += [f"\n## {title}\n", f"{there} of {len(rows)} names.\n", "| name | of | here |", "|---|---|---|"]
        lines += [f"| `{name}` | {home} | {text} |" for name, home, text in rows]
    lines += ["\n## Functions\n", "| name | here |", "|---|---|"]
    functions = {name: "there" for name in dataframe.__all__ if name.islower()}
    functions |= {name: f"absent: {advice}" for name, advice in FUNCTIONS.items()}
    lines += [f"| `{name}` | {text} |" for name, text in sorted(functions.items())]
    return "\n".join(lines) + "\n"


def described(mine: Any, pandas_type: Any, dask_type: Any) -> Iterator[tuple[str, str, str]]:
    """For each name where it is from, and what it is here."""
    known = names_of(mine)
    of_pandas, of_dask = names_of(pandas_type), names_of(dask_type)
    for name in sorted(of_pandas | of_dask, key=str.lower):
        home = " ".join(["pandas"] * (name in of_pandas) + ["Dask"] * (name in of_dask))
        yield name, home, here(mine, pandas_type, name) if name in known else absent(name)


def names_of(kind: Any) -> set[str]:
    """Public names of a class; those of texts and times are also in tables of their own."""
    if kind is None:
        return set()
    found = {name for name in dir(kind) if not name.startswith("_")}
    if kind in (Strings, Dates, Resampler):
        found |= {name for name in kind.__dir__(object.__new__(kind)) if not name.startswith("_")}
    return found


def absent(name: str) -> str:
    """What to use for a name that is not there."""
    return f"absent: {ADVICE.get(name, f'`compute()` first, then `.{name}`')}"


def here(mine: Any, pandas_type: Any, name: str) -> str:
    """How a name that is there differs."""
    found = getattr(mine, name, None)
    text = inspect.getdoc(found) or ""
    if text.startswith("Raise:"):
        return f"absent: {text.splitlines()[0].removeprefix('Raise:').strip().rstrip('.')}"
    notes = [_DIFFERS[name]] if name in _DIFFERS else []
    missing = arguments(getattr(pandas_type, name, None)) - arguments(found)
    if missing and not takes_any(found):
        notes.append("without " + ", ".join(f"`{argument}`" for argument in sorted(missing)))
    return "; ".join(notes) or "same"


def arguments(function: Any) -> set[str]:
    """Names of arguments that make a difference."""
    try:
        return set(inspect.signature(function).parameters) - _IDLE
    except (TypeError, ValueError):
        return set()


def takes_any(function: Any) -> bool:
    """Whether it takes further arguments, which it refuses by name."""
    try:
        source = inspect.getsource(function)
    except (OSError, TypeError):
        return True
    return re.search(r"\*\*kwargs", source) is not None


def main() -> int:
    """Write the page, or compare it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail if the page is not up to date")
    wanted = parser.parse_args()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        text = page()
    if wanted.check:
        return int(PAGE.read_text() != text)
    PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
