"""What notebooks show of clients, clusters, futures and delayed values."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from millstream._client import Client
    from millstream._delayed import Delayed
    from millstream._future import Future
    from millstream._local import LocalCluster

_COLORS = {"finished": "#2e7d32", "pending": "#757575", "error": "#c62828", "cancelled": "#ef6c00"}


def table(title: str, rows: dict[str, str]) -> str:
    """Return a small table; titles and names are escaped, values are HTML.

    Examples
    --------
    >>> table("A & B", {"x": "1"})
    '<div><strong>A &amp; B</strong><table><tr><td>x</td><td>1</td></tr></table></div>'
    """
    cells = "".join(f"<tr><td>{escape(name)}</td><td>{value}</td></tr>" for name, value in rows.items())
    return f"<div><strong>{escape(title)}</strong><table>{cells}</table></div>"


def link(url: str, text: str | None = None) -> str:
    """Return a link that opens in a tab of its own."""
    return f'<a href="{escape(url)}" target="_blank" rel="noopener">{escape(text or url)}</a>'


def client_html(client: Client) -> str:
    """Return what a notebook shows of a client."""
    rows = {"Dashboard": link(client.dashboard_link, client.url)}
    try:
        workers = client.workers()
    except Exception as error:
        # A picture must not fail; that the cluster is away is what it shows.
        rows["State"] = escape(str(error))
        return table("Client", rows)
    memory = sum(worker["memory_limit"] for worker in workers) / 2**30
    rows |= {
        "Workers": str(len(workers)),
        "Slots": str(sum(worker["slots"] for worker in workers)),
        "Memory": f"{memory:.2f} GiB",
    }
    return table("Client", rows)


def cluster_html(cluster: LocalCluster) -> str:
    """Return what a notebook shows of a local cluster."""
    rows = {"Gateway": escape(cluster.url), "State": escape(cluster.status), "Workers": str(cluster.workers)}
    if cluster.status == "running":
        rows = {"Dashboard": link(cluster.dashboard_link, cluster.url)} | rows
    return table("LocalCluster", rows)


def future_html(future: Future[Any]) -> str:
    """Return what a notebook shows of a future."""
    status = future.status
    colored = f'<span style="color:{_COLORS.get(status, "inherit")}">{escape(status)}</span>'
    rows = {"Key": _task_link(future), "Status": colored, "Job": _job_link(future)}
    return table("Future", rows)


def _task_link(future: Future[Any]) -> str:
    """The key of a future, linked to the dashboard's page of its task."""
    page = f"{future._session.access.url}/#/task/{future.job_id}/{quote(future.key, safe='')}"
    return link(page, future.key)


def _job_link(future: Future[Any]) -> str:
    """The job of a future, linked to the dashboard's page of it."""
    return link(f"{future._session.access.url}/#/jobs/{future.job_id}", future.job_id)


def delayed_html(value: Delayed) -> str:
    """Return what a notebook shows of a delayed value."""
    from millstream._client import open_client
    from millstream._functions import NativeFunction, full_name_of
    from millstream._task import Task

    task = value.__millstream_ref__()
    if not isinstance(task, Task):
        # Computed already, or under way.
        return table("Delayed", {"Key": _task_link(task), "Job": _job_link(task)})
    name = task.function.name if isinstance(task.function, NativeFunction) else full_name_of(task.function)
    rows = {"Key": escape(value.key), "Function": escape(name)}
    client = open_client()
    if client is not None:
        # Where it would be computed; none is started for a picture.
        rows["Dashboard"] = link(client.dashboard_link, client.url)
    return table("Delayed", rows)
