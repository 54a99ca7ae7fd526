"""Finds the ``millstream`` program that a local cluster runs."""

from __future__ import annotations

import os
import shutil
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from millstream._errors import BinaryNotFoundError

BINARY_VARIABLE = "MILLSTREAM_BIN"


def find_binary() -> Path:
    """Return the path of the ``millstream`` program.

    Looked for, in this order: ``MILLSTREAM_BIN``, the scripts of this Python environment (where
    ``pip install millstream-bin`` puts it), ``PATH``, and the target folders of a source checkout.

    Raises
    ------
    BinaryNotFoundError
        If it is nowhere, or ``MILLSTREAM_BIN`` names no program.
    """
    named = os.environ.get(BINARY_VARIABLE)
    if named:
        path = Path(named).expanduser()
        if _is_program(path):
            return path
        raise BinaryNotFoundError(f"{BINARY_VARIABLE} is {named!r}, which is no program")
    for path in _candidates():
        if _is_program(path):
            return path
    raise BinaryNotFoundError(
        "no `millstream` program was found, which a local cluster runs: `pip install 'millstream[local]'`, "
        f"set {BINARY_VARIABLE} to it, or connect to a cluster elsewhere with Client('http://HOST:8787')"
    )


def _candidates() -> Iterator[Path]:
    scripts = sysconfig.get_path("scripts")
    if scripts:
        yield Path(scripts) / "millstream"
    if found := shutil.which("millstream"):
        yield Path(found)
    for folder in _target_folders():
        # The newest build is what a developer means.
        builds = [folder / profile / "millstream" for profile in ("release", "debug")]
        yield from sorted(filter(_is_program, builds), key=_modified, reverse=True)


def _target_folders() -> Iterator[Path]:
    if folder := os.environ.get("CARGO_TARGET_DIR"):
        yield Path(folder)
    checkout = Path(__file__).resolve().parents[2]
    if (checkout / "Cargo.toml").is_file():
        yield checkout / "target"


def _is_program(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


def _modified(path: Path) -> float:
    return path.stat().st_mtime
