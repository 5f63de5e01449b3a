"""Counts: a regression whose answer is exp(logit), trained and measured by the Poisson deviance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from sklearn.metrics import d2_tweedie_score, mean_poisson_deviance

from export.baseline.comparison import compare
from export.onnx import writer as onnx
from export.savedmodel import writer as savedmodel
from tfwd.config.config import Config
from tfwd.data.rows import Rows
from tfwd.data.source import Source
from tfwd.errors import ConfigError, DataError, RunError
from tfwd.inference.evaluation import evaluate
from tfwd.inference.load import load_scorer
from tfwd.inference.tensorflow_scorer import keras_scorer
from tfwd.metrics.tasks import count_metrics, metrics_of
from tfwd.model.losses import PoissonDeviance, expected_count
from tfwd.run import Run
from tfwd.schema import Input, Schema
from tfwd.training.fit import fit

MEANS = {"a": 0.2, "b": 1.0, "c": 7.0}


def frame(count: int = 1200, seed: int = 0) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    kind = generator.choice(list(MEANS), count)
    size = generator.normal(size=count)
    rate = np.array([MEANS[name] for name in kind]) * np.exp(0.3 * size)
    return pd.DataFrame(
        {"kind": kind, "size": size, "n": generator.poisson(rate), "w": generator.integers(1, 4, count)}
    )


def values(**changes: Any) -> dict[str, Any]:
    return {
        "task": "regression",
        "data": {"label": "n", "validation_fraction": 0.2},
        "features": [
            {"type": "categorical", "column": "kind", "embedding": 4},
            {"type": "numeric", "column": "size", "wide": True},
        ],
        "model": {"loss": "poisson", "hidden_units": [8]},
        "train": {"epochs": 2, "batch_size": 32, "tensorboard": False},
        "export": {"formats": []},
        **changes,
    }


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return fit(Config.of(values()), tmp_path_factory.mktemp("counts") / "run", train=frame())


def test_the_loss_is_half_the_deviance_with_the_gradient_of_the_likelihood() -> None:
    generator = np.random.default_rng(1)
    logits = tf.constant(generator.normal(size=(50, 1)), tf.float32)
    counts = generator.poisson(2.0, 50).astype(np.float32)
    loss = PoissonDeviance()
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(logits)
        ours = loss(tf.constant(counts), logits)
        likelihood = tf.reduce_mean(tf.nn.log_poisson_loss(counts[:, None], logits))
    np.testing.assert_allclose(tape.gradient(ours, logits), tape.gradient(likelihood, logits), atol=1e-7)
    expected = mean_poisson_deviance(counts, np.exp(logits.numpy()[:, 0])) / 2
    assert float(ours) == pytest.approx(expected, rel=1e-5)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert float(again(counts[:, None], logits)) == float(ours)


def test_any_logit_has_a_finite_answer() -> None:
    found = expected_count(tf.constant([-1e38, -3.0, 0.0, 3.0, 1e38])).numpy()
    np.testing.assert_allclose(found[1:4], np.exp([-3.0, 0.0, 3.0]), rtol=1e-6)
    assert np.isfinite(found).all()
    assert (found > np.finfo(np.float32).tiny).all()


@pytest.mark.parametrize("weighted", [False, True])
def test_metrics_equal_scikit_learn(weighted: bool) -> None:
    generator = np.random.default_rng(2)
    counts, expected = generator.poisson(1.5, 1000).astype(np.float32), generator.gamma(2.0, size=1000)
    weights = generator.uniform(0.1, 3, 1000) if weighted else None
    found = metrics_of("counts", 1)
    for start in range(0, 1000, 300):
        part = slice(start, start + 300)
        found.add(counts[part], expected[part], None if weights is None else weights[part])
    result = found.result()
    assert result["poisson_deviance"] == pytest.approx(
        mean_poisson_deviance(counts, expected, sample_weight=weights), rel=1e-9
    )
    assert result["r2"] == pytest.approx(d2_tweedie_score(counts, expected, sample_weight=weights, power=0))
    assert count_metrics(counts, expected, weights) == {name: pytest.approx(value) for name, value in result.items()}


def test_a_wide_head_learns_the_mean_of_each_category(tmp_path: Path) -> None:
    """The maximum of the likelihood of a log-linear model of one category: the weighted means of the counts."""
    options = {"epochs": 6, "batch_size": 100, "early_stopping": None, "tensorboard": False}
    options["wide_optimizer"] = {"name": "adagrad", "learning_rate": 0.5}
    given = values(
        data={"label": "n", "weight": "w", "validation_fraction": 0.0},
        features=[{"type": "categorical", "column": "kind"}],
        model={"loss": "poisson", "heads": ["wide"]},
        train=options,
    )
    table = frame()
    # Few epochs of many rows, since each of them saves a checkpoint.
    model = fit(Config.of(given), tmp_path / "run", train=pd.concat([table] * 10, ignore_index=True)).model
    found = model({"kind": tf.constant(list(MEANS))}).numpy()[:, 0]
    expected = [np.average(part["n"], weights=part["w"]) for _, part in sorted(table.groupby("kind"))]
    np.testing.assert_allclose(found, expected, rtol=0.03)
    # Before any feature is known the answer is the mean.
    assert np.exp(model.ranker.get_layer("logit").base.numpy()[0]) == pytest.approx(
        np.average(table["n"], weights=table["w"]), rel=1e-5
    )


def test_a_run_of_counts_from_training_to_both_exports(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("export.parity.compare.HOSTILE_ROWS", 500)
    assert Run.open(run.path).config.counts
    assert next(iter(run.metrics["validation"])) == "poisson_deviance"
    test = frame(400, seed=9)
    rows = Rows(Source.open(test), run.model.schema)
    found = evaluate(keras_scorer(run.model), rows)
    batch = next(rows.batches(400))
    raw = {name: tf.constant(v.tolist() if v.dtype == object else v) for name, v in batch.inputs.items()}
    answers = run.model(raw).numpy()[:, 0]
    np.testing.assert_allclose(answers, np.exp(run.model.logits(raw).numpy()[:, 0]), rtol=1e-6)
    assert found["poisson_deviance"] == pytest.approx(mean_poisson_deviance(test["n"], answers), rel=1e-6)
    # Better than the mean, and not far from the rates that the data was drawn of.
    assert found["poisson_deviance"] < 0.6 * mean_poisson_deviance(test["n"], np.full(400, test["n"].mean()))
    exports = [savedmodel.save(run.model, tmp_path, name="counts"), onnx.save(run.model, tmp_path / "counts.onnx")]
    for export in exports:
        scorer = load_scorer(export)
        assert scorer.schema == run.model.schema
        np.testing.assert_allclose(scorer.score(batch.inputs)["prediction"], answers, rtol=1e-5)
        assert evaluate(scorer, rows)["poisson_deviance"] == pytest.approx(found["poisson_deviance"], rel=1e-5)
    assert compare(keras_scorer(run.model), load_scorer(exports[1]), rows).faults() == []
    assert "poisson_deviance" in "\n".join(compare(keras_scorer(run.model), keras_scorer(run.model), rows).lines())


def test_a_schema_of_an_older_version_has_no_counts() -> None:
    older = Schema((Input("x", "x", "float"),), "regression", "n").to_dict()
    del older["counts"]
    assert Schema.from_dict(older).measures == "regression"


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("-1", r"people.csv, row 3, column 'n': the label must be a finite number of at least 0, .* found -1"),
        ("inf", "a finite number of at least 0"),
        ("", "found nothing"),
    ],
)
def test_what_is_no_count_is_refused_with_its_place(label: str, message: str, tmp_path: Path) -> None:
    table = frame(60)
    table["n"] = table["n"].astype(str)
    table.loc[2, "n"] = label
    table.to_csv(tmp_path / "people.csv", index=False)
    data = {"label": "n", "train": str(tmp_path / "people.csv")}
    with pytest.raises(DataError, match=message):
        fit(Config.of(values(data=data)), tmp_path / "run")


def test_negative_counts_of_other_rows_are_refused(run: Run) -> None:
    table = frame(50)
    table.loc[7, "n"] = -2
    with pytest.raises(DataError, match="row 8, column 'n': the label must be a finite number of at least 0"):
        evaluate(keras_scorer(run.model), Rows(Source.open(table), run.model.schema))


def test_counts_that_are_all_0_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'n' is 0 in all training rows of .* there is no count to learn"):
        fit(Config.of(values()), tmp_path / "run", train=frame(100).assign(n=0))


def test_what_has_no_poisson_loss_is_refused(run: Run, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="model.loss: poisson belongs to task: regression, not to binary"):
        Config.of(values(task="binary"))
    with pytest.raises(ConfigError, match=r"model.loss: expected 'poisson'. .*Did you mean 'poisson'\?"):
        Config.of(values(model={"loss": "poison"}))
    monitored = {"early_stopping": {"monitor": "poisson_deviance"}}
    with pytest.raises(ConfigError, match="no metric 'poisson_deviance'"):
        Config.of(values(model={}, train=monitored))
    with pytest.raises(RunError, match="was trained with model.loss: poisson, and this is the squared error"):
        fit(Config.of(values(model={})), tmp_path / "run", train=frame(100), warm_start_from=run.path)
