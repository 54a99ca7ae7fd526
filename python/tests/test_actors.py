"""Actors: objects that live in one task and whose methods clients, tasks and other actors call."""

from __future__ import annotations

import asyncio
import gc
import os
import pickle
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from fake_cluster import FakeCluster
from services import ServicesCluster

import millstream as ms
from millstream import _actor_calls, _line, _post

PATIENCE = 100


class Counter:
    def __init__(self, n: int = 0) -> None:
        if n < 0:
            raise ValueError(f"{n} is below zero")
        self.n = n
        self.seen: list[Any] = []

    def add(self, by: int = 1) -> int:
        self.n += by
        return self.n

    def note(self, value: Any) -> int:
        self.seen.append(value)
        return len(self.seen)

    def noted(self) -> list[Any]:
        return self.seen

    async def add_later(self, by: int) -> int:
        await asyncio.sleep(0.01)
        return self.add(by)

    def fail(self) -> None:
        raise KeyError("what is missing")

    def fail_oddly(self) -> Any:
        return self.nothing  # type: ignore[attr-defined]

    def lock(self) -> Any:
        return threading.Lock()

    def nap(self, seconds: float) -> float:
        # In pieces: threads of the fake cluster are stopped between them.
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            threading.Event().wait(0.02)
        return seconds

    def process(self) -> tuple[int, int]:
        return os.getpid(), os.getppid()

    @property
    def doubled(self) -> int:
        return 2 * self.n


class Adder:
    def __init__(self, counter: Any) -> None:
        self.counter = counter

    def add(self, by: int) -> int:
        return int(self.counter.add(by).result(PATIENCE))

    def set(self, counter: Any) -> None:
        self.counter = counter

    def read(self) -> int:
        return int(self.counter.n)


def make(client: ms.Client, kind: Any = Counter, *args: Any) -> Any:
    return client.submit(kind, *args, actor=True).result(PATIENCE)


def until(condition: Any) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        threading.Event().wait(0.02)


def is_gone(client: ms.Client, job_id: str) -> bool:
    """Whether a job has ended, as the cluster tells it."""
    try:
        return bool(client._get(f"/v1/jobs/{job_id}")["state"] in ("cancelled", "failed"))
    except ms.GatewayError as error:
        return error.status in (404, 410)


@pytest.fixture
def other(gateway: tuple[str, str | None]) -> Iterator[ms.Client]:
    """Another client of the same cluster."""
    url, token = gateway
    with ms.Client(url, token=token, set_as_default=False) as client:
        yield client


# ---- calls


def test_calls_change_the_object_and_return_values(client: ms.Client) -> None:
    future = client.submit(Counter, 10, actor=True)
    counter = future.result(PATIENCE)
    assert isinstance(counter, ms.Actor)
    assert future.status == "finished"
    first = counter.add(5)
    assert isinstance(first, ms.ActorFuture)
    assert first.result(PATIENCE) == 15
    assert first.done()
    assert counter.add(by=1).result(PATIENCE) == 16
    assert (counter.n, counter.doubled) == (16, 32)
    assert repr(counter) == f"<Actor: Counter, key: {future.key}>"
    assert "add" in dir(counter)


def test_both_names_of_the_option_are_known(client: ms.Client) -> None:
    assert client.submit(Counter, 1, actors=True).result(PATIENCE).n == 1


def test_map_makes_one_for_each(client: ms.Client) -> None:
    counters = client.gather(client.map(Counter, range(3), actor=True))
    futures = [counter.add(10) for counter in counters]
    assert [future.result(PATIENCE) for future in futures] == [10, 11, 12]


def test_calls_run_in_the_order_in_which_they_were_made(client: ms.Client) -> None:
    counter = make(client)
    futures = [counter.add() for _ in range(2000)]
    assert [future.result(PATIENCE) for future in futures] == list(range(1, 2001))


def test_calls_can_be_gathered(client: ms.Client) -> None:
    counter = make(client)
    assert client.gather([counter.add() for _ in range(3)]) == [1, 2, 3]
    with pytest.raises(TypeError, match="futures of tasks are expected, got a ActorFuture"):
        ms.wait([counter.add()])


def test_each_caller_has_its_order(client: ms.Client, other: ms.Client) -> None:
    counter = make(client)
    # As in another process, where nothing is known of its client.
    foreign = ms.Actor(counter._ms_about, None, other.session)

    def call(actor: Any, name: str) -> None:
        for future in [actor.note((name, number)) for number in range(100)]:
            future.result(PATIENCE)

    callers = [threading.Thread(target=call, args=(actor, name)) for actor, name in ((counter, "a"), (foreign, "b"))]
    for thread in callers:
        thread.start()
    for thread in callers:
        thread.join(PATIENCE)
    seen = counter.noted().result(PATIENCE)
    for name in "ab":
        assert [each for each in seen if each[0] == name] == [(name, number) for number in range(100)]


