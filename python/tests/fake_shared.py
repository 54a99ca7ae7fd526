"""The fake cluster's cells, queues and semaphores, as the gateway's OpenAPI page describes them."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from typing import Any

import msgpack


class Problem(Exception):  # noqa: N818 - it is what the gateway calls it
    def __init__(self, status: int, code: str) -> None:
        self.status, self.code = status, code


class FakeShared:
    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.cells: dict[str, tuple[int, Any]] = {}
        self.queues: dict[str, list[Any]] = {}
        # Tickets by arrival, and when each lapses.
        self.semaphores: dict[str, dict[str, float]] = {}
        self.answers: dict[str, Any] = {}
        self.versions = itertools.count(1)
        self.wakes = 0

    def answer(self, method: str, path: list[str], query: dict[str, str], headers: Any, body: bytes) -> tuple[int, Any]:
        """The status and body of an answer."""
        wait = _seconds(query.get("wait"))
        content = msgpack.unpackb(body) if body else {}
        with self.changed:
            handler: Callable[..., tuple[int, Any]] = getattr(self, f"_{path[0]}")
            status, value = handler(method, path[1:], query, headers, content, wait)
            if method != "GET":
                self.changed.notify_all()
            return status, value

    def wake(self) -> None:
        """Let all that wait be answered now."""
        with self.changed:
            self.wakes += 1
            self.changed.notify_all()

    def _until(self, ready: Callable[[], Any], wait: float) -> Any:
        deadline = time.monotonic() + wait
        wakes = self.wakes
        while not (found := ready()):
            left = deadline - time.monotonic()
            if left <= 0 or wakes != self.wakes:
                return found
            self.changed.wait(min(left, 0.05))
        return found

    def _cells(
        self, method: str, path: list[str], query: dict[str, str], headers: Any, body: Any, wait: float
    ) -> tuple[int, Any]:
        if not path:
            return 200, {"cells": sorted(name for name in self.cells if name.startswith(query.get("prefix", "")))}
        name = path[0]
        if method == "GET":
            after = int(query["after"]) if "after" in query else None
            self._until(lambda: self.cells.get(name, (after,))[0] != after, wait)
            if name not in self.cells:
                return 204, None
            version, value = self.cells[name]
            return (304, None) if version == after else (200, {"name": name, "version": version, "value": value})
        current = self.cells.get(name)
        if tag := headers.get("if-match"):
            if current is None or tag != f'"{current[0]}"':
                raise Problem(412, "version_conflict")
        elif headers.get("if-none-match") == "*" and current is not None:
            raise Problem(412, "version_conflict")
        if method == "DELETE":
            return 200, {"removed": self.cells.pop(name, None) is not None}
        if len(msgpack.packb(body["value"])) > 65536:
            raise Problem(413, "value_too_large")
        self.cells[name] = (next(self.versions), body["value"])
        return 200, {"name": name, "version": self.cells[name][0]}

    def _queues(
        self, method: str, path: list[str], query: dict[str, str], headers: Any, body: Any, wait: float
    ) -> tuple[int, Any]:
        if not path:
            return 200, {"queues": sorted(name for name in self.queues if name.startswith(query.get("prefix", "")))}
        name = path[0]
        items = self.queues.get(name, [])
        if method == "GET":
            first = int(query.get("from", 0))
            page = items[first : first + int(query.get("limit", 20))]
            return 200, {"name": name, "length": len(items), "items": page}
        if method == "DELETE":
            self.queues.pop(name, None)
            return 204, None
        if body["id"] in self.answers:
            return 200, self.answers[body["id"]]
        items = self.queues.setdefault(name, items)
        if path[1:] == ["take"]:
            self._until(lambda: items, wait)
            answer: Any = {"items": [items.pop(0) for _ in items[: body["count"]]]}
        else:
            answer = self._push(items, body, wait)
        self.answers[body["id"]] = answer
        return 200, answer

    def _push(self, items: list[Any], body: Any, wait: float) -> Any:
        limit = body.get("limit") or 10_000
        room = limit - len(body["items"])
        if body.get("drop_oldest"):
            del items[: max(0, len(items) - room)]
        self._until(lambda: len(items) <= room, wait)
        if len(items) > room:
            raise Problem(409, "queue_full")
        items += body["items"]
        return {"length": len(items)}

    def _semaphores(
        self, method: str, path: list[str], query: dict[str, str], headers: Any, body: Any, wait: float
    ) -> tuple[int, Any]:
        line = self.semaphores.setdefault(path[0], {})

        def live() -> list[str]:
            for ticket in [ticket for ticket, until in line.items() if until < time.monotonic()]:
                del line[ticket]
            return list(line)

        if method == "GET":
            # Nobody here says what the limit is but those that enter.
            held = min(len(live()), self.answers.get(path[0], 1))
            return 200, {"name": path[0], "held": held, "waiting": len(line) - held}
        if method == "DELETE":
            line.pop(path[1], None)
            return 204, None
        live()
        if line and self.answers.get(path[0]) != body["limit"]:
            raise Problem(409, "limit_differs")
        self.answers[path[0]] = body["limit"]
        line[path[1]] = time.monotonic() + body["ttl"]
        self._until(lambda: live().index(path[1]) < body["limit"], wait)
        ahead = max(0, live().index(path[1]) + 1 - body["limit"])
        return 200, {"held": ahead == 0, "ahead": ahead}


def _seconds(text: str | None) -> float:
    if not text:
        return 0.0
    return float(text[:-2]) / 1000 if text.endswith("ms") else float(text[:-1])
