"""Whether a result is the oracle's."""

from __future__ import annotations

import decimal
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

# Sums of floats depend on their order.
PRECISION = 1e-6


@dataclass(frozen=True)
class Answer:
    """The rows that may be in the result.

    Parameters
    ----------
    rows : pyarrow.Table
        The rows of the result, and, if a limit cuts rows that are equal by its order, all of these.
    ranks : list of int or None
        Their places in the order, equal ones for equal keys; None if the order uses what is not in the result.
    count : int
        How many rows the result has.
    """

    rows: pa.Table
    ranks: list[int] | None
    count: int


def difference(got: pa.Table, answer: Answer, ranks: Sequence[int] | None) -> str | None:
    """Say what differs, if anything does. `ranks` are the places of `got` by the query's order, if it is known."""
    return (
        _of_types(got.schema, answer.rows.schema)
        or _of_count(got.num_rows, answer.count)
        or _of_order(ranks)
        or _of_rows(got, answer)
    )


def _of_types(got: pa.Schema, wanted: pa.Schema) -> str | None:
    if len(got) != len(wanted):
        return f"{len(got)} columns instead of {len(wanted)}"
    for ours, theirs in zip(got, wanted, strict=True):
        pair = _kind(ours.type), _kind(theirs.type)
        # What DuckDB turns into floats, quotients and averages of decimals, the engine keeps as decimals.
        if pair[0] != pair[1] and pair != ("decimal", "float"):
            return f"column {ours.name} is {ours.type} instead of {theirs.type}"
    return None


def _kind(kind: pa.DataType) -> str:
    if pa.types.is_integer(kind) or (pa.types.is_decimal(kind) and kind.scale == 0):
        # DuckDB's sums of integers come as decimals without digits behind the point.
        return "integer"
    if pa.types.is_decimal(kind):
        return "decimal"
    if pa.types.is_floating(kind):
        return "float"
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return "text"
    return str(kind)


def _of_count(got: int, wanted: int) -> str | None:
    return None if got == wanted else f"{got} rows instead of {wanted}"


def _of_order(ranks: Sequence[int] | None) -> str | None:
    for row, (before, after) in enumerate(zip(ranks or [], (ranks or [])[1:], strict=False)):
        if before > after:
            return f"rows {row} and {row + 1} are not in order"
    return None


def _of_rows(got: pa.Table, answer: Answer) -> str | None:
    """Find a row of the answer for each row of the result, and see that none that must be there is left."""
    wanted = answer.rows
    fuzzy = [number for number, field in enumerate(wanted.schema) if pa.types.is_floating(field.type)]
    units = [_unit(got.schema.field(number).type) for number in fuzzy]
    left = defaultdict(list)
    cells = _rows(wanted)
    for number, row in enumerate(cells):
        left[_exact(row, fuzzy)].append(number)
    for row in _rows(got):
        candidates = left[_exact(row, fuzzy)]
        found = next((each for each in candidates if _close(row, cells[each], fuzzy, units)), None)
        if found is None:
            nearest = f"; nearest is {cells[candidates[0]]}" if candidates else ""
            return f"no such row in the answer: {row}{nearest}"
        candidates.remove(found)
    if answer.ranks is None:
        return None
    # Of rows that are equal by the order any may be cut off, and none but these.
    last = max(answer.ranks, default=0)
    missing = [number for numbers in left.values() for number in numbers if answer.ranks[number] < last]
    return f"a row of the answer is missing: {cells[missing[0]]}" if missing else None


def _rows(table: pa.Table) -> list[tuple[Any, ...]]:
    columns = [column.to_pylist() for column in table.columns]
    return list(zip(*columns, strict=True))


def _exact(row: tuple[Any, ...], fuzzy: list[int]) -> tuple[Any, ...]:
    """What must be equal: numbers of equal value are, whatever their types."""
    return tuple(cell if number not in fuzzy else cell is None for number, cell in enumerate(row))


def _unit(kind: pa.DataType) -> float:
    """What a decimal may be off: one in its last place."""
    return float(decimal.Decimal(10) ** -kind.scale) if pa.types.is_decimal(kind) else 0.0


def _close(got: tuple[Any, ...], wanted: tuple[Any, ...], fuzzy: list[int], units: list[float]) -> bool:
    for number, unit in zip(fuzzy, units, strict=True):
        if wanted[number] is None:
            continue
        ours, theirs = float(got[number]), float(wanted[number])
        if abs(ours - theirs) > max(PRECISION * max(abs(ours), abs(theirs)), unit):
            return False
    return True
