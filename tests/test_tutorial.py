"""The census tutorial as docs/coming-from-estimators.md has it now: each column where it was, and the export agrees."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from export.onnx import writer as onnx
from export.savedmodel import writer as savedmodel
from tfwd.analysis.analyze import analyze
from tfwd.config.config import Config
from tfwd.data.rows import Rows
from tfwd.data.schema import resolve_schema
from tfwd.data.source import Source
from tfwd.datasets import census
from tfwd.inference.load import load_scorer
from tfwd.model.build import build_model
from tfwd.run import Run
from tfwd.training.fit import fit

PAGE = Path(__file__).parents[1] / "docs" / "coming-from-estimators.md"
EDGES = [18, 25, 30, 35, 40, 45, 50, 55, 60, 65]
WIDE = ["age_buckets", "education", "marital_status", "relationship", "workclass", "occupation"]
CROSSES = {"education_x_occupation": False, "age_buckets_x_education_x_occupation": True}
"""Whether the buckets of the age are crossed too."""


def configuration() -> Config:
    """What the page declares."""
    (code,) = re.findall(r"```python\n(import tfwd\n\ntutorial = .*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, Config] = {}
    exec(code, names)
    return names["tutorial"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    config = configuration().replace(train__epochs=1, train__tensorboard=False, export__formats=[])
    train, test = census.load("train").head(2000), census.load("test").head(500)
    return fit(config, tmp_path_factory.mktemp("tutorial") / "run", train=train, test=test)


def people() -> pd.DataFrame:
    return census.load("test").iloc[500:1500].reset_index(drop=True)


def raw(run: Run) -> dict[str, np.ndarray]:
    return next(Rows(Source.open(people()), run.model.schema, labelled=False).batches(1000)).inputs


def tensors(rows: dict[str, np.ndarray]) -> dict[str, tf.Tensor]:
    return {name: tf.constant(v.tolist() if v.dtype == object else v) for name, v in rows.items()}


def test_every_column_reaches_its_head(run: Run) -> None:
    layout = run.model.layout
    assert layout.wide is not None
    assert [entry.feature for entry in layout.wide.ranges] == [*WIDE, *CROSSES]
    assert [entry.feature for entry in layout.one_hot] == ["education", "marital_status", "relationship", "workclass"]
    assert [(t.dim, [entry.feature for entry in t.ranges]) for t in layout.embeddings] == [(8, ["occupation"])]
    numbers = ("age", "education_num", "capital_gain", "capital_loss", "hours_per_week")
    assert (layout.numeric, layout.wide_numeric, layout.deep_numeric) == (numbers, (), (0, 1, 2, 3, 4))
    # 5 numbers, the categories with OOV and missing, and the embedding.
    seen = census.load("train").head(2000)
    width = 5 + sum(seen[entry.feature].nunique() + 2 for entry in layout.one_hot) + 8
    kernels = [layer.kernel.shape for layer in run.model.ranker.get_layer("deep").tower.layers if layer.weights]
    assert kernels == [(width, 100), (100, 75), (75, 50), (50, 25)]
    # All of it has learned.
    assert set(run.wide_weights()["feature"]) == {*WIDE, *CROSSES}


def test_every_input_changes_what_its_head_says(run: Run) -> None:
    """A column that both heads read moves both; a number alone the deep one."""
    model, rows = run.model, raw(run)
    heads = {name: model.ranker.get_layer(name) for name in ("wide", "deep")}

    def said(given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        prepared = model.transform(tensors(given))
        wide = heads["wide"]({"wide_ids": prepared["wide_ids"]})
        deep = heads["deep"]({name: value for name, value in prepared.items() if name != "wide_ids"})
        return {"wide": wide.numpy(), "deep": deep.numpy()}

    before = said(rows)
    for name in rows:
        other = said({**rows, name: np.roll(rows[name], 7)})
        moved = {head: (other[head] != before[head]).mean() > 0.02 for head in heads}
        assert moved["deep"], name
        assert moved["wide"] == (name in WIDE or name == "age"), name


def test_crosses_are_those_of_crossed_column(run: Run) -> None:
    """`tf.feature_column.crossed_column` is `tf.sparse.cross_hashed` of the texts as they are and of bucket numbers."""
    table = people().dropna(subset=["occupation"]).reset_index(drop=True)
    rows = {name: values[people()["occupation"].notna()] for name, values in raw(run).items()}
    found = run.model.transform(tensors(rows))["wide_ids"].numpy()
    layout = run.model.layout.wide
    assert layout is not None
    places = {slot.feature: (place, slot.start) for place, slot in enumerate(layout.slots)}
    buckets = np.searchsorted(EDGES, table["age"], side="right").astype(np.int64)
    texts = [table["education"], table["occupation"]]
    for name, with_age in CROSSES.items():
        keys = [buckets[:, None]] * with_age + [np.array(text.tolist())[:, None] for text in texts]
        crossed = tf.sparse.cross_hashed([_sparse(key) for key in keys], 1000)
        place, start = places[name]
        np.testing.assert_array_equal(found[:, place] - start, tf.sparse.to_dense(crossed).numpy()[:, 0])
    place, start = places["occupation"]
    hashed = tf.strings.to_hash_bucket_fast(table["occupation"].tolist(), 1000).numpy()
    np.testing.assert_array_equal(found[:, place] - start, hashed)


def _sparse(column: np.ndarray) -> tf.SparseTensor:
    places = [[row, 0] for row in range(len(column))]
    return tf.SparseTensor(places, tf.constant(column[:, 0].tolist()), [len(column), 1])


def test_the_export_agrees(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("export.parity.compare.HOSTILE_ROWS", 500)
    rows = raw(run)
    # Both compare themselves with the model on hostile rows, too; ONNX takes the hashes of the occupation.
    paths = [
        savedmodel.save(run.model, tmp_path, name="tutorial", rows=rows),
        onnx.save(run.model, tmp_path / "tutorial.onnx", fingerprint_inputs=True, rows=rows),
    ]
    expected = run.model(tensors(rows)).numpy()[:, 0]
    for path in paths:
        # The amounts of capital are as they are, up to 99,999: what float32 loses of their sums shows.
        np.testing.assert_allclose(load_scorer(path).score(rows)["probability"], expected, atol=1e-5)
    assert np.ptp(expected) > 0.1


def test_a_key_that_nothing_else_needs() -> None:
    """As the page says of a cross over a column's name: one bin is enough, and the raw values are crossed."""
    config = Config.of(
        {
            "data": {"label": {"column": "income", "positive": ">50K"}},
            "features": [
                {"type": "categorical", "column": "education", "hash_bins": 1, "wide": False},
                {"type": "categorical", "column": "occupation", "hash_bins": 1, "wide": False},
                {"type": "cross", "keys": ["education", "occupation"], "bins": 1000},
            ],
            "model": {"heads": ["wide"]},
        }
    )
    table = census.load("train").head(300).dropna(subset=["occupation"])
    source = Source.open(table)
    rows = Rows(source, resolve_schema(config, source))
    statistics = analyze(rows, config)
    rows = rows.with_classes(statistics.label.classes)
    model = build_model(config, statistics, rows.schema)
    found = model.transform(tensors(next(rows.batches(300)).inputs))["wide_ids"].numpy()[:, 0] - 1
    keys = [np.array(table[name].tolist())[:, None] for name in ("education", "occupation")]
    crossed = tf.sparse.to_dense(tf.sparse.cross_hashed([_sparse(key) for key in keys], 1000)).numpy()[:, 0]
    np.testing.assert_array_equal(found, crossed)
