"""How many workers a cluster of this machine has: so many, or as many as its tasks need."""

from __future__ import annotations

import logging
import math
import re
import threading
import time
from typing import TYPE_CHECKING, Any, Self

from millstream import _aio
from millstream._errors import MillstreamError

if TYPE_CHECKING:
    from types import TracebackType

    from millstream._client import Client

_log = logging.getLogger(__name__)

# What a new worker may take until the scheduler knows it.
_START_TIMEOUT = 30.0
_UNFINISHED = re.compile(r'^millstream_tasks\{[^}]*state="(?:ready|assigned)"[^}]*\} (\S+)', re.MULTILINE)


def scale(client: Client, wanted: int) -> None:
    """Start or retire workers until there are so many."""
    if wanted < 0:
        raise ValueError(f"the number of workers must not be negative, got {wanted}")
    there = staying(client)
    if len(there) < wanted:
        _start(client, wanted - len(there), wanted)
    elif len(there) > wanted:
        # Those that have least to finish and to hand over.
        there.sort(key=lambda worker: (worker["executing"] + worker["assigned"], worker["objects"]))
        client.retire_workers([worker["id"] for worker in there[: len(there) - wanted]])


def staying(client: Client) -> list[dict[str, Any]]:
    """The workers that were not told to leave."""
    return [worker for worker in client.workers() if worker["state"] != "draining"]


def _start(client: Client, count: int, wanted: int) -> None:
    import msgpack

    transport = client.session.transport
    _aio.wait(transport.call("POST", "/v1/workers", content=msgpack.packb({"count": count})))
    deadline = time.monotonic() + _START_TIMEOUT
    while len(staying(client)) < wanted:
        if time.monotonic() > deadline:
            raise MillstreamError(f"fewer than {wanted} workers within {_START_TIMEOUT:.0f} s: see `cluster.log()`")
        time.sleep(0.01)


class Adaptive:
    """Keeps the number of workers to what tasks need; made by :meth:`LocalCluster.adapt`.

    Parameters
    ----------
    client : Client
        A client of the cluster.
    minimum, maximum : int
        The fewest and the most workers.
    interval : float
        Seconds between looks.
    wait_count : int
        How many looks in a row must find too many workers before some retire.
    """

    def __init__(self, client: Client, minimum: int, maximum: int, interval: float, wait_count: int) -> None:
        if not 0 <= minimum <= maximum:
            raise ValueError(f"0 <= minimum <= maximum is expected, got minimum={minimum}, maximum={maximum}")
        self.minimum, self.maximum = minimum, maximum
        self._client = client
        self._interval = interval
        self._wait_count = wait_count
        self._idle_looks = 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="millstream-adapt", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Leave the number of workers as it is."""
        self._stopped.set()
        if threading.current_thread() is not self._thread:
            self._thread.join(_START_TIMEOUT)

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._look()
            except (MillstreamError, RuntimeError) as error:
                if not self._stopped.is_set():
                    _log.warning("the number of workers was not adapted: %s", error)
            self._stopped.wait(self._interval)

    def _look(self) -> None:
        workers = staying(self._client)
        slots = max((worker["slots"] for worker in workers), default=1)
        needed = math.ceil(self._unfinished() / slots)
        wanted = min(max(needed, self.minimum), self.maximum)
        if wanted < len(workers):
            self._idle_looks += 1
            if self._idle_looks < self._wait_count:
                return
        self._idle_looks = 0
        if wanted != len(workers):
            scale(self._client, wanted)

    def _unfinished(self) -> int:
        """Tasks that could run now, or do."""
        response = _aio.wait(self._client.session.transport.request("GET", "/metrics"))
        return sum(int(float(count)) for count in _UNFINISHED.findall(response.text))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<Adaptive {self.minimum} to {self.maximum} workers>"
