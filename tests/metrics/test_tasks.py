"""The exact metrics, against scikit-learn's."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from tfwd.config.training import MONITORS
from tfwd.metrics.tasks import (
    HIGHER_IS_BETTER,
    BinaryMetrics,
    Metrics,
    MulticlassMetrics,
    RegressionMetrics,
    auc,
    average_precision,
    binary_metrics,
    count_metrics,
    multiclass_metrics,
    regression_metrics,
)

WEIGHTS = st.sampled_from([0.0, 0.25, 1.0, 3.0])


@st.composite
def scored(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Labels of both classes, scores with many ties, and weights of which some are 0, or none."""
    size = draw(st.integers(2, 40))
    both = st.lists(st.integers(0, 1), min_size=size, max_size=size).filter(lambda values: len(set(values)) == 2)
    labels = draw(both)
    scores = draw(st.lists(st.integers(1, 9), min_size=size, max_size=size))
    weights = draw(st.none() | st.lists(WEIGHTS, min_size=size, max_size=size))
    return (
        np.array(labels, np.float32),
        np.array(scores, np.float32) / 10,
        None if weights is None else np.array(weights, np.float32),
    )


@settings(max_examples=50, deadline=None)
@given(scored())
def test_binary_equals_scikit_learn(case: tuple[np.ndarray, np.ndarray, np.ndarray | None]) -> None:
    labels, scores, weights = case
    found = binary_metrics(labels, scores, weights)
    shares = np.ones(len(labels)) if weights is None else weights
    if not all(shares[labels == value].sum() > 0 for value in (0, 1)):
        assert math.isnan(found["auc"])
        return
    options: dict[str, Any] = {"sample_weight": weights}
    assert found["auc"] == pytest.approx(sk.roc_auc_score(labels, scores, **options), abs=1e-12)
    assert found["auc_pr"] == pytest.approx(sk.average_precision_score(labels, scores, **options), abs=1e-12)
    assert found["log_loss"] == pytest.approx(sk.log_loss(labels, scores.astype(np.float64), **options), abs=1e-12)
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(labels, scores >= 0.5, **options))
    assert found["mean_prediction"] == pytest.approx(np.average(scores, weights=weights), rel=1e-6)
    assert found["mean_label"] == pytest.approx(np.average(labels, weights=weights))


def test_auc_of_rare_positives_is_exact() -> None:
    """Where 200 thresholds would see nothing: one positive in a thousand, all scores below 0.01."""
    random = np.random.default_rng(0)
    labels = (random.random(100_000) < 0.001).astype(np.float32)
    scores = (0.001 + 0.002 * random.random(100_000) + 0.001 * labels).astype(np.float32)
    assert auc(labels, scores) == pytest.approx(sk.roc_auc_score(labels, scores), abs=1e-12)
    assert average_precision(labels, scores) == pytest.approx(sk.average_precision_score(labels, scores), abs=1e-12)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.integers(2, 5), st.booleans())
def test_multiclass_equals_scikit_learn(seed: int, classes: int, weighted: bool) -> None:
    random = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(classes), random.integers(0, classes, 30)]).astype(np.int32)
    raw = random.integers(1, 6, (len(labels), classes)).astype(np.float64)
    probabilities = raw / raw.sum(axis=1, keepdims=True)
    weights = random.choice([0.5, 1.0, 2.0], len(labels)) if weighted else None
    found = multiclass_metrics(labels, probabilities, weights)
    order = list(range(classes))
    assert found["log_loss"] == pytest.approx(sk.log_loss(labels, probabilities, sample_weight=weights, labels=order))
    right = sk.accuracy_score(labels, probabilities.argmax(axis=1), sample_weight=weights)
    assert found["accuracy"] == pytest.approx(right)
    parts = [sk.roc_auc_score(labels == one, probabilities[:, one], sample_weight=weights) for one in order]
    assert found["auc"] == pytest.approx(np.mean(parts))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([1.0, 1e-3, 1e6]), st.booleans())
def test_regression_equals_scikit_learn(seed: int, unit: float, weighted: bool) -> None:
    random = np.random.default_rng(seed)
    truth = (random.normal(3, 1, 50) * unit).astype(np.float32)
    answer = (truth + random.normal(0, 0.5, 50) * unit).astype(np.float32)
    weights = random.choice([0.0, 1.0, 2.0], 50).astype(np.float32) if weighted else None
    found = regression_metrics(truth, answer, weights)
    one, other = truth.astype(np.float64), answer.astype(np.float64)
    assert found["r2"] == pytest.approx(sk.r2_score(one, other, sample_weight=weights))
    assert found["mae"] == pytest.approx(sk.mean_absolute_error(one, other, sample_weight=weights))
    assert found["rmse"] == pytest.approx(sk.root_mean_squared_error(one, other, sample_weight=weights))


def in_batches(metrics: Metrics, size: int, labels: Any, answers: Any, weights: Any) -> dict[str, float]:
    for start in range(0, len(labels), size):
        part = slice(start, start + size)
        metrics.add(labels[part], answers[part], None if weights is None else weights[part])
    return metrics.result()