def test_a_coroutine_is_awaited(client: ms.Client) -> None:
    counter = make(client)
    futures = [counter.add_later(1), counter.add(1)]
    assert [future.result(PATIENCE) for future in futures] == [1, 2]


def test_a_function_may_make_the_object(client: ms.Client) -> None:
    def build(n: int) -> Any:
        return Counter(n + 1)

    counter = client.submit(build, 1, actor=True).result(PATIENCE)
    assert counter.n == 2
    assert "Counter" in repr(counter)


def test_futures_in_arguments_are_replaced_by_their_values(client: ms.Client) -> None:
    counter = make(client, Counter, client.submit(abs, -2))
    assert counter.add(client.submit(abs, -3)).result(PATIENCE) == 5
    assert counter.note({"x": [client.submit(abs, -4)]}).result(PATIENCE) == 1
    assert counter.noted().result(PATIENCE) == [{"x": [4]}]
    future = client.submit(Counter, actor=True)
    with pytest.raises(TypeError, match="pass the actor"):
        counter.note(future)
    future.result(PATIENCE)


def test_large_arguments_and_results_arrive(client: ms.Client) -> None:
    counter = make(client)
    array = np.arange(500_000, dtype=float)
    texts = ["x" * 90_000, "y" * 50_000]
    futures = [counter.note(array), counter.note(texts), counter.note("small")]
    assert [future.result(PATIENCE) for future in futures] == [1, 2, 3]
    seen = counter.noted().result(PATIENCE)
    np.testing.assert_array_equal(seen[0], array)
    assert seen[1:] == [texts, "small"]


def test_a_wait_has_a_limit(client: ms.Client) -> None:
    counter = make(client)
    napping = counter.nap(1.0)
    with pytest.raises(TimeoutError, match=r"Counter\.nap did not answer within"):
        napping.result(0.05)
    assert napping.result(PATIENCE) == 1.0


