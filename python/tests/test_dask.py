"""Dask's collections on a Millstream cluster, compared with Dask's own synchronous scheduler."""

from __future__ import annotations

import pickle
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_cluster import FakeCluster

import millstream as ms

dask = pytest.importorskip("dask")
np = pytest.importorskip("numpy")
pd = pytest.importorskip("pandas")

import dask.array as da  # noqa: E402
import dask.bag as db  # noqa: E402
import dask.dataframe as dd  # noqa: E402
from dask.callbacks import Callback  # noqa: E402
from dask.utils_test import GetFunctionTestMixin  # noqa: E402

import millstream.dask as door  # noqa: E402


@pytest.fixture
def scheduler(client: ms.Client) -> Iterator[door.Scheduler]:
    with door.scheduler(client) as scheduler:
        yield scheduler


@pytest.mark.timeout(300)
class TestGet(GetFunctionTestMixin):  # type: ignore[misc]
    """Dask's own expectations of a scheduler."""

    @pytest.fixture(autouse=True)
    def _get(self, scheduler: door.Scheduler) -> None:
        self.get = scheduler.get


def test_arrays(scheduler: door.Scheduler) -> None:
    x = da.random.default_rng(0).random((60, 60), chunks=20)
    y = (x @ x.T).sum(axis=0) + x.mean()
    expected = y.compute(scheduler="sync")
    np.testing.assert_allclose(y.compute(), expected)
    assert scheduler.calls == 1


def test_data_frames(scheduler: door.Scheduler) -> None:
    frame = pd.DataFrame({"a": [1, 2, 3, 4] * 25, "b": range(100)})
    lazy = dd.from_pandas(frame, npartitions=4)
    pd.testing.assert_series_equal(lazy.groupby("a").b.sum().compute().sort_index(), frame.groupby("a").b.sum())
    merged = lazy.merge(lazy, on="a", suffixes=("", "_r")).compute()
    assert len(merged) == len(frame.merge(frame, on="a"))
    assert scheduler.calls == 2


