"""The page of names is that of the code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[1] / "tools" / "dataframe_api.py"
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "dataframe-api.md"


def test_the_page_of_names_is_up_to_date() -> None:
    pandas, dask = pytest.importorskip("pandas"), pytest.importorskip("dask")
    if f"pandas {pandas.__version__} and Dask {dask.__version__}" not in PAGE.read_text():
        pytest.skip("the page was written from other versions")
    subprocess.run([sys.executable, TOOL, "--check"], check=True)
