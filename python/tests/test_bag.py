"""Bags, compared with what plain Python gives."""

from __future__ import annotations

import bz2
import gzip
import itertools
import lzma
import operator
import random
import statistics
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import millstream as ms
import millstream.bag as mb
from millstream.bag._partitions import stable_hash

pytestmark = pytest.mark.usefixtures("client")

_source = random.Random(7)
NUMBERS = [_source.randrange(100) for _ in range(97)]
WORDS = ["to", "be", "or", "not", "to", "be", "that", "is"]


@pytest.fixture
def numbers() -> mb.Bag:
    return mb.from_sequence(NUMBERS, npartitions=5)


@pytest.fixture
def words() -> mb.Bag:
    return mb.from_sequence(WORDS, npartitions=3)


def test_items_come_in_order(numbers: mb.Bag) -> None:
    assert numbers.compute() == NUMBERS
    assert list(numbers) == NUMBERS
    assert numbers.npartitions == 5


@pytest.mark.parametrize(("count", "partitions"), [(10, 3), (10, 10), (3, 10), (0, 2), (1, 1)])
def test_range(count: int, partitions: int) -> None:
    assert mb.range(count, partitions).compute() == list(range(count))


def test_partitions_of_a_sequence() -> None:
    assert mb.from_sequence(range(1000)).npartitions == 100
    assert mb.from_sequence(range(3)).npartitions == 3
    assert mb.from_sequence([]).compute() == []
    assert mb.from_sequence(range(10), partition_size=4).npartitions == 3


def test_item_wise_methods(numbers: mb.Bag) -> None:
    assert numbers.map(lambda x: x * 2).compute() == [x * 2 for x in NUMBERS]
    assert numbers.filter(lambda x: x % 2).compute() == [x for x in NUMBERS if x % 2]
    assert numbers.remove(lambda x: x % 2).compute() == [x for x in NUMBERS if not x % 2]
    assert numbers.map(lambda x: [x, x]).flatten().compute() == [x for x in NUMBERS for _ in range(2)]
    assert numbers.map(lambda x: (x, 2)).starmap(pow).compute() == [x**2 for x in NUMBERS]
    assert numbers.map(lambda x: (x,)).starmap(lambda x, plus: x + plus, plus=3).compute() == [x + 3 for x in NUMBERS]


def test_map_takes_bags_items_and_values(numbers: mb.Bag) -> None:
    top = numbers.max()
    assert numbers.map(lambda x, y, m: (x - y) + m, numbers, top).compute() == [max(NUMBERS)] * len(NUMBERS)
    assert numbers.map(lambda x, y=0, k=1: x + y * k, y=numbers, k=2).compute() == [3 * x for x in NUMBERS]
    with pytest.raises(ValueError, match="repartition"):
        numbers.map(operator.add, mb.range(97, 2))


def test_map_partitions(numbers: mb.Bag) -> None:
    sums = numbers.map_partitions(lambda part, other, k: [sum(part) + sum(other) + k], numbers, k=1).compute()
    assert sum(sums) == 2 * sum(NUMBERS) + 5


def test_pluck_and_unzip() -> None:
    rows = mb.from_sequence([{"a": 1, "b": [7, 8]}, {"a": 2, "b": [9]}], npartitions=2)
    assert rows.pluck("a").compute() == [1, 2]
    assert rows.pluck("b").pluck(1, None).compute() == [8, None]
    assert rows.pluck(["a", "z"], 0).compute() == [(1, 0), (2, 0)]
    left, right = mb.from_sequence([(1, "x"), (2, "y")], npartitions=2).unzip(2)
    assert (left.compute(), right.compute()) == ([1, 2], ["x", "y"])


@pytest.mark.parametrize("split_every", [None, 2, 3, False])
def test_reductions(numbers: mb.Bag, split_every: Any) -> None:
    computed = ms.compute(
        numbers.sum(split_every=split_every),
        numbers.min(split_every),
        numbers.max(split_every),
        numbers.count(split_every),
        numbers.any(split_every),
        numbers.all(split_every),
    )
    assert computed == (sum(NUMBERS), min(NUMBERS), max(NUMBERS), 97, any(NUMBERS), all(NUMBERS))


