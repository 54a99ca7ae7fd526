"""The methods of clients for what outlives them: datasets, metadata and logs of events."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from millstream import _aio, _shared

if TYPE_CHECKING:
    from millstream._client import Client
    from millstream._session import Session

# How long a dataset stays listed; its results are kept for a day after they were last read.
_DATASET_TTL = "30d"
# Events of a topic that are kept; the oldest make room.
_MAX_EVENTS = 1000

_missing = object()


class Sharing:
    """Part of :class:`Client`."""

    session: Session

    # ---- datasets

    def publish_dataset(self, *values: Any, name: str | None = None, override: bool = False, **datasets: Any) -> None:
        """Name results, so that other clients find them.

        Parameters
        ----------
        *values
            One value, called `name`.
        name : str, optional
            What to call it.
        override : bool
            Whether datasets of the same names are replaced.
        **datasets
            Values by their names: futures, persisted collections, or anything that holds futures.

        Raises
        ------
        KeyError
            If there is such a dataset already.

        Examples
        --------
        >>> client.publish_dataset(total=client.submit(sum, [1, 2]), override=True)
        >>> client.get_dataset("total").result()
        3
        >>> "total" in client.list_datasets()
        True
        >>> client.unpublish_dataset("total")
        """
        if len(values) > 1 or bool(values) != (name is not None):
            raise ValueError("give one value and its name, or values by their names: publish_dataset(a=x, b=y)")
        if values and name is not None:
            datasets[name] = values[0]
        packed = {each: _shared.pack(value) for each, value in datasets.items()}
        for each, content in packed.items():
            if not _aio.wait(_publish(self.session, each, content, override=override)):
                raise KeyError(f"there is a dataset {each!r} already: unpublish it, or publish with override=True")

    def get_dataset(self, name: str, default: Any = _missing) -> Any:
        """Return a dataset: what was published, over the same results.

        Raises
        ------
        KeyError
            If there is no such dataset, and no default.

        Examples
        --------
        >>> client.get_dataset("absent", default=0)
        0
        """
        found = _aio.wait(_read(self.session, f"dataset.{name}"))
        if found is None:
            if default is _missing:
                raise KeyError(f"there is no dataset {name!r}; there are {', '.join(self.list_datasets()) or 'none'}")
            return default
        return found[1]

    def list_datasets(self) -> tuple[str, ...]:
        """Return the names of all datasets."""
        return tuple(_aio.wait(_shared.names(self.session, "cells", "dataset.")))

    def unpublish_dataset(self, name: str) -> None:
        """Forget a dataset's name; its results are let go when their time is over.

        Raises
        ------
        KeyError
            If there is no such dataset.
        """
        if not _aio.wait(_shared.remove_cell(self.session, f"dataset.{name}")):
            raise KeyError(f"there is no dataset {name!r}")

    # ---- metadata

    def set_metadata(self, key: str | Sequence[str], value: Any) -> None:
        """Keep a small value on the cluster under a name, or under names within names.

        Examples
        --------
        >>> client.set_metadata(["model", "accuracy"], 0.93)
        >>> client.get_metadata("model")
        {'accuracy': 0.93}
        """
        _aio.wait(_set_metadata(self.session, _names(key), value))

    def get_metadata(self, keys: str | Sequence[str], default: Any = _missing) -> Any:
        """Return what :meth:`set_metadata` kept.

        Raises
        ------
        KeyError
            If there is none, and no default.

        Examples
        --------
        >>> client.set_metadata("colour", "red")
        >>> client.get_metadata("colour"), client.get_metadata("taste", default="none")
        ('red', 'none')
        """
        first, *rest = _names(keys)
        found = _aio.wait(_read(self.session, f"metadata.{first}"))
        value = _missing if found is None else found[1]
        for name in rest:
            value = value.get(name, _missing) if isinstance(value, Mapping) else _missing
        if value is not _missing:
            return value
        if default is _missing:
            raise KeyError(f"there is no metadata {keys!r}")
        return default

    # ---- events

    def log_event(self, topic: str | Sequence[str], msg: Any) -> None:
        """Keep an event under a topic, or under each of several; the last thousand of each are kept.

        Examples
        --------
        >>> client.log_event("training", {"epoch": 1, "loss": 0.5})
        >>> [msg for when, msg in client.get_events("training")]
        [{'epoch': 1, 'loss': 0.5}]
        """
        packed = _shared.pack((time.time(), msg))
        for each in [topic] if isinstance(topic, str) else topic:
            _aio.wait(_log(self.session, each, packed))

    def get_events(self, topic: str | None = None) -> Any:
        """Return a topic's events as pairs of time and message, oldest first; of all topics by default.

        Examples
        --------
        >>> client.log_event("tests", "began")
        >>> [msg for when, msg in client.get_events()["tests"]]
        ['began']
        """
        if topic is not None:
            return _aio.wait(_events(self.session, topic))
        topics = _aio.wait(_shared.names(self.session, "queues", "events."))
        return {each: self.get_events(each) for each in topics}

    # Shorter names of the same.
    log = log_event
    events = get_events


class AsyncSharing:
    """Part of :class:`AsyncClient`."""

    @property
    def client(self) -> Client:
        """The client underneath."""
        raise NotImplementedError

    async def publish_dataset(self, *values: Any, **datasets: Any) -> None:
        """Name results, so that other clients find them; see :meth:`Client.publish_dataset`."""
        await asyncio.to_thread(self.client.publish_dataset, *values, **datasets)

    async def get_dataset(self, name: str, default: Any = _missing) -> Any:
        """Return a dataset; see :meth:`Client.get_dataset`."""
        return await asyncio.to_thread(self.client.get_dataset, name, default)

    async def list_datasets(self) -> tuple[str, ...]:
        """Return the names of all datasets."""
        return await asyncio.to_thread(self.client.list_datasets)

    async def unpublish_dataset(self, name: str) -> None:
        """Forget a dataset's name; see :meth:`Client.unpublish_dataset`."""
        await asyncio.to_thread(self.client.unpublish_dataset, name)

    async def set_metadata(self, key: str | Sequence[str], value: Any) -> None:
        """Keep a small value on the cluster; see :meth:`Client.set_metadata`."""
        await asyncio.to_thread(self.client.set_metadata, key, value)

    async def get_metadata(self, keys: str | Sequence[str], default: Any = _missing) -> Any:
        """Return what :meth:`set_metadata` kept; see :meth:`Client.get_metadata`."""
        return await asyncio.to_thread(self.client.get_metadata, keys, default)

    async def log_event(self, topic: str | Sequence[str], msg: Any) -> None:
        """Keep an event under a topic; see :meth:`Client.log_event`."""
        await asyncio.to_thread(self.client.log_event, topic, msg)

    async def get_events(self, topic: str | None = None) -> Any:
        """Return a topic's events; see :meth:`Client.get_events`."""
        return await asyncio.to_thread(self.client.get_events, topic)

    log = log_event
    events = get_events


