"""The suites' queries as DuckDB writes them, as the cluster takes them, and the clauses at their end."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data import connect

ADAPTATIONS = Path(__file__).resolve().parent / "adaptations.toml"

_LIMIT = re.compile(r"\s+LIMIT\s+(\d+)\s*$", re.IGNORECASE)
_ORDER = re.compile(r"\bORDER\s+BY\b", re.IGNORECASE)


@dataclass(frozen=True)
class Query:
    """One query of a suite.

    Parameters
    ----------
    number : int
        Its number in the suite.
    text : str
        As DuckDB writes it.
    adapted : str
        As the cluster is asked.
    order_keys : tuple of str
        Keys of the `ORDER BY` at its end; empty if it has none.
    """

    number: int
    text: str
    adapted: str
    order_keys: tuple[str, ...]

    @property
    def limit(self) -> int | None:
        """How many rows it wants, if it says so at its end."""
        found = _LIMIT.search(self.text)
        return int(found[1]) if found else None

    @property
    def unordered(self) -> str:
        """The query without the clauses `ORDER BY` and `LIMIT` at its end."""
        text = _LIMIT.sub("", self.text)
        start = _last_order(text)
        return text if start is None else text[:start]


def read(suite: str) -> list[Query]:
    """All queries of a suite in their order."""
    listed = tomllib.loads(ADAPTATIONS.read_text())
    changes = [each for each in listed.get("adaptation", []) if each["suite"] == suite]
    orders = {each["query"]: each["keys"] for each in listed.get("order", []) if each["suite"] == suite}
    with connect(suite) as connection:
        rows = connection.sql(f"SELECT query_nr, query FROM {suite}_queries() ORDER BY 1").fetchall()
    queries = []
    for number, query in rows:
        text = query.strip().rstrip(";").rstrip()
        adapted = _adapted(text, [each for each in changes if each["query"] == number])
        keys = orders.get(number) or _order(text)
        queries.append(Query(number, text, adapted, tuple(_split(keys)) if keys else ()))
    return queries


def _adapted(text: str, changes: list[dict[str, Any]]) -> str:
    for each in changes:
        if each["from"] not in text:
            raise SystemExit(f"{ADAPTATIONS.name}: {each['suite']} {each['query']} has no {each['from']!r}")
        text = text.replace(each["from"], each["to"])
    return text


def _order(text: str) -> str:
    """What follows the `ORDER BY` at the end, without a limit."""
    text = _LIMIT.sub("", text)
    start = _last_order(text)
    return "" if start is None else _ORDER.sub("", text[start:], count=1)


def _last_order(text: str) -> int | None:
    """Where the last `ORDER BY` outside of parentheses begins, if the text ends in one."""
    found = None
    for match in _ORDER.finditer(text):
        before = text[: match.start()]
        if before.count("(") == before.count(")"):
            found = match.start()
    return found


def _split(keys: str) -> list[str]:
    """Split a list at the commas outside of parentheses."""
    parts, depth = [""], 0
    for character in keys:
        depth += (character == "(") - (character == ")")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts]