def test_statistics(numbers: mb.Bag) -> None:
    assert numbers.mean().compute() == pytest.approx(statistics.fmean(NUMBERS))
    assert numbers.var(ddof=1).compute() == pytest.approx(statistics.variance(NUMBERS))
    assert numbers.std().compute() == pytest.approx(statistics.pstdev(NUMBERS))


def test_variance_does_not_cancel() -> None:
    shifted = [1e9 + x for x in (4.0, 7.0, 13.0, 16.0)]
    assert mb.from_sequence(shifted, npartitions=2).var().compute() == pytest.approx(22.5)


def test_empty_partitions_do_not_matter(numbers: mb.Bag) -> None:
    few = numbers.filter(lambda x: x > 90)
    assert few.max().compute() == max(NUMBERS)
    assert few.fold(operator.add).compute() == sum(x for x in NUMBERS if x > 90)
    with pytest.raises(TypeError, match="empty"):
        numbers.filter(lambda x: False).max().compute()


def test_fold_and_foldby(numbers: mb.Bag) -> None:
    assert numbers.fold(operator.add).compute() == sum(NUMBERS)
    assert numbers.fold(lambda acc, x: acc | {x}, set.union, initial=set()).compute() == set(NUMBERS)
    folded = dict(numbers.foldby(lambda x: x % 3, operator.add, 0, operator.add, 0))
    assert folded == {key: sum(x for x in NUMBERS if x % 3 == key) for key in range(3)}
    rows = mb.from_sequence([{"k": "a", "v": 1}, {"k": "b", "v": 2}, {"k": "a", "v": 3}], npartitions=2)
    assert dict(rows.foldby("k", lambda total, row: total + row["v"], 0, operator.add)) == {"a": 4, "b": 2}


def test_initial_values_are_not_shared() -> None:
    def append(found: list[int], x: int) -> list[int]:
        found.append(x)
        return found

    folded = mb.range(6, 1).foldby(lambda x: x % 2, append, [], operator.add)
    assert dict(folded) == {0: [0, 2, 4], 1: [1, 3, 5]}


def test_frequencies_topk_and_distinct(words: mb.Bag, numbers: mb.Bag) -> None:
    assert dict(words.frequencies()) == Counter(WORDS)
    counts = [count for _, count in words.frequencies(sort=True)]
    assert counts == sorted(counts, reverse=True)
    assert numbers.topk(5).compute() == sorted(NUMBERS, reverse=True)[:5]
    assert numbers.topk(3, key=lambda x: -x).compute() == sorted(NUMBERS)[:3]
    assert sorted(numbers.distinct()) == sorted(set(NUMBERS))
    assert sorted(words.distinct(key=len)) == ["not", "that", "to"]


@pytest.mark.parametrize("npartitions", [None, 1, 4])
def test_groupby(words: mb.Bag, npartitions: int | None) -> None:
    grouped = {key: sorted(items) for key, items in words.groupby(len, npartitions=npartitions)}
    assert grouped == {2: ["be", "be", "is", "or", "to", "to"], 3: ["not"], 4: ["that"]}


def test_an_unknown_way_to_group_is_refused() -> None:
    with pytest.raises(ValueError, match="shuffle is 'tasks' or 'disk', got 'p2p'"):
        mb.range(4, 2).groupby(lambda x: x % 2, shuffle="p2p")


def test_groupby_treats_equal_keys_of_other_types_as_equal() -> None:
    mixed = mb.from_sequence([1, 1.0, True, 2, "a", "b", "a", (1, "x"), (1.0, "x"), None, b"z"], npartitions=4)
    grouped = {key: len(items) for key, items in mixed.groupby(lambda x: x, npartitions=3)}
    assert grouped == {1: 3, 2: 1, "a": 2, "b": 1, (1, "x"): 2, None: 1, b"z": 1}


def test_hashes_do_not_depend_on_the_process() -> None:
    assert stable_hash("a") == 0xE8B7BE43
    assert stable_hash((1, "a")) == stable_hash((1.0, "a"))
    assert stable_hash(frozenset("ab")) == stable_hash(frozenset("ba"))