@settings(max_examples=50, deadline=None)
@given(scored(), st.integers(1, 41), st.integers(1, 41))
def test_neither_batches_nor_what_goes_to_the_disk_changes_binary_metrics(
    case: tuple[np.ndarray, np.ndarray, np.ndarray | None], size: int, waiting: int
) -> None:
    labels, scores, weights = case
    found = in_batches(BinaryMetrics(waiting), size, *case)
    assert found == pytest.approx(binary_metrics(labels, scores, weights), abs=1e-14, nan_ok=True)
    if not math.isnan(found["auc"]):
        assert found["auc"] == pytest.approx(sk.roc_auc_score(labels, scores, sample_weight=weights), abs=1e-12)
        expected = sk.average_precision_score(labels, scores, sample_weight=weights)
        assert found["auc_pr"] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("drift", [0.0, 1.0])
@pytest.mark.parametrize("distinct", [7, 10**9])
def test_many_runs_on_the_disk_are_read_piece_by_piece(drift: float, distinct: int) -> None:
    """Runs alike, and runs of which each has scores of its own; few scores, and every row its own."""
    random = np.random.default_rng(1)
    scores = np.round((random.random(200_000) + drift * np.arange(200_000) / 5_000) * distinct) / distinct / 41
    labels = (random.random(200_000) < scores).astype(np.float32)
    weights = random.choice([0.0, 0.5, 2.0], 200_000)
    found = in_batches(BinaryMetrics(waiting=5_000), 777, labels, scores, weights)
    assert found["auc"] == pytest.approx(sk.roc_auc_score(labels, scores, sample_weight=weights), abs=1e-12)
    expected = sk.average_precision_score(labels, scores, sample_weight=weights)
    assert found["auc_pr"] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("waiting", "size"), [(10**6, 10), (40, 7), (1, 64)])
def test_multiclass_in_batches(waiting: int, size: int) -> None:
    random = np.random.default_rng(2)
    labels = random.integers(0, 4, 500)
    probabilities = random.dirichlet(np.ones(4), 500).round(2)
    weights = random.random(500)
    found = in_batches(MulticlassMetrics(4, waiting), size, labels, probabilities, weights)
    assert found == pytest.approx(multiclass_metrics(labels, probabilities, weights), abs=1e-14)
    parts = [sk.roc_auc_score(labels == one, probabilities[:, one], sample_weight=weights) for one in range(4)]
    assert found["auc"] == pytest.approx(np.mean(parts), abs=1e-12)


def test_sums_of_very_many_batches_lose_nothing() -> None:
    """Where adding up one by one would be off in the eleventh digit, and the variance's two terms would cancel."""
    random = np.random.default_rng(3)
    truth = random.normal(1e6, 1.0, 30_000)
    answers = truth + random.normal(0, 0.5, 30_000)
    weights = random.random(30_000)
    found = in_batches(RegressionMetrics(), 1, truth, answers, weights)
    assert found["r2"] == pytest.approx(sk.r2_score(truth, answers, sample_weight=weights), abs=1e-9)
    assert found["mean_prediction"] == pytest.approx(math.fsum(weights * answers) / math.fsum(weights), rel=1e-15)
    assert found["mae"] == pytest.approx(np.average(np.abs(truth - answers), weights=weights), rel=1e-12)


def test_scores_that_are_no_numbers_come_last_and_end() -> None:
    scores = np.array([0.9, np.nan, 0.8, np.nan, 0.1, np.nan] * 50)
    labels = np.array([1.0, 0.0, 1.0, 0.0, 0.0, 0.0] * 50)
    assert in_batches(BinaryMetrics(waiting=8), 3, labels, scores, None)["auc"] == 1.0


def test_certain_and_wrong_is_a_finite_loss() -> None:
    found = binary_metrics(np.array([1.0, 0.0]), np.array([0.0, 1.0]))
    assert found["log_loss"] == pytest.approx(-math.log(1e-7), rel=1e-4)
    many = multiclass_metrics(np.array([0]), np.array([[0.0, 1.0]]))
    assert many["log_loss"] == pytest.approx(-math.log(1e-7))


@pytest.mark.parametrize(
    ("labels", "weights"),
    [([], None), ([1.0], None), ([0.0, 0.0], None), ([0.0, 1.0], [0.0, 0.0]), ([0.0, 1.0], [0.0, 1.0])],
)
def test_what_is_undefined_is_nan_and_never_an_error(labels: list[float], weights: list[float] | None) -> None:
    truth = np.array(labels, np.float32)
    found = binary_metrics(truth, np.full(len(truth), 0.5, np.float32), None if weights is None else np.array(weights))
    assert math.isnan(found["auc"])
    defined = len(labels) > 0 and (weights is None or sum(weights) > 0)
    assert math.isnan(found["log_loss"]) != defined


def test_regression_without_variance_has_no_r2() -> None:
    found = regression_metrics(np.array([2.0, 2.0]), np.array([1.0, 2.0]))
    assert math.isnan(found["r2"])
    assert found["mae"] == 0.5


def test_absent_classes_are_left_out_of_the_mean_auc() -> None:
    probabilities = np.array([[0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.5, 0.4, 0.1]])
    labels = np.array([0, 1, 0])
    assert multiclass_metrics(labels, probabilities)["auc"] == 1.0


def test_every_monitor_is_computed_and_has_a_direction() -> None:
    ones = np.ones(2, np.float32)
    computed = {
        "binary": binary_metrics(ones, ones),
        "multiclass": multiclass_metrics(np.array([0, 1]), np.eye(2)),
        "regression": regression_metrics(ones, ones),
        "counts": count_metrics(ones, ones),
    }
    for task, names in MONITORS.items():
        assert set(names) <= set(computed[task])
        assert set(names) <= set(HIGHER_IS_BETTER)
