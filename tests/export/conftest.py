"""Models and exports that the tests of this folder share."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tfwd.model import WideDeep

sys.path.insert(0, str(Path(__file__).parent))

from export_models import census_model, everything, random_rows
from made_once import folder_of_all

from export import onnx, parity, savedmodel


@pytest.fixture(scope="module", autouse=True)
def few_hostile_rows() -> Iterator[None]:
    """Exports compare fewer made-up rows than for users: the tests that are about such rows say how many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parity, "HOSTILE_ROWS", 300)
        yield


@pytest.fixture(scope="session")
def census() -> tuple[WideDeep, dict[str, np.ndarray]]:
    """The census model and its test rows."""
    return census_model()


@pytest.fixture(scope="session")
def models() -> dict[str, WideDeep]:
    """A model with every kind of feature for each task, and with one head."""
    return {
        "binary": everything(),
        "multiclass": everything("multiclass"),
        "regression": everything("regression"),
        "wide": everything(heads=("wide",)),
        "deep": everything(heads=("deep",)),
    }


@pytest.fixture(scope="session")
def hashed() -> WideDeep:
    """A model with a hashed feature."""
    return everything(hashed=True)


@pytest.fixture(scope="session")
def exports(models: dict[str, WideDeep], tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Path]]:
    """The SavedModel and the ONNX file of each model, equal in every worker of pytest-xdist and made by one of them."""
    rows = random_rows(300)
    with folder_of_all(tmp_path_factory, "exports") as folder, pytest.MonkeyPatch.context() as patch:
        # The tests compare more rows themselves.
        patch.setattr(parity, "HOSTILE_ROWS", 500)
        for name, model in models.items():
            if not (folder / f"{name}.onnx").exists():
                savedmodel.save(model, folder, name=name, rows=rows)
                onnx.save(model, folder / f"{name}.onnx", rows=rows)
    return {name: (folder / name / "1", folder / f"{name}.onnx") for name in models}
