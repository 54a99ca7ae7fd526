"""Scripts that end in ways of their own, on a real cluster."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import millstream as ms
from millstream import _aio
from millstream._access import GATEWAY_VARIABLE, TOKEN_VARIABLE

# Only a limit: the machine may be busy.
_PATIENCE = 60.0

Start = Callable[[str], "subprocess.Popen[str]"]


@pytest.fixture
def start(gateway: tuple[str, str | None], is_real: bool) -> Iterator[Start]:
    """Starts scripts that find the cluster of the tests by their environment."""
    if not is_real:
        pytest.skip("needs a real cluster")
    url, token = gateway
    processes: list[subprocess.Popen[str]] = []

    def start(script: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-u", "-c", textwrap.dedent(script)]
        environment = os.environ | {GATEWAY_VARIABLE: url, TOKEN_VARIABLE: token or ""}
        processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    assert line, "the script ended without a word"
    return line


def state_of(client: ms.Client, job_id: str) -> str:
    try:
        view: dict[str, Any] = _aio.wait(client.session.transport.call("GET", f"/v1/jobs/{job_id}"))
    except ms.GatewayError as error:
        # Not sent yet.
        return error.code
    return str(view["state"])


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.02)


def test_a_detached_job_outlives_its_killed_script(start: Start, client: ms.Client) -> None:
    script = start(
        """
        import time
        import millstream as ms

        client = ms.Client()
        print(client.detach(client.map(lambda n: time.sleep(0.2) or n * n, range(12))))
        time.sleep(600)
        """
    )
    job_id = line_of(script)
    script.kill()
    assert script.wait(_PATIENCE) == -signal.SIGKILL
    attached = client.attach(job_id)
    assert attached.gather() == [n * n for n in range(12)]
    assert attached.status == "succeeded"


@pytest.mark.parametrize("wait", ["client.gather([slow])", "slow.result()"])
def test_an_interrupt_cancels_what_is_waited_for(start: Start, client: ms.Client, wait: str) -> None:
    script = start(
        f"""
        import signal
        import time
        import millstream as ms

        # A shell that starts something in the background has it ignore interrupts.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        client = ms.Client()
        ms.progress_bar(False)
        slow = client.submit(time.sleep, 600)
        print(slow.job_id)
        try:
            {wait}
        except KeyboardInterrupt:
            print("interrupted", slow.status)
        """
    )
    job_id = line_of(script)
    # It is sent as soon as somebody waits for it.
    until(lambda: state_of(client, job_id) == "running")
    script.send_signal(signal.SIGINT)
    assert line_of(script) == "interrupted cancelled"
    assert script.wait(_PATIENCE) == 0
    until(lambda: state_of(client, job_id) == "cancelled")
