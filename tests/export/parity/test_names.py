"""Columns named as the parts of a model, of a layer or of a function are, from a frame to both exports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from export.parity import compare as parity
from export.pipeline import export_run
from tfwd.config.config import Config
from tfwd.training.fit import fit

COLUMNS = (
    *("transform", "ranker", "wide", "deep", "tower", "features", "tables", "weights", "categories", "wide_deep"),
    *("self", "cls", "args", "kwargs", "inputs", "training", "name", "signature", "logits", "input_dropout"),
)


def test_columns_with_the_names_of_parts_are_trained_on_and_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parity, "HOSTILE_ROWS", 200)
    generator = np.random.default_rng(0)
    frame = pd.DataFrame({"label": generator.integers(0, 2, 300)})
    features: list[dict[str, Any]] = []
    for index, column in enumerate(COLUMNS):
        if index % 2:
            frame[column] = generator.normal(size=300)
            features.append({"type": "numeric", "column": column, "wide": True})
        else:
            frame[column] = generator.choice(["a", "b", "c"], 300)
            features.append({"type": "categorical", "column": column, "embedding": 4})
    config = Config.of(
        {
            "data": {"label": "label"},
            "features": features,
            "model": {"hidden_units": [4], "embedding_dropout": 0.1},
            "train": {"epochs": 1, "batch_size": 100, "tensorboard": False},
        }
    )
    run = fit(config, tmp_path / "run", train=frame)
    assert {entry.name for entry in run.model.schema.inputs} == {*COLUMNS, "self_"} - {"self"}
    assert len(export_run(run)) == 2
