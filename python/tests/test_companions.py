"""What goes with a function: modules, versions, plugins."""

from __future__ import annotations

import functools
import io
import pickle
import zipfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest

import millstream as ms
from millstream._companions import Luggage, companions_of
from millstream._compile import Functions, make_group
from millstream._environment import Environment
from millstream._functions import pickle_function
from millstream._imports import modules_of
from millstream._task import Literals


def uses_numpy(n: int) -> Any:
    return np.arange(n)


def imports_inside(text: str) -> Any:
    import email.message

    def inner() -> Any:
        import msgpack

        return msgpack.packb(text)

    return inner(), email.message


def companions(function: Any, env: Environment | None = None, luggage: Luggage | None = None) -> dict[str, Any]:
    return companions_of(function, pickle_function(function), env, luggage or Luggage())


def names_in(zipped: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(zipped)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_modules_are_found_in_globals_bodies_and_arguments() -> None:
    assert "numpy" in modules_of(uses_numpy)
    assert {"email.message", "msgpack"} <= modules_of(imports_inside)
    assert "numpy" in modules_of(functools.partial(uses_numpy, 3))
    seed = np.float64(1)
    assert "numpy" in modules_of(lambda: seed)


def test_versions_of_imported_packages_travel_and_of_no_others() -> None:
    found = companions(uses_numpy)
    assert found["packages"]["numpy"] == ("numpy", version("numpy"))
    assert not any("email" in name for name in companions(imports_inside)["packages"])
    without = companions(lambda x: x + 1)
    assert without["packages"] is None
    # Loaded here, and perhaps passed between tasks.
    assert without["loaded"]["numpy"] == version("numpy")


def test_modules_beside_the_script_travel_although_only_a_body_imports_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "only_in_a_body.py").write_text("ONE = 1\n")
    package = tmp_path / "package_in_a_body"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "deep.py").write_text("TWO = 2\n")
    bare = tmp_path / "folder_in_a_body"
    bare.mkdir()
    (bare / "flat.py").write_text("THREE = 3\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    def six() -> int:
        import only_in_a_body  # type: ignore[import-not-found]
        from folder_in_a_body.flat import THREE  # type: ignore[import-not-found]
        from package_in_a_body.deep import TWO  # type: ignore[import-not-found]

        return int(only_in_a_body.ONE + TWO + THREE)

    shipped = {"only_in_a_body.py", "package_in_a_body/__init__.py", "package_in_a_body/deep.py"}
    shipped.add("folder_in_a_body/flat.py")
    files = names_in(companions(six)["modules"])
    # The function's own module is this one.
    assert set(files) == shipped | {"test_companions.py"}


def test_modules_of_arguments_travel_with_all_that_follows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "boxes_of_mine.py").write_text("class Box: pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import boxes_of_mine  # type: ignore[import-not-found]

    functions = Functions()
    calls = [((boxes_of_mine.Box(),), {})]
    for function, arguments in ((len, calls), (max, [((1,), {})])):
        op = make_group(function, arguments, "key", functions=functions, literals=Literals()).op
        assert "boxes_of_mine.py" in names_in(msgpack.unpackb(op.params)["modules"])
    (tmp_path / "boxes_of_mine.py").write_text("class Box: changed = True\n")
    assert b"changed" in names_in(companions(min, luggage=functions.luggage)["modules"])["boxes_of_mine.py"]


def test_a_text_that_is_a_modules_name_only_in_part_brings_no_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "short_name.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    import short_name  # type: ignore[import-not-found]  # noqa: F401

    luggage = Luggage()
    luggage.note_values([pickle.dumps(["a short_name in a text"], 5)])
    assert not luggage.modules


def test_a_working_folder_comes_with_modules_and_uploaded_files(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "names.txt").write_text("a b")
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "x.pyc").write_text("")
    luggage = Luggage(files={"extra.py": b"E = 1"})
    files = names_in(companions(uses_numpy, Environment(working_dir=tmp_path), luggage)["modules"])
    assert files["data/names.txt"] == b"a b"
    assert files["extra.py"] == b"E = 1"
    assert not any("pycache" in name for name in files)


def test_larger_files_travel_as_an_input_and_once_for_all_calls(
    fake: Any, fake_client: ms.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "noise.bin").write_bytes(np.random.default_rng(1).bytes(1 << 20))
    # The cluster of the tests runs tasks in this process's working folder.
    monkeypatch.chdir(tmp_path)

    def size() -> int:
        return Path("noise.bin").stat().st_size

    env = {"working_dir": folder}
    assert fake_client.gather([fake_client.submit(size, env=env), fake_client.submit(size, env=env)]) == [1 << 20] * 2
    for job in fake.jobs.values():
        assert all(len(op[2]) < 100_000 for op in job.ops)
    many = fake_client.map(lambda _: size(), range(50), env=env)
    assert fake_client.gather(many) == [1 << 20] * 50
    job = fake.jobs[many[0].job_id]
    assert len([op for op, *_ in job.tasks if job.ops[op][1] == "millstream:upload"]) == 1
    assert len(fake.uploads) == 1


