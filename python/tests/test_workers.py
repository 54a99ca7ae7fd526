"""What happens to workers' Python processes, and what users are told; needs a real cluster (``--cluster=local``)."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import millstream as ms
from millstream import _aio


@pytest.fixture(autouse=True)
def _needs_a_real_cluster(is_real: bool) -> None:
    if not is_real:
        pytest.skip("needs workers: --cluster=local")


@pytest.fixture
def survives(client: ms.Client) -> Any:
    """The error of a call, after which the same worker, by id, still works."""

    def error_of(function: Any, *args: Any, **options: Any) -> BaseException:
        before = {worker["id"] for worker in client.workers()}
        error = client.submit(function, *args, **options).exception(60)
        assert error is not None
        assert client.submit(lambda: "alive").result(60) == "alive"
        assert {worker["id"] for worker in client.workers()} == before
        return error

    return error_of


def until(condition: Any, timeout: float = 30.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        threading.Event().wait(0.02)


def test_a_process_that_is_killed_is_told(survives: Any) -> None:
    error = survives(lambda: os.kill(os.getpid(), 9))
    assert isinstance(error, ms.WorkerDiedError)
    assert "SIGKILL" in str(error)


def test_an_endless_loop_ends_at_its_timeout(survives: Any) -> None:
    def loop() -> None:
        while True:
            pass

    began = time.monotonic()
    error = survives(loop, timeout=2)
    assert isinstance(error, ms.TaskTimeoutError)
    assert 2 <= time.monotonic() - began < 20


def test_an_endless_loop_in_c_code_ends_at_its_timeout(survives: Any) -> None:
    error = survives(lambda: sum(iter(int, 1)), timeout=2)
    assert isinstance(error, ms.TaskTimeoutError)


def test_a_hundred_gigabytes_are_a_memory_error(survives: Any) -> None:
    error = survives(lambda: np.ones(100 << 27).sum())
    assert isinstance(error, MemoryError) or "memory" in str(error)


def test_a_segmentation_fault_is_told_with_its_line(survives: Any) -> None:
    def crash() -> Any:
        import ctypes

        return ctypes.string_at(0)

    error = survives(crash)
    assert isinstance(error, ms.WorkerDiedError)
    assert "SIGSEGV" in str(error)
    assert "in crash" in str(error)


def test_a_process_that_exits_is_told_with_its_last_output(survives: Any) -> None:
    def leave() -> None:
        print("last words")
        os._exit(3)

    error = survives(leave)
    assert "exit code 3" in str(error)
    assert "last words" in str(error)


def test_a_result_that_cannot_be_pickled_names_its_part(survives: Any) -> None:
    error = survives(lambda: {"model": [threading.Lock()]})
    assert "`['model'][0]` is a `_thread.lock`" in str(error)


def test_unbounded_output_is_bounded(client: ms.Client) -> None:
    def talk() -> int:
        for number in range(300_000):
            print(number)
        return 1

    future = client.submit(talk)
    assert future.result(60) == 1
    until(lambda: "299999" in client.logs(future))
    log = client.logs(future)
    assert log.startswith("0\n1\n")
    assert log.endswith("299998\n299999\n")
    assert len(log) < 200_000


def test_ten_thousand_lines_a_second_hold_nothing_up(client: ms.Client) -> None:
    def talk() -> float:
        began = time.monotonic()
        for number in range(20_000):
            print("line", number)
        return time.monotonic() - began

    # The best of some: a machine that others use may stand still meanwhile.
    assert min(client.submit(talk).result(60) for _ in range(5)) < 2


class TwoPartsError(Exception):
    """What pickle cannot make again: it calls the class with the text alone."""

    def __init__(self, left: int, right: Any) -> None:
        super().__init__(f"{left} and {right}", right)
        self.left = left
        self.right = right


def test_exceptions_that_pickle_cannot_make_keep_their_type(client: ms.Client) -> None:
    def fail() -> None:
        raise TwoPartsError(1, threading.Lock())

    with pytest.raises(TwoPartsError, match=r"1 and .*lock") as caught:
        client.submit(fail).result(60)
    assert caught.value.left == 1
    assert not hasattr(caught.value, "right"), "a lock cannot travel"
    assert "in fail" in str(caught.value.__cause__)


def test_an_exception_tells_where_it_happened_and_what_was_printed(client: ms.Client) -> None:
    def fail() -> None:
        print("before the end")
        raise KeyError("the reason")

    future = client.submit(fail, retries=1)
    error = future.exception(60)
    assert isinstance(error, KeyError)
    notes = "\n".join(error.__notes__)
    host = client.workers()[0]["host"]
    assert f"raised by task {future.key!r} on {host} in attempt 2" in notes
    assert "before the end" in notes
    assert 'raise KeyError("the reason")' in str(error.__cause__)


def test_a_package_that_the_workers_lack_is_installed_for_its_job(client: ms.Client) -> None:
    def version() -> str:
        import xxhash  # type: ignore[import-not-found]

        return str(xxhash.VERSION)

    assert client.submit(version, env={"pip": ["xxhash==3.5.0"]}).result(110) == "3.5.0"


def test_an_environment_that_cannot_be_built_says_why(survives: Any) -> None:
    error = survives(lambda: 1, env={"pip": ["xxhash==0.0.0.0.1"]})
    assert "`xxhash==0.0.0.0.1` cannot be built" in str(error)
    assert error.code == "environment"


def test_files_of_a_working_folder_are_there(client: ms.Client, tmp_path: Path) -> None:
    (tmp_path / "helper_in_a_folder.py").write_text("def name(): return open('name.txt').read()")
    (tmp_path / "name.txt").write_text("shipped")

    def name() -> str:
        import helper_in_a_folder  # type: ignore[import-not-found]

        return str(helper_in_a_folder.name())

    assert client.submit(name, env={"working_dir": tmp_path}).result(60) == "shipped"
    with pytest.raises(ModuleNotFoundError) as caught:
        client.submit(name).result(60)
    assert "working_dir" in "\n".join(caught.value.__notes__)


def test_uploaded_files_can_be_imported(client: ms.Client, tmp_path: Path) -> None:
    (tmp_path / "uploaded_module.py").write_text("VALUE = 7")
    client.upload_file(tmp_path / "uploaded_module.py")

    def value() -> int:
        import uploaded_module  # type: ignore[import-not-found]

        return int(uploaded_module.VALUE)

    assert client.submit(value).result(60) == 7


def test_large_values_of_the_users_own_classes_reach_their_tasks(
    client: ms.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_classes.py").write_text("class Box:\n    def __init__(self, data): self.data = data\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import own_classes  # type: ignore[import-not-found]

    box = own_classes.Box(b"x" * 300_000)
    assert client.submit(lambda box: len(box.data), client.scatter(box)).result(60) == 300_000


def test_variables_and_a_secret_that_is_missing(client: ms.Client, survives: Any) -> None:
    env = {"env_vars": {"MINE": "yes"}}
    assert client.submit(os.environ.get, "MINE", env=env).result(60) == "yes"
    error = survives(os.environ.get, "KEY", env={"env_vars": {"KEY": "secret://no-such-secret"}})
    assert "`no-such-secret`" in str(error)


def test_plugins_are_set_up_before_the_first_task_of_each_process(client: ms.Client) -> None:
    from millstream import get_plugin

    client.register_plugin(lambda: {"made_by": os.getpid()}, name="model")

    def check() -> bool:
        return bool(get_plugin("model")["made_by"] == os.getpid())

    assert client.submit(check).result(60)
    assert isinstance(client.submit(os._exit, 1).exception(60), ms.WorkerDiedError)
    assert all(client.gather(client.map(lambda _: check(), range(20))))


def test_run_calls_once_on_each_worker(client: ms.Client) -> None:
    names = {worker["name"] for worker in client.workers()}
    results = client.run(lambda x: x + 1, 41)
    assert results == dict.fromkeys(names, 42)
    name = sorted(names)[0]
    assert client.run(os.getpid, workers=name).keys() == {name}
    errors = client.run(lambda: 1 / 0, on_error="return")
    assert all(isinstance(error, ZeroDivisionError) for error in errors.values())
    with pytest.raises(ValueError, match="no worker nobody"):
        client.run(os.getpid, workers="nobody")


def test_tasks_run_on_the_workers_that_they_name(client: ms.Client) -> None:
    name = client.workers()[0]["name"]
    assert client.submit(abs, -1, workers=[name]).result(60) == 1
    # Another worker may come: the task waits, and who waits for it is told what for.
    waiting = client.submit(abs, -1, workers=["nobody"])
    with pytest.raises(TimeoutError, match="may only run on nobody, and no such worker is registered"):
        waiting.result(2)
    waiting.cancel()


def test_results_are_found_on_their_workers(client: ms.Client) -> None:
    future = client.submit(abs, -1)
    assert future.result(60) == 1
    holders = client.who_has(future)[future.key]
    assert len(holders) == 1
    held = client.has_what()
    assert held.keys() == {worker["name"] for worker in client.workers()}
    assert [name for name, keys in held.items() if future.key in keys] == holders


def test_jobs_that_are_gone_hold_nothing(client: ms.Client) -> None:
    kept = client.submit(abs, -1)
    assert kept.result(60) == 1
    gone = client.submit(abs, -2)
    assert gone.result(60) == 2
    # As when it went with its last future a moment ago.
    _aio.wait(client.session.transport.call("DELETE", f"/v1/jobs/{gone.job_id}"))
    assert kept.job_id != gone.job_id
    assert kept.key in [key for keys in client.has_what().values() for key in keys]


def test_versions_of_both_sides_are_compared(client: ms.Client) -> None:
    versions = client.get_versions(check=True)
    assert versions["client"]["python"] == next(iter(versions["workers"].values()))["python"]


def test_running_tasks_tell_what_they_execute(client: ms.Client) -> None:
    def wait_here() -> None:
        time.sleep(30)

    future = client.submit(wait_here)
    stacks: dict[str, str] = {}

    def is_seen() -> bool:
        stacks.update(client.call_stack(future))
        # The first look may find it on its way to the function.
        return "in wait_here" in stacks.get(future.key, "")

    until(is_seen)
    future.cancel()


def test_a_restart_stops_what_runs_and_brings_new_processes(client: ms.Client) -> None:
    before = client.submit(os.getpid).result(60)
    running = client.submit(time.sleep, 60)
    client.session.flush()
    client.restart()
    assert running.status == "cancelled"
    assert client.submit(os.getpid).result(60) != before


def test_an_error_is_recreated_here(client: ms.Client) -> None:
    def ratio(a: int, b: int) -> float:
        return a / b

    future = client.submit(ratio, 1, client.submit(lambda: 0))
    with pytest.raises(ZeroDivisionError) as caught:
        client.recreate_error_locally(client.submit(lambda x: x, future))
    assert caught.traceback[-1].name == "ratio"
