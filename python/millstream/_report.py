"""A page that tells what the cluster did during a block of code: one file, which needs no cluster to be read."""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from millstream import _aio
from millstream._http import text_of_id

if TYPE_CHECKING:
    from millstream._client import Client

# Workers tell what they did each second; a report waits for that, but not for one that is silent.
_NEWS_MS = 1000
_PATIENCE = 5.0
# Pixels of the picture: its columns, the room for names, and the height of a slot.
_WIDTH, _NAMES, _ROW = 1000, 160, 16
# A page with more rows helps nobody.
_MOST_ROWS = 256
# Kinds of blocks: what is not a run has a colour of its own.
_RUN, _FAILED = 0, 1
_COLORS = {1: "#c62828", 2: "#ef6c00", 3: "#6d4c41", 4: "#a1887f"}
_NAMES_OF_KINDS = {1: "failed", 2: "fetch", 3: "spill", 4: "read back"}
_STYLE = (
    "body{font:14px sans-serif;margin:2em;color:#212121}table{border-collapse:collapse}"
    "td,th{padding:.2em .8em;text-align:right;border-bottom:1px solid #ddd}"
    "td:first-child,th:first-child{text-align:left}"
)


@dataclass
class Operation:
    """What the calls of one function in one job took."""

    job: str
    name: str
    finished: int = 0
    failed: int = 0
    busy_us: int = 0
    bytes: int = 0


@dataclass
class Report:
    """What happened on the cluster between two moments."""

    seconds: float
    workers: list[dict[str, Any]]
    operations: list[Operation]
    spans: dict[str, Any] = field(default_factory=dict)

    @property
    def slots(self) -> int:
        """Tasks that run at once."""
        return sum(worker["slots"] for worker in self.workers)


@contextlib.contextmanager
def performance_report(
    filename: str | Path = "millstream-report.html", *, client: Client | None = None
) -> Iterator[None]:
    """Write what the cluster does during a block of code to an HTML file.

    The file holds everything that it shows: how busy the slots were, what each function took, and a picture of what ran
    where and when. It tells of the whole cluster, also of what others run there meanwhile. Before and after the block
    it waits a second or two for the workers' news.

    Parameters
    ----------
    filename : str or Path
        The file to write.
    client : Client, optional
        The cluster; the current one by default.

    Examples
    --------
    >>> import millstream as ms
    >>> with ms.performance_report("report.html"):  # doctest: +SKIP
    ...     ms.compute(ms.delayed(sum)([1, 2]))
    """
    from millstream._client import get_client

    used = client or get_client()
    path = Path(filename)
    # Before hours of work, not after them.
    if not path.parent.is_dir():
        raise FileNotFoundError(f"the folder {path.parent} of the report does not exist")
    # What ended before must be told by now, or it would count as part of the block.
    _wait_for_news(used, _now(used) // 1000)
    began_us, before = _now(used), _operations(used)
    try:
        yield
    except BaseException:
        # A failure is what a report is wanted for, too; one of the report's own must not hide it.
        with contextlib.suppress(Exception):
            _write(path, used, began_us, before)
        raise
    _write(path, used, began_us, before)


def _write(path: Path, client: Client, began_us: int, before: Mapping[tuple[str, str], Operation]) -> None:
    path.write_text(page(_report(client, began_us, before)), encoding="utf-8")


def _get(client: Client, path: str) -> dict[str, Any]:
    answer: dict[str, Any] = _aio.wait(client.session.transport.call("GET", path))
    return answer


def _now(client: Client) -> int:
    """The cluster's time: this machine may have another."""
    return int(_get(client, "/v1/live/spans?width=1")["to_us"])


def _operations(client: Client) -> dict[tuple[str, str], Operation]:
    listed = _get(client, "/v1/live/operations")["operations"]
    found: dict[tuple[str, str], Operation] = {}
    for each in listed:
        job = text_of_id(each["job"])
        operation = found.setdefault((job, each["name"]), Operation(job, each["name"]))
        for name in ("finished", "failed", "busy_us", "bytes"):
            setattr(operation, name, getattr(operation, name) + each[name])
    return found


def _report(client: Client, began_us: int, before: Mapping[tuple[str, str], Operation]) -> Report:
    ended_us = _now(client)
    _wait_for_news(client, ended_us // 1000)
    window = f"from_ms={began_us // 1000}&to_ms={ended_us // 1000 + 1}"
    spans = _get(client, f"/v1/live/spans?{window}&width={_WIDTH}")
    changes = [_since(before.get(key), now) for key, now in _operations(client).items()]
    operations = sorted((each for each in changes if each.finished or each.failed), key=lambda it: -it.busy_us)
    return Report((ended_us - began_us) / 1e6, client.workers(), operations, spans)


def _wait_for_news(client: Client, at_ms: int) -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        points = _get(client, "/v1/live/history")["points"]
        if points and points[-1]["at_ms"] >= at_ms + _NEWS_MS:
            return
        time.sleep(0.1)


def _since(before: Operation | None, now: Operation) -> Operation:
    # Fewer than before: the gateway began anew.
    if before is None or before.finished > now.finished:
        return now
    return Operation(
        now.job,
        now.name,
        now.finished - before.finished,
        now.failed - before.failed,
        now.busy_us - before.busy_us,
        now.bytes - before.bytes,
    )


def page(report: Report) -> str:
    """Return a report as HTML.

    Examples
    --------
    >>> "2.5 s" in page(Report(2.5, [], []))
    True
    """
    busy = sum(each.busy_us for each in report.operations) / 1e6
    room = report.slots * report.seconds
    facts = {
        "Duration": f"{report.seconds:.1f} s",
        "Workers": f"{len(report.workers)} with {report.slots} slots",
        "Tasks": f"{sum(each.finished for each in report.operations):,}",
        "Failed": f"{sum(each.failed for each in report.operations):,}",
        "Busy": f"{busy:.1f} s of {room:.1f} s in slots" + (f" ({100 * busy / room:.0f} %)" if room else ""),
        "Results": f"{sum(each.bytes for each in report.operations):,} bytes",
    }
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Millstream report</title><style>{_STYLE}</style>'
        f"<h1>Millstream report</h1>{_table(('', ''), list(facts.items()))}"
        f"<h2>Functions</h2>{_functions(report.operations)}<h2>What ran where</h2>{picture(report)}</html>\n"
    )


def _functions(operations: Sequence[Operation]) -> str:
    rows = [
        (
            each.name,
            each.job,
            f"{each.finished:,}",
            f"{each.failed:,}",
            f"{each.busy_us / 1e6:.3f} s",
            f"{each.busy_us / 1e3 / max(each.finished + each.failed, 1):.3f} ms",
            f"{each.bytes:,}",
        )
        for each in operations[:_MOST_ROWS]
    ]
    more = len(operations) - len(rows)
    table = _table(("Function", "Job", "Tasks", "Failed", "Time", "Mean", "Bytes"), rows)
    return table + (f"<p>and {more:,} more that took less time</p>" if more else "")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f"<th>{escape(each)}</th>" for each in head) if any(head) else ""
    lines = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{top}</tr>{lines}</table>"


