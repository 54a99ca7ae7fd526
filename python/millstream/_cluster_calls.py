"""What a client asks of the cluster itself: its workers, where results are, what tasks do, what they find."""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from millstream import _aio, _remote
from millstream._collections import take_apart
from millstream._errors import GatewayError, MillstreamError
from millstream._future import Future
from millstream._http import text_of_id
from millstream._options import Duration, TaskOptions, patience
from millstream._task import new_key

if TYPE_CHECKING:
    from millstream._session import Session

# A plugin goes with every operation, which is one message.
_MAX_PLUGIN = 128 << 10
# What is asked of every worker must not wait behind all its other tasks.
_FIRST = 1_000_000
# Packages whose versions are compared.
_COMPARED = ("millstream", "cloudpickle", "msgpack", "numpy", "pandas", "polars", "pyarrow", "scipy")


# Tasks in one answer.
_PAGE = 1000


class ClusterCalls:
    """The part of a client that concerns the cluster."""

    session: Session
    default_options: TaskOptions

    @property
    def url(self) -> str:
        """The address of the gateway.

        Examples
        --------
        >>> client.url.startswith("http://127.0.0.1:")
        True
        """
        return self.session.access.url

    @property
    def dashboard_link(self) -> str:
        """Where to watch the cluster: the first browser that opens the link within an hour is signed in.

        Examples
        --------
        >>> client.dashboard_link.startswith(client.url)
        True
        """
        try:
            made: dict[str, str] = _aio.wait(self.session.transport.call("POST", "/v1/sign-in/codes", tries=1))
        except MillstreamError:
            # The page itself asks for the token.
            return self.url
        return self.url + made["link"]

    def workers(self) -> list[dict[str, Any]]:
        """Return all workers: id, name, host, slots, memory, load.

        Examples
        --------
        >>> sorted({"id", "name", "slots"} & set(client.workers()[0]))
        ['id', 'name', 'slots']
        """
        page = self._get("/v1/workers")
        return [worker | {"id": text_of_id(worker["id"])} for worker in page["workers"]]

    def _get(self, path: str) -> dict[str, Any]:
        answer: dict[str, Any] = _aio.wait(self.session.transport.call("GET", path))
        return answer

    def scheduler_info(self) -> dict[str, Any]:
        """Return the cluster's address and its workers by name.

        Examples
        --------
        >>> len(client.scheduler_info()["workers"]) == len(client.workers())
        True
        """
        return {"address": self.url, "workers": {worker["name"]: worker for worker in self.workers()}}

    def ncores(self) -> dict[str, int]:
        """Return how many tasks each worker runs at once.

        Examples
        --------
        >>> set(client.ncores()) == {worker["name"] for worker in client.workers()}
        True
        """
        return {worker["name"]: worker["slots"] for worker in self.workers()}

    nthreads = ncores

    def wait_for_workers(self, n_workers: int = 1, timeout: Duration | None = None) -> None:
        """Wait until the cluster has this many workers, at most so many seconds or a text such as ``"30s"``.

        Examples
        --------
        >>> client.wait_for_workers(1, timeout="30s")
        """
        import time

        timeout = patience(timeout)
        deadline = None if timeout is None else time.monotonic() + timeout
        while len(self.workers()) < n_workers:
            if deadline is not None and time.monotonic() > deadline:
                raise TimeoutError(f"fewer than {n_workers} workers after {timeout} s")
            time.sleep(0.1)

    def retire_workers(self, workers: str | Iterable[str] | None = None) -> None:
        """Let workers, by name or id, finish what they run, hand over their results and leave.

        Examples
        --------
        >>> with ms.LocalCluster(workers=2, slots=1) as cluster, ms.Client(cluster, set_as_default=False) as own:
        ...     first, second = sorted(own.ncores())
        ...     own.retire_workers(second)
        ...     own.submit(abs, -3).result()
        3
        """
        if workers is None:
            raise TypeError(
                f"retire_workers needs names of workers, of which there are {sorted(self.ncores())}; on a local "
                "cluster cluster.scale(n) and cluster.adapt() choose them"
            )
        for worker in [workers] if isinstance(workers, str) else workers:
            _aio.wait(self.session.transport.call("POST", f"/v1/workers/{worker}/drain"))

    def who_has(self, futures: Any = None) -> dict[str, list[str]]:
        """Return which workers hold each future's result, by key; of one that was released, perhaps none any more.

        Without futures, all results of this client.

        Examples
        --------
        >>> future = client.submit(abs, -3, key="three")
        >>> _ = client.wait(future)
        >>> set(client.who_has(future)["three"]) <= set(client.ncores())
        True
        """
        if futures is None:
            found: dict[str, list[str]] = {}
            for worker, keys in self.has_what().items():
                for key in keys:
                    found.setdefault(key, []).append(worker)
            return found
        names = {worker["id"]: worker["name"] for worker in self.workers()}
        holders = {}
        for future in futures_in(futures):
            ids = [text_of_id(worker) for worker in self._workers_of(future)]
            holders[future.key] = [names.get(worker, worker) for worker in ids]
        return holders

    def _workers_of(self, future: Future[Any]) -> list[bytes | str]:
        try:
            workers: list[bytes | str] = self._task(future).get("workers", [])
        except GatewayError as error:
            # Released with all others of its job.
            if error.code != "unknown_job" or future.status != "released":
                raise
            return []
        return workers

    def has_what(self, workers: str | Iterable[str] | None = None) -> dict[str, list[str]]:
        """Return the keys of this client's results, by the worker that holds them: of all workers, or of these.

        Examples
        --------
        >>> future = client.submit(abs, -4, key="four")
        >>> _ = client.wait(future)
        >>> any("four" in keys for keys in client.has_what().values())
        True
        """
        present = self.workers()
        held: dict[str, list[str]] = {worker["id"]: [] for worker in present}
        self.session.flush()
        for job in self.session.jobs():
            for task in self._held(job.id) if job.fate.is_sent else ():
                for worker in task.get("workers", ()):
                    held.setdefault(text_of_id(worker), []).append(task["key"])
        names = {worker["id"]: worker["name"] for worker in present}
        by_name = {names.get(worker, worker): keys for worker, keys in held.items()}
        return by_name if workers is None else {name: by_name.get(name, []) for name in self._chosen(workers)}

    def _held(self, job_id: str) -> list[dict[str, Any]]:
        """The tasks of a job whose results are held; none if the job is gone with its last future."""
        try:
            return list(self._stored(job_id))
        except GatewayError as error:
            if error.code != "unknown_job":
                raise
            return []

    def _stored(self, job_id: str) -> Iterator[dict[str, Any]]:
        """The tasks of a job whose results are held."""
        start: int | None = 0
        while start is not None:
            page = self._get(f"/v1/jobs/{job_id}/tasks?state=stored&from={start}&limit={_PAGE}")
            yield from page["tasks"]
            start = page.get("next")

    def story(self, future: Future[Any]) -> list[dict[str, Any]]:
        """Return what happened to a task, oldest first."""
        story: list[dict[str, Any]] = self._task(future).get("story", [])
        return story

    def logs(self, future: Future[Any]) -> str:
        r"""Return what a task printed, newest attempt last.

        Examples
        --------
        >>> future = client.submit(print, "to the log")
        >>> future.result()
        >>> client.logs(future)
        'to the log\n'
        """
        logs = self._task(future).get("logs", [])
        return "".join(log["head"] + log["tail"] for log in logs)

    def explain(self, future: Future[Any]) -> list[str]:
        """Return why a task is where it is.

        Examples
        --------
        >>> future = client.submit(abs, -1)
        >>> _ = client.wait(future)
        >>> isinstance(client.explain(future), list)
        True
        """
        explain: list[str] = self._task(future).get("explain", [])
        return explain

    def _task(self, future: Future[Any]) -> dict[str, Any]:
        from urllib.parse import quote

        self.session.flush()
        path = f"/v1/jobs/{future.job_id}/tasks/{quote(future.key, safe='')}"
        task: dict[str, Any] = _aio.wait(self.session.transport.call("GET", path))
        return task

    def call_stack(self, futures: Any = None) -> dict[str, str]:
        """Return what running Python tasks execute, by key: frames of their threads, innermost first.

        Parameters
        ----------
        futures : Future, or nested lists, tuples, sets and dicts of them, optional
            Whose tasks; by default all that run on the cluster.

        Examples
        --------
        >>> import time
        >>> def patiently():
        ...     time.sleep(600)
        >>> future = client.submit(patiently)
        >>> while not (stacks := client.call_stack(future)):
        ...     time.sleep(0.05)
        >>> "patiently" in stacks[future.key]
        True
        >>> future.cancel()
        True
        """
        asked = None if futures is None else {(future.job_id, future.key) for future in futures_in(futures)}
        self.session.flush()
        found: dict[str, str] = {}
        for stack in self._get("/v1/stacks")["stacks"]:
            if asked is None or (text_of_id(stack["job"]), stack["key"]) in asked:
                found[stack["key"]] = f"on {stack['worker']}\n{stack['text']}"
        return found

    def performance_report(
        self, filename: str | Path = "millstream-report.html"
    ) -> contextlib.AbstractContextManager[None]:
        """Write what the cluster does during a ``with`` block to an HTML file; see `millstream.performance_report`.

        Examples
        --------
        >>> import pathlib, tempfile
        >>> file = pathlib.Path(tempfile.mkdtemp()) / "report.html"
        >>> with client.performance_report(file):
        ...     _ = client.gather(client.map(abs, range(10)))
        >>> "<html" in file.read_text()
        True
        """
        from typing import cast

        from millstream._client import Client
        from millstream._report import performance_report

        return performance_report(filename, client=cast("Client", self))

    # ---- what tasks find

    def run(
        self,
        function: Callable[..., Any],
        /,
        *args: Any,
        workers: str | Iterable[str] | None = None,
        on_error: str = "raise",
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Call a function once on each worker, and wait; return its results by worker.

        It is called in one of the worker's Python processes, like any task, ahead of all others.

        Parameters
        ----------
        function : callable
            What is called.
        *args, **kwargs
            Its arguments.
        workers : str or iterable of str, optional
            Names or ids of the workers; all by default.
        on_error : str
            ``"raise"`` the first failure, ``"return"`` exceptions in the place of results, or ``"ignore"`` them.

        Examples
        --------
        >>> import os
        >>> processes = client.run(os.getpid)
        >>> set(processes) == set(client.ncores())
        True
        """
        if on_error not in ("raise", "return", "ignore"):
            raise ValueError(f"on_error is 'raise', 'return' or 'ignore', got {on_error!r}")
        futures: dict[str, Future[Any]] = {}
        for name, worker in self._chosen(workers).items():
            options = self.default_options.merged({"workers": [worker["id"]], "priority": _FIRST})
            key = new_key(f"run-{name}")
            futures[name] = self.session.call(function, [(args, kwargs)], [key], options=options)[0]
            # A job each: one that fails must not take the others along.
            self.session.flush()
        self.session.wait_for(list(futures.values()))
        errors = {name: error for name, future in futures.items() if (error := future.exception()) is not None}
        if errors and on_error == "raise":
            raise next(iter(errors.values()))
        results = {name: future.result() for name, future in futures.items() if name not in errors}
        return results | errors if on_error == "return" else results

    def _chosen(self, workers: str | Iterable[str] | None) -> dict[str, dict[str, Any]]:
        """Workers by name, or by id where a name is not one worker's."""
        wanted = None if workers is None else {workers} if isinstance(workers, str) else set(workers)
        present = self.workers()
        names = [worker["name"] for worker in present]
        chosen = {
            worker["name"] if names.count(worker["name"]) == 1 else worker["id"]: worker
            for worker in present
            if wanted is None or worker["name"] in wanted or worker["id"] in wanted
        }
        missing = (wanted or set()) - set(names) - {worker["id"] for worker in present}
        if missing:
            raise ValueError(f"no worker {', '.join(sorted(missing))}; there are {', '.join(sorted(names))}")
        return chosen

    def register_plugin(self, plugin: Any, name: str | None = None) -> str:
        """Set something up in each process that runs tasks of this client, before the first of them; return its name.

        That includes processes, and workers, that start later. Tasks get at it by :func:`millstream.get_plugin`.

        Parameters
        ----------
        plugin : Plugin or callable
            An object with a method `setup`, and perhaps `teardown`; or a function, whose result is kept.
        name : str, optional
            What tasks know it by; by default the plugin's own name.

        Examples
        --------
        >>> client.register_plugin(dict, name="cache")
        'cache'
        >>> client.unregister_plugin("cache")
        """
        import cloudpickle

        from millstream._functions import name_of

        if not hasattr(plugin, "setup") and not callable(plugin):
            raise TypeError(f"a plugin has a method `setup`, or is a function; got {type(plugin).__name__}")
        if isinstance(plugin, type) and hasattr(plugin, "setup"):
            raise TypeError(f"register an object of {plugin.__name__}, not the class")
        name = name or getattr(plugin, "name", None) or name_of(plugin)
        pickled = cloudpickle.dumps(plugin, protocol=5)
        if len(pickled) > _MAX_PLUGIN:
            raise ValueError(
                f"the plugin {name!r} has {len(pickled)} bytes pickled, the limit is {_MAX_PLUGIN}: "
                "load what is large in its setup"
            )
        self.session.flush()
        self.session.luggage.plugins[name] = pickled
        return name

    def unregister_plugin(self, name: str) -> None:
        """Do not set a plugin up any more; processes that have it keep it until they end."""
        self.session.flush()
        del self.session.luggage.plugins[name]

    def upload_file(self, path: str | Path) -> None:
        r"""Give a file to all tasks that are submitted from now on: a module, or data in their working folder.

        What is in a ``.zip``, ``.egg`` or ``.whl`` is unpacked.

        Examples
        --------
        >>> import pathlib, tempfile
        >>> file = pathlib.Path(tempfile.mkdtemp()) / "shapes_of_rooms.py"
        >>> _ = file.write_text("def area(a, b):\n    return a * b\n")
        >>> client.upload_file(file)
        >>> def measured():
        ...     from shapes_of_rooms import area
        ...     return area(3, 4)
        >>> client.submit(measured).result()
        12
        """
        source = Path(path)
        files = {source.name: source.read_bytes()}
        if source.suffix in (".zip", ".egg", ".whl"):
            with zipfile.ZipFile(source) as archive:
                files = {entry: archive.read(entry) for entry in archive.namelist() if not entry.endswith("/")}
        self.session.flush()
        self.session.luggage.files |= files

    def restart(self, timeout: Duration | None = None, wait_for_workers: bool = True) -> None:
        """Cancel all tasks of this client, and run those that follow in new processes.

        Workers stay, so there is nothing to wait for: the arguments are accepted for Dask's sake.

        Examples
        --------
        >>> with ms.LocalCluster(workers=1, slots=1) as cluster, ms.Client(cluster, set_as_default=False) as own:
        ...     future = own.submit(abs, -1)
        ...     own.restart()
        ...     own.submit(abs, -2).result()
        2
        """
        self.session.flush()
        for job in self.session.jobs():
            if not job.is_over:
                _aio.wait(self.session.given_up.cancel_job(job))
        self.session.luggage.generation += 1

    def get_versions(self, check: bool = False) -> dict[str, Any]:
        """Return the versions of this side and of the workers.

        Parameters
        ----------
        check : bool
            Whether to raise `ValueError` if Python's minor version, or a package's major one, is another on a worker.

        Examples
        --------
        >>> versions = client.get_versions(check=True)
        >>> set(versions["workers"]) == set(client.ncores())
        True
        """
        client = _remote.versions(_COMPARED)
        workers = self.run(_remote.versions, _COMPARED, on_error="return")
        seen = {
            name: {"error": str(found)} if isinstance(found, BaseException) else found
            for name, found in workers.items()
        }
        for name, worker in self._chosen(None).items():
            seen.setdefault(name, {})["millstream"] = worker["version"]
        if check and (differences := _differences(client, seen)):
            raise ValueError("versions differ: " + "; ".join(differences))
        return {"client": client, "workers": seen}

    def recreate_error_locally(self, future: Future[Any]) -> None:
        """Call the function of a task that failed in this process, so that a debugger can look at it.

        The task that really failed is called: one whose input failed leads to that input's. Its arguments are fetched,
        or made here if they are gone.

        Examples
        --------
        >>> future = client.submit(divmod, 1, 0)
        >>> client.recreate_error_locally(future)
        Traceback (most recent call last):
        ZeroDivisionError: ...
        """
        from millstream._recreate import recreate

        recreate(self.session, future)


def _differences(client: Mapping[str, Any], workers: Mapping[str, Any]) -> list[str]:
    """What does not go together, in words."""
    found = []
    for name, worker in workers.items():
        if "error" in worker:
            found.append(f"worker {name}: {worker['error']}")
            continue
        if client["python"].split(".")[:2] != worker["python"].split(".")[:2]:
            found.append(f"python is {client['python']} here and {worker['python']} on worker {name}")
        for package, version in client["packages"].items():
            there = worker["packages"].get(package)
            if there is not None and version.partition(".")[0] != there.partition(".")[0]:
                found.append(f"{package} is {version} here and {there} on worker {name}")
    return found


def futures_in(value: Any) -> list[Future[Any]]:
    """Return the futures at any depth of a value."""
    found, _ = take_apart(value)
    futures: list[Future[Any]] = []
    for each in found:
        if isinstance(each, Future):
            futures.append(each)
        elif hasattr(each, "__millstream_outputs__"):
            futures += [output for output in each.__millstream_outputs__() if isinstance(output, Future)]
    return futures
