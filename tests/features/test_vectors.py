"""Vectors of numbers: each number is treated as a column of its own, from the file to both exports."""

from __future__ import annotations

import datetime
import math
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from export.onnx import writer as onnx
from export.parity.rows import as_rows
from export.savedmodel import writer as savedmodel
from tfwd.analysis.analyze import analyze
from tfwd.analysis.statistics import FeatureStatistics
from tfwd.config.config import Config
from tfwd.data import write_tfrecord
from tfwd.data.rows import Rows
from tfwd.data.schema import resolve_schema
from tfwd.data.source import Source
from tfwd.errors import ConfigError, DataError, ExportError
from tfwd.inference.load import load_scorer
from tfwd.inference.tensorflow_scorer import keras_scorer
from tfwd.model.build import build_model
from tfwd.model.wide_deep import WideDeep
from tfwd.run import Run
from tfwd.training.fit import fit

FORMS: dict[str, Any] = {
    "normalization": ["none", "zscore", "minmax", "log", "quantile"],
    "quantiles": 7,
    "missing_indicator": True,
    "wide": True,
}


def numbers(count: int = 200) -> list[list[float] | None]:
    generator = np.random.default_rng(0)
    made: list[list[float] | None] = np.float32(generator.normal([5, 0, -900], [1, 0.1, 300], (count, 3))).tolist()
    made[3] = None
    for place, (row, value) in enumerate([(5, math.nan), (6, math.inf), (7, math.nan)]):
        made[row][place] = value  # type: ignore[index]
    return made


