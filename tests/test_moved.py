"""What version 0.4 published elsewhere still imports, for one version, and says where it is now."""

from __future__ import annotations

import importlib
import sys

import pytest

MOVED = {
    "tfwd.evaluation": ("evaluate", "tfwd.inference.evaluation"),
    "tfwd.prediction": ("predict", "tfwd.inference.prediction"),
    "export.onnx_file": ("fingerprints", "export.onnx"),
    "export.serving.kit": ("write", "export.serving.tf_serving"),
}


@pytest.mark.parametrize("old", MOVED)
def test_the_old_place_gives_the_new_function_and_says_so(old: str) -> None:
    name, new = MOVED[old]
    sys.modules.pop(old, None)
    with pytest.warns(DeprecationWarning, match=f"from {new} import {name}") as warned:
        module = importlib.import_module(old)
    assert getattr(module, name) is getattr(importlib.import_module(new), name)
    assert all("0.6" in str(warning.message) for warning in warned)


def test_what_the_documents_import_is_there() -> None:
    from export import baseline, onnx, parity, savedmodel

    for module, names in ((onnx, ("save", "write")), (savedmodel, ("save",)), (baseline, ("compare",))):
        assert all(callable(getattr(module, name)) for name in names)
    assert callable(parity.check_onnx)
    assert callable(parity.check_savedmodel)
