"""Which of Dask's tests cannot apply to a cluster, as ``deselected.txt`` says."""

from __future__ import annotations

from pathlib import Path

LIST = Path(__file__).resolve().parent / "deselected.txt"


def read_deselected() -> dict[str, str]:
    """Read lines of ``test id # reason``; an id may name a whole function."""
    lines = LIST.read_text().splitlines()
    pairs = (line.split(" # ", 1) for line in lines if line.strip() and not line.startswith("#"))
    return {test.strip(): reason.strip() for test, reason in pairs}


def is_deselected(test: str, deselected: dict[str, str]) -> bool:
    """Whether a test, by its id below dask's folder, is among the deselected."""
    return test in deselected or test.split("[")[0] in deselected