def test_a_proxy_server_may_lead_to_the_gateway(client: ms.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    # Not a real one: its address is what the client's own connections would take from the environment.
    monkeypatch.setattr(_line, "_is_proxied", lambda _: True)
    counter = make(client)
    assert [future.result(PATIENCE) for future in [counter.add() for _ in range(3)]] == [1, 2, 3]


def test_callbacks_are_called(client: ms.Client) -> None:
    called = threading.Event()
    make(client).add().add_done_callback(lambda future: called.set() if future.done() else None)
    assert called.wait(PATIENCE)


# ---- errors


def test_an_exception_has_its_type_and_traceback(client: ms.Client) -> None:
    counter = make(client)
    future = counter.fail()
    with pytest.raises(KeyError, match="what is missing") as raised:
        future.result(PATIENCE)
    assert 'raise KeyError("what is missing")' in str(raised.value.__cause__)
    assert any("Counter" in note and ".fail" in note for note in raised.value.__notes__)
    assert isinstance(future.exception(PATIENCE), KeyError)
    assert counter.add().result(PATIENCE) == 1


def test_unknown_names_say_what_is_near(client: ms.Client) -> None:
    counter = make(client)
    with pytest.raises(AttributeError, match="no attribute 'ad'; did you mean 'add'"):
        counter.ad()
    with pytest.raises(AttributeError, match="'Counter' object has no attribute 'nothing'"):
        counter.fail_oddly().result(PATIENCE)
    with pytest.raises(AttributeError, match="let a method of it do that"):
        counter.n = 3
    assert not hasattr(counter, "_repr_html_")


def test_what_cannot_be_pickled_is_named(client: ms.Client) -> None:
    counter = make(client)
    with pytest.raises(ms.TaskError, match=r"result of `Counter.lock` cannot be pickled"):
        counter.lock().result(PATIENCE)
    with pytest.raises(ms.SerializationError, match=r"Counter\.note: argument 1"):
        counter.note(threading.Lock())
    assert counter.add().result(PATIENCE) == 1


def test_a_constructor_that_raises_is_shown(client: ms.Client) -> None:
    future = client.submit(Counter, -1, actor=True)
    with pytest.raises(ValueError, match="-1 is below zero"):
        future.result(PATIENCE)
    assert future.status == "error"


def test_what_makes_no_sense_is_refused(client: ms.Client) -> None:
    with pytest.raises(ValueError, match="retries"):
        client.submit(Counter, actor=True, retries=2)
    with pytest.raises(ValueError, match="pure"):
        client.submit(Counter, actor=True, pure=True)
    with pytest.raises(TypeError, match="an argument is lazy"):
        client.submit(Counter, ms.delayed(abs)(-1), actor=True)
    with pytest.raises(TypeError, match="Python class"):
        client.submit(ms.native("bench:inc"), 1, actor=True)
    future = client.submit(Counter, actor=True)
    with pytest.raises(ValueError, match="ends with its client"):
        client.detach(future)
    with pytest.raises(ms.SerializationError, match="share the actor"):
        ms.Variable("actors", client).set(future)
    future.result(PATIENCE)
    with pytest.raises(ValueError, match="submit another actor"):
        client.retry(future)


def test_a_method_that_waits_for_its_own_actor_is_told(client: ms.Client) -> None:
    adder = make(client, Adder, None)
    adder.set(adder).result(PATIENCE)
    with pytest.raises(RuntimeError, match="call it on `self`"):
        adder.add(1).result(PATIENCE)


# ---- from tasks and actors


def test_tasks_call_actors(client: ms.Client) -> None:
    counter = make(client)

    def work(actor: Any, by: int) -> int:
        return int(actor.add(by).result(PATIENCE))

    results = client.gather([client.submit(work, counter, by) for by in (1, 10, 100)])
    assert max(results) == counter.n == 111
    future = client.submit(Counter, 7, actor=True)
    assert client.submit(work, future, 1).result(PATIENCE) == 8
    assert client.submit(lambda actor: actor.n, counter).result(PATIENCE) == 111


def test_actors_call_actors(client: ms.Client) -> None:
    counter = make(client, Counter, 1)
    adder = make(client, Adder, counter)
    last = make(client, Adder, adder)
    assert last.add(2).result(PATIENCE) == 3
    assert adder.read().result(PATIENCE) == 3


def test_a_task_makes_an_actor_of_its_own(client: ms.Client) -> None:
    def work() -> list[int]:
        counter = ms.get_client().submit(Counter, 1, actor=True).result(PATIENCE)
        return [counter.add(1).result(PATIENCE), counter.n]

    assert client.submit(work).result(PATIENCE) == [2, 2]


def test_a_proxy_travels(client: ms.Client) -> None:
    counter = make(client)
    copy = pickle.loads(pickle.dumps(counter))
    assert copy == counter
    assert hash(copy) == hash(counter)
    assert copy.add(4).result(PATIENCE) == counter.n == 4
    queue = ms.Queue("actors", client)
    queue.put(counter)
    assert queue.get(timeout=PATIENCE).add(1).result(PATIENCE) == 5


def test_everything_can_be_awaited(gateway: tuple[str, str | None], client: ms.Client) -> None:
    async def main() -> None:
        async with ms.AsyncClient(gateway[0], token=gateway[1]) as own:
            counter = await own.submit(Counter, 1, actor=True)
            assert await counter.add(2) == 3
            assert await counter.n == 3
            assert await asyncio.gather(*(counter.add(1) for _ in range(5))) == [4, 5, 6, 7, 8]
            with pytest.raises(KeyError):
                await counter.fail()

    asyncio.run(asyncio.wait_for(main(), PATIENCE))


def test_a_sync_clients_futures_can_be_awaited(client: ms.Client) -> None:
    async def main() -> int:
        counter = await client.submit(Counter, 1, actor=True)
        napping = counter.nap(0.3)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(_awaited(napping), 0.01)
        assert await napping == 0.3
        return int(await counter.add(1))

    assert asyncio.run(asyncio.wait_for(main(), PATIENCE)) == 2


async def _awaited(future: Any) -> Any:
    return await future


@pytest.mark.timeout(300)
def test_more_actors_than_slots_leave_room_for_tasks(client: ms.Client, is_real: bool) -> None:
    if not is_real:
        pytest.skip("needs workers: --cluster=local")
    slots = sum(worker["slots"] for worker in client.workers())
    counters = client.gather(client.map(Counter, range(slots + 1), actor=True))
    assert client.gather(client.map(abs, [-1, -2, -3])) == [1, 2, 3]
    assert [counter.add(0).result(PATIENCE) for counter in counters] == list(range(slots + 1))


# ---- the end


def test_a_cancelled_actor_ends_its_calls(client: ms.Client) -> None:
    future = client.submit(Counter, actor=True)
    counter = future.result(PATIENCE)
    napping, waiting = counter.nap(60), counter.add()
    future.cancel()
    for call in (napping, waiting):
        with pytest.raises(ms.ActorEndedError, match="it was cancelled"):
            call.result(PATIENCE)
    with pytest.raises(ms.ActorEndedError, match="submit another one"):
        counter.add().result(PATIENCE)
    with pytest.raises(ms.ActorEndedError):
        _ = counter.n


def test_an_actor_lives_as_long_as_somebody_holds_it(client: ms.Client) -> None:
    counter = make(client)
    job_id = counter._ms_about.job_id
    gc.collect()
    copy = pickle.loads(pickle.dumps(counter))
    del counter
    gc.collect()
    assert copy.add(1).result(PATIENCE) == 1
    # A call holds it, too.
    last = copy.nap(0.2)
    del copy
    assert last.result(PATIENCE) == 0.2
    until(lambda: gc.collect() >= 0 and is_gone(client, job_id))


def test_a_client_that_closes_ends_its_actors(gateway: tuple[str, str | None], client: ms.Client) -> None:
    with ms.Client(gateway[0], token=gateway[1], set_as_default=False) as closing:
        counter = make(closing)
        napping = counter.nap(60)
        foreign = ms.Actor(counter._ms_about, None, client.session)
    with pytest.raises(ms.MillstreamError, match="the client was closed before nap was over"):
        napping.result(PATIENCE)
    with pytest.raises(RuntimeError, match="the client is closed"):
        counter.add()
    until(lambda: is_gone(client, counter._ms_about.job_id))
    with pytest.raises(ms.ActorEndedError):
        foreign.add().result(PATIENCE)


def test_an_actor_is_attached_to_its_client(fake: FakeCluster, fake_client: ms.Client) -> None:
    counter = make(fake_client)
    attached_to = fake.jobs[counter._ms_about.job_id].options["attached_to"]
    assert fake.sessions[attached_to] == "PUT"
    plain = fake_client.submit(abs, -1)
    assert plain.result(PATIENCE) == 1
    assert "attached_to" not in fake.jobs[plain.job_id].options


def test_a_call_that_was_lost_is_told(
    fake: FakeCluster, fake_client: ms.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_actor_calls, "_LOOK", 0.1)
    monkeypatch.setattr(_actor_calls, "_ASK", 0.2)
    counter = make(fake_client)
    queue = f"actor.{counter._ms_about.id}"
    until(lambda: queue in fake.shared.queues)
    items = fake.shared.queues[queue]
    napping = counter.nap(1.0)
    until(lambda: f"POST /v1/queues/{queue}" in fake.requests and not items)
    lost = counter.add()
    until(lambda: items)
    # As a Redis forgets that is killed.
    items.clear()
    with pytest.raises(ms.MillstreamError, match=r"Counter\.add was lost on its way"):
        lost.result(PATIENCE)
    assert napping.result(PATIENCE) == 1.0
    assert counter.add().result(PATIENCE) == 1


def test_threads_end_when_there_is_nothing_to_do(client: ms.Client) -> None:
    names = ("millstream-answers", "millstream-post")
    calls = client.session.actor_calls
    assert make(client).add().result(PATIENCE) == 1
    gc.collect()
    until(lambda: calls._reader is None and calls._post._thread is None)
    assert make(client).add().result(PATIENCE) == 1
    assert any(thread.name in names for thread in threading.enumerate())


def test_threads_that_end_at_every_moment_lose_no_call(client: ms.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_actor_calls, "_IDLE", 0.0002)
    monkeypatch.setattr(_post, "_IDLE", 0.0002)
    counter = make(client)
    for number in range(100):
        assert counter.add().result(PATIENCE) == number + 1
        threading.Event().wait(number % 10 / 10_000)


def test_a_killed_process_ends_its_actor(client: ms.Client, other: ms.Client, is_real: bool) -> None:
    if not is_real:
        pytest.skip("needs processes: --cluster=local")
    counter = make(client)
    foreign = ms.Actor(counter._ms_about, None, other.session)
    pid, _ = counter.process().result(PATIENCE)
    calls = [counter.nap(60), counter.add(), foreign.add()]
    os.kill(pid, signal.SIGKILL)
    for call in calls:
        with pytest.raises(ms.ActorEndedError, match="ended its process with signal 9") as ended:
            call.result(PATIENCE)
        assert isinstance(ended.value.__cause__, ms.WorkerDiedError)
    for actor in (counter, foreign):
        with pytest.raises(ms.ActorEndedError, match="state is lost"):
            actor.add().result(PATIENCE)


def test_a_lost_worker_ends_its_actors(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--cluster") != "services":
        pytest.skip("needs workers of their own: --cluster=services")
    services = ServicesCluster()
    try:
        with ms.Client(services.url, token=services.token) as client:
            counter = make(client)
            _, worker = counter.process().result(PATIENCE)
            napping = counter.nap(300)
            os.kill(worker, signal.SIGKILL)
            with pytest.raises(ms.ActorEndedError, match="state is lost"):
                napping.result(PATIENCE)
            with pytest.raises(ms.ActorEndedError):
                counter.add().result(PATIENCE)
            assert make(client, Counter, 3).add(1).result(PATIENCE) == 4
    finally:
        services.close()
