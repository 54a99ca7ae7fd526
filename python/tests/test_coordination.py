"""Queues, variables, events, locks and semaphores, of one client, of several, and inside tasks."""

from __future__ import annotations

import asyncio
import pickle
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from fake_cluster import FakeCluster

import millstream as ms
from millstream import _aio


@pytest.fixture
def name() -> str:
    return uuid.uuid4().hex


@pytest.fixture
def other(gateway: tuple[str, str | None]) -> Iterator[ms.Client]:
    """Another client of the same cluster."""
    url, token = gateway
    with ms.Client(url, token=token, set_as_default=False) as client:
        yield client


def in_thread(call: Any) -> tuple[threading.Thread, list[Any]]:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(call()), daemon=True)
    thread.start()
    return thread, found


def until(condition: Any) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        threading.Event().wait(0.01)


# ---- queues


def test_a_queue_hands_values_over_in_order(client: ms.Client, other: ms.Client, name: str) -> None:
    mine, theirs = ms.Queue(name, client), ms.Queue(name, other)
    for value in (1, {"two": [2.5, None]}, b"three"):
        mine.put(value)
    assert theirs.qsize() == 3
    assert [theirs.get(timeout=10) for _ in range(3)] == [1, {"two": [2.5, None]}, b"three"]
    with pytest.raises(TimeoutError, match="0 of 1"):
        theirs.get(timeout=0.05)


def test_a_getter_waits_for_a_putter(client: ms.Client, other: ms.Client, name: str) -> None:
    thread, found = in_thread(lambda: ms.Queue(name, other).get(timeout=20))
    ms.Queue(name, client).put("late")
    thread.join(20)
    assert found == ["late"]


def test_a_full_queue_lets_putters_wait(client: ms.Client, other: ms.Client, name: str) -> None:
    queue = ms.Queue(name, client, maxsize=1)
    queue.put(1)
    with pytest.raises(TimeoutError, match="no room"):
        queue.put(2, timeout=0.05)
    thread, _ = in_thread(lambda: queue.put(2, timeout=20))
    assert ms.Queue(name, other).get(timeout=10) == 1
    thread.join(20)
    assert ms.Queue(name, other).get(timeout=10) == 2


def test_batches_are_all_or_so_many(client: ms.Client, name: str) -> None:
    queue = ms.Queue(name, client)
    assert queue.get(batch=True) == []
    for number in range(5):
        queue.put(number)
    assert queue.get(batch=2) == [0, 1]
    with pytest.raises(TimeoutError, match="3 of 4"):
        queue.get(timeout=0.1, batch=4)
    assert sorted(queue.get(batch=True)) == [2, 3, 4]


def test_a_closed_queue_is_empty(client: ms.Client, name: str) -> None:
    queue = ms.Queue(name, client)
    queue.put(1)
    queue.close()
    assert queue.qsize() == 0


def test_futures_in_a_queue_stay_futures(client: ms.Client, other: ms.Client, name: str) -> None:
    slow = client.submit(lambda: time.sleep(0.2) or 41)
    ms.Queue(name, client).put({"future": slow, "scale": 2})
    found = ms.Queue(name, other).get(timeout=10)
    assert isinstance(found["future"], ms.Future)
    assert found["future"].result(30) + found["scale"] == 43
    ms.Queue(name, client).put([slow])
    assert ms.Queue(name, client).get(timeout=10)[0].key == slow.key


def test_the_job_of_a_future_in_a_queue_outlives_its_client(fake: FakeCluster, name: str) -> None:
    with ms.Client(fake.url, token=fake.token) as first:
        ms.Queue(name, first).put(first.submit(lambda: time.sleep(0.3) or 7))
    with ms.Client(fake.url, token=fake.token) as second:
        assert ms.Queue(name, second).get(timeout=10).result(30) == 7


def test_values_that_cannot_be_shared_say_why(client: ms.Client, name: str) -> None:
    queue = ms.Queue(name, client)
    with pytest.raises(ms.SerializationError, match="lock"):
        queue.put({"inner": threading.Lock()})
    with pytest.raises(ms.GatewayError) as refused:
        ms.Variable(name, client).set(b"x" * 100_000)
    assert refused.value.code == "value_too_large"


# ---- variables and events


