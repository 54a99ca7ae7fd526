"""Empty pandas objects that stand for tables: pandas itself tells names, types and errors by them."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from millstream.dataframe._absent import ADVICE

if TYPE_CHECKING:
    import pyarrow as pa

_SAMPLES: dict[str, Any] = {"bool": True, "int": 1, "float": 1.0, "str": "a", "object": "a"}


def of_schema(schema: pa.Schema) -> pd.DataFrame:
    """An empty frame with the columns of an Arrow table, as pandas reads it."""
    import pyarrow as pa

    from millstream.dataframe._views import readable

    plain = pa.schema([field.with_type(readable(field.type)) for field in schema])
    return plain.empty_table().to_pandas()


def empty_index(index: pd.Index) -> pd.Index:
    """The index without its rows."""
    return index[:0] if not isinstance(index, pd.RangeIndex) else pd.RangeIndex(0, name=index.name)


def default_index(meta: Any) -> Any:
    """The same columns with rows that are numbered."""
    return meta.set_axis(pd.RangeIndex(0), axis=0)


def series(dtype: Any, name: Hashable = None, index: pd.Index | None = None) -> pd.Series[Any]:
    """An empty column."""
    return pd.Series([], dtype=dtype, name=name, index=pd.RangeIndex(0) if index is None else index)


def frame(columns: Iterable[tuple[Hashable, Any]], index: pd.Index | None = None) -> pd.DataFrame:
    """An empty frame of columns with these names and types."""
    listed = list(columns)
    made = pd.DataFrame({place: series(dtype) for place, (_, dtype) in enumerate(listed)})
    made.columns = pd.Index([name for name, _ in listed]) if listed else pd.Index([], dtype=object)
    return made if index is None else made.set_axis(index, axis=0)


def sample(meta: Any) -> Any:
    """The same columns with two rows, for operations that pandas does not do on nothing."""
    if isinstance(meta, pd.DataFrame):
        columns = {place: _sample_of(meta.dtypes.iloc[place]) for place in range(meta.shape[1])}
        made = pd.DataFrame(columns, index=range(2))
        made.columns = meta.columns
        return made
    return pd.Series(_sample_of(meta.dtype), name=meta.name)


def _sample_of(dtype: Any) -> pd.Series[Any]:
    from millstream.dataframe._kinds import kind_of

    kind = kind_of(dtype)
    if kind == "datetime":
        values: Any = pd.Series([np.datetime64("2020-01-01")] * 2)
        zone = getattr(dtype, "tz", None)
        return (values.dt.tz_localize(zone) if zone is not None else values).astype(dtype)
    if kind == "duration":
        return pd.Series([np.timedelta64(1, "s")] * 2).astype(dtype)
    if kind == "category":
        return pd.Series(list(dtype.categories[:1]) * 2, dtype=dtype)
    return pd.Series([_SAMPLES[kind]] * 2, dtype=dtype)


def sample_index(index: pd.Index) -> pd.Index:
    """An index like it with two labels."""
    if isinstance(index, pd.MultiIndex):
        levels = [_sample_of(level.dtype) for level in index.levels]
        return pd.MultiIndex.from_arrays(levels, names=index.names)
    if isinstance(index, pd.RangeIndex):
        return pd.RangeIndex(2, name=index.name)
    return pd.Index(_sample_of(index.dtype), name=index.name)


def near(name: object, names: Iterable[object]) -> str:
    """A hint at names that resemble one that is not there."""
    known = {str(other): other for other in names}
    found = difflib.get_close_matches(str(name), known, n=3, cutoff=0.6)
    found += [other for other in known if other.lower() == str(name).lower() and other not in found]
    return f"; did you mean {' or '.join(repr(known[other]) for other in found)}?" if found else ""


@contextmanager
def naming(names: Iterable[object]) -> Iterator[None]:
    """Add names that are there to an error about one that is not."""
    try:
        yield
    except KeyError as error:
        wanted = error.args[0] if error.args else ""
        known = list(names)
        hint = near(wanted, known)
        if not hint:
            shown = ", ".join(map(repr, known[:20])) + (", …" if len(known) > 20 else "")
            hint = f"; there are {shown}" if known else "; there are none"
        raise MissingColumnError(
            f"{wanted if isinstance(wanted, str) and ' ' in wanted else repr(wanted)}{hint}"
        ) from None


class MissingColumnError(KeyError):
    """A column that is not there; the message names those that resemble it."""

    def __str__(self) -> str:
        return str(self.args[0])


def only(**given: tuple[Any, Any]) -> None:
    """Refuse arguments whose value is not the one that is available.

    Raises
    ------
    NotImplementedError
        If there is one; `given` has the value and the available one of each.
    """
    for name, (value, available) in given.items():
        if value != available and not (name == "axis" and value in ("index", None)):
            raise NotImplementedError(f"{name}={value!r} is not available: only {name}={available!r} is")


def own_error(part: Any, name: str) -> None:
    """Raise what a property raised: Python asks `__getattr__` for a property that ends in an `AttributeError`."""
    found = getattr(type(part), name, None)
    if isinstance(found, property) and found.fget is not None:
        found.fget(part)


def unavailable(kind: str, name: str, known: Iterable[str], pandas_type: Any) -> AttributeError:
    """The error for an attribute that is not there."""
    if name.startswith("_"):
        return AttributeError(f"{kind!r} object has no attribute {name!r}")
    if name in ADVICE:
        return UnavailableError(f"{kind}.{name} is not available on the cluster: {ADVICE[name]}")
    if hasattr(pandas_type, name):
        return UnavailableError(
            f"{kind}.{name} is not available on the cluster: use .compute().{name} for a result that fits in memory"
            f"{near(name, known)}"
        )
    return AttributeError(f"{kind!r} object has no attribute {name!r}{near(name, known)}")


class UnavailableError(AttributeError, NotImplementedError):
    """A name that pandas has and frames on a cluster do not."""


def applied(operation: Callable[..., Any], *args: Any) -> Any:
    """The result of an operation on empty or sampled pandas objects, without pandas' warnings about those."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return operation(*args)
