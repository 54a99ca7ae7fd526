from __future__ import annotations

import dataclasses
import itertools
from collections import namedtuple
from typing import Any

import pytest
from fake_cluster import FakeCluster

import millstream as ms

Point = namedtuple("Point", "x y")


@dataclasses.dataclass(frozen=True)
class Settings:
    low: Any
    high: Any


@ms.delayed
def inc(x: int) -> int:
    return x + 1


@ms.delayed(pure=True)
def add(a: int, b: int) -> int:
    return a + b


@pytest.mark.usefixtures("client")
class TestComputing:
    def test_calls_operators_items_and_attributes(self) -> None:
        x = ms.delayed({"a": [1, 2, 3], "c": 4 + 2j})
        total = x["a"][1] * 10 + add(1, 2) - 3
        assert total.compute() == 20
        assert x["c"].real.compute() == 4.0
        assert (2 ** add(1, 2)).compute() == 8
        assert (-add(1, 2)).compute() == -3
        assert (add(1, 2) > 2).compute() is True
        assert divmod(add(3, 4), 2).compute() == (3, 1)

    def test_methods_are_called(self) -> None:
        text = ms.delayed("a,b")
        assert text.split(",").compute() == ["a", "b"]
        assert text.upper().replace("A", "x").compute() == "x,B"

    def test_delayed_values_are_found_in_containers(self) -> None:
        one, two = inc(0), inc(1)
        assert ms.delayed([one, {"x": (two, {one})}]).compute() == [1, {"x": (2, {1})}]
        assert ms.delayed(Settings)(one, high=two).compute() == Settings(1, 2)
        assert ms.compute(Settings(one, [two]), Point(one, 5), {one: two}) == (Settings(1, [2]), Point(1, 5), {1: 2})

    def test_what_is_not_lazy_comes_back_as_it_is(self) -> None:
        assert ms.compute(1, [2], "x") == (1, [2], "x")
        assert ms.compute([inc(1)], traverse=False)[0][0].compute() == 2

    def test_shared_parts_are_made_once(self, fake: FakeCluster) -> None:
        with ms.Client(fake.url, token=fake.token):
            shared = inc(1)
            assert ms.compute(add(shared, 1), add(shared, 2), shared) == (3, 4, 2)
        (job,) = fake.jobs.values()
        assert len(job.tasks) == 3

    def test_values_are_searched_unless_told_otherwise(self) -> None:
        assert ms.delayed([inc(1), 5]).compute() == [2, 5]
        assert ms.delayed([4, 5], traverse=False).compute() == [4, 5]
        with pytest.raises(TypeError, match="a delayed value can be an argument of tasks"):
            ms.delayed([inc(1), 5], traverse=False).compute()

    def test_several_results_are_unpacked(self) -> None:
        pair = ms.delayed(lambda: (1, 2), nout=2)()
        first, second = pair
        assert len(pair) == 2
        assert ms.compute(first, second) == (1, 2)

    def test_persisted_values_are_used_again(self) -> None:
        (kept,) = ms.persist(add(1, 2))
        assert add(kept, 1).compute() == 4
        assert kept.persist().compute() == 3

    def test_futures_are_arguments(self, client: ms.Client) -> None:
        assert add(client.submit(pow, 2, 3), 1).compute() == 9

    def test_exceptions_come_from_the_right_step(self) -> None:
        broken = inc(inc(ms.delayed(lambda: 1 / 0)()))
        with pytest.raises(ZeroDivisionError):
            broken.compute()

    def test_methods_can_be_delayed(self) -> None:
        class Counter:
            step = 3

            @ms.delayed
            def count(self, x: int) -> int:
                return x + self.step

        assert Counter().count(1).compute() == 4

    def test_long_chains_and_wide_graphs_do_not_recurse(self) -> None:
        value = inc(0)
        for _ in range(2000):
            value = inc(value)
        assert value.compute() == 2001
        assert ms.delayed(sum)([inc(number) for number in range(300)]).compute() == sum(range(1, 301))

    def test_client_compute_and_persist_give_futures(self, client: ms.Client) -> None:
        future = client.compute(add(1, 2))
        assert future.result(30) == 3
        assert client.gather(client.compute([add(1, 1), add(2, 2)])) == [2, 4]
        assert client.compute(add(1, 2), sync=True) == 3
        assert client.persist([add(1, 2)])[0].compute() == 3