def test_join_and_product(words: mb.Bag) -> None:
    expected = sorted((n, w) for w in WORDS for n in (2, 4) if len(w) == n)
    assert sorted(words.join([2, 4], len, lambda n: n)) == expected
    assert sorted(words.join(mb.from_sequence([2, 4], npartitions=1), len, lambda n: n)) == expected
    assert sorted(words.join(ms.delayed([2, 4]), len, lambda n: n)) == expected
    pairs = words.product(mb.range(2, 2)).compute()
    assert sorted(pairs) == sorted(itertools.product(WORDS, range(2)))


def test_accumulate(numbers: mb.Bag) -> None:
    assert numbers.accumulate(operator.add).compute() == list(itertools.accumulate(NUMBERS))
    assert numbers.accumulate(operator.add, 5).compute() == list(itertools.accumulate(NUMBERS, initial=5))
    few = numbers.filter(lambda x: x > 90)
    assert few.accumulate(operator.add).compute() == list(itertools.accumulate(x for x in NUMBERS if x > 90))


@pytest.mark.parametrize("count", [1, 2, 5, 7, 20])
def test_repartition_keeps_order(numbers: mb.Bag, count: int) -> None:
    changed = numbers.repartition(count)
    assert changed.npartitions == count
    assert changed.compute() == NUMBERS


def test_chains_are_fused_unless_that_is_unwanted(client: ms.Client) -> None:
    bag = mb.range(4, 2).map(lambda n: n + 1).map(lambda n: n * 2)
    assert bag.compute(optimize_graph=False) == bag.compute() == [2, 4, 6, 8]
    assert [part.compute() for part in bag.to_delayed(optimize_graph=False)] == [[2, 4], [6, 8]]
    (kept,) = ms.persist(bag, optimize_graph=False)
    assert kept.sum().compute() == 20


def test_repartition_by_size() -> None:
    sizeof = pytest.importorskip("dask.sizeof").sizeof
    items = [{"text": "x" * 1000, "n": [n, 2 * n]} for n in range(100)]
    bag = mb.from_sequence(items, npartitions=1).repartition(partition_size="10kB")
    assert bag.compute() == items
    assert bag.npartitions == pytest.approx(sizeof(items) / 10_000, rel=0.1)


def test_take(numbers: mb.Bag) -> None:
    assert numbers.take(3) == tuple(NUMBERS[:3])
    assert numbers.take(50, npartitions=-1) == tuple(NUMBERS[:50])
    assert numbers.take(3, compute=False).compute() == NUMBERS[:3]
    with pytest.warns(UserWarning, match="npartitions"):
        numbers.take(50)


def test_random_sample_is_reproducible(numbers: mb.Bag) -> None:
    one, two = numbers.random_sample(0.5, 42).compute(), numbers.random_sample(0.5, 42).compute()
    assert one == two
    assert 0 < len(one) < 97
    assert numbers.random_sample(1).compute() == NUMBERS


def test_string_methods(words: mb.Bag) -> None:
    assert words.str.upper().compute() == [word.upper() for word in WORDS]
    assert words.str.match("t*").compute() == ["to", "to", "that"]
    with pytest.raises(AttributeError):
        _ = words.str.nothing


def test_zip_concat_and_delayed(numbers: mb.Bag) -> None:
    assert mb.zip(numbers, numbers).compute() == [(x, x) for x in NUMBERS]
    assert mb.concat([numbers, mb.range(2, 1), [7]]).compute() == [*NUMBERS, 0, 1, 7]
    assert mb.from_delayed(numbers.to_delayed()).compute() == NUMBERS


def test_bags_are_arguments_and_persist(numbers: mb.Bag) -> None:
    assert ms.delayed(sum)(numbers).compute() == sum(NUMBERS)
    kept = numbers.persist()
    assert kept.map(lambda x: x + 1).compute() == [x + 1 for x in NUMBERS]
    assert numbers.sum().apply(lambda x: x + 1).compute() == sum(NUMBERS) + 1


def test_dataframes() -> None:
    pd = pytest.importorskip("pandas")
    rows = mb.from_sequence([{"x": 1, "y": "a"}, {"x": 2, "y": "b"}, {"x": 3, "y": "c"}], npartitions=2)
    frame = rows.to_dataframe().compute()
    pd.testing.assert_frame_equal(frame, pd.DataFrame({"x": [1, 2, 3], "y": ["a", "b", "c"]}))
    typed = mb.from_sequence([(1, 2)], npartitions=1).to_dataframe(meta={"a": "float64", "b": "int32"}).compute()
    assert [str(kind) for kind in typed.dtypes] == ["float64", "int32"]


