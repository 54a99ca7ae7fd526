"""The cluster that answers: processes on RabbitMQ and Redis, with counters of what its workers do."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "python" / "tests"))

from services import ServicesCluster

import millstream as ms
from millstream.dataframe import _run
from millstream.dataframe._query import Query

_TASKS = re.compile(r'^millstream_worker_task_seconds_count\{kind="frame"\} (\d+)', re.MULTILINE)
_FETCHES = re.compile(r"^millstream_worker_fetch_seconds_count (\d+)", re.MULTILINE)
_BYTES = re.compile(r"^millstream_worker_fetched_bytes_total (\d+)", re.MULTILINE)

# Workers tell bytes with each heartbeat, once in a second.
_HEARTBEAT = 1.5


@dataclass(frozen=True)
class Done:
    """What workers have done, by their names: tasks of queries, and fetches from each other."""

    tasks: dict[str, int]
    fetches: dict[str, int]

    def since(self, before: Done) -> Done:
        """What was done between two counts."""
        return Done(_minus(self.tasks, before.tasks), _minus(self.fetches, before.fetches))


def _minus(after: Mapping[str, int], before: Mapping[str, int]) -> dict[str, int]:
    return {name: count - before[name] for name, count in after.items()}


class Cluster:
    """A scheduler, a gateway and workers, which may read the data, and a client."""

    def __init__(self, data: Path, workers: int, slots: int, memory_limit: str) -> None:
        self._services = ServicesCluster(workers=workers, slots=slots, memory_limit=memory_limit, data=data)
        try:
            ms.progress_bar(False)
            self._client = ms.Client(self._services.url, token=self._services.token)
        except BaseException:
            self._services.close()
            raise

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()
        self._services.close()

    def rows(self, query: str, tables: Mapping[str, str], options: Mapping[str, Any]) -> pa.Table:
        """The result of a query; with options as a request of its own, since `sql` has none."""
        if not options:
            return self._client.sql(query, **tables).to_arrow(limit=None)
        return _run.table(self._client, _WithOptions(query, (), tables, options))

    def tasks_besides(self, options: Mapping[str, Any]) -> int:
        """How many tasks :meth:`rows` needs beside those of the query's stages."""
        # Both kinds plan the query and write its result; `sql` first asks for its columns, with a stage of no rows.
        return 2 if options else 5

    def done(self) -> Done:
        """What the workers have done so far."""
        return Done(self._counts(_TASKS), self._counts(_FETCHES))

    def fetched_bytes(self) -> int:
        """Bytes that all workers have fetched from each other since they began."""
        before, after = -1, sum(self._counts(_BYTES).values())
        while before != after:
            time.sleep(_HEARTBEAT)
            before, after = after, sum(self._counts(_BYTES).values())
        return after

    def _counts(self, pattern: re.Pattern[str]) -> dict[str, int]:
        headers = {"Authorization": f"Bearer {self._services.token}"}
        shown = {name: httpx.get(url, headers=headers).text for name, url in self._services.metrics.items()}
        return {name: sum(map(int, pattern.findall(text))) for name, text in shown.items()}


@dataclass(frozen=True)
class _WithOptions(Query):
    options: Mapping[str, Any] = field(default_factory=dict)

    def body(self) -> bytes:
        import msgpack

        packed: bytes = msgpack.packb({**msgpack.unpackb(super().body()), "options": dict(self.options)})
        return packed
