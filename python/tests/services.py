"""A cluster of processes of their own on RabbitMQ and Redis, for the tests.

The servers are those that ``cargo xtask with-servers`` starts and names in two environment variables.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

from millstream._binary import find_binary

AMQP = "MILLSTREAM_TEST_AMQP"
REDIS = "MILLSTREAM_TEST_REDIS"
_START_TIMEOUT = 60.0


class ServicesCluster:
    """A gateway, a scheduler and workers that find each other through the servers.

    Parameters
    ----------
    workers, slots : int
        How many workers, and how many tasks each runs at once.
    memory_limit : str
        Memory of each worker.
    data : Path, optional
        A folder that queries may read; by default a new one, which they may write to, too.
    """

    def __init__(
        self, *, workers: int = 2, slots: int = 2, memory_limit: str = "2GiB", data: Path | None = None
    ) -> None:
        for variable in (AMQP, REDIS):
            if variable not in os.environ:
                raise RuntimeError(f"{variable} is not set: run under `cargo xtask with-servers`")
        self.folder = tempfile.TemporaryDirectory(prefix="millstream-python-")
        # Where queries may read.
        self.data = data or Path(self.folder.name) / "data"
        self._roots = f"{self.data}:rw" if data is None else f"{data}:ro"
        if data is None:
            self.data.mkdir()
        self.token = secrets.token_hex(16)
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._name = f"python-{secrets.token_hex(4)}"
        self._processes: list[subprocess.Popen[bytes]] = []
        # Where each worker shows its metrics, for which the token is good.
        self.metrics: dict[str, str] = {}
        self._start("scheduler")
        for number in range(workers):
            self._start("worker", f"worker-{number}", slots=str(slots), memory_limit=memory_limit)
        self._start("gateway")
        self._wait_until_ready(workers)

    def close(self) -> None:
        """Stop all processes."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()
            process.wait()
        self.folder.cleanup()

    def _start(self, role: str, name: str = "", **settings: str) -> None:
        folder = Path(self.folder.name) / (name or role)
        folder.mkdir()
        own = {
            "cluster.name": self._name,
            "cluster.secret": self.token,
            "broker.url": os.environ[AMQP],
            "redis.url": os.environ[REDIS],
            "gateway.token": self.token,
            "gateway.port": str(self.port),
        }
        if role == "worker":
            metrics = _free_port()
            self.metrics[name] = f"http://127.0.0.1:{metrics}/metrics"
            own |= {
                "worker.name": name,
                # There is nobody left to hand results to when all are stopped.
                "worker.drain_timeout": "1s",
                "metrics.port": str(metrics),
                "metrics.token": self.token,
                "worker.spill_dir": str(folder / "spill"),
                "worker.scratch_dir": str(folder / "scratch"),
                "python.interpreter": sys.executable,
                "python.gateway_url": self.url,
                "python.gateway_token": self.token,
                "data.roots": self._roots,
            } | {f"worker.{key}": value for key, value in settings.items()}
        variables = {f"MILLSTREAM__{key.upper().replace('.', '__')}": value for key, value in own.items()}
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [str(find_binary()), role],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | variables | {"HOME": str(folder)},
                start_new_session=True,
            )
        self._processes.append(process)

    def _wait_until_ready(self, workers: int) -> None:
        deadline = time.monotonic() + _START_TIMEOUT
        headers = {"Authorization": f"Bearer {self.token}"}
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.HTTPError, KeyError, ValueError):
                answer = httpx.get(f"{self.url}/v1/workers", headers=headers, timeout=5)
                if answer.is_success and len(answer.json()["workers"]) >= workers:
                    return
            time.sleep(0.1)
        logs = "\n".join(path.read_text(errors="replace")[-2000:] for path in Path(self.folder.name).glob("*/log"))
        self.close()
        raise RuntimeError(f"the services did not come up within {_START_TIMEOUT:.0f} s:\n{logs}")


def _free_port() -> int:
    """Find a port below those that the system gives to outgoing connections, so that none takes it meanwhile."""
    while True:
        port = 12_000 + secrets.randbelow(20_000)
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port
