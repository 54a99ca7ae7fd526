"""How functions travel: what a worker needs to have, and what it does not."""

from __future__ import annotations

import base64
import functools
import importlib
import operator
import os
import pickle
import subprocess
import sys
from typing import Any

import msgpack
import pytest

import millstream as ms
import millstream.bag as mb
from millstream import _remote
from millstream._compile import Functions, chain_op, chain_params
from millstream._environment import Environment, is_own_file, modules_in
from millstream._functions import full_name_of, name_of, pickle_function
from millstream._graph import build_groups

WORKER = """
import base64, pickle, sys
sys.modules["millstream"] = None
for line in sys.stdin:
    pickle.loads(base64.b64decode(line))
print("read")
"""


def in_a_worker_without_the_package(pickles: list[bytes]) -> str:
    lines = "\n".join(base64.b64encode(pickled).decode() for pickled in pickles)
    return subprocess.run(
        [sys.executable, "-c", WORKER], input=lines, capture_output=True, text=True, check=False
    ).stdout.strip()


def functions_of(*values: Any) -> list[bytes]:
    tasks = [task for value in values for task in value.__millstream_outputs__()]
    return [msgpack.unpackb(group.op.params)["fn"] for group in build_groups(tasks)]


def test_what_the_package_adds_to_tasks_needs_no_package_on_workers(tmp_path: Any) -> None:
    (tmp_path / "a.txt").write_text("x")
    bag = mb.range(10, 3)
    values = [
        bag.map(abs).filter(bool).pluck(0).flatten(),
        bag.groupby(abs).map(len),
        bag.mean(),
        bag.frequencies(),
        bag.foldby(abs, operator.add),
        mb.read_text(tmp_path / "a.txt").str.match("*"),
        ms.delayed([1]).append(2),
        ms.delayed(abs)(1)(2),
    ]
    pickles = functions_of(*values)
    pickles += [pickle_function(function) for function in (_remote.load_joined, _remote.load_result, _remote.identity)]
    assert in_a_worker_without_the_package(pickles) == "read"


def test_constant_functions_are_pickled_once() -> None:
    def constant(x: int) -> int:
        return x + 1

    assert pickle_function(constant) is pickle_function(constant)


def test_names_are_readable() -> None:
    assert name_of(functools.partial(operator.add, 1)) == "add"
    assert full_name_of(operator.add) == "_operator:add"
    assert name_of(ms.native("bench:inc")) == "inc"


def test_a_chain_is_called_step_by_step() -> None:
    functions = Functions()
    ops = [functions.op(operator.add, pure=True), functions.op(operator.neg, pure=True)]
    spec = chain_op(ops)
    assert spec.name == "add | neg"
    assert spec.determinate
    assert isinstance(chain_params([0], [b"x", b"y"]), bytes)


def test_modules_beside_the_script_travel(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "helper_of_a_script.py").write_text("def double(x):\n    return 2 * x\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import helper_of_a_script  # type: ignore[import-not-found]

    assert list(modules_in(pickle_function(helper_of_a_script.double))) == ["helper_of_a_script.py"]
    assert modules_in(pickle_function(operator.add)) == {}


def test_modules_travel_with_what_they_import(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "first_of_a_script.py").write_text("def one():\n    from package_of_a_script.inner import two\n")
    package = tmp_path / "package_of_a_script"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "inner.py").write_text("from . import deep\nimport third_of_a_script, sys\n")
    (package / "deep.py").write_text("")
    for name in ("third_of_a_script", "unused_by_a_script"):
        (tmp_path / f"{name}.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("package_of_a_script.inner", "unused_by_a_script"):
        importlib.import_module(name)
    first = importlib.import_module("first_of_a_script")
    assert sorted(modules_in(pickle_function(first.one))) == [
        "first_of_a_script.py",
        "package_of_a_script/__init__.py",
        "package_of_a_script/deep.py",
        "package_of_a_script/inner.py",
        "third_of_a_script.py",
    ]


def test_packages_of_other_environments_are_installed_ones() -> None:
    assert not is_own_file("/opt/base/lib/python3.11/site-packages/pandas/__init__.py")
    assert not is_own_file("/usr/lib/python3/dist-packages/numpy/__init__.py")
    assert is_own_file("/home/ada/project/model.py")


def test_environments_are_resolved_to_lists_and_texts(tmp_path: Any) -> None:
    (tmp_path / "requirements.txt").write_text("polars==1.0  # fast\n# nothing\n\n-r more.txt\n--pre\n")
    (tmp_path / "more.txt").write_text("rich>=13 \\\n  ; python_version > '3'\n")
    env = Environment.of({"requirements": tmp_path / "requirements.txt", "pip": ["x"], "env_vars": {"N": 1}})
    assert env is not None
    pip = ["x", "polars==1.0", "rich>=13    ; python_version > '3'", "--pre"]
    assert env.resolved() == {"pip": pip, "env_vars": {"N": "1"}}
    with pytest.raises(TypeError, match="unknown"):
        Environment.of({"pipp": []})


@pytest.mark.parametrize("line", ["-e ./mine", "-c limits.txt", "./wheels/mine.whl"])
def test_requirements_that_workers_cannot_read_are_refused(tmp_path: Any, line: str) -> None:
    (tmp_path / "requirements.txt").write_text(line)
    with pytest.raises(ValueError, match="working_dir"):
        Environment(requirements=tmp_path / "requirements.txt").resolved()


def test_the_environment_of_this_process_does_not_travel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SECRET_OF_MINE", "do-not-tell")
    pickled = pickle_function(os.environ.get)
    assert b"do-not-tell" not in pickled
    assert pickle.loads(pickled)("A_SECRET_OF_MINE") == "do-not-tell"