def picture(report: Report) -> str:
    """Return what ran in each slot of each worker, as SVG with a name for each block."""
    blocks = report.spans.get("blocks", {})
    lanes = sorted(set(zip(blocks.get("worker", ()), blocks.get("slot", ()), strict=True)))
    if not lanes:
        return "<p>Nothing ran.</p>"
    shown = {lane: row for row, lane in enumerate(lanes[:_MOST_ROWS])}
    height = _ROW * len(shown)
    svg = [f'<svg width="{_NAMES + _WIDTH}" height="{height}" font-size="11" xmlns="http://www.w3.org/2000/svg">']
    names = _lane_names(report)
    for (worker, slot), row in shown.items():
        svg.append(f'<text x="0" y="{row * _ROW + 12}">{escape(names[worker])} / {slot}</text>')
    svg += _blocks(report, shown)
    more = len(lanes) - len(shown)
    return "".join(svg) + "</svg>" + (f"<p>and {more:,} slots more</p>" if more else "")


def _lane_names(report: Report) -> dict[int, str]:
    names = {worker["id"]: worker["name"] for worker in report.workers}
    ids = [text_of_id(each) for each in report.spans["workers"]]
    return defaultdict(str, {number: names.get(each, each) for number, each in enumerate(ids)})


def _blocks(report: Report, rows: Mapping[tuple[int, int], int]) -> Iterator[str]:
    spans = report.spans
    scale = _WIDTH / max(spans["to_us"] - spans["from_us"], 1)
    names = {each["op"]: each["name"] for each in spans["ops"]}
    columns = (spans["blocks"][name] for name in ("worker", "slot", "kind", "op", "start_us", "duration_us", "count"))
    for worker, slot, kind, op, start, duration, count in zip(*columns, strict=True):
        row = rows.get((worker, slot))
        if row is None:
            continue
        name = _NAMES_OF_KINDS.get(kind) or names.get(op, "several functions")
        text = f"{name}: {duration / 1e3:.3f} ms" + (f", {count} of them" if count > 1 else "")
        yield (
            f'<rect x="{_NAMES + start * scale:.2f}" y="{row * _ROW + 1}" width="{max(duration * scale, 0.5):.2f}" '
            f'height="{_ROW - 2}" fill="{_color(kind, name)}"><title>{escape(text)}</title></rect>'
        )


def _color(kind: int, name: str) -> str:
    # The same function is drawn alike in every report.
    return _COLORS.get(kind) or f"hsl({sum(name.encode()) * 47 % 360},55%,55%)"