def test_a_variable_has_its_last_value(client: ms.Client, other: ms.Client, name: str) -> None:
    mine, theirs = ms.Variable(name, client), ms.Variable(name, other)
    with pytest.raises(TimeoutError, match="not set"):
        theirs.get(timeout=0.05)
    mine.set(1)
    theirs.set(2)
    assert mine.get() == 2
    mine.set(client.submit(abs, -3))
    assert theirs.get(timeout=10).result(30) == 3
    mine.delete()
    with pytest.raises(TimeoutError):
        theirs.get(timeout=0)


def test_a_reader_waits_for_a_variable(client: ms.Client, other: ms.Client, name: str) -> None:
    thread, found = in_thread(lambda: ms.Variable(name, other).get(timeout=20))
    ms.Variable(name, client).set("set")
    thread.join(20)
    assert found == ["set"]


def test_an_event_lets_all_go_on(client: ms.Client, other: ms.Client, name: str) -> None:
    mine, theirs = ms.Event(name, client), ms.Event(name, other)
    assert not theirs.is_set()
    assert theirs.wait(timeout=0.05) is False
    waiting = [in_thread(lambda: theirs.wait(timeout=20)) for _ in range(3)]
    mine.set()
    for thread, _ in waiting:
        thread.join(20)
    assert [found for _, found in waiting] == [[True]] * 3
    mine.clear()
    mine.clear()
    assert not theirs.is_set()


# ---- locks and semaphores


def test_a_lock_is_held_by_one(client: ms.Client, other: ms.Client, name: str) -> None:
    mine, theirs = ms.Lock(name, client), ms.Lock(name, other)
    assert mine.acquire()
    assert theirs.locked()
    assert theirs.acquire(blocking=False) is False
    assert theirs.acquire(timeout=0.05) is False
    thread, found = in_thread(lambda: theirs.acquire(timeout=20))
    mine.release()
    thread.join(20)
    assert found == [True]
    theirs.release()
    assert not mine.locked()
    with pytest.raises(RuntimeError, match="not held here"):
        mine.release()


