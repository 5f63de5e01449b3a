"""Evaluation on files: the metrics of the whole, whatever the batches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from census_cases import files, frame, trained
from sklearn.metrics import average_precision_score, roc_auc_score

from tfwd.data.rows import Rows
from tfwd.data.source import Source
from tfwd.errors import DataError
from tfwd.inference.evaluation import Evaluator, evaluate
from tfwd.inference.tensorflow_scorer import keras_scorer


def rows(data: object) -> Rows:
    return Rows(Source.open(data), trained().model.schema)


@pytest.mark.parametrize(("name", "batch_size"), [("test.csv", 64), ("test.parquet", 8192)])
def test_metrics_do_not_depend_on_batches_or_format(name: str, batch_size: int) -> None:
    found = evaluate(keras_scorer(trained().model), rows(files()[name]), batch_size)
    assert found == pytest.approx(trained().metrics["test"], abs=1e-6)


def test_rows_one_by_one() -> None:
    table, scorer = rows(frame("test", 700).head(40)), keras_scorer(trained().model)
    assert evaluate(scorer, table, 1) == pytest.approx(evaluate(scorer, table, 40), abs=1e-6)


def test_metrics_are_weighted_and_exact() -> None:
    table = rows(files()["test.parquet"])
    scorer = keras_scorer(trained().model)
    parts = list(table.batches(100))
    scores = np.concatenate([scorer.score(part.inputs)["probability"] for part in parts])
    labels = np.concatenate([part.label for part in parts if part.label is not None])[:, 0]
    weights = np.concatenate([part.weight for part in parts if part.weight is not None])
    found = evaluate(scorer, table)
    assert found["auc"] == pytest.approx(roc_auc_score(labels, scores, sample_weight=weights), abs=1e-9)
    assert found["auc_pr"] == pytest.approx(average_precision_score(labels, scores, sample_weight=weights), abs=1e-9)
    assert found["auc"] != pytest.approx(roc_auc_score(labels, scores), abs=1e-6)


def test_progress_counts_every_row() -> None:
    counted: list[int] = []
    evaluate(keras_scorer(trained().model), rows(files()["test.csv"]), 256, counted.append)
    assert counted == [256, 256, 188]


def test_while_training_the_same_as_afterwards() -> None:
    """The evaluator works on prepared batches of the model as it is trained."""
    model, table = trained().model, rows(files()["test.csv"])
    found = Evaluator(model, model.transformed(table.dataset(100)))()
    assert found == pytest.approx(evaluate(keras_scorer(model), table), abs=1e-6)


def test_missing_values_and_unseen_categories_are_no_error() -> None:
    strange = frame("test", 700).head(50).copy()
    strange["education"] = ["never seen", None] * 25
    strange["age"] = [np.nan, 1e30] * 25
    strange["hours_per_week"] = np.inf
    found = evaluate(keras_scorer(trained().model), rows(strange))
    assert np.isfinite(found["log_loss"])


def test_no_rows_and_no_label(tmp_path: Path) -> None:
    scorer = keras_scorer(trained().model)
    with pytest.raises(DataError, match=r"has no rows to evaluate on"):
        evaluate(scorer, rows(frame("test", 700).head(0)))
    with pytest.raises(DataError, match=r"no column 'income', which the label reads"):
        rows(frame("test", 700).drop(columns="income"))
    with pytest.raises(DataError, match=r"no column 'weight', which the weight reads"):
        rows(frame("test", 700).drop(columns="weight"))
    lacking = frame("test", 700).copy()
    lacking.loc[3, "income"] = None
    with pytest.raises(DataError, match=r"row 4, column 'income': the label is missing"):
        evaluate(scorer, rows(lacking))
