"""The graph encoder against the protocol's golden files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgpack
import pytest

from millstream._options import Backoff, TaskOptions
from millstream._wire import Dep, GraphEncoder, OpSpec, TaskRange
from millstream._wire.columns import pack, pack_rows, unpack, unpack_rows

GOLDEN = Path(__file__).resolve().parents[2] / "crates" / "protocol" / "tests" / "golden"


def golden(name: str) -> Any:
    return msgpack.unpackb(bytes.fromhex((GOLDEN / f"{name}.hex").read_text()), strict_map_key=False)


def sample_graph() -> GraphEncoder:
    """The graph of `samples::graph()` in the protocol crate's tests."""
    graph = GraphEncoder()
    native = graph.op(OpSpec("native", "demo:add", determinate=True))
    command = graph.op(OpSpec("command", "command"))
    plain = graph.options(TaskOptions())
    special = graph.options(
        TaskOptions(
            resources={"cpu": 1, "gpu": 0.5},
            retries=3,
            backoff=Backoff(0.01, 1.5, 1.0),
            timeout=59.999,
            priority=-1,
            workers=["alpha"],
            rerun="never",
        )
    )
    a = graph.task(command, plain, b"argv", [], "a")
    b = graph.task(native, special, b"", [Dep(a), Dep(a, 1)], "b")
    mapped = graph.blockwise(100, native, plain, [b])
    graph.number_keys(mapped, "part")
    tree = graph.tree_reduce(mapped, 8, native, plain)
    shuffle = graph.all_to_all(mapped, 4, native, plain)
    graph.want(tree.last)
    graph.want(shuffle.first)
    return graph


def without_options(graph: list[Any]) -> list[Any]:
    return [part for number, part in enumerate(graph) if number != 1]


def test_the_sample_graph_is_encoded_like_the_protocols() -> None:
    ours = msgpack.unpackb(sample_graph().encode(), strict_map_key=False)
    assert without_options(ours) == without_options(golden("graph"))


def test_options_stand_in_the_protocols_order() -> None:
    plain, special = golden("graph")[1]
    assert TaskOptions().encoded() == plain
    resources, retries, backoff, timeout_ms, priority, workers, rerun = special
    ours = TaskOptions(
        resources=resources,
        retries=retries,
        backoff=Backoff(backoff[0] / 1000, backoff[1], backoff[2] / 1000),
        timeout=timeout_ms / 1000,
        priority=priority,
        workers=workers,
        rerun=rerun,
    )
    assert ours.encoded() == special


def test_symbolic_layers_are_as_long_as_the_protocols() -> None:
    graph = GraphEncoder()
    assert graph.tree_reduce(TaskRange(0, 10), 4, 0, 0).count == 4
    assert graph.tree_reduce(TaskRange(0, 1), 2, 0, 0).count == 1
    assert graph.tree_reduce(TaskRange(0, 0), 2, 0, 0).count == 0


@pytest.mark.parametrize("width", [2, 4, 8])
@pytest.mark.parametrize(
    "values",
    [[], [7], [1, 2], list(range(100)), list(range(90, 0, -3)), [5] * 50, [3, 1, 4, 1, 5, 9, 2, 6], range(10)],
)
def test_any_column_survives(values: list[int], width: int) -> None:
    assert unpack(pack(values, width), width) == list(values)


def test_sequences_and_constants_are_small() -> None:
    assert len(pack(range(1_000_000), 4)) == 21
    assert len(pack([9] * 1000, 4)) == 21


def test_bit_packed_columns_are_read() -> None:
    # Written by the protocol's packing.rs: 8 values of 2 bits above 1000.
    values = [1000, 1002, 1001, 1000, 1003, 1002, 1000, 1001]
    bits = sum((value - 1000) << (2 * number) for number, value in enumerate(values))
    packed = bytes([2]) + (8).to_bytes(4, "little") + (1000).to_bytes(8, "little") + bytes([2])
    assert unpack(packed + bits.to_bytes(2, "little"), 4) == values
    # Values that no byte ends with.
    values = [(7919 * i) % 8191 for i in range(1003)]
    bits = sum(value << (13 * i) for i, value in enumerate(values))
    packed = bytes([2]) + (1003).to_bytes(4, "little") + (5).to_bytes(8, "little") + bytes([13])
    assert unpack(packed + bits.to_bytes((1003 * 13 + 7) // 8, "little"), 4) == [5 + value for value in values]


def test_rows_survive() -> None:
    rows = [b"", b"one", b"", b"three"]
    assert unpack_rows(pack_rows(rows)) == rows
    assert unpack_rows(pack_rows([b"", b""])) == []
    offsets, content = pack_rows(rows)
    assert unpack_rows({"offsets": offsets, "bytes": content}) == rows


def test_equal_operations_and_options_are_shared() -> None:
    graph = GraphEncoder()
    assert graph.op(OpSpec("native", "a")) == graph.op(OpSpec("native", "a"))
    assert graph.options(TaskOptions(retries=1)) == graph.options(TaskOptions(retries=1))
    assert graph.options(TaskOptions()) != graph.options(TaskOptions(retries=1))


def test_a_million_equal_tasks_are_small() -> None:
    graph = GraphEncoder()
    op, plain = graph.op(OpSpec("native", "bench:noop")), graph.options(TaskOptions())
    graph.blockwise(1_000_000, op, plain)
    assert len(graph.encode()) < 200