def frame(count: int = 200) -> pd.DataFrame:
    vectors = numbers(count)
    labels = np.random.default_rng(1).integers(0, 2, count)
    return pd.DataFrame({"v": vectors, "city": ["Rome", "Oslo"] * (count // 2), "y": labels})


def config(*features: dict[str, Any], **changes: Any) -> Config:
    values: dict[str, Any] = {
        "data": {"label": "y"},
        "features": list(features),
        "model": {"hidden_units": [4]},
        "train": {"epochs": 1, "tensorboard": False, "batch_size": 32},
        "export": {"formats": []},
    }
    return Config.of(values | changes)


def vector(**options: Any) -> dict[str, Any]:
    return {"type": "numeric", "column": "v", "shape": 3, "wide": True, **options}


def read(given: Config, data: Any) -> tuple[Rows, FeatureStatistics]:
    source = Source.open(data)
    rows = Rows(source, resolve_schema(given, source))
    statistics = analyze(rows, given)
    return rows.with_classes(statistics.label.classes), statistics


def built(given: Config, data: Any) -> tuple[WideDeep, Rows, FeatureStatistics]:
    rows, statistics = read(given, data)
    return build_model(given, statistics, rows.schema), rows, statistics


def test_a_vector_is_as_many_numbers() -> None:
    """What is learned and what is computed are those of single columns with the same numbers."""
    model, rows, statistics = built(config(vector(**FORMS), vector(name="w", fill=2.5)), frame())
    single = frame()
    for place in range(3):
        single[f"v_{place}"] = [None if row is None else row[place] for row in numbers()]
    alone = [{"type": "numeric", "column": f"v_{place}", **FORMS} for place in range(3)]
    alone += [
        {"type": "numeric", "column": f"v_{place}", "name": f"w_{place}", "fill": 2.5, "wide": True}
        for place in range(3)
    ]
    other, other_rows, others = built(config(*alone), single.drop(columns="v"))
    for place in range(3):
        assert statistics.numerics[f"v[{place}]"] == others.numerics[f"v_{place}"]
    assert model.layout.numeric == other.layout.numeric
    assert model.layout.numeric[:7] == (
        "v_0_none", "v_0_zscore", "v_0_minmax", "v_0_log", "v_0_quantile", "v_0_missing", "v_1_none",
    )  # fmt: skip
    assert model.layout.wide_numeric == other.layout.wide_numeric
    batch, beside = next(rows.batches(200)).inputs, next(other_rows.batches(200)).inputs
    assert batch["v"].shape == (200, 3)
    np.testing.assert_array_equal(batch["v"], np.stack([beside[f"v_{place}"] for place in range(3)], axis=1))
    found, expected = model.transform({"v": batch["v"]})["numeric"], other.transform(beside)["numeric"]
    np.testing.assert_array_equal(found, expected)
    assert np.isfinite(found).all()
    assert found.numpy()[3, 5] == found.numpy()[5, 5] == 1.0
    assert found.numpy()[4, 5] == 0.0


def forms_of_one_table(folder: Path) -> dict[str, Any]:
    table = frame()
    text = [None if row is None else "|".join(map(str, row)) for row in table["v"]]
    table.assign(v=text).to_csv(folder / "rows.csv", index=False)
    arrow = pa.table(
        {
            "v": pa.array(numbers(), pa.list_(pa.float32(), 3)),
            "y": table["y"].to_numpy(),
            "city": table["city"].to_list(),
        }
    )
    pq.write_table(arrow, folder / "fixed.parquet")
    table.assign(v=table["v"]).to_parquet(folder / "lists.parquet")
    whole = table.drop(index=3)
    write_tfrecord(whole, folder / "rows.tfrecord")
    return {
        "frame": table,
        "lists": folder / "lists.parquet",
        "fixed": folder / "fixed.parquet",
        "text": folder / "rows.csv",
        "tfrecord": folder / "rows.tfrecord",
    }


@pytest.mark.parametrize("form", ["lists", "fixed", "text", "tfrecord"])
def test_every_format_gives_the_same_vectors(form: str, tmp_path: Path) -> None:
    given = config(vector(delimiter="|" if form == "text" else None))
    source = forms_of_one_table(tmp_path)[form]
    rows, _ = read(given, source if isinstance(source, pd.DataFrame) else str(source))
    found = np.concatenate([batch.inputs["v"] for batch in rows.batches(64)])
    expected = np.array([[math.nan] * 3 if row is None else row for row in numbers()], np.float32)
    if form == "tfrecord":
        expected = np.delete(expected, 3, axis=0)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("ending", "number"),
    # An empty text is a missing vector.
    [("parquet", [1.0, 2.0]), ("parquet", [1.0] * 4), ("parquet", []), ("csv", [1.0, 2.0]), ("csv", [1.0] * 4)],
)
def test_another_length_is_refused_with_its_place(number: list[float], ending: str, tmp_path: Path) -> None:
    table = frame(20)
    table.at[7, "v"] = number
    file = tmp_path / f"rows.{ending}"
    if ending == "csv":
        table["v"] = [None if row is None else ";".join(map(str, row)) for row in table["v"]]
        table.to_csv(file, index=False)
    else:
        table.to_parquet(file)
    given = config(vector(delimiter=";" if ending == "csv" else None))
    where = f"rows.{ending}, row 8, column 'v'"
    message = f"{where}: expected 3 numbers, or none where the vector is missing, found {len(number)}"
    with pytest.raises(DataError, match=message):
        read(given, str(file))


def test_what_is_no_number_is_refused_with_its_place(tmp_path: Path) -> None:
    table = pd.DataFrame({"v": ["1 2 3", "4 x 6", "7 8 9"] * 5, "y": [0, 1, 0] * 5})
    table.to_csv(tmp_path / "rows.csv", index=False)
    with pytest.raises(DataError, match=r"rows.csv, row 2, column 'v': expected a number, found 'x'"):
        read(config(vector(delimiter=" ")), str(tmp_path / "rows.csv"))


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ([vector(shape=None)], "a list. Give the feature shape, how many numbers each has"),
        ([vector(column="city")], "give the feature a delimiter"),
        ([vector(column="y2")], "shape needs one list per row, or text with a delimiter"),
        ([vector(), vector(name="w", shape=2)], "one as a vector of 3 numbers and one as a vector of 2 numbers"),
        ([vector(), {"type": "bucketized", "column": "v", "quantiles": 3}], "needs one number per row"),
        ([vector(column="words")], "a list of numbers is needed"),
        ([vector(column="four")], r"vectors of 4 numbers, and the feature has shape: 3"),
        ([vector(), {"type": "numeric", "column": "y2", "name": "v_1"}], "both produce the number 'v_1'"),
        ([vector(shape=0)], "shape: expected at least 1"),
        ([vector(shape=5000)], "shape: expected at most 4096"),
        ([vector(shape=None, delimiter="|")], "give shape, how many they are"),
        ([vector(), {"type": "categorical", "column": "v", "max_length": 3, "name": "c"}], "a number with a fraction"),
    ],
)
def test_what_is_no_vector_is_refused(features: list[dict[str, Any]], message: str) -> None:
    table = pa.Table.from_pandas(frame(20))
    table = table.append_column("y2", table["y"])
    table = table.append_column("words", pa.array([[datetime.date(2026, 1, 1)]] * 20))
    table = table.append_column("four", pa.array([[1.0] * 4] * 20, pa.list_(pa.float32(), 4)))
    with pytest.raises(ConfigError, match=message):
        read(config(*features), table)


