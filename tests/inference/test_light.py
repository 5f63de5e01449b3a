"""What a server imports: ONNX Runtime, NumPy and little else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import onnx as onnx_format
import pytest
import reading_cases as cases

from tfwd.errors import RunError
from tfwd.inference.metadata import of_session
from tfwd.inference.onnx_session import new_session

ROOT = Path(__file__).parent.parent.parent
HEAVY = {"tensorflow", "keras", "duckdb", "ibis", "pandas", "pyarrow", "onnx", "sqlglot", "pydantic", "yaml", "typer"}
PROGRAM = """
import json, sys
from pathlib import Path
from tfwd.inference.metadata import of_session
from tfwd.inference.onnx_session import new_session

file = Path(sys.argv[1])
described = of_session(new_session(file, file.parent, threads=1), file)
print(json.dumps([described.schema.to_dict(), sorted({name.partition(".")[0] for name in sys.modules})]))
"""


def test_a_file_is_opened_and_described_by_onnx_runtime_alone() -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", PROGRAM, str(cases.kinds()["onnx"])]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    schema, modules = json.loads(shown.stdout)
    assert schema == json.loads(json.dumps(cases.trained().model.schema.to_dict()))
    assert "onnxruntime" in modules
    assert HEAVY & set(modules) == set()


RANGES = {
    "no section": [1, 2],
    "an input that is not there": {"nothing": [0, 1]},
    "a string": {"city": [0, 1]},
    "one number": {"price": [1]},
    "three numbers": {"price": [1, 2, 3]},
    "words": {"price": ["1", "2"]},
    "flags": {"price": [False, True]},
    "the wrong way round": {"price": [2, 1]},
    "no number": {"price": [float("nan"), 1]},
    "no end": {"price": [0, float("inf")]},
    "beyond any float": {"price": [0, 10**400]},
}


def changed(folder: Path, **values: str) -> Path:
    """The file with other values in its metadata, which begin with tfwd_."""
    proto = onnx_format.load(str(cases.kinds()["onnx"]))
    kept = {entry.key: entry.value for entry in proto.metadata_props}
    del proto.metadata_props[:]
    onnx_format.helper.set_model_props(proto, kept | {f"tfwd_{key}": value for key, value in values.items()})
    onnx_format.save_model(proto, str(folder / "changed.onnx"))
    return folder / "changed.onnx"


@pytest.mark.parametrize("name", RANGES)
def test_ranges_that_cannot_be_used(name: str, tmp_path: Path) -> None:
    file = changed(tmp_path, ranges=json.dumps(RANGES[name]))
    described = of_session(new_session(file, tmp_path), file)
    with pytest.raises(RunError, match=r"changed\.onnx has metadata that cannot be used: tfwd_ranges"):
        assert described.ranges


def test_ranges(tmp_path: Path) -> None:
    for given in ({}, {"price": [-1.5, 90]}):
        file = changed(tmp_path, ranges=json.dumps(given))
        assert of_session(new_session(file, tmp_path), file).ranges == {n: tuple(r) for n, r in given.items()}
    assert of_session(new_session(cases.kinds()["onnx"], tmp_path), cases.kinds()["onnx"]).ranges == {}


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("task", "regression", "it would answer 'prediction', which the graph does not give"),
        ("inputs", [], r"schema\.inputs: expected a list of at least one input"),
    ],
)
def test_metadata_that_do_not_fit_the_graph(key: str, value: object, why: str, tmp_path: Path) -> None:
    schema = cases.trained().model.schema.to_dict() | {key: value}
    schema["classes"] = [] if key == "task" else schema["classes"]
    file = changed(tmp_path, schema=json.dumps(schema))
    with pytest.raises(RunError, match=why):
        of_session(new_session(file, tmp_path), file)