def test_code_beside_the_script_that_is_too_large_stays_and_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "too_large_a_module.py").write_text("X = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("millstream._environment.MAX_FILE_BYTES", 10)

    def use() -> Any:
        import too_large_a_module  # type: ignore[import-not-found]

        return too_large_a_module.X

    found = companions(use)
    assert found["modules"] is None
    assert found["origins"]["too_large_a_module"] == str(tmp_path / "too_large_a_module.py")
    with pytest.raises(ValueError, match="working folder"):
        companions(use, Environment(working_dir=tmp_path))


def test_a_new_generation_means_new_processes() -> None:
    assert companions(len)["env"] is None
    env = companions(len, Environment(env_vars={"A": "1"}), Luggage(generation=2))["env"]
    assert env["env_vars"] == {"A": "1", "MILLSTREAM_GENERATION": "2"}


def test_helpers_unpickle_where_their_readers_run(fake: Any, fake_client: ms.Client) -> None:
    large = np.ones(1 << 16)
    env = {"env_vars": {"WHERE": "here"}}
    assert fake_client.submit(np.sum, large, env=env).result(30) == 1 << 16
    job = next(iter(fake.jobs.values()))
    loaders = [msgpack.unpackb(op[2]) for op in job.ops if "load_joined" in op[1]]
    assert [op["env"] for op in loaders] == [env]


def test_the_clients_environment_holds_for_lazy_collections(fake: Any) -> None:
    with ms.Client(fake.url, token=fake.token, env={"env_vars": {"A": "1"}}) as client:
        assert ms.delayed(sum)([1, 2]).compute(client=client) == 3
    ops = [msgpack.unpackb(op[2]) for job in fake.jobs.values() for op in job.ops]
    assert all(op["env"] == {"env_vars": {"A": "1"}} for op in ops)


class Counter(ms.Plugin):
    name = "counter"

    def __init__(self) -> None:
        self.ups = 0

    def setup(self) -> None:
        self.ups += 1


def test_plugins_are_set_up_once_and_reached_by_name(fake_client: ms.Client) -> None:
    from millstream import get_plugin

    assert fake_client.register_plugin(Counter()) == "counter"
    assert fake_client.register_plugin(lambda: {"weights": 3}, name="model") == "model"

    def task(x: int) -> tuple[int, int]:
        return x * get_plugin("model")["weights"], get_plugin("counter").ups

    assert fake_client.gather(fake_client.map(task, [1, 2])) == [(3, 1), (6, 1)]
    fake_client.unregister_plugin("counter")
    assert "counter" not in (Functions(luggage=fake_client.session.luggage).luggage.plugins)


def test_what_is_no_plugin_is_refused(fake_client: ms.Client) -> None:
    with pytest.raises(TypeError, match="not the class"):
        fake_client.register_plugin(Counter)
    with pytest.raises(TypeError, match="setup"):
        fake_client.register_plugin(3)
    with pytest.raises(ValueError, match="load what is large in its setup"):
        fake_client.register_plugin(functools.partial(len, "x" * 200_000))


def test_uploaded_archives_are_unpacked(fake_client: ms.Client, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "more.zip", "w") as archive:
        archive.writestr("pkg/__init__.py", "X = 1")
    fake_client.upload_file(tmp_path / "more.zip")
    (tmp_path / "one.py").write_text("Y = 2")
    fake_client.upload_file(tmp_path / "one.py")
    assert fake_client.session.luggage.files == {"pkg/__init__.py": b"X = 1", "one.py": b"Y = 2"}


def ratio(a: int, b: int) -> float:
    return a / b


def test_an_error_is_recreated_here_where_it_really_happened(fake_client: ms.Client) -> None:
    zero = fake_client.submit(lambda: 0)
    failed = fake_client.submit(ratio, 1, zero)
    reader = fake_client.submit(lambda x: x + 1, failed)
    for future in (failed, reader):
        with pytest.raises(ZeroDivisionError) as caught:
            fake_client.recreate_error_locally(future)
        assert caught.traceback[-1].name == "ratio"
    with pytest.raises(ValueError, match="did not fail"):
        fake_client.recreate_error_locally(zero)
