"""What is sent for frames: nothing that the result does not need. No cluster is asked."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest

pd = pytest.importorskip("pandas")
pytest.importorskip("pyarrow")

from millstream.dataframe import _query, _tree, from_pandas  # noqa: E402
from millstream.dataframe._query import TreeQuery  # noqa: E402

TABLE = pd.DataFrame({"key": ["a", "b"], "n": [1, 2], "x": [0.5, None]})


def sent(part: Any) -> list[dict[str, Any]]:
    """The nodes of the request for a result."""
    request = msgpack.unpackb(TreeQuery(part._root()).body())
    nodes: list[dict[str, Any]] = request["tree"]["nodes"]
    assert request["tree"]["version"] == 1
    return nodes


def ops(part: Any) -> list[str]:
    return [node["op"] for node in sent(part)]


def test_rows_are_numbered_only_where_the_number_is_read() -> None:
    frame = from_pandas(TABLE)
    assert ops(frame[frame.n > 1]) == ["table", "filter", "project"]
    assert ops(frame.n.cumsum()) == ["table", "number", "project", "sort", "project"]
    assert ops(frame.sort_values("n").n.sum()) == ["table", "aggregate", "project"]


def test_only_columns_that_are_read_are_computed() -> None:
    frame = from_pandas(TABLE).assign(more=lambda t: t.n * 2, other=lambda t: t.x.shift(1))
    *_, last = sent(frame[["more"]])
    assert [name for name, _ in last["columns"]] == ["more"]
    assert "window" not in str(sent(frame[["more"]]))


def test_what_is_used_twice_is_sent_once() -> None:
    frame = from_pandas(TABLE)
    some = frame[frame.n > 1]
    assert ops(some.merge(some, on="key")).count("filter") == 1
    assert ops(some.x - some.x.mean()).count("table") == 1


def test_nodes_refer_to_earlier_ones() -> None:
    frame = from_pandas(TABLE)
    result = frame.merge(frame.groupby("key").n.sum().reset_index(), on="key").sort_values("n_x")
    for place, node in enumerate(sent(result)):
        inputs = [node.get(name) for name in ("input", "left", "right")] + node.get("inputs", [])
        assert all(other < place for other in inputs if other is not None)


def test_statements_are_sent_as_statements() -> None:
    statement = _tree.sql("SELECT 1 AS n", [], {}, ["n"])
    assert msgpack.unpackb(TreeQuery(statement).body()) == {"query": "SELECT 1 AS n", "tables": {}, "params": []}
    first = msgpack.unpackb(TreeQuery(_tree.limit(statement, 0, 3)).body())
    assert " ".join(first["query"].split()) == "SELECT * FROM ( SELECT 1 AS n ) AS rows LIMIT 3 OFFSET 0"
    counted = _tree.aggregate(statement, [], [("rows", _query.COUNT)])
    assert "count(*)" in msgpack.unpackb(TreeQuery(counted).body())["query"]
    filtered = _tree.filtered(statement, {"call": "gt", "args": [{"col": "n"}, {"lit": 0}]})
    assert "tree" in msgpack.unpackb(TreeQuery(filtered).body())


def test_plans_are_asked_for_in_either_form() -> None:
    statement = _tree.sql("SELECT 1 AS n", [], {}, ["n"])
    assert msgpack.unpackb(TreeQuery(statement, explain=True).body())["query"] == "EXPLAIN SELECT 1 AS n"
    tree = msgpack.unpackb(TreeQuery(from_pandas(TABLE)._root(), explain=True).body())
    assert tree["options"] == {"explain": True}
