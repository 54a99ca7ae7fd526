"""Queries as the cluster takes them, and what is wrong with them in the words of the cluster."""

from __future__ import annotations

import contextlib
import datetime
import decimal
import os
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from millstream import _aio
from millstream._errors import GatewayError, MillstreamError
from millstream.dataframe._flatten import flatten
from millstream.dataframe._tree import Node

if TYPE_CHECKING:
    from millstream._http import Transport
    from millstream._presence import Presence

ARROW = "application/vnd.apache.arrow.stream"
TEXT = "text/plain"

# The number of rows as an expression.
COUNT = {"agg": "count", "args": []}

_WAIT = "10s"
# The place as the engine tells it.
_PLACE = re.compile(r"\bat line (\d+), column (\d+)")
_KEY = "result"
# Spaces and comments before a statement.
_COMMENTS = re.compile(r"\A(\s|--[^\n]*(\n|\Z)|/\*.*?\*/)*", re.DOTALL)
# First words of statements that are run when they are given.
_DONE_AT_ONCE = {"COPY", "CREATE", "DROP", "INSERT", "SHOW", "DESCRIBE", "DESC"}
_DONE = 200
# What the engine says of queries, by the kinds of the gateway's problems; other failures are those of functions.
_QUERY_KINDS = ("invalid_query", "file_not_found", "outside_roots", "bad_file")
# Columns of the place where a line is cut off when it is shown.
_SHOWN = 120


class QueryError(GatewayError):
    """A query that cannot be run: its message shows the place.

    Attributes
    ----------
    query : str
        The query.
    line, column : int or None
        The place in it, from 1.
    """

    def __init__(self, problem: Mapping[str, Any], query: str) -> None:
        super().__init__(problem)
        self.query = query
        found = _PLACE.search(self.detail)
        self.line: int | None = int(found[1]) if found else None
        self.column: int | None = int(found[2]) if found else None

    def __str__(self) -> str:
        return super().__str__() + self._place()

    def of_selected(self, query: str) -> QueryError:
        """The same error of a query by itself, which was run inside of another; see :meth:`Query.selecting`."""
        place = f"at line {(self.line or 1) - 1}, column {self.column}"
        return QueryError({**self.problem, "detail": _PLACE.sub(place, self.detail)}, query)

    def _place(self) -> str:
        lines = self.query.splitlines()
        if not self.line or not self.column or self.line > len(lines):
            return ""
        text = lines[self.line - 1]
        start = max(0, self.column - 1 - _SHOWN // 2)
        shown = text[start : start + _SHOWN].replace("\t", " ")
        return f"\n\n    {shown}\n    {' ' * (self.column - 1 - start)}^ line {self.line}, column {self.column}"


class TreesNotTakenError(MillstreamError, NotImplementedError):
    """The cluster's program is older than this package: it takes statements, but no expression trees."""


@dataclass(frozen=True)
class Query:
    """A statement with its parameters and tables.

    Parameters
    ----------
    text : str
        One SQL statement.
    params : tuple
        Values of ``$1``, ``$2``, ….
    tables : mapping
        Paths on the cluster, by the names that the statement uses.
    """

    text: str
    params: tuple[Any, ...] = ()
    tables: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):
            raise TypeError(f"a query is a text, got {type(self.text).__name__}")
        object.__setattr__(self, "params", tuple(map(param, self.params)))
        object.__setattr__(self, "tables", {name: source(name, table) for name, table in self.tables.items()})

    @property
    def is_plan(self) -> bool:
        """Whether it asks for a plan, not for rows."""
        return self.text.lstrip()[:7].upper() == "EXPLAIN"

    @property
    def is_done_at_once(self) -> bool:
        """Whether it does something instead of describing rows: it writes or defines, or has several statements."""
        text = _COMMENTS.sub("", self.text)
        word = re.match(r"[A-Za-z]*", text)
        several = ";" in text.rstrip("; \t\r\n")
        return several or (word is not None and word[0].upper() in _DONE_AT_ONCE)

    def selecting(self, columns: str = "*", rest: str = "") -> Query:
        """A query of the rows of this one; of a plan it is the plan."""
        if self.is_plan:
            return self
        inner = self.text.rstrip().rstrip(";")
        # On lines of its own: it may end in a comment.
        return replace(self, text=f"SELECT {columns} FROM (\n{inner}\n) AS rows {rest}".rstrip())

    def body(self, session: str | None = None) -> bytes:
        """The query as a request carries it, for a session with tables and views of its own."""
        return _packed({"query": self.text, "tables": self.tables, "params": self.params}, session)


@dataclass(frozen=True)
class TreeQuery:
    """A table expression as the cluster takes it.

    Parameters
    ----------
    root : Node
        The table.
    explain : bool
        Whether its plan is wanted, not its rows.
    into : mapping, optional
        Where its rows are written to; the result is their number then.
    """

    root: Node
    explain: bool = False
    into: Mapping[str, Any] | None = None

    @property
    def is_done_at_once(self) -> bool:
        """Whether it does something instead of describing rows."""
        return False

    @cached_property
    def _request(self) -> dict[str, Any]:
        tree, tables = flatten(self.root)
        query = _statement(tree["nodes"], tables)
        if query is not None:
            return {"query": query.text, "tables": query.tables, "params": query.params}
        return {"tree": tree, "tables": tables}

    @property
    def calls(self) -> bool:
        """Whether there are Python functions in it."""
        return any(node["op"] == "python" for node in self._request.get("tree", {}).get("nodes", ()))

    @property
    def text(self) -> str:
        """The statement, if the tree is one; there is no other text to show a place in."""
        return str(self._request.get("query", ""))

    def body(self, session: str | None = None) -> bytes:
        """The tree as a request carries it, for a session with tables and views of its own."""
        request = dict(self._request)
        if self.explain and self.text:
            request["query"] = f"EXPLAIN {self.text}"
        elif self.explain:
            request["options"] = {"explain": True}
        if self.into is not None:
            request["into"] = self.into
        return _packed(request, session)


