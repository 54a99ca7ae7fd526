"""The stop button of a notebook, pressed on a real kernel while a cell waits for the cluster."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import millstream as ms
from millstream import _aio
from millstream._access import GATEWAY_VARIABLE, TOKEN_VARIABLE

manager = pytest.importorskip("jupyter_client.manager")
pytest.importorskip("ipykernel")

# Only a limit: the machine may be busy.
_PATIENCE = 60.0
# What users are promised. The best of some presses is taken, because the machine may be busy.
_PROMISED = 1.0
_PRESSES = 5

_SLOW_CELL = """
import pathlib, time
import millstream as ms

@ms.delayed
def beat(path):
    while True:
        pathlib.Path(path).write_text(str(time.time()))
        time.sleep(0.01)

ms.compute(beat({path!r}))
"""


class Kernel:
    """A kernel and the cells that it runs."""

    def __init__(self) -> None:
        self.manager, self.client = manager.start_new_kernel(startup_timeout=_PATIENCE)

    def start(self, code: str) -> str:
        """Run a cell; return what its messages refer to."""
        return str(self.client.execute(code))

    def reply_to(self, cell: str) -> dict[str, Any]:
        """Wait for the end of a cell."""
        while True:
            message = self.client.get_shell_msg(timeout=_PATIENCE)
            if message["parent_header"].get("msg_id") == cell:
                content: dict[str, Any] = message["content"]
                return content

    def interrupt(self) -> None:
        """Press the stop button."""
        self.manager.interrupt_kernel()

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


@pytest.fixture
def kernel(
    gateway: tuple[str, str | None], is_real: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Kernel]:
    if not is_real:
        pytest.skip("needs a real cluster")
    url, token = gateway
    monkeypatch.setenv(GATEWAY_VARIABLE, url)
    monkeypatch.setenv(TOKEN_VARIABLE, token or "")
    # Settings and history of whoever runs the tests stay out of it.
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    kernel = Kernel()
    yield kernel
    kernel.close()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.01)


def newest_job(client: ms.Client) -> dict[str, Any]:
    page: dict[str, Any] = _aio.wait(client.session.transport.call("GET", "/v1/jobs?limit=1"))
    job: dict[str, Any] = page["jobs"][0]
    return job


def press(kernel: Kernel, client: ms.Client, beats: Path) -> float:
    """Interrupt a cell whose task runs; return how long it took until the job was cancelled and the cell over."""
    cell = kernel.start(_SLOW_CELL.format(path=str(beats)))
    until(beats.exists)
    pressed = time.monotonic()
    kernel.interrupt()
    reply = kernel.reply_to(cell)
    until(lambda: newest_job(client)["state"] == "cancelled")
    took = time.monotonic() - pressed
    assert reply["status"] == "error"
    assert reply["ename"] == "KeyboardInterrupt"
    return took


@pytest.mark.timeout(300)
def test_the_stop_button_cancels_what_a_cell_computes(kernel: Kernel, client: ms.Client, tmp_path: Path) -> None:
    files = [tmp_path / str(number) for number in range(_PRESSES)]
    took = [press(kernel, client, file) for file in files]
    assert min(took) < _PROMISED, took
    # The tasks are gone from the workers too: nobody writes the files any more.
    for file in files:
        file.unlink(missing_ok=True)
    ran = client.gather(client.map(time.sleep, [0.2] * 4))
    assert ran == [None] * 4
    assert not [file for file in files if file.exists()]
    # The kernel, and its client, work on.
    assert kernel.reply_to(kernel.start("assert ms.compute(ms.delayed(sum)([1, 2])) == (3,)"))["status"] == "ok"
