"""A cross with a hashed bag as a key, in ONNX: the bins of Keras' own layer on the raw strings."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from export.onnx import writer as onnx
from export.parity.answers import transformed_names
from export.parity.session import open_session
from tfwd.analysis.statistics import FeatureStatistics, LabelStatistics, VocabularyStatistics
from tfwd.config.config import Config
from tfwd.model.build import build_model
from tfwd.model.wide_deep import WideDeep
from tfwd.schema import Input, Schema

KEPT, BINS, HASH_BINS = 3, 97, 50
WORDS = ("Rome", "Città")
CONFIG = Config.of(
    {
        "data": {"label": "y"},
        "features": [
            {"type": "categorical", "column": "city", "vocabulary": list(WORDS), "wide": False, "embedding": 4},
            {"type": "categorical", "column": "tags", "hash_bins": HASH_BINS, "max_length": KEPT, "wide": False},
            {"type": "cross", "keys": ["city", "tags"], "bins": BINS},
        ],
        "model": {"hidden_units": [2]},
    }
)
SCHEMA = Schema((Input("city", "city", "string"), Input("tags", "tags", "string", KEPT)), "binary", "y", ("0", "1"))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[WideDeep, Path]:
    label = LabelStatistics(0.5, 1.0, ("0", "1"), (0.5, 0.5))
    statistics = FeatureStatistics(9, label, {"city": VocabularyStatistics(WORDS, (1,) * len(WORDS))})
    model = build_model(CONFIG, statistics, SCHEMA)
    model.compile()
    return model, onnx.save(model, tmp_path_factory.mktemp("hashed") / "bags.onnx", fingerprint_inputs=True)


@pytest.mark.parametrize("width", [0, 1, KEPT - 1, KEPT, KEPT + 2])
def test_the_bins_are_those_of_keras_on_the_strings(width: int, exported: tuple[WideDeep, Path]) -> None:
    model, file = exported
    cities = np.array([WORDS[i % 2] for i in range(40)], object)
    tags = np.array([[f"tag {row * column % 37}" for column in range(width)] for row in range(40)], object)
    tags = tags.reshape(40, width)
    session = open_session(file, transformed_names(model.layout))
    found = session.run({"city": cities, "tags": tags})["wide_ids"]
    layer = keras.layers.HashedCrossing(BINS)
    start = next(slot.start for slot in model.layout.matrices["wide_ids"])
    for row in range(40):
        kept = tags[row, -KEPT:].tolist()
        bins = [int(layer((tf.constant([cities[row]]), tf.constant([tag])))[0]) for tag in kept]
        expected = sorted([start + number for number in bins] + [0] * (KEPT - len(bins)))
        assert sorted(found[row].tolist()) == expected
