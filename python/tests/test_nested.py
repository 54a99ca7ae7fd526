"""Tasks that submit tasks and wait for them; needs a real cluster (``--cluster=local``)."""

from __future__ import annotations

import time
import uuid

import pytest

import millstream as ms


@pytest.fixture(autouse=True)
def _needs_a_real_cluster(is_real: bool) -> None:
    if not is_real:
        pytest.skip("needs workers: --cluster=local")


def test_tasks_that_wait_on_all_slots_for_tasks_of_their_own_end(client: ms.Client) -> None:
    def parent(number: int) -> int:
        return int(ms.get_client().submit(pow, number, 2).result(100))

    slots = sum(worker["slots"] for worker in client.workers())
    numbers = range(2 * slots + 1)
    assert client.gather(client.map(parent, numbers)) == [number**2 for number in numbers]


def test_tasks_submit_tasks_that_submit_tasks(client: ms.Client) -> None:
    def fibonacci(n: int) -> int:
        if n < 2:
            return n
        inner = ms.get_client()
        return sum(inner.gather(inner.map(fibonacci, [n - 1, n - 2])))

    assert client.submit(fibonacci, 6).result(200) == 8


def test_a_tasks_log_is_its_own(client: ms.Client) -> None:
    def ask() -> int:
        print("asked")
        inner = ms.get_client()
        # Two jobs at once, of a client that the cluster does not know yet.
        first = inner.submit(abs, -1)
        inner.session.flush()
        second = inner.submit(abs, -2)
        return int(first.result(100) + second.result(100))

    future = client.submit(ask)
    assert future.result(100) == 3
    deadline = time.monotonic() + 100
    while not (log := client.logs(future)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert log == "asked\n"


def test_a_task_that_waits_goes_on_as_others_complete(client: ms.Client) -> None:
    name = f"test-{uuid.uuid4().hex}"

    def parent() -> list[int]:
        done = ms.as_completed(ms.get_client().map(abs, [-3, -1, -2]))
        return sorted(future.result() for future in done)

    def waiter() -> bool:
        return ms.Event(name).wait(timeout=100)

    assert client.submit(parent).result(200) == [1, 2, 3]
    waiting = client.map(lambda _: waiter(), range(2 * sum(worker["slots"] for worker in client.workers())))
    client.submit(lambda: ms.Event(name).set()).result(200)
    assert all(client.gather(waiting))


def test_a_task_that_returns_a_future_is_told_what_to_return(client: ms.Client) -> None:
    def start() -> object:
        return ms.get_client().submit(abs, -1)

    with pytest.raises(ms.TaskError, match=r"return its result\(\)"):
        client.submit(start).result()
