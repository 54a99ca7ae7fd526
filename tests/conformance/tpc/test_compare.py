"""That a result which differs is found: without this, runs could not fail."""

from __future__ import annotations

import sys
from decimal import Decimal
from pathlib import Path

import pyarrow as pa

sys.path.insert(0, str(Path(__file__).resolve().parent))

from compare import Answer, difference

WANTED = pa.table(
    {
        "key": ["a", "b", "b"],
        "sum": pa.array([Decimal("1.50"), Decimal("2.25"), None], pa.decimal128(10, 2)),
        "mean": [0.5, 1 / 3, 7e9],
    }
)
ANSWER = Answer(WANTED, [1, 2, 2], 3)


def changed(column: str, values: list[object], kind: pa.DataType | None = None) -> pa.Table:
    index = WANTED.column_names.index(column)
    return WANTED.set_column(index, column, pa.array(values, kind or WANTED.schema.field(index).type))


def test_equal_rows_of_other_widths_and_views_are_equal() -> None:
    keys = changed("key", ["a", "b", "b"], pa.string_view())
    assert difference(keys, ANSWER, [1, 2, 2]) is None
    sums = changed("sum", [Decimal("1.5"), Decimal("2.25"), None], pa.decimal128(38, 4))
    assert difference(sums, ANSWER, None) is None


def test_floats_may_be_off_by_a_millionth_and_decimals_by_their_last_place() -> None:
    assert difference(changed("mean", [0.5000004, 1 / 3, 7e9]), ANSWER, None) is None
    assert "no such row" in str(difference(changed("mean", [0.500002, 1 / 3, 7e9]), ANSWER, None))
    rounded = changed("mean", [Decimal("0.500"), Decimal("0.333"), Decimal(7_000_000_000)], pa.decimal128(20, 3))
    assert difference(rounded, ANSWER, None) is None
    rounded = changed("mean", [Decimal("0.500"), Decimal("0.332"), Decimal(7_000_000_000)], pa.decimal128(20, 3))
    assert "no such row" in str(difference(rounded, ANSWER, None))


def test_exact_values_nulls_and_counts_must_be_equal() -> None:
    assert "no such row" in str(difference(changed("key", ["a", "b", "c"]), ANSWER, None))
    assert "no such row" in str(difference(changed("sum", [Decimal("1.51"), Decimal("2.25"), None]), ANSWER, None))
    assert "no such row" in str(difference(changed("sum", [Decimal("1.50"), Decimal("2.25"), 0]), ANSWER, None))
    assert "no such row" in str(difference(changed("mean", [0.5, None, 7e9]), ANSWER, None))
    assert difference(WANTED.slice(1), ANSWER, None) == "2 rows instead of 3"
    twice = pa.concat_tables([WANTED.slice(0, 2), WANTED.slice(0, 1)])
    assert "no such row" in str(difference(twice, ANSWER, None))


def test_types_must_be_those_of_the_answer() -> None:
    assert "column sum is double" in str(difference(changed("sum", [1.5, 2.25, None], pa.float64()), ANSWER, None))
    assert "2 columns" in str(difference(WANTED.drop_columns(["key"]), ANSWER, None))


def test_rows_must_be_in_order() -> None:
    assert difference(WANTED, ANSWER, [2, 1, 2]) == "rows 0 and 1 are not in order"


def test_a_limit_cuts_only_rows_that_are_equal_by_the_order() -> None:
    cut = Answer(WANTED, [1, 2, 2], 2)
    assert difference(WANTED.slice(0, 2), cut, None) is None
    assert difference(WANTED.take([0, 2]), cut, None) is None
    assert "a row of the answer is missing" in str(difference(WANTED.slice(1), cut, None))