def test_increments_under_a_lock_are_not_lost(client: ms.Client, other: ms.Client, name: str) -> None:
    ms.Variable(name, client).set(0)

    def count(of: ms.Client) -> None:
        for _ in range(5):
            with ms.Lock(name, of):
                ms.Variable(name, of).set(ms.Variable(name, of).get() + 1)

    threads = [threading.Thread(target=count, args=(of,)) for of in (client, other, client, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert ms.Variable(name, client).get() == 20


def test_a_semaphore_lets_so_many_go_on(client: ms.Client, other: ms.Client, name: str) -> None:
    mine, theirs = ms.Semaphore(2, name, client), ms.Semaphore(2, name, other)
    assert mine.acquire()
    assert theirs.acquire()
    assert mine.get_value() == 2
    assert theirs.acquire(timeout=0.05) is False
    mine.release()
    assert theirs.acquire(timeout=10)
    theirs.close()
    assert mine.get_value() == 0
    mine.acquire()
    with pytest.raises(ms.GatewayError) as refused:
        ms.Semaphore(3, name, other).acquire()
    assert refused.value.code == "limit_differs"
    mine.release()


def test_a_lease_is_renewed_while_its_holder_lives(fake: FakeCluster, fake_client: ms.Client, name: str) -> None:
    semaphore = ms.Semaphore(1, name, fake_client, lease_timeout=2)
    with semaphore:
        assert ms.Semaphore(1, name, fake_client).acquire(timeout=3) is False


def test_the_lease_of_a_dead_holder_goes_to_the_next(fake: FakeCluster, name: str) -> None:
    with ms.Client(fake.url, token=fake.token) as dying:
        ms.Lock(name, dying, lease_timeout=0.3).acquire()
        # Nothing of it is heard any more, as after kill -9.
        _aio.wait(dying.session.transport.close())
        with ms.Client(fake.url, token=fake.token) as next_one:
            assert ms.Lock(name, next_one).acquire(timeout=10)


def test_a_client_that_closes_gives_its_locks_up(gateway: tuple[str, str | None], client: ms.Client, name: str) -> None:
    with ms.Client(gateway[0], token=gateway[1], set_as_default=False) as closing:
        ms.Lock(name, closing).acquire()
    lock = ms.Lock(name, client)
    assert lock.acquire(blocking=False)
    lock.release()


def test_an_interrupted_waiter_leaves_the_line(fake: FakeCluster, fake_client: ms.Client, name: str) -> None:
    held = ms.Lock(name, fake_client)
    held.acquire()

    async def wait_and_give_up() -> None:
        async with ms.AsyncClient(fake.url, token=fake.token) as client:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(ms.Lock(name, client).acquire(), 0.1)
            line = fake.shared.semaphores[f"lock.{name}"]
            while len(line) > 1:
                await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(wait_and_give_up(), 20))
    held.release()


def test_many_waiters_do_not_keep_the_holder_from_releasing(fake_client: ms.Client, name: str) -> None:
    held = ms.Lock(name, fake_client)
    held.acquire()

    def take_turn() -> bool:
        with ms.Lock(name, fake_client):
            return True

    # More than the connections that other requests share.
    waiting = [in_thread(take_turn) for _ in range(40)]
    until(lambda: fake_client.session.transport._patient is not None)
    began = time.monotonic()
    held.release()
    assert time.monotonic() - began < 8
    for thread, _ in waiting:
        thread.join(60)
    assert [found for _, found in waiting] == [[True]] * 40


def test_several_locks_are_held_together(client: ms.Client, other: ms.Client, name: str) -> None:
    left, right = name + "/left", name + "/right"
    both = ms.MultiLock([left, right], client)
    with both:
        assert ms.MultiLock([right], other).acquire(blocking=False) is False
        assert ms.MultiLock([left, right], other).acquire(timeout=0.05) is False
    one = ms.MultiLock([left, right], client)
    assert one.acquire(num_locks=1)
    assert ms.MultiLock([left, right], other).acquire(timeout=0.2) is False
    rest = ms.MultiLock([left, right], other)
    assert rest.acquire(timeout=10, num_locks=1)
    one.release()
    rest.release()
    with pytest.raises(RuntimeError, match="not held here"):
        rest.release()


# ---- everywhere


def test_everything_can_be_awaited(gateway: tuple[str, str | None], name: str) -> None:
    async def main() -> None:
        async with ms.AsyncClient(gateway[0], token=gateway[1]) as client:
            queue = ms.Queue(name, client)
            getting = asyncio.ensure_future(queue.get(timeout=20))
            await queue.put(client.submit(abs, -1))
            assert await (await getting) == 1
            async with ms.Lock(name, client) as lock:
                assert await lock.locked()
            async with ms.Semaphore(2, name, client) as semaphore:
                assert await semaphore.get_value() == 1
            async with ms.MultiLock([name], client):
                pass
            event = ms.Event(name, client)
            await event.set()
            assert await event.wait()
            await client.set_metadata(name, 1)
            assert await client.get_metadata(name) == 1

    asyncio.run(asyncio.wait_for(main(), 60))


def test_all_of_them_can_be_pickled(client: ms.Client, name: str) -> None:
    queue = pickle.loads(pickle.dumps(ms.Queue(name, client, maxsize=3)))
    assert (queue.name, queue.maxsize) == (name, 3)
    semaphore = pickle.loads(pickle.dumps(ms.Semaphore(4, name, client, lease_timeout="5s")))
    assert (semaphore.name, semaphore.max_leases) == (name, 4)
    for kind in (ms.Lock, ms.Event, ms.Variable):
        assert pickle.loads(pickle.dumps(kind(name, client))).name == name
    assert pickle.loads(pickle.dumps(ms.MultiLock([name], client))).names == [name]


def test_tasks_use_them(client: ms.Client, name: str) -> None:
    queue, lock, counter = ms.Queue(name), ms.Lock(name), ms.Variable(name)
    counter.set(0)

    def work(number: int) -> None:
        with lock:
            counter.set(counter.get() + 1)
        queue.put(number)

    for future in client.map(work, range(4)):
        future.result(60)
    assert sorted(queue.get(batch=True)) == [0, 1, 2, 3]
    assert counter.get() == 4


def test_tasks_submit_tasks(client: ms.Client) -> None:
    def parent() -> str:
        return ms.get_client().submit(str.upper, "from inside").key

    assert "upper" in client.submit(parent).result(60)