TEXT = "first\nzweite Zeile äöü\n\nlast without end"


@pytest.mark.parametrize(
    ("suffix", "compress"),
    [("", lambda b: b), (".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "latin-1"])
def test_text_is_read(tmp_path: Path, suffix: str, compress: Any, encoding: str) -> None:
    for number in range(3):
        (tmp_path / f"{number}.txt{suffix}").write_bytes(compress(TEXT.encode(encoding)))
    bag = mb.read_text(str(tmp_path / f"*.txt{suffix}"), encoding=encoding)
    assert bag.npartitions == 3
    assert bag.compute() == TEXT.splitlines(keepends=True) * 3
    assert mb.read_text(str(tmp_path / f"*.txt{suffix}"), encoding=encoding, files_per_partition=2).npartitions == 2


@pytest.mark.parametrize("blocksize", [1, 2, 3, 5, 7, 10, 16, 40, 1000])
@pytest.mark.parametrize("delimiter", [None, "\n", "\r\n", "||"])
def test_blocks_cut_no_line(tmp_path: Path, blocksize: int, delimiter: str | None) -> None:
    ending = delimiter or "\n"
    lines = [f"{'x' * (number % 5)}{number}{ending}" for number in range(12)] + ["rest"]
    path = tmp_path / "lines.txt"
    path.write_bytes("".join(lines).encode())
    assert mb.read_text(path, blocksize=blocksize, linedelimiter=delimiter).compute() == lines


def test_paths_are_included(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("1\n2\n")
    assert mb.read_text(tmp_path / "a.txt", include_path=True).compute() == [
        ("1\n", str(tmp_path / "a.txt")),
        ("2\n", str(tmp_path / "a.txt")),
    ]


def test_missing_and_compressed_files_are_explained(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        mb.read_text(str(tmp_path / "*.txt"))
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"x"))
    with pytest.raises(ValueError, match="compressed"):
        mb.read_text(tmp_path / "a.gz", blocksize=10)


@pytest.mark.parametrize("suffix", ["txt", "txt.gz", "txt.bz2", "txt.xz"])
def test_text_is_written_and_read_again(tmp_path: Path, words: mb.Bag, suffix: str) -> None:
    paths = words.to_textfiles(str(tmp_path / f"*.{suffix}"))
    assert [Path(path).name for path in paths] == [f"{number}.{suffix}" for number in range(3)]
    assert [line.rstrip("\n") for line in mb.read_text(paths).compute()] == WORDS
    assert not list(tmp_path.glob("*.tmp"))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "latin-1"])
def test_written_files_have_one_encoding(tmp_path: Path, encoding: str) -> None:
    (path,) = mb.from_sequence(["é", "ü", "z"], npartitions=1).to_textfiles(str(tmp_path / "*.txt"), encoding=encoding)
    assert Path(path).read_bytes() == "é\nü\nz".encode(encoding)


def test_names_of_written_files(tmp_path: Path, words: mb.Bag) -> None:
    named = words.to_textfiles(str(tmp_path / "part-*.txt"), name_function=lambda n: "abc"[n], last_endline=True)
    assert [Path(path).name for path in named] == ["part-a.txt", "part-b.txt", "part-c.txt"]
    assert Path(named[0]).read_text().endswith("\n")
    writes = words.to_textfiles(str(tmp_path / "lazy"), compute=False)
    assert not (tmp_path / "lazy").exists()
    ms.compute(*writes)
    assert len(list((tmp_path / "lazy").iterdir())) == 3


def test_the_api_is_dasks() -> None:
    db = pytest.importorskip("dask.bag")
    # What a Bag is made of in Dask, not what it does.
    inner = {"dask", "name"}
    theirs = {name for name in dir(db.Bag) if not name.startswith("_")} - inner
    assert theirs <= set(dir(mb.Bag))
    functions = {name for name in dir(db) if not name.startswith("_") and callable(getattr(db, name))}
    assert functions - {"assert_eq"} <= set(mb.__all__)
