"""Lets tests import the cases they share by name, whatever pytest's import mode."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="module")
def started() -> None:
    """TensorFlow has said what it says at its start before anybody listens."""
    from census_cases import trained

    trained()


@pytest.fixture(scope="session")
def bag_exports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The SavedModel and the ONNX file of the model of `bag_cases`, which is the same in every worker."""
    import bag_cases
    from made_once import folder_of_all

    from export import onnx, parity, savedmodel

    with folder_of_all(tmp_path_factory, "bags") as folder, pytest.MonkeyPatch.context() as patch:
        # The tests compare more rows themselves.
        patch.setattr(parity, "HOSTILE_ROWS", 500)
        if not (folder / "bags.onnx").exists():
            model, rows = bag_cases.model(), bag_cases.arrays(bag_cases.rows(200, seed=1))
            savedmodel.save(model, folder, name="bags", rows=rows)
            onnx.save(model, folder / "bags.onnx", rows=rows)
    return {"savedmodel": folder / "bags" / "1", "onnx": folder / "bags.onnx"}