class Counter:
    """Counts in a file how many blocks were stored, which goes wrong if two do so at once."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __setitem__(self, key: object, block: object) -> None:
        count = int(self.path.read_text())
        time.sleep(0.01)
        self.path.write_text(str(count + 1))


def test_blocks_are_stored_one_after_the_other(scheduler: door.Scheduler, tmp_path: Path) -> None:
    path = tmp_path / "count"
    path.write_text("0")
    da.store(da.ones(12, chunks=1), Counter(path), lock=True)
    assert path.read_text() == "12"
    assert isinstance(dask.utils.get_scheduler_lock(), ms.Lock)
    assert not isinstance(dask.utils.get_scheduler_lock(scheduler="sync"), ms.Lock)


def test_netcdf_files_are_reduced_as_without_chunks(scheduler: door.Scheduler, tmp_path: Path) -> None:
    xr = pytest.importorskip("xarray")
    pytest.importorskip("scipy")
    times, places = pd.date_range("2024-01-01", periods=48, freq="D"), np.arange(30)
    values = np.random.default_rng(7).normal(15, 8, (48, 30))
    path = tmp_path / "temperatures.nc"
    xr.Dataset({"temperature": (("time", "place"), values)}, coords={"time": times, "place": places}).to_netcdf(
        path, engine="scipy"
    )
    with xr.open_dataset(path, engine="scipy", chunks={"time": 7, "place": 11}) as chunked:
        assert chunked.chunks["time"] == (7, 7, 7, 7, 7, 7, 6)
        monthly = chunked.groupby("time.month").mean().compute()
        spread = chunked.temperature.std("time").compute()
    with xr.open_dataset(path, engine="scipy") as whole:
        xr.testing.assert_allclose(monthly, whole.groupby("time.month").mean())
        xr.testing.assert_allclose(spread, whole.temperature.std("time"))
    assert scheduler.calls == 2


def test_persisted_chunks_are_futures_that_can_be_waited_for(scheduler: door.Scheduler) -> None:
    kept = (da.arange(6, chunks=3) + 1).persist()
    chunk = kept.dask[(kept.name, 1)]
    assert chunk.result(30).tolist() == [4, 5, 6]
    assert chunk.done()
    assert chunk.status == "finished"
    frame = dd.from_pandas(pd.DataFrame({"a": [1, 2, 3]}), npartitions=2).persist()
    # Its name is a digest of what it is made of, futures among it.
    assert (frame.a * 2)._name == (frame.a * 2)._name


def test_bags_and_delayed(scheduler: door.Scheduler) -> None:
    assert sorted(db.from_sequence(range(10)).map(lambda x: x % 3).frequencies().compute()) == [(0, 4), (1, 3), (2, 3)]
    assert dask.delayed(sum)([dask.delayed(int)("1"), 2]).compute() == 3
    assert dask.compute([dask.delayed(1), {"a": dask.delayed(2)}])[0] == [1, {"a": 2}]


def test_persisted_collections_stay_on_the_cluster(scheduler: door.Scheduler) -> None:
    x = da.arange(100, chunks=10).persist()
    keys = [value for value in x.__dask_graph__().values() if isinstance(value, door.DaskFuture)]
    assert len(keys) == 10
    assert all(value.__dask_future__ for value in keys)
    assert int((x + 1).sum().compute()) == 5050
    frame = dd.from_pandas(pd.DataFrame({"a": range(10)}), npartitions=2).persist()
    assert frame.a.sum().compute() == 45
    assert dask.delayed(int)("4").persist().compute() == 4


def test_clients_take_dasks_collections(client: ms.Client) -> None:
    total, own, delayed = da.ones(4, chunks=2).sum(), ms.delayed(abs)(-1), dask.delayed(len)("ab")
    assert client.compute(total).result() == 4
    assert client.gather(client.compute([total, own, delayed], retries=2)) == [4, 1, 2]
    assert client.compute([own, total, 7], sync=True, optimize_graph=False) == [1, 4, 7]
    kept, kept_own = client.persist([da.ones(4, chunks=2), own])
    assert (kept + 1).sum().compute(scheduler=client) == 8
    assert kept_own.compute() == 1
    with dask.config.set(scheduler=client):
        assert dask.compute(total, kept.persist().max()) == (4, 1)


def test_options_of_a_computation_reach_dasks_tasks(fake: FakeCluster, fake_client: ms.Client) -> None:
    assert fake_client.compute(da.ones(4, chunks=2).sum(), retries=3, priority=7).result() == 4
    (job,) = fake.jobs.values()
    assert {(job.task_options[task[1]][1], job.task_options[task[1]][4]) for task in job.tasks} == {(3, 7)}


def test_persist_alone(client: ms.Client) -> None:
    (x,) = door.persist(da.ones(10, chunks=5), client=client)
    assert float(door.get(x.sum().__dask_graph__(), x.sum().__dask_keys__())[0]) == 10.0


def test_persisted_collections_can_be_pickled(scheduler: door.Scheduler) -> None:
    frame = dd.from_pandas(pd.DataFrame({"a": range(10)}), npartitions=2).persist()
    again = pickle.loads(pickle.dumps(frame))
    assert again._name == frame._name
    del frame
    assert again.a.sum().compute() == 45


def test_another_client_opens_what_was_pickled(client: ms.Client, gateway: tuple[str, str]) -> None:
    with door.scheduler(client):
        kept = da.arange(6, chunks=3).persist()
    url, token = gateway
    code = (
        "import pickle, sys, millstream as ms, millstream.dask as door\n"
        f"door.enable(ms.Client({url!r}, token={token!r}))\n"
        "print(int(pickle.load(sys.stdin.buffer).sum().compute()))"
    )
    command = [sys.executable, "-c", code]
    other = subprocess.run(command, input=pickle.dumps(kept), capture_output=True, check=False)
    assert other.stdout.split() == [b"15"], other.stderr.decode()


def test_original_exceptions(scheduler: door.Scheduler) -> None:
    with pytest.raises(ZeroDivisionError):
        dask.delayed(lambda: 1 / 0)().compute()


def test_annotations_reach_the_cluster(fake: FakeCluster, fake_client: ms.Client) -> None:
    with dask.annotate(retries=3, priority=7, resources={"GPU": 1}):
        value = dask.delayed(int)("3")
    with door.scheduler(fake_client):
        assert value.compute(optimize_graph=False) == 3
    (job,) = fake.jobs.values()
    resources, retries, _, _, priority, *_ = job.task_options[job.tasks[-1][1]]
    assert (resources, retries, priority) == ({"gpu": 1}, 3, 7)


@pytest.mark.parametrize("is_persisted", [False, True])
def test_annotations_survive_dasks_fusion(fake: FakeCluster, fake_client: ms.Client, is_persisted: bool) -> None:
    with dask.annotate(retries=3):
        annotated = da.ones(4, chunks=2) + 1
    with door.scheduler(fake_client):
        (total,) = dask.persist(annotated.sum()) if is_persisted else (annotated.sum(),)
        assert total.compute() == 8
    assert 3 in {options[1] for job in fake.jobs.values() for options in job.task_options}


def test_callbacks_see_every_task(scheduler: door.Scheduler) -> None:
    started, before, after, finished = [], [], [], []
    callback = Callback(
        start=started.append,
        pretask=lambda key, dsk, state: before.append(key),
        posttask=lambda key, result, dsk, state, worker: after.append((key, result)),
        finish=lambda dsk, state, errored: finished.append(errored),
    )
    with callback:
        assert scheduler.get({"x": 1, "y": (abs, "x"), "z": (max, "x", "y")}, "z") == 1
    assert len(started) == 1
    assert before == ["y", "z"]
    assert after == [("y", 1), ("z", 1)]
    assert finished == [False]


def test_unknown_keywords_and_nested_keys(scheduler: door.Scheduler) -> None:
    graph = {"a": 1, ("b", 0): (abs, -2), ("b", 1): "a"}
    assert scheduler.get(graph, [["a", ("b", 0)], [[("b", 1)]]], num_workers=3, unknown=True) == ((1, 2), ((1,),))


def test_computing_while_a_graph_is_built(scheduler: door.Scheduler) -> None:
    x = da.from_array(np.array([3, 1, 2, 1]), chunks=2)
    unique = da.unique(x)
    unique.compute_chunk_sizes()
    assert (unique + 1).compute().tolist() == [2, 3, 4]


def test_settings_are_taken_back(client: ms.Client) -> None:
    before = dask.config.get("scheduler", None)
    door.enable(client)
    assert dask.config.get("dataframe.shuffle.method") == "tasks"
    door.disable()
    assert dask.config.get("scheduler", None) == before


def test_a_collection_that_is_persisted_twice_outlives_one_of_both(scheduler: door.Scheduler) -> None:
    x = da.arange(6, chunks=3) + 1
    first, second = x.persist(), x.persist()
    assert set(first.__dask_graph__()) == set(second.__dask_graph__())
    del second
    assert (first * 2).compute().tolist() == [2, 4, 6, 8, 10, 12]
