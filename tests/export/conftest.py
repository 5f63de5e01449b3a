"""Models and exports that the tests of this folder share."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx as onnx_format
import pytest

from tfwd.model.wide_deep import WideDeep

sys.path.insert(0, str(Path(__file__).parent))

from export_models import census_model, everything, random_rows
from made_once import made

from export.onnx import conversion
from export.onnx import writer as onnx
from export.parity import compare as parity
from export.savedmodel import writer as savedmodel

# The models whose SavedModels are read; those with one head differ in no signature.
SERVED = ("binary", "multiclass", "regression")


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


# What was converted, by model and options.
_CONVERTED: dict[Any, tuple[WideDeep, onnx_format.ModelProto]] = {}


@contextlib.contextmanager
def converting_once() -> Iterator[None]:
    """Converts each model once: the conversion, which takes most of an export, does not see the tables."""

    def convert(model: WideDeep, *options: Any) -> onnx_format.ModelProto:
        key = (id(model), options)
        if key not in _CONVERTED:
            _CONVERTED[key] = model, conversion.convert(model, *options)
        copy = onnx_format.ModelProto()
        copy.CopyFrom(_CONVERTED[key][1])
        return copy

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onnx, "convert", convert)
        yield


@pytest.fixture
def one_conversion() -> Iterator[None]:
    """`converting_once`, in a test."""
    with converting_once():
        yield


@pytest.fixture(scope="module")
def one_conversion_of_the_module() -> Iterator[None]:
    """`converting_once`, from here to the end of a file."""
    with converting_once():
        yield


@pytest.fixture(scope="session")
def exports(models: dict[str, WideDeep]) -> dict[str, tuple[Path, Path]]:
    """The SavedModel (of those `SERVED`) and the ONNX file, with its halves, of each model: made by one worker."""

    def make(folder: Path) -> None:
        rows = random_rows(300)
        with converting_once(), pytest.MonkeyPatch.context() as patch:
            # The tests compare more rows themselves.
            patch.setattr(parity, "HOSTILE_ROWS", 500)
            for name, model in models.items():
                if name in SERVED:
                    savedmodel.save(model, folder, name=name, rows=rows)
                onnx.save(model, folder / f"{name}.onnx", split=True, ranges={"age": (17.0, 99.0)}, rows=rows)

    folder = made("exports", make)
    return {name: (folder / name / "1", folder / f"{name}.onnx") for name in models}


@pytest.fixture(scope="session")
def hashed_exports(hashed: WideDeep) -> tuple[Path, Path]:
    """The SavedModel of the model with a hashed feature, and its ONNX file, which takes a fingerprint in its place."""

    def make(folder: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(parity, "HOSTILE_ROWS", 300)
            savedmodel.save(hashed, folder, name="hashed", rows=random_rows(300, hashed=True))
            onnx.save(hashed, folder / "hashed.onnx", fingerprint_inputs=True, split=True)

    folder = made("hashed-exports", make)
    return folder / "hashed" / "1", folder / "hashed.onnx"
