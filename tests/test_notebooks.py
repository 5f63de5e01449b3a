"""The notebooks run from beginning to end, and what is committed shows what they print and nothing else.

That of the census always, the others in `make test-long`. They train on fewer rows, features and epochs here than a
reader does. As they are, with TFWD_WHOLE_NOTEBOOKS set:
TFWD_WHOLE_NOTEBOOKS=1 python -m pytest tests/test_notebooks.py -m ""
"""

from __future__ import annotations

import os
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


def some_features(*names: str) -> dict[str, str]:
    """A training with some of the features: each costs time, and there are several of each kind."""
    chosen = f"[{{feature.name: feature for feature in config.features}}[name] for name in {names}]"
    return {"tfwd.fit(config, ": f"tfwd.fit(config.replace(features={chosen}), "}


# What stands in a notebook's code, and what stands there in a short run.
SHORTER: dict[str, dict[str, str]] = {
    "census": {
        'census.load("train"), census.load("test")': 'census.load("train").head(3000), census.load("test").head(1000)',
        "epochs=6": "epochs=1",
        "import tfwd\n": "import tfwd\nfrom export.parity import compare as parity\n\nparity.HOSTILE_ROWS = 50\n",
        **some_features(
            "age", "capital_gain_buckets", "age_deciles", "education", "occupation", "education_x_occupation"
        ),
    },
    "movielens": {
        "train__epochs=4": "train__epochs=1",
        "% 8 = 1": "% 24 = 1",
        **some_features(
            "user_id", "movie_id", "liked", "genres", "year", "liked_x_movie_id", "genres_x_gender", "gender"
        ),
    },
}


def code(notebook: Any) -> list[Any]:
    """The cells with code."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def kinds(cell: Any) -> set[str]:
    """What a cell shows: text, tables, pictures."""
    found = {kind for output in cell.outputs for kind in output.get("data", {})}
    return found | {output.name for output in cell.outputs if output.output_type == "stream"} - {"stderr"}


def shorten(notebook: Any, changes: dict[str, str]) -> None:
    """Changes the code of a notebook, of which each thing to change is a part."""
    for old, new in changes.items():
        assert any(old in cell.source for cell in code(notebook)), old
        for cell in code(notebook):
            cell.source = cell.source.replace(old, new)


@pytest.fixture
def some_movielens() -> Iterator[Path]:
    """Fewer users than the notebook was executed with, whose output differs in its numbers alone."""
    with movielens_cases.of_some_users() as copy:
        yield copy


@pytest.mark.parametrize(
    "name", [name if name == "census" else pytest.param(name, marks=pytest.mark.long) for name in NAMES]
)
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
    if "TFWD_WHOLE_NOTEBOOKS" not in os.environ:
        shorten(fresh, SHORTER.get(name, {}))
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