def computed_graph(fake: FakeCluster, value: Any) -> Any:
    with ms.Client(fake.url, token=fake.token) as client:
        ms.compute(value, client=client)
    (job,) = fake.jobs.values()
    return job


def test_linear_chains_become_one_task(fake: FakeCluster) -> None:
    job = computed_graph(fake, inc(inc(inc(add(1, 2)))))
    assert len(job.tasks) == 1
    assert job.ops[0][1].count("|") == 3


def test_annotations_keep_steps_apart(fake: FakeCluster) -> None:
    with ms.annotate(retries=2):
        middle = inc(1)
    job = computed_graph(fake, inc(inc(middle)))
    assert len(job.tasks) == 2
    assert sorted(job.task_options[option][1] for _, option, _, _ in job.tasks) == [0, 2]


def test_fused_failures_name_their_step(fake: FakeCluster) -> None:
    with ms.Client(fake.url, token=fake.token), pytest.raises(TypeError) as caught:
        inc(inc(ms.delayed(str)(1))).compute()
    assert any("in step 2 of 3 of a fused chain" in note for note in caught.value.__notes__)


def test_names_are_kept(fake: FakeCluster) -> None:
    assert ms.delayed(len, name="length")("abc").key.startswith("length-")
    assert ms.delayed(len)("abc", dask_key_name="mine").key == "mine"
    assert ms.delayed([1], name="data").key == "data"


def test_options_come_from_calls_blocks_and_functions() -> None:
    with ms.annotate(retries=1, priority=2):
        value = ms.delayed(len, priority=3)("abc")
    assert (value.options.retries, value.options.priority) == (1, 3)
    assert ms.delayed(len).with_options(timeout=5)("abc").options.timeout == 5


def test_mistakes_are_explained() -> None:
    value = inc(1)
    with pytest.raises(TypeError, match="not known before it is computed"):
        bool(value)
    with pytest.raises(TypeError, match="nout"):
        list(value)
    with pytest.raises(ValueError, match="nout is a number of results, got -1"):
        ms.delayed(divmod, nout=-1)
    with pytest.raises(TypeError, match="immutable"):
        value.name = 3
    with pytest.raises(TypeError, match="immutable"):
        value["a"] = 3


def test_graphs_are_drawn_as_png(tmp_path: Any) -> None:
    pytest.importorskip("igraph")
    image = pytest.importorskip("PIL.Image")
    shared = inc(1)
    add(shared, inc(shared)).visualize(str(tmp_path / "graph.png"))
    with image.open(tmp_path / "graph.png") as picture:
        assert picture.format == "PNG"
        # Frames of three boxes, in three rows.
        rows = [
            y
            for y in range(picture.height)
            if (21, 101, 192) in {picture.getpixel((x, y)) for x in range(picture.width)}
        ]
    gaps = sum(1 for above, below in itertools.pairwise(rows) if below - above > 20)
    assert gaps == 2
    with pytest.raises(ValueError, match="SVG or PNG only"):
        shared.visualize(None, format="pdf", engine="igraph")


def test_graphs_are_drawn(tmp_path: Any) -> None:
    pytest.importorskip("igraph")
    shared = inc(1)
    picture = add(shared, inc(shared)).visualize(str(tmp_path / "graph.svg"))
    assert (tmp_path / "graph.svg").read_text() == picture.svg
    assert picture.svg.count("<rect") == 3
    assert picture.svg.count("marker-end") == 3
