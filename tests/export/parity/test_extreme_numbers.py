"""Numbers at the ends of float32 answer finitely and alike in Keras, SavedModel and ONNX, and as float64 has it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from export.onnx import writer as onnx
from export.parity.answers import transformed_names
from export.parity.session import open_session
from export.savedmodel import writer as savedmodel
from tfwd.analysis.statistics import FeatureStatistics, LabelStatistics, NumericStatistics
from tfwd.config.config import Config
from tfwd.model.build import build_model
from tfwd.schema import Input, Schema

MAX, TINY = float(np.finfo(np.float32).max), float(np.finfo(np.float32).tiny)
# By input, the training values of its column.
TRAIN: dict[str, list[float]] = {
    "ends": [-MAX, -1.0, 0.0, 1.0, MAX],
    "high": [0.0, 1.0, 5.0, MAX],
    "low": [-MAX, -3e38, -2e38],
    "small": [-1e-32, -2e-33, 0.0, 2.5e-33, 1e-32],
    "denormal": [-1e-40, 0.0, 1e-42, 1.4e-45, 7e-39, 3.0],
    "usual": [-3.0, 0.0, 1.0, 100.0, 1e6],
}
FORMS = ("zscore", "minmax", "log", "quantile")
EDGES = {"denormal": (-2.0, -1e-40, 1e-40, 2.0), "ends": (-MAX, -TINY, 0.0, TINY, MAX), "small": (-2e-38, 2e-38)}


def flushed(values: Any) -> np.ndarray:
    """float64 of float32 values in which denormal ones are 0."""
    # A signalling NaN among random bits makes NumPy speak.
    with np.errstate(invalid="ignore"):
        wide = np.asarray(values, np.float32).astype(np.float64)
    return np.where(np.abs(wide) < TINY, 0.0, wide)


def learned(name: str) -> NumericStatistics:
    x = np.asarray(TRAIN[name], np.float32).astype(np.float64)
    logs = np.log1p(x - x.min())
    return NumericStatistics(
        *(len(x), 0, float(x.min()), float(x.max()), float(x.mean()), float(x.std()), float(np.median(x))),
        *(float(logs.mean()), float(logs.std())),
        quantiles=tuple(np.unique(x).tolist()),
        boundaries=EDGES.get(name, ()),
    )


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any, Path]:
    """A model, its SavedModel loaded, and its ONNX file."""
    features: list[dict[str, Any]] = [
        {"type": "numeric", "column": name, "normalization": list(FORMS), "wide": True} for name in TRAIN
    ]
    features += [
        {"type": "numeric", "column": name, "name": f"{name}_far", "normalization": list(FORMS), "clip": False}
        for name in TRAIN
    ]
    features += [
        {"type": "bucketized", "column": name, "boundaries": list(edges), "embedding": 4}
        for name, edges in EDGES.items()
    ]
    config = Config.of({"data": {"label": "y"}, "features": features, "model": {"hidden_units": [4]}})
    schema = Schema(tuple(Input(name, name, "float") for name in TRAIN), "binary", "y", ("0", "1"))
    numerics = {name: learned(name) for name in TRAIN} | {f"{name}_far": learned(name) for name in TRAIN}
    numerics |= {f"{name}_buckets": learned(name) for name in EDGES}
    statistics = FeatureStatistics(5, LabelStatistics(0.5, 1.0, ("0", "1"), (0.5, 0.5)), {}, numerics)
    model = build_model(config, statistics, schema)
    model.compile()
    folder = tmp_path_factory.mktemp("extreme")
    loaded = tf.saved_model.load(str(savedmodel.save(model, folder, name="extreme")))
    return model, loaded, onnx.save(model, folder / "extreme.onnx")


def rows(count: int = 4000) -> dict[str, np.ndarray]:
    random = np.random.default_rng(7)
    known = np.array([x for values in TRAIN.values() for x in values] + [e for v in EDGES.values() for e in v])
    special = [0.0, -0.0, MAX, -MAX, TINY, -TINY, 1.4e-45, -1.4e-45, 1e-39, -1e-39, np.inf, -np.inf, np.nan]
    pool = np.concatenate([np.float32(known), np.nextafter(np.float32(known), np.float32(0)), np.float32(special)])
    bits = random.integers(0, 2**32, size=(count, len(TRAIN)), dtype=np.uint32).view(np.float32)
    chosen = np.where(random.random(bits.shape) < 0.5, bits, pool[random.integers(len(pool), size=bits.shape)])
    return {name: chosen[:, index] for index, name in enumerate(TRAIN)}


def normalized(form: str, name: str, values: np.ndarray) -> np.ndarray:
    """The normalization in float64."""
    seen = learned(name)
    x = flushed(np.where(np.isfinite(values), np.clip(values, seen.minimum, seen.maximum), seen.median))
    if form == "quantile":
        edges = flushed(seen.quantiles)
        return (x[:, None] >= edges).sum(axis=1) / len(edges)
    if form == "zscore":
        return (x - seen.mean) / seen.stddev
    if form == "minmax":
        return (x - seen.minimum) / (seen.maximum - seen.minimum)
    return (np.log1p(np.maximum(x - seen.minimum, 0)) - seen.log_mean) / seen.log_stddev


def test_finite_alike_and_as_float64_has_it(exported: tuple[Any, Any, Path]) -> None:
    model, loaded, file = exported
    given = rows()
    raw = {name: tf.constant(values) for name, values in given.items()}
    own = {name: tensor.numpy() for name, tensor in model.transform(raw).items()}
    own["probability"] = model(raw).numpy()[:, 0]
    served = {**loaded.signatures["transform"](**raw), **loaded.signatures["serving_default"](**raw)}
    converted = open_session(file, transformed_names(model.layout)).run(given)
    for name, values in own.items():
        assert np.isfinite(values).all(), name
        for other in (served[name].numpy(), converted[name]):
            if values.dtype.kind == "i":
                np.testing.assert_array_equal(other, values, err_msg=name)
            else:
                np.testing.assert_allclose(other, values, atol=1e-6, rtol=1e-5, err_msg=name)
    for column, name in enumerate(TRAIN):
        for place, form in enumerate(FORMS):
            if (form, name) == ("log", "small"):
                continue  # 1 + 1e-32 is 1 in float32
            expected = normalized(form, name, given[name])
            found = own["numeric"][:, column * len(FORMS) + place]
            np.testing.assert_allclose(found, expected, atol=1e-5, rtol=1e-5, err_msg=f"{form} of {name}")


def test_buckets_are_those_of_numbers_without_denormals(exported: tuple[Any, Any, Path]) -> None:
    model, _, _ = exported
    given = rows()
    found = model.transform({name: tf.constant(values) for name, values in given.items()})["wide_ids"].numpy()
    for column, slot in enumerate(model.layout.matrices["wide_ids"]):
        name = slot.feature.removesuffix("_buckets")
        edges = flushed(EDGES[name])
        x = flushed(given[name])
        expected = np.where(np.isnan(x), len(edges) + 1, (x[:, None] >= edges).sum(axis=1))
        np.testing.assert_array_equal(found[:, column] - slot.start, expected, err_msg=slot.feature)
