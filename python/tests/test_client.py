from __future__ import annotations

import asyncio
import gc
import threading
import time
import uuid
from concurrent.futures import as_completed as std_as_completed
from concurrent.futures import wait as std_wait
from functools import partial
from typing import Any

import numpy as np
import pytest
from fake_cluster import FakeCluster

import millstream as ms
from millstream._presence import Presence


def inc(x: int) -> int:
    return x + 1


def fail_with(error: Exception) -> None:
    raise error


class OwnError(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(f"code {code}")
        self.code = code

    def __reduce__(self) -> tuple[Any, ...]:
        return OwnError, (self.code,)


def until(condition: Any, timeout: float = 10.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        threading.Event().wait(0.01)


def test_a_call_gives_its_result(client: ms.Client) -> None:
    future = client.submit(lambda x, y=0: x - y, 10, y=3)
    assert future.result(30) == 7
    assert future.done()
    assert future.status == "finished"
    assert future.exception() is None


def test_futures_are_arguments_at_any_depth(client: ms.Client) -> None:
    one, two = client.submit(inc, 0), client.submit(inc, 1)
    nested = client.submit(lambda data, scale: (data["a"][0] + data["b"]) * scale, {"a": [one], "b": two}, scale=two)
    assert nested.result(30) == 6


def test_lazy_values_are_arguments_at_any_depth(client: ms.Client) -> None:
    three = ms.delayed(inc)(ms.delayed(inc)(1))
    assert client.submit(inc, three).result(30) == 4
    assert client.submit(sum, [three, {"x": three}["x"], client.submit(inc, 9)]).result(30) == 16
    assert client.gather(client.map(pow, [three, 2], [2, three])) == [9, 8]
    assert client.submit(sum, ms.bag.from_sequence([1, 2, 3], npartitions=2)).result(30) == 6


def test_a_lazy_argument_is_made_once_for_all_calls(client: ms.Client) -> None:
    made = ms.delayed(lambda: uuid.uuid4().hex)()
    assert len(set(client.gather(client.map(str, [made, made, made])))) == 1


def test_futures_of_finished_jobs_are_arguments(client: ms.Client) -> None:
    first = client.submit(inc, 1)
    assert first.result(30) == 2
    assert client.submit(inc, first).result(30) == 3


def test_futures_of_unfinished_jobs_are_arguments(client: ms.Client) -> None:
    slow = client.submit(lambda: time.sleep(0.3) or 5)
    client.session.flush()
    assert client.submit(inc, slow).result(30) == 6


def test_failures_of_other_jobs_reach_their_readers(client: ms.Client) -> None:
    failed = client.submit(fail_with, ValueError("first"))
    assert isinstance(failed.exception(30), ValueError)
    with pytest.raises(ValueError, match="first"):
        client.submit(inc, failed).result(30)


def test_map_takes_several_iterables_and_keeps_order(client: ms.Client) -> None:
    assert client.gather(client.map(pow, [2, 3, 4], [5, 2, 1])) == [32, 9, 4]
    assert client.map(inc, []) == []


def test_a_thousand_calls_come_back_in_order(client: ms.Client) -> None:
    assert client.gather(client.map(inc, range(1000))) == list(range(1, 1001))


def test_results_taken_one_by_one_are_not_a_request_each(fake: FakeCluster, fake_client: ms.Client) -> None:
    futures = fake_client.map(inc, range(1500))
    ms.wait(futures)
    assert [future.result() for future in futures] == list(range(1, 1501))
    asked = [request for request in fake.requests if "/results" in request]
    assert len(asked) < 10


def test_gather_keeps_the_shape(client: ms.Client) -> None:
    a, b = client.map(inc, [1, 2])
    assert client.gather({"x": [a, (b, 7)], "y": a}) == {"x": [2, (3, 7)], "y": 2}
    assert client.gather(iter([a, b])) == [2, 3]


def test_gather_has_nothing_for_failures_in_containers(client: ms.Client) -> None:
    good, bad = client.submit(inc, 1), client.submit(divmod, 1, 0)
    assert client.gather({"good": good, "bad": [bad]}, errors="skip") == {"good": 2, "bad": [None]}
    with pytest.raises(TypeError, match="futures of tasks are expected, got a Delayed"):
        client.gather([good, ms.delayed(inc)(1)])


def test_gather_can_skip_failures(client: ms.Client) -> None:
    futures = [client.submit(inc, 1), client.submit(fail_with, KeyError("x")), client.submit(inc, 2)]
    assert client.gather(futures, errors="skip") == [2, 3]


def test_exceptions_keep_their_type_and_tell_where(client: ms.Client) -> None:
    future = client.submit(fail_with, OwnError(7))
    with pytest.raises(OwnError, match="code 7") as caught:
        future.result(30)
    assert caught.value.code == 7
    assert "fail_with" in str(caught.value.__cause__)
    assert any(future.key in note for note in caught.value.__notes__)
    assert future.status == "error"


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_a_task_that_raises_what_ends_programs_fails_like_any_other(
    client: ms.Client, error: type[BaseException]
) -> None:
    def end() -> None:
        raise error

    with pytest.raises(error):
        client.submit(end).result(60)
    assert client.submit(abs, -1).result(60) == 1


def test_a_failed_input_fails_its_readers_with_its_own_exception(client: ms.Client) -> None:
    failed = client.submit(fail_with, OwnError(3))
    reader = client.submit(inc, failed)
    with pytest.raises(OwnError):
        client.submit(inc, reader).result(30)


def test_unpicklable_functions_name_the_culprit(client: ms.Client) -> None:
    lock = threading.Lock()
    with pytest.raises(ms.SerializationError, match="lock"):
        client.submit(lambda: lock)


def test_unpicklable_arguments_name_the_culprit(client: ms.Client) -> None:
    with pytest.raises(ms.SerializationError, match=r"argument 1, at \['deep'\]\[0\]"):
        client.submit(inc, {"deep": [threading.Lock()]})


def test_large_values_travel(client: ms.Client) -> None:
    data = np.arange(400_000, dtype=np.float64)
    assert client.submit(lambda x, y: float((x - y).sum()), data, y=data).result(60) == 0.0
    text = "x" * 2_000_000
    assert client.submit(len, text).result(60) == 2_000_000
    nested = [list(range(400_000))]
    assert client.submit(lambda rows: len(rows[0]), nested).result(60) == 400_000
    assert client.submit(partial(np.multiply, 2), data).result(60)[-1] == 2 * 399_999


def test_large_functions_travel(client: ms.Client) -> None:
    table = bytes(1_000_000)
    assert client.submit(lambda: len(table)).result(60) == 1_000_000


def test_scattered_values_are_used_by_many(client: ms.Client) -> None:
    data = client.scatter(np.ones(200_000))
    assert client.gather(client.map(lambda k, x: k * float(x.sum()), [1, 2], [data, data])) == [2e5, 4e5]
    both = client.scatter({"a": 1, "b": 2})
    assert client.gather(both) == {"a": 1, "b": 2}


def test_shared_large_values_are_sent_once(fake: FakeCluster, fake_client: ms.Client) -> None:
    data = np.ones(100_000)
    fake_client.gather(fake_client.map(lambda x, k: float(x.sum()) + k, [data] * 20, range(20)))
    (job,) = fake.jobs.values()
    assert sum(len(params) for _, _, params, _ in job.tasks) < 2 * data.nbytes


def test_large_results_of_other_jobs_stay_on_the_cluster(fake: FakeCluster, fake_client: ms.Client) -> None:
    big = fake_client.submit(bytes, 100_000)
    ms.wait([big])
    fake.requests.clear()
    assert fake_client.submit(len, big).result() == 100_000
    assert not [request for request in fake.requests if request.startswith("GET") and "results" in request]
    reader = list(fake.jobs.values())[-1]
    assert [op[0] for op in reader.ops] == ["import", "python"]


def test_what_a_job_imports_is_kept_until_it_is_over(fake: FakeCluster, fake_client: ms.Client) -> None:
    def slow(data: bytes) -> int:
        time.sleep(0.3)
        return len(data)

    big = fake_client.submit(bytes, 100_000)
    source = big._job.id
    ms.wait([big])
    size = fake_client.submit(slow, big)
    del big
    while len(fake.jobs) < 2:
        time.sleep(0.01)
    assert source not in fake.removed
    assert size.result() == 100_000


def test_calls_in_a_row_make_one_job(fake: FakeCluster, fake_client: ms.Client) -> None:
    with fake_client.session.building():
        futures = [fake_client.submit(inc, number) for number in range(50)]
        total = fake_client.submit(sum, futures)
    assert total.result(30) == sum(range(1, 51))
    assert len(fake.jobs) == 1


def test_functions_are_sent_once_per_job(fake: FakeCluster, fake_client: ms.Client) -> None:
    fake_client.gather(fake_client.map(lambda x: x * 2, range(100)))
    (job,) = fake.jobs.values()
    assert len(job.ops) == 1


def test_changed_globals_are_seen(client: ms.Client) -> None:
    namespace: dict[str, Any] = {"factor": 2}
    exec("def scale(x):\n    return x * factor", namespace)
    assert client.submit(namespace["scale"], 5).result(30) == 10
    namespace["factor"] = 3
    assert client.submit(namespace["scale"], 5).result(30) == 15


def test_retries_are_asked_for(fake: FakeCluster, fake_client: ms.Client) -> None:
    with pytest.raises(OwnError):
        fake_client.submit(fail_with, OwnError(1), retries=2).result(30)
    (job,) = fake.jobs.values()
    assert list(job.attempts.values()) == [3]


def test_options_reach_the_cluster(fake: FakeCluster, fake_client: ms.Client) -> None:
    options = {"priority": 5, "timeout": "2s", "resources": {"gpu": 1}, "workers": "w1", "rerun": "never"}
    with ms.annotate(retries=4):
        fake_client.submit(inc, 1, **options).result(30)
    (job,) = fake.jobs.values()
    assert job.task_options[job.tasks[-1][1]] == [{"gpu": 1}, 4, [100, 2.0, 30000], 2000, 5, ["w1"], "never"]


def test_options_of_the_wrong_type_are_refused_by_name(client: ms.Client) -> None:
    with pytest.raises(TypeError, match="priority is a whole number, got 'high'"):
        client.submit(inc, 1, priority="high")
    with pytest.raises(TypeError, match=r"retries is a whole number, got 1\.5"):
        client.submit(inc, 1, retries=1.5)
    with pytest.raises(TypeError, match=r"pip is a list of texts: write \['polars'\]"):
        client.submit(inc, 1, env={"pip": "polars"})
    with pytest.raises(TypeError, match=r"a key is a text, got \('a', 1\)"):
        client.submit(inc, 1, key=("a", 1))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"return_when is one of ALL_COMPLETED, .*; got 'SOON'"):
        ms.wait(client.submit(inc, 1), return_when="SOON")  # type: ignore[arg-type]


def test_a_key_may_be_used_again(client: ms.Client) -> None:
    first = client.submit(inc, 1, key="again")
    second = client.submit(inc, first, key="again")
    assert client.gather([first, second, *client.map(inc, [5, 6], key=["again", "other"])]) == [2, 3, 6, 7]
    assert client.gather([*client.map(inc, [1], key="again"), *client.map(inc, [2], key="again")]) == [2, 3]


def test_misspelt_options_are_refused() -> None:
    with pytest.raises(TypeError, match="did you mean 'retries'"), ms.annotate(retry=3):
        pass


def test_keys_are_kept(client: ms.Client) -> None:
    assert client.submit(inc, 1, key="mine").key == "mine"
    assert [future.key for future in client.map(inc, [1, 2], key="many")] == ["many-0", "many-1"]
    assert [future.key for future in client.map(inc, [1, 2], key=["p", "q"])] == ["p", "q"]


def test_wait_and_as_completed(client: ms.Client) -> None:
    futures = client.map(inc, range(5))
    assert ms.wait(futures, timeout=30).not_done == set()
    assert sorted(future.result() for future in ms.as_completed(futures)) == [1, 2, 3, 4, 5]
    pairs = dict(ms.as_completed(futures, with_results=True))
    assert sorted(pairs.values()) == [1, 2, 3, 4, 5]


def test_wait_for_the_first(client: ms.Client) -> None:
    quick, slow = client.submit(inc, 1), client.submit(lambda: time.sleep(2))
    done = ms.wait([quick, slow], timeout=30, return_when="FIRST_COMPLETED").done
    assert quick in done


def test_timeouts_may_be_texts(client: ms.Client) -> None:
    slow = client.submit(time.sleep, 1.5)
    for wait in (slow.result, slow.exception, partial(ms.wait, slow)):
        with pytest.raises(TimeoutError):
            wait(timeout="50ms")
    with pytest.raises(TimeoutError):
        next(ms.as_completed([slow], timeout="50ms"))
    with pytest.raises(TimeoutError, match="fewer than 1000 workers"):
        client.wait_for_workers(1000, timeout="50ms")
    with pytest.raises(ValueError, match="'soon' is no duration"):
        slow.result("soon")
    assert slow.result("30s") is None


def test_waiting_has_a_timeout(client: ms.Client) -> None:
    slow = client.submit(time.sleep, 1.5)
    with pytest.raises(TimeoutError):
        slow.result(0.2)
    assert slow.result(30) is None


def test_callbacks_are_called_and_may_wait(client: ms.Client) -> None:
    seen: list[Any] = []
    future = client.submit(inc, 1)
    future.add_done_callback(lambda done: seen.append(done.result() + client.submit(inc, done).result(30)))
    future.result(30)
    until(lambda: seen)
    assert seen == [5]


def test_futures_can_be_awaited_in_any_loop(client: ms.Client) -> None:
    async def main() -> list[int]:
        futures = client.map(inc, [1, 2])
        return [await futures[0], *(await asyncio.gather(*futures))]

    assert asyncio.run(main()) == [2, 2, 3]


def test_synchronous_calls_work_inside_a_running_loop(client: ms.Client) -> None:
    async def cell() -> int:
        return client.submit(inc, 1).result(30)

    assert asyncio.run(cell()) == 2


def test_async_client(gateway: tuple[str, str]) -> None:
    async def main() -> Any:
        async with ms.AsyncClient(gateway[0], token=gateway[1]) as client:
            futures = client.map(inc, [1, 2, 3])
            done = [await future async for future in client.as_completed(futures)]
            streamed = [value async for value in client.map_stream(inc, range(10), window=4)]
            scattered = await client.scatter([5])
            return sorted(done), streamed, await client.gather(scattered), await client.gather(tuple(futures))

    assert asyncio.run(main()) == ([2, 3, 4], list(range(1, 11)), [5], (2, 3, 4))


def test_executor_speaks_concurrent_futures(client: ms.Client) -> None:
    with client.get_executor() as executor:
        futures = [executor.submit(pow, 2, n) for n in range(5)]
        assert not std_wait(futures, 30).not_done
        assert sorted(future.result() for future in std_as_completed(futures)) == [1, 2, 4, 8, 16]
        assert list(executor.map(inc, [1, 2])) == [2, 3]
        failed = executor.submit(fail_with, OwnError(1))
        assert isinstance(failed.exception(30), OwnError)
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(inc, 1)


def test_map_stream_takes_no_more_than_its_window(client: ms.Client) -> None:
    taken: list[int] = []

    def numbers() -> Any:
        for number in range(10_000):
            taken.append(number)
            yield number

    stream = client.map_stream(inc, numbers(), window=8)
    assert [next(stream) for _ in range(4)] == [1, 2, 3, 4]
    assert len(taken) <= 16


def test_a_detached_job_is_gathered_by_another_client(client: ms.Client, gateway: tuple[str, str]) -> None:
    job_id = client.detach(client.map(inc, range(20)))
    client.close()
    with ms.Client(gateway[0], token=gateway[1]) as other:
        attached = other.attach(job_id)
        assert attached.gather() == list(range(1, 21))
        assert attached.status == "succeeded"
        assert len(attached.futures) == 20


def test_jobs_can_end_with_their_client(fake: FakeCluster) -> None:
    with ms.Client(fake.url, token=fake.token, attached=True) as client:
        future = client.submit(inc, 1)
        assert future.result(30) == 2
        (job,) = fake.jobs.values()
        assert fake.sessions == {job.options["attached_to"]: "PUT"}
        with pytest.raises(ValueError, match="end with it"):
            client.detach(future)
    assert fake.sessions == {job.options["attached_to"]: "DELETE"}


def test_a_session_is_named_once_it_is_open() -> None:
    class SlowTransport:
        opened: list[str]

        async def call(self, method: str, path: str) -> dict[str, str]:
            await asyncio.sleep(0.01)
            self.opened = [path.rpartition("/")[2]]
            return {"ttl": "60s"}

        async def request(self, *args: object, **options: object) -> None:
            pass

    async def open_twice() -> None:
        transport = SlowTransport()
        presence = Presence(transport)  # type: ignore[arg-type]

        async def ask() -> None:
            assert [await presence.id()] == transport.opened

        await asyncio.gather(ask(), ask())
        await presence.end()

    asyncio.run(open_twice())


def test_jobs_without_futures_are_let_go(fake: FakeCluster, fake_client: ms.Client) -> None:
    future = fake_client.submit(inc, 1)
    job_id = future.job_id
    assert future.result(30) == 2
    del future
    gc.collect()
    until(lambda: job_id in fake.removed)


def test_fired_and_forgotten_jobs_run_to_their_end(fake: FakeCluster, fake_client: ms.Client) -> None:
    ms.fire_and_forget(fake_client.submit(lambda: time.sleep(0.3)))
    gc.collect()
    until(lambda: fake.jobs and all(job.state == "succeeded" for job in fake.jobs.values()))


def test_cancelled_futures_say_so(client: ms.Client) -> None:
    future = client.submit(time.sleep, 20)
    assert future.cancel()
    assert future.cancelled()
    with pytest.raises(ms.CancelledError):
        future.result()


@pytest.mark.parametrize("is_one_job", [True, False])
def test_failed_calls_can_be_retried(client: ms.Client, tmp_path: Any, is_one_job: bool) -> None:
    marker = tmp_path / "there"

    def read() -> str:
        return str(marker.read_text())

    first = client.submit(read)
    if not is_one_job:
        assert isinstance(first.exception(30), FileNotFoundError)
    reader = client.submit(lambda text: text + "!", first)
    assert isinstance(reader.exception(30), FileNotFoundError)
    marker.write_text("now")
    reader.retry()
    assert reader.result(30) == "now!"


def test_futures_cannot_hide_in_functions(client: ms.Client) -> None:
    future = client.submit(inc, 1)
    with pytest.raises(ms.SerializationError, match="pass it as an argument"):
        client.submit(lambda: future)


def test_a_future_of_another_client_is_refused(client: ms.Client, fake_client: ms.Client) -> None:
    with pytest.raises(ValueError, match="another client"):
        client.submit(inc, fake_client.submit(inc, 1))


def test_native_functions_run(client: ms.Client) -> None:
    native = ms.native("bench:inc")
    number = client.submit(native, 1)
    assert client.submit(native, number).result(30) == 3
    assert client.gather(client.map(native, [1, 2])) == [2, 3]


def test_wrong_tokens_are_refused_by_name(fake: FakeCluster) -> None:
    with ms.Client(fake.url, token="wrong") as client, pytest.raises(ms.GatewayError) as refused:
        client.workers()
    assert refused.value.code == "no_token"
    assert refused.value.status == 401


def test_addresses_of_dask_are_answered_with_the_gateways() -> None:
    with pytest.raises(ValueError, match="http://node7:8787"):
        ms.Client("tcp://node7:8786")


def test_a_missing_token_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("MILLSTREAM_TOKEN", raising=False)
    with pytest.raises(ms.ConnectionFailedError, match="millstream token"):
        ms.Client("http://127.0.0.1:1")


def test_the_client_opened_last_is_the_default(client: ms.Client, gateway: tuple[str, str]) -> None:
    assert ms.get_client() is client
    with ms.Client(gateway[0], token=gateway[1]) as inner:
        assert ms.get_client() is inner
    assert ms.get_client() is client


def test_reprs_are_html_without_the_users_markup(client: ms.Client) -> None:
    future = client.submit(inc, 1, key="<b>")
    assert "&lt;b&gt;" in future._repr_html_()
    assert "Slots" in client._repr_html_()
    assert "Function" in ms.delayed(inc)(1)._repr_html_()


def test_reprs_lead_to_the_dashboard(client: ms.Client) -> None:
    future = client.submit(inc, 1, key="a key")
    assert f'href="{client.url}/#/jobs/{future.job_id}"' in future._repr_html_()
    assert f'href="{client.url}/#/task/{future.job_id}/a%20key"' in future._repr_html_()
    (kept,) = ms.persist(ms.delayed(inc)(1))
    for shown in (client, ms.delayed(inc)(1), kept):
        assert f'href="{client.url}' in shown._repr_html_()


def test_where_results_are_is_told_of_all_or_of_some(client: ms.Client, is_real: bool) -> None:
    if not is_real:
        pytest.skip("the fake cluster has no workers that hold results")
    futures = client.map(abs, [-1, -2], key=["one held", "two held"])
    client.wait(futures)
    held = client.has_what()
    (worker,) = {name for name, keys in held.items() if "one held" in keys}
    assert "one held" in client.has_what(worker)[worker]
    assert client.who_has()["one held"] == client.who_has(futures[0])["one held"] == [worker]


def test_what_dask_takes_is_taken_or_refused_by_name(client: ms.Client) -> None:
    assert client.scatter([1], direct=True, hash=False)[0].result() == 1
    with pytest.raises(NotImplementedError, match=r"submit\(workers=\)"):
        client.scatter([1], workers=["worker-0"])
    with pytest.raises(TypeError, match="names of workers"):
        client.retire_workers()
