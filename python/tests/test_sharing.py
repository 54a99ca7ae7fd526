"""What outlives a client: datasets, metadata, logs of events."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator

import pytest
from fake_cluster import FakeCluster

import millstream as ms
from millstream import _sharing, bag


@pytest.fixture
def name() -> str:
    return uuid.uuid4().hex


@pytest.fixture
def other(gateway: tuple[str, str | None]) -> Iterator[ms.Client]:
    url, token = gateway
    with ms.Client(url, token=token, set_as_default=False) as client:
        yield client


def test_a_dataset_is_found_by_other_clients(client: ms.Client, other: ms.Client, name: str) -> None:
    client.publish_dataset({"sum": client.submit(sum, [1, 2]), "unit": "m"}, name=name)
    assert name in other.list_datasets()
    found = other.get_dataset(name)
    assert (found["sum"].result(30), found["unit"]) == (3, "m")
    with pytest.raises(KeyError, match="already"):
        other.publish_dataset(**{name: 1})
    other.publish_dataset(**{name: 1}, override=True)
    assert client.get_dataset(name) == 1
    client.unpublish_dataset(name)
    assert name not in other.list_datasets()
    with pytest.raises(KeyError, match="no dataset"):
        other.get_dataset(name)
    with pytest.raises(KeyError, match="no dataset"):
        other.unpublish_dataset(name)
    assert other.get_dataset(name, default=None) is None


def test_names_of_datasets_may_be_anything(client: ms.Client, other: ms.Client, name: str) -> None:
    odd = f"{name}/März 50% +1?"
    client.publish_dataset(1, name=odd)
    assert odd in other.list_datasets()
    assert other.get_dataset(odd) == 1
    other.unpublish_dataset(odd)


def test_persisted_collections_are_published(client: ms.Client, other: ms.Client, name: str) -> None:
    with pytest.raises(ms.SerializationError, match="persist it first"):
        client.publish_dataset(lazy=bag.from_sequence(range(3)))
    numbers = client.persist(bag.from_sequence(range(10), npartitions=3).map(lambda x: x * x))
    total = client.persist(ms.delayed(sum)([1, 2, 3]))
    client.publish_dataset(**{name: {"numbers": numbers, "total": total}})
    found = other.get_dataset(name)
    assert other.compute(found["numbers"].sum()).result(30) == 285
    assert other.compute(found["total"]).result(30) == 6


def test_a_dataset_outlives_its_publisher(fake: FakeCluster) -> None:
    with ms.Client(fake.url, token=fake.token) as first:
        first.publish_dataset(slow=first.submit(lambda: time.sleep(0.3) or 5))
    with ms.Client(fake.url, token=fake.token) as second:
        assert second.get_dataset("slow").result(30) == 5


def test_metadata_nests(client: ms.Client, other: ms.Client, name: str) -> None:
    client.set_metadata([name, "a", "b"], 1)
    other.set_metadata([name, "c"], {"d": 2})
    assert client.get_metadata(name) == {"a": {"b": 1}, "c": {"d": 2}}
    assert client.get_metadata([name, "a", "b"]) == 1
    assert client.get_metadata([name, "x"], default=None) is None
    with pytest.raises(KeyError, match="no metadata"):
        client.get_metadata([name, "a", "b", "c"])
    other.set_metadata(name, "flat")
    assert client.get_metadata(name) == "flat"


def test_metadata_written_at_once_is_all_kept(client: ms.Client, other: ms.Client, name: str) -> None:
    def write(of: ms.Client, number: int) -> None:
        of.set_metadata([name, str(number)], number)

    threads = [threading.Thread(target=write, args=((client, other)[number % 2], number)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert client.get_metadata(name) == {str(number): number for number in range(12)}


def test_events_are_kept_by_topic(client: ms.Client, other: ms.Client, name: str) -> None:
    began = time.time()
    client.log_event(name, {"epoch": 1})
    other.log_event([name, name + "/2"], "two")
    events = client.get_events(name)
    assert [message for _, message in events] == [{"epoch": 1}, "two"]
    assert all(began - 60 < when < time.time() + 60 for when, _ in events)
    assert client.get_events()[name + "/2"] == events[1:]
    assert client.get_events("never") == ()


def test_events_have_short_names(client: ms.Client) -> None:
    client.log("short", 1)
    assert [message for _, message in client.events("short")] == [1]


def test_the_oldest_events_make_room(fake_client: ms.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_sharing, "_MAX_EVENTS", 105)
    for number in range(110):
        fake_client.log_event("many", number)
    kept = [message for _, message in fake_client.get_events("many")]
    assert kept == list(range(5, 110))
