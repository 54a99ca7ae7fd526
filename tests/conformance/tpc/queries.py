"""The suites' queries as DuckDB writes them, as the cluster takes them, and the clauses at their end."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

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
    """

    number: int
    text: str
    adapted: str

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

    @property
    def order(self) -> str | None:
        """What follows the `ORDER BY` at its end."""
        text = _LIMIT.sub("", self.text)
        start = _last_order(text)
        return None if start is None else _ORDER.sub("", text[start:], count=1).strip()


def read(suite: str) -> list[Query]:
    """All queries of a suite in their order."""
    adaptations = tomllib.loads(ADAPTATIONS.read_text()).get("adaptation", [])
    with connect(suite) as connection:
        rows = connection.sql(f"SELECT query_nr, query FROM {suite}_queries() ORDER BY 1").fetchall()
    queries = []
    for number, query in rows:
        text = query.strip().rstrip(";").rstrip()
        adapted = text
        for each in adaptations:
            if each["suite"] == suite and number in each["queries"]:
                if each["from"] not in adapted:
                    raise SystemExit(f"{ADAPTATIONS.name}: {suite} {number} has no {each['from']!r}")
                adapted = adapted.replace(each["from"], each["to"])
        queries.append(Query(number, text, adapted))
    return queries


def _last_order(text: str) -> int | None:
    """Where the last `ORDER BY` outside of parentheses begins, if the text ends in one."""
    found = None
    for match in _ORDER.finditer(text):
        before = text[: match.start()]
        if before.count("(") == before.count(")"):
            found = match.start()
    return found
