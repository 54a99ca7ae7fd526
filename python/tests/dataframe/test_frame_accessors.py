"""Texts and times, compared with pandas."""

from __future__ import annotations

import pandas as pd
import pytest
from comparing import Operation, check, table

import millstream as ms

TEXTS: dict[str, Operation] = {
    "lower": lambda s: s.str.lower(),
    "upper": lambda s: s.str.upper(),
    "capitalize": lambda s: s.str.capitalize(),
    "len": lambda s: s.str.len(),
    "strip": lambda s: s.str.strip(),
    "lstrip": lambda s: s.str.lstrip("b"),
    "rstrip": lambda s: s.str.rstrip("b "),
    "removeprefix": lambda s: s.str.removeprefix("bo"),
    "removesuffix": lambda s: s.str.removesuffix("n"),
    "zfill": lambda s: s.str.zfill(5),
    "ljust": lambda s: s.str.ljust(6, "."),
    "rjust": lambda s: s.str.rjust(6, "."),
    "contains": lambda s: s.str.contains("o"),
    "contains_regex": lambda s: s.str.contains(r"\d|^x"),
    "contains_case": lambda s: s.str.contains("A", case=False),
    "contains_plain": lambda s: s.str.contains("x-y", regex=False),
    "match": lambda s: s.str.match("b."),
    "fullmatch": lambda s: s.str.fullmatch("[A-Za-z]+"),
    "startswith": lambda s: s.str.startswith("A"),
    "startswith_some": lambda s: s.str.startswith(("A", "b")),
    "endswith": lambda s: s.str.endswith("n"),
    "find": lambda s: s.str.find("o"),
    "count": lambda s: s.str.count("[abn]"),
    "replace": lambda s: s.str.replace("b", "$1"),
    "replace_regex": lambda s: s.str.replace(r"(\w)-(\w)", r"\2-\1", regex=True),
    "slice": lambda s: s.str[1:3],
    "slice_negative": lambda s: s.str[-2:],
    "slice_to_end": lambda s: s.str.slice(0, -1),
    "get": lambda s: s.str[0],
    "get_last": lambda s: s.str.get(-1),
    "repeat": lambda s: s.str.repeat(2),
    "cat": lambda s: s.str.cat(s, sep="/"),
    "extract": lambda s: s.str.extract(r"([a-z])([a-z-])"),
    "extract_named": lambda s: s.str.extract(r"(?P<first>\w)", expand=False),
    "split_columns": lambda s: s.str.split("-", n=1, expand=True),
    "isdigit": lambda s: s.str.isdigit(),
    "isalpha": lambda s: s.str.isalpha(),
    "isalnum": lambda s: s.str.isalnum(),
    "islower": lambda s: s.str.islower(),
    "isupper": lambda s: s.str.isupper(),
    "isascii": lambda s: s.str.isascii(),
}
FIELDS = [
    "year",
    "month",
    "day",
    "hour",
    "minute",
    "second",
    "microsecond",
    "day_of_week",
    "day_of_year",
    "quarter",
    "days_in_month",
    "is_leap_year",
    "is_month_start",
    "is_quarter_start",
    "is_quarter_end",
    "is_month_end",
    "is_year_start",
    "is_year_end",
]
TIMES: dict[str, Operation] = {
    "day_name": lambda s: s.dt.day_name(),
    "month_name": lambda s: s.dt.month_name(),
    "strftime": lambda s: s.dt.strftime("%Y-%m-%d %H:%M"),
    "normalize": lambda s: s.dt.normalize(),
    "floor": lambda s: s.dt.floor("h"),
    "ceil": lambda s: s.dt.ceil("D"),
    "floor_minutes": lambda s: s.dt.floor("15min"),
    "date": lambda s: s.dropna().dt.date,
    "total_seconds": lambda s: (s - pd.Timestamp("2022-01-01")).dt.total_seconds(),
    "days": lambda s: (s - pd.Timestamp("2022-01-01 12:00")).dt.days,
    "seconds": lambda s: (s - pd.Timestamp("2022-01-01 12:00")).dt.seconds,
}


@pytest.mark.parametrize("name", TEXTS)
def test_texts_are_those_of_pandas(client: ms.Client, name: str) -> None:
    check(client, TEXTS[name], table().word)


@pytest.mark.parametrize("name", FIELDS)
def test_fields_of_times_are_those_of_pandas(client: ms.Client, name: str) -> None:
    check(client, lambda s: getattr(s.dt, name), table()["at"])


@pytest.mark.parametrize("name", TIMES)
def test_times_are_those_of_pandas(client: ms.Client, name: str) -> None:
    check(client, TIMES[name], table()["at"])


def test_other_columns_have_neither(client: ms.Client) -> None:
    frame = ms.from_pandas(table(), client=client)
    with pytest.raises(AttributeError, match=r"\.str accessor"):
        frame.n.str.lower()
    with pytest.raises(AttributeError, match=r"\.dt accessor"):
        frame.n.dt.year  # noqa: B018
    with pytest.raises(AttributeError, match="did you mean 'strip'"):
        frame.word.str.stripp()
    with pytest.raises(NotImplementedError, match="compute"):
        frame.word.str.translate({})


def test_texts_become_times_and_numbers(client: ms.Client) -> None:
    texts = pd.Series(["2024-02-29", None, "2023-01-01 10:00:00"], name="t")
    times = ms.to_datetime(ms.from_pandas(texts, client=client)).compute()
    pd.testing.assert_series_equal(times, pd.to_datetime(texts, format="ISO8601"), check_dtype=False)
    numbers = pd.Series(["1.5", "x", None])
    coerced = ms.to_numeric(ms.from_pandas(numbers, client=client), errors="coerce").compute()
    pd.testing.assert_series_equal(coerced, pd.to_numeric(numbers, errors="coerce"))
