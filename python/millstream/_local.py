"""A cluster on this machine, which lives as long as its owner."""

from __future__ import annotations

import atexit
import contextlib
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import weakref
from collections import deque
from types import TracebackType
from typing import IO, TYPE_CHECKING, Self

from millstream._access import Access, read_token
from millstream._binary import find_binary
from millstream._errors import MillstreamError
from millstream._options import Duration, byte_size, seconds

if TYPE_CHECKING:
    from millstream._client import Client
    from millstream._scaling import Adaptive

_UP = re.compile(r"millstream is up with .* at (http://\S+)")
_START_TIMEOUT = 60.0
_STOP_TIMEOUT = 10.0
_LOG_LINES = 200


class LocalCluster:
    """A Millstream cluster on this machine.

    Runs the ``millstream`` program as a process of its own: gateway, scheduler and workers together, at a free port. It
    ends with this object, and with this process, however that ends. Needs no ``__main__`` guard.

    Parameters
    ----------
    workers : int, optional
        Number of workers; one by default. Also ``n_workers``.
    slots : int, optional
        Tasks that each worker runs at once; by default the cores, divided among the workers. Also
        ``threads_per_worker``.
    memory_limit : int or str, optional
        Memory of each worker, such as ``"2GiB"``.
    port : int
        Port of the gateway; 0 takes a free one.
    env : mapping, optional
        Environment variables for the program.

    Examples
    --------
    >>> import millstream as ms
    >>> with ms.LocalCluster(workers=1, slots=1) as cluster, ms.Client(cluster) as own:
    ...     own.submit(sum, [1, 2]).result()
    3
    """

    def __init__(
        self,
        workers: int | None = None,
        slots: int | None = None,
        memory_limit: int | float | str | None = None,
        *,
        n_workers: int | None = None,
        threads_per_worker: int | None = None,
        port: int = 0,
        env: dict[str, str] | None = None,
    ) -> None:
        self.workers = workers or n_workers or 1
        self.slots = slots or threads_per_worker
        self._control: Client | None = None
        self._adaptive: Adaptive | None = None
        self._log: deque[str] = deque(maxlen=_LOG_LINES)
        command = self._command(memory_limit, port)
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=_environment(env or {}),
            # A Ctrl-C in the terminal is for the script, which decides what becomes of the cluster.
            start_new_session=True,
        )
        self._finalizer = weakref.finalize(self, _stop, self._process)
        atexit.register(self._finalizer)
        self.url = self._wait_until_up()

    def _command(self, memory_limit: int | float | str | None, port: int) -> list[str]:
        command = [str(find_binary()), "up", "--port", str(port), "--workers", str(self.workers)]
        if self.slots:
            command += ["--slots", str(self.slots)]
        if memory_limit not in (None, "auto", 0):
            command += ["--memory-limit", str(byte_size(memory_limit, "memory_limit"))]
        # So that the cluster ends even if this process is killed.
        setpriv = shutil.which("setpriv") if sys.platform == "linux" else None
        return [setpriv, "--pdeathsig", "TERM", *command] if setpriv else command

    def _wait_until_up(self) -> str:
        found: list[str] = []
        is_up = threading.Event()
        reader = threading.Thread(target=_read_log, args=(self._process.stderr, self._log, found, is_up), daemon=True)
        reader.start()
        deadline = time.monotonic() + _START_TIMEOUT
        while not is_up.wait(0.05):
            if self._process.poll() is not None:
                reader.join(1)
                raise MillstreamError("the local cluster did not start:\n" + self.log())
            if time.monotonic() > deadline:
                self.close()
                raise MillstreamError(
                    f"the local cluster did not come up within {_START_TIMEOUT:.0f} s:\n" + self.log()
                )
        return found[0]

    @property
    def access(self) -> Access:
        """The cluster's address and token."""
        # This user's own: what the environment names may be another cluster's.
        return Access(self.url, read_token() or "")

    @property
    def status(self) -> str:
        """``"running"`` or ``"closed"``.

        Examples
        --------
        >>> with ms.LocalCluster(workers=1, slots=1) as cluster:
        ...     cluster.status
        'running'
        """
        return "running" if self._process.poll() is None else "closed"

    @property
    def dashboard_link(self) -> str:
        """Where to watch the cluster; see :attr:`Client.dashboard_link`."""
        return self._own_client().dashboard_link

    def client(self) -> Client:
        """Return a new client of this cluster.

        Examples
        --------
        >>> with ms.LocalCluster(workers=1, slots=1) as cluster, cluster.client() as own:
        ...     own.submit(abs, -3).result()
        3
        """
        from millstream._client import Client

        return Client(self)

    def log(self) -> str:
        """Return the last lines that the cluster's program wrote."""
        return "\n".join(self._log)

    def scale(self, n: int) -> None:
        """Start workers, or retire some, until there are so many.

        New ones have as many slots and as much memory as the first. Those that retire finish what they run and hand
        their results over to the others.

        Examples
        --------
        >>> with ms.LocalCluster(workers=1, slots=1) as cluster, ms.Client(cluster) as own:
        ...     cluster.scale(2)
        ...     len(own.workers())
        2
        """
        from millstream._scaling import scale

        self._stop_adapting()
        scale(self._own_client(), n)

    def adapt(
        self, minimum: int = 1, maximum: int | None = None, interval: Duration = 1.0, wait_count: int = 3
    ) -> Adaptive:
        """Let the number of workers follow the tasks there are.

        Parameters
        ----------
        minimum, maximum : int
            The fewest and the most workers; as many as the machine has cores by default.
        interval : float or str
            Time between looks.
        wait_count : int
            How many looks in a row must find too many workers before some retire.

        Returns
        -------
        Adaptive
            Its ``stop()`` leaves the number as it is; so does :meth:`scale`.

        Examples
        --------
        >>> with ms.LocalCluster(workers=1, slots=1) as cluster, ms.Client(cluster, set_as_default=False) as own:
        ...     _ = cluster.adapt(minimum=1, maximum=2)
        ...     own.gather(own.map(abs, [-1, -2]))
        [1, 2]
        """
        from millstream._scaling import Adaptive

        self._stop_adapting()
        most = maximum if maximum is not None else max(minimum, os.cpu_count() or 1)
        pause = seconds(interval, "interval")
        self._adaptive = Adaptive(self._own_client(), minimum, most, pause, wait_count)
        return self._adaptive

    def _stop_adapting(self) -> None:
        if self._adaptive is not None:
            self._adaptive.stop()
            self._adaptive = None

    def _own_client(self) -> Client:
        if self._control is None:
            from millstream._client import Client

            self._control = Client(self, name="cluster", set_as_default=False)
        return self._control

    def close(self) -> None:
        """Stop the cluster.

        Examples
        --------
        >>> cluster = ms.LocalCluster(workers=1, slots=1)
        >>> cluster.close()
        >>> cluster.status
        'closed'
        """
        self._stop_adapting()
        if self._control is not None:
            self._control.close()
            self._control = None
        self._finalizer()
        atexit.unregister(self._finalizer)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<LocalCluster {self.url} {self.status}, started with {self.workers} worker(s)>"

    def _repr_html_(self) -> str:
        from millstream._repr import cluster_html

        return cluster_html(self)


def _environment(extra: dict[str, str]) -> dict[str, str]:
    environment = os.environ | extra
    # Tasks run in this very environment: the one that pickled them.
    environment.setdefault("MILLSTREAM_PYTHON", sys.executable)
    return environment


def _read_log(stream: IO[str] | None, log: deque[str], found: list[str], is_up: threading.Event) -> None:
    for line in stream or ():
        log.append(line.rstrip())
        if not is_up.is_set() and (match := _UP.search(line)):
            found.append(match[1])
            is_up.set()


def _stop(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process.stderr is not None:
        with contextlib.suppress(ValueError):
            process.stderr.close()


_shared: LocalCluster | None = None
_shared_lock = threading.Lock()


def shared_cluster() -> LocalCluster:
    """Return this process's own cluster, started at first use and gone at its exit."""
    global _shared
    with _shared_lock:
        if _shared is None or _shared.status == "closed":
            _shared = LocalCluster()
        return _shared
