"""joblib's backend: ``joblib.parallel_config(backend="millstream")``, and with it scikit-learn's ``n_jobs``.

Importing this module registers the backend; opening a client does so too once joblib is loaded. Calls nested in tasks
run in their task's slot, one after the other; by another ``parallel_config`` there they run on the cluster, too, and
have the slot of the task that waits for them.

Examples
--------
>>> import joblib
>>> import millstream.joblib
>>> with joblib.parallel_config(backend="millstream"):
...     joblib.Parallel()(joblib.delayed(abs)(x) for x in [-1, -2])
[1, 2]
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import joblib
from joblib._parallel_backends import AutoBatchingMixin, ParallelBackendBase

from millstream import _joblib_remote, _turn
from millstream._functions import carry

if TYPE_CHECKING:
    from millstream._client import Client
    from millstream._future import Future

carry(_joblib_remote)

# Larger arguments that several calls share are sent once.
_LARGE = 1 << 10
# Calls handed to the cluster at once, as a multiple of its slots: so that slots never wait for this process.
_AHEAD = 4


class MillstreamBackend(AutoBatchingMixin, ParallelBackendBase):  # type: ignore[misc]
    """Runs joblib's calls on a Millstream cluster.

    Parameters
    ----------
    client : Client, optional
        The cluster; the current one by default, or one started on this machine.
    **options
        Options of all tasks; see :class:`millstream.TaskOptions`.
    """

    MIN_IDEAL_BATCH_DURATION = 0.2
    MAX_IDEAL_BATCH_DURATION = 1.0
    supports_retrieve_callback = True
    supports_return_generator = True
    supports_timeout = True
    uses_threads = False
    default_n_jobs = -1

    def __init__(
        self,
        client: Client | None = None,
        *,
        nesting_level: int | None = None,
        inner_max_num_threads: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(nesting_level=nesting_level, inner_max_num_threads=inner_max_num_threads)
        self._given = client
        self._options = options
        self._client: Client | None = None
        self._running: set[Future[Any]] = set()
        self._shared: dict[int, tuple[Any, Any]] = {}
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        # Inside a task, nested calls run where they are.
        return joblib._parallel_backends.SequentialBackend, ()

    def get_nested_backend(self) -> tuple[Any, int]:
        """Return what nested calls use unless they choose: the task's own slot."""
        return joblib._parallel_backends.SequentialBackend(nesting_level=(self.nesting_level or 0) + 1), 1

    def configure(self, n_jobs: int = 1, parallel: Any = None, **_options: Any) -> int:
        """Open the conversation with the cluster."""
        self.parallel = parallel
        self._connect()
        return self.effective_n_jobs(n_jobs)

    def _connect(self) -> Client:
        if self._client is None:
            from millstream._client import get_client

            self._client = self._given or get_client()
        return self._client

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """Return how many calls run at once: the cluster's slots, or fewer if asked. One alone runs in this process."""
        slots = max(1, sum(self._connect().ncores().values()))
        if n_jobs is None or n_jobs < 0:
            return slots
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 has no meaning")
        return min(n_jobs, slots)

    def submit(self, func: Callable[..., Any], callback: Callable[[Any], None] | None = None) -> Future[Any]:
        """Run a batch of calls; `callback` is told of its end."""
        client = self._connect()
        batch = _Batch(func.items)  # type: ignore[attr-defined]
        arguments = self._share(batch.arguments)
        future: Future[Any] = client.submit(_joblib_remote.run_batch, batch.functions, arguments, **self._options)
        with self._lock:
            self._running.add(future)
        if callback is not None:
            future.add_done_callback(lambda done: self._finished(done, callback))
        client.session.flush()
        return future

    apply_async = submit

    def _finished(self, future: Future[Any], callback: Callable[[Any], None]) -> None:
        with self._lock:
            self._running.discard(future)
        if not future.cancelled():
            callback(future)

    def _share(self, calls: Sequence[tuple[tuple[Any, ...], dict[str, Any]]]) -> list[Any]:
        """Replace large arguments by futures of values that are sent once."""
        return [
            (
                tuple(self._shared_value(value) for value in args),
                {name: self._shared_value(value) for name, value in kwargs.items()},
            )
            for args, kwargs in calls
        ]

    def _shared_value(self, value: Any) -> Any:
        if _size(value) < _LARGE:
            return value
        known = self._shared.get(id(value))
        if known is None:
            # The value itself is kept too, so that its id stays its own.
            known = self._shared[id(value)] = value, self._connect().scatter([value])[0]
        return known[1]

    def retrieve_result_callback(self, out: Future[Any]) -> Any:
        """Return the results of a batch that is over."""
        return out.result()

    def retrieve_result(self, out: Future[Any], timeout: float | None = None) -> Any:
        """Wait for a batch and return its results."""
        return out.result(timeout)

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """Cancel all batches."""
        with self._lock:
            running, self._running = list(self._running), set()
        if running and self._client is not None:
            self._client.cancel(running)

    def stop_call(self) -> None:
        """Let shared values go: the call is over."""
        self._shared.clear()

    def terminate(self) -> None:
        """Let everything go."""
        self._shared.clear()

    @contextlib.contextmanager
    def retrieval_context(self) -> Iterator[None]:
        """Surround the retrieval of results: joblib sleeps in it, so inside a task the slot is lent meanwhile."""
        with _turn.waiting():
            yield


class _Batch:
    """The calls of one of joblib's batches."""

    def __init__(self, items: Sequence[tuple[Any, tuple[Any, ...], dict[str, Any]]]) -> None:
        self.functions = [function for function, _, _ in items]
        self.arguments = [(args, kwargs) for _, args, kwargs in items]


def _size(value: Any) -> int:
    try:
        return int(getattr(value, "nbytes", 0) or 0)
    except TypeError:
        return 0


joblib.register_parallel_backend("millstream", MillstreamBackend)
