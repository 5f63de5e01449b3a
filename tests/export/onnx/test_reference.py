"""ONNX files and their halves in the reference of the standard, which is no ONNX Runtime.

Every kind of feature, and of input. The long form is tests/hostile/runtimes.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datetime_cases
import numpy as np
import onnxruntime
import pytest
from bag_cases import arrays, rows
from export_models import random_rows
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from export.onnx.halves import half_files
from export.onnx.interface import fingerprints
from export.parity.hostile import hostile_rows
from export.parity.known_values import known_values
from tfwd.model.wide_deep import WideDeep


def gathers() -> bool:
    """Whether this release of onnx takes indices of any layout, as the standard has them; its 1.20 does not."""
    node = helper.make_node("Gather", ["x", "ids"], ["y"])
    kinds = (("x", TensorProto.FLOAT, [3]), ("ids", TensorProto.INT64, [2, 2]), ("y", TensorProto.FLOAT, [2, 2]))
    x, ids, y = (helper.make_tensor_value_info(*kind) for kind in kinds)
    model = helper.make_model(helper.make_graph([node], "g", [x, ids], [y]))
    try:
        ReferenceEvaluator(model).run(
            None, {"x": np.zeros(3, np.float32), "ids": np.asfortranarray(np.zeros((2, 2), np.int64))}
        )
    except TypeError:
        return False
    return True


pytestmark = pytest.mark.skipif(not gathers(), reason="Gather of this onnx's own reference fails for some layouts")


def check(file: Path, rows: dict[str, Any]) -> None:
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_outputs()]
    expected = dict(zip(names, session.run(names, rows), strict=True))
    first, second = half_files(file)
    with np.errstate(all="ignore"):
        middle = run(first, rows)
        ids = {name: values for name, values in middle.items() if "/" in name}
        for found in (run(file, rows), middle | run(second, ids)):
            for name, values in expected.items():
                received = found[name]
                assert received.shape == values.shape
                if name == "classes":
                    assert received.tolist() == values.tolist()
                else:
                    tolerance = 1e-6 if name == "probability" else 1e-5
                    np.testing.assert_allclose(received, values, rtol=1e-5, atol=tolerance)


def run(file: Path, rows: dict[str, Any]) -> dict[str, Any]:
    model = ReferenceEvaluator(str(file))
    return dict(zip(model.output_names, model.run(None, rows), strict=True))


@pytest.mark.parametrize("name", ["binary", "multiclass", "regression"])
def test_every_kind_of_feature(name: str, models: dict[str, WideDeep], exports: dict[str, tuple[Path, Path]]) -> None:
    check(exports[name][1], hostile_rows(models[name].schema, known_values(models[name]), 100, seed=12))
    check(exports[name][1], random_rows(0))


@pytest.mark.parametrize("longest", [0, 2, 230])
def test_lists(longest: int, bag_exports: dict[str, Path]) -> None:
    check(bag_exports["onnx"], arrays(rows(30, seed=13, longest=longest)))


def test_fingerprints(hashed: WideDeep, hashed_exports: tuple[Path, Path]) -> None:
    rows = hostile_rows(hashed.schema, known_values(hashed), 100, seed=14)
    raw = {name: values for name, values in rows.items() if name != "url"}
    check(hashed_exports[1], raw | {"url_fingerprint": fingerprints(rows["url"])})


def test_moments() -> None:
    model = datetime_cases.trained().model
    check(datetime_cases.exported()["onnx"], hostile_rows(model.schema, known_values(model), 100, seed=15))