Asked = Query | TreeQuery


def _packed(request: dict[str, Any], session: str | None) -> bytes:
    import msgpack

    if session is not None:
        request = {**request, "session": session}
    packed: bytes = msgpack.packb(request)
    return packed


def _statement(nodes: Sequence[Mapping[str, Any]], tables: Mapping[str, Any]) -> Query | None:
    """The query of a tree that is a statement, its first rows, or their number.

    Such a tree is sent as a statement: its mistakes have a place then.
    """
    first, *rest = nodes
    if first["op"] != "sql" or first["inputs"]:
        return None
    query = Query(first["query"], tuple(first["params"]), tables)
    if not rest:
        return query
    node = rest[0]
    if len(rest) > 1:
        return None
    if node["op"] == "limit":
        fetch = "" if node.get("fetch") is None else f"LIMIT {node['fetch']} "
        return query.selecting(rest=f"{fetch}OFFSET {node.get('skip', 0)}")
    is_count = node["op"] == "aggregate" and not node["keys"] and [agg for _, agg in node["columns"]] == [COUNT]
    return query.selecting(f'count(*) AS "{node["columns"][0][0]}"') if is_count else None


def param(value: Any) -> Any:
    """A parameter as a request carries it."""
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        value = value.item()
    if isinstance(value, datetime.date | decimal.Decimal):
        # As text; the engine compares it with a column of that type.
        return value.isoformat() if isinstance(value, datetime.date) else str(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(
        f"a parameter is None, a bool, a number, a text or a date, got {type(value).__name__}: {value!r:.100}"
    )


def source(name: str, table: Any) -> Any:
    """A table's files as a request carries them."""
    if isinstance(table, str | os.PathLike):
        return os.fspath(table)
    if isinstance(table, Mapping):
        return {**table, "paths": [os.fspath(path) for path in table.get("paths", ())]}
    if isinstance(table, Sequence):
        return [os.fspath(path) for path in table]
    raise TypeError(
        f"table {name!r} is a path on the cluster, a list of paths, or a mapping with `paths` and options; "
        f"got {type(table).__name__}: write it to a file that the cluster reads first"
    )


async def rows_of(
    transport: Transport, query: Asked, accept: str, largest: int | None, names: Presence | None = None
) -> bytes:
    """Run a query and return its rows, of at most `largest` bytes; stop it if nobody waits any more.

    It sees the tables and views of the session `names`, which is opened by the first statement that may make some.

    Raises
    ------
    QueryError
        If it cannot be run.
    TooLargeError
        If there are more bytes.
    """
    job_id = str(uuid.uuid4())
    try:
        session = None if names is None else names.opened
        if names is not None and query.is_done_at_once:
            session = await names.id()
        return await _run(transport, query.body(session), accept, job_id, largest)
    except GatewayError as error:
        if error.code == "unknown_field" and "`tree`" in error.detail:
            raise TreesNotTakenError(
                "this cluster takes SQL, and no expression trees, which methods of frames become: update its program, "
                "or write the whole query as sql()"
            ) from None
        if not (isinstance(query, TreeQuery) and query.calls and "task_error" in error.problem):
            raise QueryError(error.problem, query.text) from None
        failure = await _raised(transport, job_id, error)
        # Its cause is the traceback that it had where it was raised.
        raise failure from failure.__cause__
    finally:
        # Nobody waits for that.
        _aio.spawn(_let_go(transport, job_id))


async def _raised(transport: Transport, job_id: str, error: GatewayError) -> BaseException:
    """What a Python function of a query raised, or why its task failed."""
    from millstream._results import exception_of

    view = await transport.call("GET", f"/v1/jobs/{job_id}")
    failure = view.get("error") or {}
    if failure.get("kind") in _QUERY_KINDS:
        return QueryError(error.problem, "")
    return exception_of(str(view.get("failed_task") or "of a query"), failure)


async def _run(transport: Transport, body: bytes, accept: str, job_id: str, largest: int | None) -> bytes:
    headers = {"accept": accept}
    params = {"id": job_id, "wait": "100ms"}
    response = await transport.request("POST", "/v1/sql", content=body, params=params, headers=headers, largest=largest)
    if response.status_code == _DONE:
        return response.content
    while True:
        view = await transport.call("GET", f"/v1/jobs/{job_id}", params={"wait": _WAIT})
        if view["state"] == "cancelled":
            raise MillstreamError("the query was cancelled")
        if view["state"] in ("succeeded", "failed"):
            # Of one that failed this is refused, and the refusal says what is wrong, and where.
            path = f"/v1/jobs/{job_id}/results/{_KEY}"
            response = await transport.request("GET", path, params={"wait": _WAIT}, headers=headers, largest=largest)
            return response.content


async def _let_go(transport: Transport, job_id: str) -> None:
    # What cannot be removed now goes when its time is over.
    with contextlib.suppress(MillstreamError):
        view = await transport.call("DELETE", f"/v1/jobs/{job_id}", tries=1)
        if view and view["state"] not in ("succeeded", "failed", "cancelled"):
            await transport.request("GET", f"/v1/jobs/{job_id}", params={"wait": _WAIT}, tries=1)
        await transport.request("DELETE", f"/v1/jobs/{job_id}", params={"remove": "true"}, tries=1)