def test_a_number_that_is_missing_throughout_is_told() -> None:
    table = frame(20)
    table["v"] = [[1.0, math.nan, float(row)] for row in range(20)]
    with pytest.raises(DataError, match=r"The column 'v', number 1, has no finite number in any of the 20"):
        read(config(vector()), table)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    features = (vector(**FORMS), {"type": "categorical", "column": "city", "embedding": 4})
    return fit(config(*features), tmp_path_factory.mktemp("vectors") / "run", train=frame())


def test_keras_savedmodel_and_onnx_alike(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("export.parity.compare.HOSTILE_ROWS", 500)
    model = run.model
    # Both compare themselves with the model on hostile rows before they are done.
    paths = [savedmodel.save(model, tmp_path, name="v"), onnx.save(model, tmp_path / "v.onnx")]
    batch = next(Rows(Source.open(frame()), model.schema, labelled=False).batches(200)).inputs
    raw = {"v": tf.constant(batch["v"]), "city": tf.constant(batch["city"].tolist())}
    expected = model(raw).numpy()[:, 0]
    for path in paths:
        np.testing.assert_allclose(load_scorer(path).score(batch)["probability"], expected, atol=1e-6)
    loaded = tf.saved_model.load(str(paths[0]))
    assert loaded.signatures["serving_default"].structured_input_signature[1]["v"].shape.as_list() == [None, 3]
    values = [[1.0, 2.0, 3.0], None]
    messages = []
    for value in values:
        features = {"city": tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"Rome"]))}
        if value:
            features["v"] = tf.train.Feature(float_list=tf.train.FloatList(value=value))
        messages.append(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())
    scores = loaded.signatures["regress"](inputs=tf.constant(messages))["outputs"].numpy()[:, 0]
    given = {"v": tf.constant([values[0], [math.nan] * 3]), "city": tf.constant(["Rome", "Rome"])}
    np.testing.assert_allclose(scores, model(given).numpy()[:, 0], atol=1e-6)


def test_rows_of_another_length_are_no_input(run: Run) -> None:
    with pytest.raises(ExportError, match=r"'v' takes vectors of 3 numbers. Received the shape \(2, 2\)"):
        as_rows(run.model.schema, {"v": [[1.0, 2.0], [3.0, 4.0]], "city": ["Rome", "Oslo"]})
    assert as_rows(run.model.schema, {"v": [None, [1, 2, 3]], "city": ["Rome", None]})["v"].shape == (2, 3)


class Breaks(keras.callbacks.Callback):
    """Breaks a training off where its steps would begin."""

    def on_train_begin(self, logs: Any = None) -> None:
        raise KeyboardInterrupt


