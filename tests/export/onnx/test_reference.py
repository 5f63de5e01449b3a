"""ONNX files in the reference of the standard, which is no ONNX Runtime; short form of tests/hostile/runtimes.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from bag_cases import arrays, rows
from export_models import random_rows
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

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
    with np.errstate(all="ignore"):
        found = ReferenceEvaluator(str(file)).run(names, rows)
    for name, received, expected in zip(names, found, session.run(names, rows), strict=True):
        assert received.shape == expected.shape
        if name == "classes":
            assert received.tolist() == expected.tolist()
        else:
            np.testing.assert_allclose(received, expected, rtol=1e-5, atol=1e-6 if name == "probability" else 1e-5)


@pytest.mark.parametrize("name", ["binary", "multiclass", "regression"])
def test_every_kind_of_feature(name: str, models: dict[str, WideDeep], exports: dict[str, tuple[Path, Path]]) -> None:
    check(exports[name][1], hostile_rows(models[name].schema, known_values(models[name]), 100, seed=12))
    check(exports[name][1], random_rows(0))


@pytest.mark.parametrize("longest", [0, 2, 230])
def test_lists(longest: int, bag_exports: dict[str, Path]) -> None:
    check(bag_exports["onnx"], arrays(rows(30, seed=13, longest=longest)))
