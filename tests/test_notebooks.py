"""The notebooks run from beginning to end, and what is committed shows what they print and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import movielens_cases
import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
NAMES = sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb"))


def code(notebook: Any) -> list[Any]:
    """The cells with code."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def kinds(cell: Any) -> set[str]:
    """What a cell shows: text, tables, pictures."""
    found = {kind for output in cell.outputs for kind in output.get("data", {})}
    return found | {output.name for output in cell.outputs if output.output_type == "stream"} - {"stderr"}


@pytest.fixture
def some_movielens() -> Iterator[Path]:
    """Fewer users than the notebook was executed with, whose output differs in its numbers alone."""
    with movielens_cases.of_some_users() as copy:
        yield copy


@pytest.mark.parametrize("name", NAMES)
def test_it_runs_and_shows_what_is_committed(
    name: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if name == "movielens":
        monkeypatch.setenv("TFWD_MOVIELENS", str(request.getfixturevalue("some_movielens")))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(NOTEBOOKS.parent))
    committed = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    before = sorted(NOTEBOOKS.rglob("*"))

    fresh = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    for cell in code(fresh):
        cell.outputs = []
    client = NotebookClient(fresh, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(NOTEBOOKS)}})
    client.execute()

    assert [kinds(cell) for cell in code(fresh)] == [kinds(cell) for cell in code(committed)]
    assert sorted(NOTEBOOKS.rglob("*")) == before


@pytest.mark.parametrize("name", NAMES)
def test_committed_outputs_are_whole_and_clean(name: str) -> None:
    notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    nbformat.validate(notebook)
    cells = code(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    for cell in cells:
        for output in cell.outputs:
            assert output.output_type != "error"
            assert output.get("name") != "stderr"
            shown = "".join([output.get("text", ""), *map(str, output.get("data", {}).values())])
            assert not re.search(r"/tmp/|/home/|/work/|/Users/|Warning", shown), shown
