"""Single calls that are cancelled, and single results that nobody holds any more."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from fake_cluster import FakeCluster

import millstream as ms
from millstream import _aio, _give_up
from millstream._future import Future
from millstream._holders import Holders
from millstream._jobs import CANCELLED, FAILED, PENDING, RELEASED, STORED, Job


def until(condition: Callable[[], Any], timeout: float = 30.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        threading.Event().wait(0.01)


def wait_for_go(folder: str, name: str = "gate") -> str:
    """Run until the test says so; what runs to its end leaves a file."""
    path = Path(folder)
    (path / f"{name}.began").touch()
    while not (path / "go").exists():
        time.sleep(0.01)
    (path / f"{name}.finished").touch()
    return name


def touch(path: str, *_inputs: Any) -> str:
    Path(path).touch()
    return path


def twice(number: int, *_inputs: Any) -> int:
    return 2 * number


def task_of(client: ms.Client, job_id: str, key: str) -> dict[str, Any]:
    """What the cluster says of a task; a pending one without workers if its job is just on its way."""
    try:
        return client._get(f"/v1/jobs/{job_id}/tasks/{quote(key, safe='')}")
    except ms.GatewayError as error:
        if error.code != "unknown_job":
            raise
        return {"state": "pending", "workers": []}


def state_of(client: ms.Client, future: Future[Any]) -> str:
    return str(task_of(client, future.job_id, future.key)["state"])


def tell_all(client: ms.Client) -> None:
    """Return when the cluster knows of everything that was dropped before."""
    with client.session.building():
        dropped, held = client.submit(twice, 1), client.submit(twice, 2)
    ms.wait([dropped, held], timeout=60)
    job_id, key = dropped.job_id, dropped.key
    del dropped
    until(lambda: task_of(client, job_id, key)["state"] == "released")
    assert held.result(60) == 4


# ---- cancelling


def test_one_of_many_that_run_is_stopped(client: ms.Client, shared_path: Path) -> None:
    names = ["a", "b", "c", "d"]
    futures = dict(zip(names, client.map(wait_for_go, [str(shared_path)] * 4, names), strict=True))
    client.session.flush()
    until(lambda: list(shared_path.glob("*.began")))
    stopped = next(shared_path.glob("*.began")).stem
    client.cancel(futures[stopped])
    assert futures[stopped].cancelled()
    with pytest.raises(ms.CancelledError):
        futures[stopped].result(10)
    until(lambda: state_of(client, futures[stopped]) == "cancelled")
    others = [name for name in names if name != stopped]
    assert {futures[name].status for name in others} == {"pending"}
    (shared_path / "go").touch()
    assert client.gather([futures[name] for name in others]) == others
    assert not (shared_path / f"{stopped}.finished").exists()
    assert futures[stopped].cancelled()


def test_what_reads_a_cancelled_task_is_cancelled_with_it(client: ms.Client, shared_path: Path) -> None:
    with client.session.building():
        gate = client.submit(wait_for_go, str(shared_path))
        reader = client.submit(touch, str(shared_path / "reader"), gate)
        last = client.submit(touch, str(shared_path / "last"), [reader])
        other = client.submit(twice, 4)
    client.session.flush()
    until((shared_path / "gate.began").exists)
    assert gate.cancel()
    assert [future.status for future in (gate, reader, last)] == ["cancelled"] * 3
    assert other.result(60) == 8
    assert [state_of(client, future) for future in (reader, last)] == ["cancelled"] * 2
    assert not (shared_path / "reader").exists()
    assert not (shared_path / "last").exists()
    assert not gate.cancel()


def test_with_all_calls_the_job_is_cancelled(client: ms.Client, shared_path: Path) -> None:
    futures = client.map(wait_for_go, [str(shared_path)] * 3, ["a", "b", "c"])
    client.session.flush()
    until(lambda: list(shared_path.glob("*.began")))
    client.cancel(futures[:2])
    client.cancel(futures[2])
    until(lambda: client._get(f"/v1/jobs/{futures[0].job_id}")["state"] == "cancelled")


def test_with_all_calls_that_somebody_holds_the_job_is_cancelled(client: ms.Client, shared_path: Path) -> None:
    futures = client.map(wait_for_go, [str(shared_path)] * 3, ["a", "b", "c"])
    client.session.flush()
    del futures[2]
    client.cancel(futures)
    until(lambda: client._get(f"/v1/jobs/{futures[0].job_id}")["state"] == "cancelled")


def test_what_is_cancelled_before_it_is_sent_is_not_run(client: ms.Client, shared_path: Path) -> None:
    with client.session.building():
        stopped = client.submit(touch, str(shared_path / "stopped"), client.submit(wait_for_go, str(shared_path)))
        other = client.submit(twice, 3)
        stopped.cancel()
    until(lambda: state_of(client, stopped) == "cancelled")
    (shared_path / "go").touch()
    assert other.result(60) == 6
    assert not (shared_path / "stopped").exists()


def test_a_cancelled_call_can_be_retried(client: ms.Client) -> None:
    with client.session.building():
        first = client.submit(twice, 1)
        reader, other = client.submit(twice, first), client.submit(twice, 5)
    client.cancel(first)
    assert other.result(60) == 10
    reader.retry()
    assert reader.result(60) == 4


# ---- letting go


def test_a_dropped_result_is_freed_and_the_others_are_kept(client: ms.Client) -> None:
    dropped, held = client.map(bytes, [200_000, 200_001])
    ms.wait([dropped, held], timeout=60)
    job_id, key = dropped.job_id, dropped.key
    until(lambda: task_of(client, job_id, key)["workers"])
    del dropped
    until(lambda: not task_of(client, job_id, key).get("workers"))
    assert task_of(client, job_id, key)["state"] == "released"
    assert client.who_has(held)[held.key]
    assert len(held.result(60)) == 200_001


def test_a_released_future_says_so(client: ms.Client) -> None:
    first, second = client.map(twice, [1, 2], key=["first", "second"])
    ms.wait([first, second], timeout=60)
    job_id = first.job_id
    first.release()
    first.release()
    assert (first.status, first.key, first.job_id) == ("released", "first", job_id)
    assert first.done()
    assert not first.cancelled()
    until(lambda: client.who_has(first) == {"first": []})
    with pytest.raises(ms.ResultLostError, match="'first' was released: submit"):
        first.result(10)
    with pytest.raises(ValueError, match="'first' was released"):
        client.submit(twice, first)
    with pytest.raises(ValueError, match="'first' was released"):
        first.retry()
    assert client.gather([first, second], errors="skip") == [4]


def test_what_nobody_holds_and_nothing_needs_is_not_run(client: ms.Client, shared_path: Path) -> None:
    with client.session.building():
        gate = client.submit(wait_for_go, str(shared_path))
        dropped = client.submit(touch, str(shared_path / "dropped"), gate)
        held = client.submit(touch, str(shared_path / "held"), gate)
    client.session.flush()
    job_id, key = dropped.job_id, dropped.key
    del dropped
    until(lambda: task_of(client, job_id, key)["state"] == "cancelled")
    (shared_path / "go").touch()
    held.result(60)
    assert (shared_path / "held").exists()
    assert not (shared_path / "dropped").exists()


def test_what_a_pending_task_of_the_job_needs_is_kept(client: ms.Client, shared_path: Path) -> None:
    with client.session.building():
        gate = client.submit(wait_for_go, str(shared_path))
        number = client.submit(twice, 1, gate)
        total = client.submit(sum, [number, 5])
    client.session.flush()
    number.release()
    del gate, number
    tell_all(client)
    assert total.status == "pending"
    (shared_path / "go").touch()
    assert total.result(60) == 7


@pytest.mark.parametrize("is_done", [True, False])
def test_what_another_job_reads_is_kept_until_it_has_it(client: ms.Client, shared_path: Path, is_done: bool) -> None:
    with client.session.building():
        number, gate = client.submit(twice, 1), client.submit(wait_for_go, str(shared_path))
        late = client.submit(twice, 2, gate)
    client.session.flush()
    number.exception(60) if is_done else None
    with client.session.building():
        # Waits here for its input if that is not there.
        total = client.submit(sum, [number if is_done else late, 5])
        number.release()
        late.release()
    tell_all(client)
    (shared_path / "go").touch()
    assert total.result(60) == (7 if is_done else 9)
    assert gate.result(60) == "gate"


def test_what_was_fired_and_forgotten_goes_on(client: ms.Client, shared_path: Path) -> None:
    with client.session.building():
        gate = client.submit(wait_for_go, str(shared_path))
        ms.fire_and_forget(client.submit(touch, str(shared_path / "forgotten"), gate))
    tell_all(client)
    (shared_path / "go").touch()
    until((shared_path / "forgotten").exists)
    assert gate.result(60) == "gate"


def test_results_of_detached_jobs_are_kept(client: ms.Client, gateway: tuple[str, str | None]) -> None:
    futures = client.map(twice, range(4))
    job_id = client.detach(futures)
    del futures[1:3]
    tell_all(client)
    with ms.Client(gateway[0], token=gateway[1]) as other:
        assert other.attach(job_id).gather() == [0, 2, 4, 6]


@pytest.mark.parametrize("is_attached", [True, False])
def test_results_that_were_shared_are_kept(gateway: tuple[str, str | None], is_attached: bool) -> None:
    with ms.Client(gateway[0], token=gateway[1], attached=is_attached) as client:
        shared, held = client.map(twice, [1, 2])
        variable = ms.Variable(client=client)
        variable.set(shared)
        del shared
        tell_all(client)
        assert variable.get().result(60) == 2
        assert held.result(60) == 4
        variable.delete()


def test_persisted_parts_are_kept_while_their_collection_is_held(client: ms.Client) -> None:
    persisted, other = ms.persist(ms.delayed(twice)(1), ms.delayed(twice)(2), client=client)
    del other
    tell_all(client)
    assert (persisted * 10).compute() == 20


def test_a_retry_makes_released_inputs_again(client: ms.Client, shared_path: Path) -> None:
    def count(path: str) -> int:
        with open(path, "a") as file:
            file.write("x")
        return len(Path(path).read_text())

    def read(path: str, number: int) -> str:
        return f"{Path(path).read_text()} {number}"

    made, missing = shared_path / "made", shared_path / "missing"
    with client.session.building():
        number = client.submit(count, str(made))
        reader = client.submit(read, str(missing), number)
    del number
    assert isinstance(reader.exception(60), FileNotFoundError)
    tell_all(client)
    missing.write_text("now")
    reader.retry()
    assert reader.result(60) == "now 2"
    assert made.read_text() == "xx"


def test_a_retry_reads_inputs_of_other_jobs_that_the_user_released(client: ms.Client, shared_path: Path) -> None:
    number, other = client.map(twice, [1, 2])
    ms.wait([number, other], timeout=60)
    reader = client.submit(lambda path, number: f"{Path(path).read_text()} {number}", str(shared_path / "text"), number)
    assert isinstance(reader.exception(60), FileNotFoundError)
    number.release()
    tell_all(client)
    (shared_path / "text").write_text("now")
    reader.retry()
    assert reader.result(60) == "now 2"


# ---- how it is told


def test_what_is_dropped_together_is_one_request(
    fake: FakeCluster, fake_client: ms.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    futures = fake_client.map(twice, range(1000))
    ms.wait(futures)
    del futures[10:]
    (job,) = fake.jobs.values()
    until(lambda: len(job.given_up) == 990)
    assert [request for request in fake.requests if request.endswith("/release")] == [f"POST /v1/jobs/{job.id}/release"]
    monkeypatch.setattr(_give_up, "_MOST_KEYS", 4)
    del futures[1:]
    until(lambda: len(job.given_up) == 999)
    assert len([request for request in fake.requests if request.endswith("/release")]) == 1 + 3


def test_a_job_that_nobody_holds_goes_as_a_whole(fake: FakeCluster, fake_client: ms.Client) -> None:
    futures = fake_client.map(twice, range(100))
    ms.wait(futures)
    job_id = futures[0].job_id
    del futures
    until(lambda: job_id in fake.removed)
    assert not [request for request in fake.requests if request.endswith("/release")]


def test_jobs_that_are_gone_do_not_keep_others_from_being_told(fake: FakeCluster, fake_client: ms.Client) -> None:
    first = fake_client.map(twice, range(2))
    fake_client.session.flush()
    second = fake_client.map(twice, range(2))
    ms.wait(first + second)
    del fake.jobs[first[0].job_id]
    job = fake.jobs[second[0].job_id]
    first[0].release()
    second[0].release()
    until(lambda: job.given_up)


def test_futures_are_dropped_in_any_state_of_any_lock(fake: FakeCluster, fake_client: ms.Client) -> None:
    dropped, held = fake_client.map(twice, [1, 2])
    ms.wait([dropped, held])
    (job,) = fake.jobs.values()
    cycle: list[Any] = [dropped]
    cycle.append(cycle)
    del dropped, cycle

    def collect() -> None:
        with _aio._lock, fake_client.session._lock, held._job._changed:
            gc.collect()

    collecting = threading.Thread(target=collect, daemon=True)
    collecting.start()
    collecting.join(30)
    assert not collecting.is_alive()
    until(lambda: len(job.given_up) == 1)


def test_a_hundred_thousand_futures_are_dropped_in_no_time(fake_client: ms.Client) -> None:
    with fake_client.session.building():
        futures = fake_client.map(abs, range(100_000))
        began = time.monotonic()
        del futures[1:]
        # Some 10 ms; a lock or a request for each would take seconds.
        assert time.monotonic() - began < 1.0
        futures[0].cancel()


def test_futures_that_are_left_at_the_end_do_no_harm(fake: FakeCluster) -> None:
    script = f"""
import millstream as ms
client = ms.Client({fake.url!r}, token={fake.token!r})
futures = client.map(abs, range(100))
ms.wait(futures)
del futures[50:]
cycle = [futures[0]]
cycle.append(cycle)
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stderr == ""


def test_marks_of_the_journal_are_no_states() -> None:
    job = Job()
    job.restore([str(number) for number in range(6)], ["native"] * 6)
    job.update(bytes([0x81, 0x42, 0xC1, 0x64, 0x03, 0x40]))
    assert list(job.states) == [STORED, RELEASED, STORED, CANCELLED, FAILED, PENDING]


def test_holders_are_counted() -> None:
    holders = Holders()
    holders.notes.append(3)
    holders.add(5)
    assert holders.gone() == [3]
    holders.notes.append(5)
    assert holders.gone() == []
    holders.notes.append(5)
    assert holders.gone() == [5]
    # Gone and found again before anybody looked.
    holders.notes.append(7)
    holders.add(7)
    assert holders.gone() == []
    holders.notes.append(7)
    assert holders.gone() == [7]
