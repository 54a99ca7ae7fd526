from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import millstream as ms
from millstream._binary import find_binary


def test_import_is_quick_and_loads_nothing_heavy() -> None:
    code = (
        "import sys, time; began = time.process_time(); import millstream; "
        "print(time.process_time() - began, *(set(sys.modules) & {'numpy', 'pandas', 'httpx', 'dask', 'cloudpickle'}))"
    )
    # Its own time, and the best of some: the machine may be busy.
    outputs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
        for _ in range(5)
    ]
    assert min(float(output[0]) for output in outputs) < 0.1
    assert all(len(output) == 1 for output in outputs)


def test_every_public_name_exists_and_is_documented() -> None:
    for name in ms.__all__:
        assert getattr(ms, name).__doc__, name


def test_the_binary_that_is_named_must_be_a_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MILLSTREAM_BIN", str(tmp_path / "nothing"))
    with pytest.raises(ms.BinaryNotFoundError, match="MILLSTREAM_BIN"):
        find_binary()
    program = tmp_path / "millstream"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("MILLSTREAM_BIN", str(program))
    assert find_binary() == program


def test_the_binary_is_found_on_the_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("MILLSTREAM_BIN", raising=False)
    program = tmp_path / "millstream"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_binary() == program