def _names(key: str | Sequence[str]) -> list[str]:
    names = [key] if isinstance(key, str) else [str(name) for name in key]
    if not names:
        raise ValueError("metadata needs a name")
    return names


async def _read(session: Session, name: str) -> tuple[int, Any] | None:
    found = await _shared.read_cell(session, name)
    return None if found is None else (found[0], await _shared.from_wire(session, found[1]))


async def _publish(session: Session, name: str, packed: _shared.Packed, *, override: bool) -> bool:
    wire = await _shared.to_wire(session, packed)
    return await _shared.write_cell(session, f"dataset.{name}", wire, absent=not override, ttl=_DATASET_TTL)


async def _set_metadata(session: Session, names: list[str], value: Any) -> None:
    cell = f"metadata.{names[0]}"
    while True:
        found = await _read(session, cell) if names[1:] else None
        root = value if not names[1:] else _with(found[1] if found else None, names[1:], value)
        wire = await _shared.to_wire(session, _shared.pack(root))
        if not names[1:]:
            await _shared.write_cell(session, cell, wire)
            return
        # Somebody else may write beside this name meanwhile.
        if await _shared.write_cell(session, cell, wire, version=found[0] if found else None, absent=found is None):
            return


def _with(tree: Any, names: list[str], value: Any) -> dict[str, Any]:
    """Return a copy of nested mappings with one value set."""
    first, *rest = names
    known = dict(tree) if isinstance(tree, Mapping) else {}
    return known | {first: _with(known.get(first), rest, value) if rest else value}


async def _log(session: Session, topic: str, packed: _shared.Packed) -> None:
    item = await _shared.to_wire(session, packed)
    await _shared.push(session, f"events.{topic}", item, limit=_MAX_EVENTS, drop_oldest=True)


async def _events(session: Session, topic: str) -> tuple[Any, ...]:
    items = await _shared.look(session, f"events.{topic}")
    return tuple([await _shared.from_wire(session, item) for item in items])
