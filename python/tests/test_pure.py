"""Calls that are declared pure are made once while their results are held."""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import pytest

import millstream as ms
from millstream._options import PLAIN, TaskOptions
from millstream._pure import Known, token_of


def _noted(path: str, value: object) -> object:
    with Path(path).open("a") as file:
        file.write("x")
    return value


def _calls(path: Path) -> int:
    return len(path.read_text()) if path.exists() else 0


def test_a_pure_call_is_made_once(client: ms.Client, shared_path: Path) -> None:
    path = shared_path / "calls"
    futures = [client.submit(_noted, str(path), [1, "a"], pure=True) for _ in range(3)]
    assert client.gather(futures) == [[1, "a"]] * 3
    assert len({future.key for future in futures}) == 1
    assert _calls(path) == 1
    # What the futures that are left stand for stays.
    del futures[:2]
    gc.collect()
    assert client.submit(_noted, str(path), [1, "a"], pure=True).result() == [1, "a"]
    assert _calls(path) == 1
    assert client.submit(_noted, str(path), [1, "b"], pure=True).result() == [1, "b"]
    assert client.submit(_noted, str(path), [1, "a"]).result() == [1, "a"]
    assert _calls(path) == 3


def test_equal_items_of_a_map_are_one_call(client: ms.Client, shared_path: Path) -> None:
    path = shared_path / "calls"
    futures = client.map(_noted, [str(path)] * 5, [1, 2, 1, 2, 3], pure=True)
    assert client.gather(futures) == [1, 2, 1, 2, 3]
    assert _calls(path) == 3
    assert client.gather(client.map(_noted, [str(path)] * 2, [3, 4], pure=True)) == [3, 4]
    assert _calls(path) == 4


def test_a_failed_pure_call_is_made_again(client: ms.Client, shared_path: Path) -> None:
    path = shared_path / "calls"

    def fails_once(path: str) -> str:
        _noted(path, None)
        if _calls(Path(path)) == 1:
            raise ValueError("the first time")
        return "done"

    first = client.submit(fails_once, str(path), pure=True)
    with pytest.raises(ValueError, match="the first time"):
        first.result()
    assert client.submit(fails_once, str(path), pure=True).result() == "done"


def test_a_future_of_a_pure_call_can_be_cancelled_alone(client: ms.Client, shared_path: Path) -> None:
    path = shared_path / "calls"
    first = client.submit(_noted, str(path), 1, pure=True)
    assert first.result() == 1
    second = client.submit(_noted, str(path), 1, pure=True)
    first.release()
    assert second.result() == 1


def test_delayed_calls_of_a_pure_function_are_one_task(client: ms.Client, shared_path: Path) -> None:
    path = shared_path / "calls"
    noted = ms.delayed(_noted, pure=True)
    assert noted(str(path), 1).key == noted(str(path), 1).key
    total = ms.delayed(sum)([noted(str(path), 1), noted(str(path), 1), noted(str(path), 2)])
    assert total.compute() == 4
    assert _calls(path) == 2
    assert ms.delayed(_noted)(str(path), 1).key != ms.delayed(_noted)(str(path), 1).key


def test_tokens_tell_calls_apart_by_content() -> None:
    def token(*args: object, options: TaskOptions = PLAIN, **kwargs: object) -> str | None:
        return token_of(_noted, args, kwargs, options)

    one = ms.delayed(_noted)("x", 1)
    assert token([1, "a" * 3]) == token([1, "".join("aaa")])
    assert token(np.arange(3)) == token(np.arange(3)) != token(np.arange(3.0))
    assert token(1) != token(1.0)
    assert token(1) != token(1, value=2)
    assert token([one]) == token([one]) != token([ms.delayed(_noted)("x", 1)])
    assert token(1, options=PLAIN.merged({"retries": 1})) != token(1)
    circle: list[object] = []
    circle.append(circle)
    assert token(circle) == token(circle) is not None
    assert token(x for x in ()) is None


def test_only_what_is_held_is_known() -> None:
    class Call:
        pass

    known: Known[Call] = Known()
    calls = [Call() for _ in range(1000)]
    for number, call in enumerate(calls):
        known.add(str(number), call)
    assert known.find("7", lambda _: True) is calls[7]
    assert known.find("7", lambda _: False) is None
    del call, calls[1:]
    gc.collect()
    assert known.find("7", lambda _: True) is None
    for number in range(1000, 4000):
        known.add(str(number), Call())
    assert len(known._calls) < 2500
    assert known.find("0", lambda _: True) is calls[0]


def test_tasks_that_were_given_one_key_are_told_apart(client: ms.Client) -> None:
    same = ms.delayed(lambda value: value, pure=True)
    one, two = (same(ms.delayed(value, name="n")) for value in (1, 2))
    assert one.compute() == 1
    assert two.compute() == 2
    # The first of these tasks may be gone when the second is made.
    found = [client.submit(abs, ms.delayed(value, name="n"), pure=True) for value in range(20)]
    assert client.gather(found) == list(range(20))