def test_a_warm_start_keeps_the_scales_of_vectors(run: Run, tmp_path: Path) -> None:
    table = frame()
    table["v"] = [None if row is None else [2 * value for value in row] for row in table["v"]]
    # All that is carried is there before the first step.
    with pytest.raises(KeyboardInterrupt):
        fit(run.config, tmp_path / "warm", train=table, warm_start_from=run.path, callbacks=[Breaks()])
    warm = Run.open(tmp_path / "warm")
    assert warm.statistics.numerics == run.statistics.numerics
    assert set(run.statistics.numerics) == {"v[0]", "v[1]", "v[2]"}


def test_vectors_of_both_sides_are_ranked() -> None:
    from tfwd.recommend.pair_scorer import PairScorer

    generator = np.random.default_rng(3)
    table = pd.DataFrame(
        {
            "user": generator.choice(list("abc"), 60),
            "item": generator.choice(list("xyz"), 60),
            "mine": generator.normal(size=(60, 2)).tolist(),
            "theirs": generator.normal(size=(60, 4)).tolist(),
            "y": generator.integers(0, 2, 60),
        }
    )
    features: list[dict[str, Any]] = [
        {"type": "categorical", "column": "item", "embedding": 4},
        {"type": "numeric", "column": "mine", "shape": 2, "wide": True},
        {"type": "numeric", "column": "theirs", "shape": 4, "wide": True, "missing_indicator": True},
    ]
    given = config(*features, ranking={"user": "user", "item": "item", "item_columns": ["theirs"]})
    model, rows, _ = built(given, table)
    for variable in model.trainable_variables:
        variable.assign(generator.normal(size=variable.shape))
    batch = next(rows.batches(5)).inputs
    raw = {name: tf.constant(v.tolist() if v.dtype == object else v) for name, v in batch.items()}
    assert given.ranking is not None
    scorer = PairScorer(model, given.features, given.ranking)
    items = scorer.items({"item": raw["item"], "theirs": raw["theirs"]})
    for row in range(5):
        user = scorer.user({"mine": raw["mine"][row : row + 1]})
        expected = model.logits({**raw, "mine": tf.repeat(raw["mine"][row : row + 1], 5, axis=0)}).numpy()[:, 0]
        np.testing.assert_allclose(scorer(user, items).logit, expected, rtol=1e-5, atol=1e-5)


def test_raw_batches_of_vectors(run: Run) -> None:
    """Arrays, lists, tensors: of n numbers per row, or refused in one sentence by model and scorer."""
    model, cities = run.model, ["Rome", "Oslo"]
    given = np.array([[1.0, 2.0, 3.0], [math.nan] * 3], np.float32)
    expected = model({"v": tf.constant(given), "city": tf.constant(cities)}).numpy()
    for same in (given, given.tolist(), [[1.0, 2.0, 3.0], None], [[1, 2, 3], [None, None, None]]):
        np.testing.assert_array_equal(model({"v": same, "city": cities}).numpy(), expected)
        found = keras_scorer(model).score({"v": same, "city": cities})["probability"]
        np.testing.assert_allclose(found, expected[:, 0], atol=1e-7)
    for wrong, shown in (
        (given[:, :2], r"shape \(2, 2\)"),
        ([[1.0, 2.0, 3.0], [1.0]], "1 in row 2"),
        (np.ones(2, np.float32), r"shape \(2, 1\)"),
    ):
        with pytest.raises(DataError, match=rf"'v' takes 3 numbers per row, \(B, 3\). Received: {shown}"):
            keras_scorer(model).score({"v": wrong, "city": cities})
    with pytest.raises(DataError, match=r"'v' takes 3 numbers per row, \(B, 3\). Received: shape \(2, 4\)"):
        model({"v": tf.ones((2, 4)), "city": tf.constant(cities)})
