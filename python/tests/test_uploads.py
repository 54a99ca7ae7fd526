"""Large values go to the workers once, ahead of the jobs that read them."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

import numpy as np
import pytest
from fake_cluster import FakeCluster

import millstream as ms
from millstream import _uploads
from millstream._uploads import LARGE_UPLOAD

LARGE = LARGE_UPLOAD // 8 + 1


def eventually(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def puts(fake: FakeCluster) -> int:
    return sum(request.startswith("PUT /v1/uploads/") for request in fake.requests)


def test_a_scattered_array_is_sent_once_and_read_by_many(client: ms.Client) -> None:
    array = np.arange(4 * LARGE, dtype="float64")
    future = client.scatter(array)
    totals = client.map(lambda a, n: float(a.sum()) + n, [future] * 5, range(5))
    assert client.gather(totals) == [array.sum() + n for n in range(5)]
    np.testing.assert_array_equal(future.result(), array)


def test_scatter_keeps_its_shape_whatever_the_sizes(client: ms.Client) -> None:
    values = {"small": 1, "large": np.ones(LARGE), "text": "x" * (2 * LARGE_UPLOAD), "bytes": bytes(2 * LARGE_UPLOAD)}
    futures = client.scatter(values)
    gathered = client.gather(futures)
    assert gathered["small"] == 1
    np.testing.assert_array_equal(gathered["large"], values["large"])
    assert gathered["text"] == values["text"]
    assert gathered["bytes"] == values["bytes"]
    first, second = client.scatter([np.zeros(LARGE), 2])
    assert client.submit(lambda a, b: a.sum() + b, first, second).result() == 2


def test_a_large_argument_needs_no_scatter(client: ms.Client) -> None:
    array = np.arange(2 * LARGE)
    assert client.submit(lambda a: int(a[-1]), array).result() == 2 * LARGE - 1
    assert client.submit(lambda nested: int(nested["deep"][0][7]), {"deep": [array]}).result() == 7


def test_a_value_beyond_the_limit_of_a_job_arrives(client: ms.Client, is_real: bool) -> None:
    if not is_real:
        pytest.skip("the fake cluster knows no limits")
    # `gateway.body_limit` is 256 MiB.
    array = np.arange(300 << 17, dtype="float64")
    future = client.scatter(array)
    assert client.submit(lambda a: (a.nbytes, float(a[-1])), future).result() == (300 << 20, array[-1])


def test_the_same_content_travels_once(fake_client: ms.Client, fake: FakeCluster) -> None:
    array = np.arange(LARGE)
    first = fake_client.submit(len, array)
    assert first.result() == LARGE
    del first
    gc.collect()
    second = fake_client.submit(len, array.copy())
    assert second.result() == LARGE
    assert puts(fake) == 1
    assert fake_client.submit(len, array + 1).result() == LARGE
    assert puts(fake) == 2


def test_uploads_go_with_the_last_job_that_may_need_them(
    fake_client: ms.Client, fake: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_uploads, "KEPT", 0.01)
    array = np.arange(LARGE)
    scattered = fake_client.scatter(array)
    reader = fake_client.submit(len, scattered)
    assert reader.result() == LARGE
    assert len(fake.uploads) == 1
    del scattered
    gc.collect()
    # The reader's job may have to make its input again.
    assert fake_client.submit(int, 1).result() == 1
    assert len(fake.uploads) == 1
    del reader
    gc.collect()
    eventually(lambda: not fake.uploads, "the upload is removed")


def test_a_client_that_closes_leaves_only_what_detached_jobs_need(fake: FakeCluster) -> None:
    with ms.Client(fake.url, token=fake.token) as client:
        kept = client.scatter(np.arange(LARGE))
        dropped = client.scatter(np.arange(LARGE) + 1)
        assert client.gather(client.map(len, [kept, dropped])) == [LARGE, LARGE]
        job_id = client.detach(kept)
        assert len(fake.uploads) == 2
    assert len(fake.uploads) == 1
    with ms.Client(fake.url, token=fake.token) as other:
        np.testing.assert_array_equal(other.attach(job_id).gather()[0], np.arange(LARGE))


def test_retry_sends_what_the_workers_lost(fake_client: ms.Client, fake: FakeCluster) -> None:
    array = np.arange(LARGE)
    holder = fake_client.submit(len, array)
    assert holder.result() == LARGE
    fake.uploads.clear()
    failed = fake_client.submit(sum, array)
    assert failed.exception() is not None
    fake_client.retry(failed)
    assert failed.result() == array.sum()
    assert puts(fake) == 2
