"""Exact weighted metrics of rows that come in batches; memory does not grow with the rows.

Keras' streaming AUC uses 200 thresholds and is far off where positives are rare; these metrics sort the scores.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tfwd.metrics.auc import WAITING, Ranking, rank
from tfwd.metrics.running_sums import MeanAndVariance, Sums

Floats = NDArray[np.floating]

# Predictions are float32, which has no number between 1 - 2^-24 and 1.
EPSILON = 1e-7


def auc(labels: Floats, scores: Floats, weights: Floats | None = None) -> float:
    """Area under the ROC curve: the chance that a positive is scored above a negative, ties counting half.

    Args:
        labels: `(N,)`, 0 or 1.
        scores: `(N,)`.
        weights: `(N,)` or None.

    Returns:
        0 to 1, or NaN where one of the classes has no weight.
    """
    return rank(labels == 1, scores, weights).auc


def average_precision(labels: Floats, scores: Floats, weights: Floats | None = None) -> float:
    """Area under the precision-recall curve as a step function: sum of (recall step) x precision.

    Args:
        labels: `(N,)`, 0 or 1.
        scores: `(N,)`.
        weights: `(N,)` or None.

    Returns:
        0 to 1, or NaN without positives.
    """
    return rank(labels == 1, scores, weights).average_precision


class Metrics(Protocol):
    """The metrics of a task for rows that come in batches."""

    def add(self, labels: NDArray[Any], answers: Floats, weights: Floats | None) -> None:
        """Adds a batch; every call has weights, or none has."""

    def result(self) -> dict[str, float]:
        """Returns the metrics of all rows. No more rows can be added afterwards."""


class BinaryMetrics(Metrics):
    """AUC, AUC-PR, log loss, accuracy at 0.5, mean prediction and mean label.

    Args:
        waiting: see `tfwd.metrics.auc.Ranking`.
    """

    def __init__(self, waiting: int = WAITING) -> None:
        self._ranking, self._sums = Ranking((1,), waiting), Sums(4)

    def add(self, labels: NDArray[Any], answers: Floats, weights: Floats | None) -> None:
        """Adds labels `(B,)`, 0 or 1, probabilities `(B,)` and weights `(B,)` or None."""
        clipped = np.clip(answers.astype(np.float64), EPSILON, 1 - EPSILON)
        losses = -(labels * np.log(clipped) + (1 - labels) * np.log1p(-clipped))
        self._sums.add([losses, (answers >= 0.5) == (labels >= 0.5), answers, labels], weights)
        self._ranking.add(labels, answers[:, None], weights)

    def result(self) -> dict[str, float]:
        """Returns the metrics of all rows. No more rows can be added afterwards."""
        ranked, means = self._ranking.result()[0], self._sums.means()
        names = ("log_loss", "accuracy", "mean_prediction", "mean_label")
        return {"auc": ranked.auc, "auc_pr": ranked.average_precision, **dict(zip(names, means, strict=True))}


class MulticlassMetrics(Metrics):
    """Log loss, accuracy, and the mean over the classes of the AUC of each against the rest.

    Args:
        classes: the number of classes.
        waiting: see `tfwd.metrics.auc.Ranking`.
    """

    def __init__(self, classes: int, waiting: int = WAITING) -> None:
        self._ranking, self._sums = Ranking(range(classes), waiting), Sums(2)

    def add(self, labels: NDArray[Any], answers: Floats, weights: Floats | None) -> None:
        """Adds class indices `(B,)`, probabilities `(B, C)` and weights `(B,)` or None."""
        own = np.take_along_axis(answers, labels[:, None].astype(np.int64), axis=1)[:, 0]
        losses = -np.log(np.clip(own.astype(np.float64), EPSILON, 1.0))
        self._sums.add([losses, answers.argmax(axis=1) == labels], weights)
        self._ranking.add(labels, answers, weights)

    def result(self) -> dict[str, float]:
        """Returns the metrics of all rows. No more rows can be added afterwards."""
        log_loss, accuracy = self._sums.means()
        present = [ranked.auc for ranked in self._ranking.result() if not np.isnan(ranked.auc)]
        return {
            "log_loss": log_loss,
            "accuracy": accuracy,
            "auc": float(np.mean(present)) if present else float("nan"),
        }


class RegressionMetrics(Metrics):
    """Root mean squared error, mean absolute error, R squared, mean prediction and mean label."""

    def __init__(self) -> None:
        self._sums, self._labels = Sums(3), MeanAndVariance()

    def add(self, labels: NDArray[Any], answers: Floats, weights: Floats | None) -> None:
        """Adds labels `(B,)`, predictions `(B,)` and weights `(B,)` or None."""
        truth, answer = labels.astype(np.float64), answers.astype(np.float64)
        self._sums.add([(truth - answer) ** 2, np.abs(truth - answer), answer], weights)
        self._labels.add(truth, weights)

    def result(self) -> dict[str, float]:
        """Returns the metrics of all rows. No more rows can be added afterwards."""
        squared, absolute, prediction = self._sums.means()
        variance = self._labels.variance
        return {
            "rmse": float(np.sqrt(squared)),
            "mae": absolute,
            "r2": 1.0 - squared / variance if variance > 0 else float("nan"),
            "mean_prediction": prediction,
            "mean_label": self._labels.mean,
        }


class CountMetrics(Metrics):
    """Mean Poisson deviance, then the metrics of a regression."""

    def __init__(self) -> None:
        self._deviance, self._others = Sums(1), RegressionMetrics()

    def add(self, labels: NDArray[Any], answers: Floats, weights: Floats | None) -> None:
        """Adds counts `(B,)`, their expected values `(B,)`, above 0, and weights `(B,)` or None."""
        counts, expected = labels.astype(np.float64), answers.astype(np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            own = np.where(counts > 0, counts * np.log(counts / expected), 0.0)
        self._deviance.add([2.0 * (own - counts + expected)], weights)
        self._others.add(labels, answers, weights)

    def result(self) -> dict[str, float]:
        """Returns the metrics of all rows. No more rows can be added afterwards."""
        return {"poisson_deviance": self._deviance.means()[0], **self._others.result()}


def metrics_of(measures: str, classes: int) -> Metrics:
    """Returns the metrics of a task, without rows yet.

    Args:
        measures: `binary`, `multiclass`, `regression` or `counts`; see `tfwd.Schema.measures`.
        classes: the number of classes of a multi-class task.
    """
    if measures == "multiclass":
        return MulticlassMetrics(classes)
    if measures == "counts":
        return CountMetrics()
    return BinaryMetrics() if measures == "binary" else RegressionMetrics()


def binary_metrics(labels: Floats, probabilities: Floats, weights: Floats | None = None) -> dict[str, float]:
    """Returns the `BinaryMetrics` of arrays, in memory.

    Args:
        labels: `(N,)`, 0 or 1.
        probabilities: `(N,)`.
        weights: `(N,)` or None.
    """
    return _of(BinaryMetrics(len(labels)), labels, probabilities, weights)


def multiclass_metrics(
    labels: NDArray[np.integer], probabilities: Floats, weights: Floats | None = None
) -> dict[str, float]:
    """Returns the `MulticlassMetrics` of arrays, in memory.

    Args:
        labels: `(N,)`, class indices.
        probabilities: `(N, C)`.
        weights: `(N,)` or None.
    """
    found = MulticlassMetrics(probabilities.shape[1], probabilities.size)
    return _of(found, labels, probabilities, weights)


def regression_metrics(labels: Floats, predictions: Floats, weights: Floats | None = None) -> dict[str, float]:
    """Returns the `RegressionMetrics` of arrays.

    Args:
        labels: `(N,)`.
        predictions: `(N,)`.
        weights: `(N,)` or None.
    """
    return _of(RegressionMetrics(), labels, predictions, weights)


def count_metrics(counts: Floats, expected: Floats, weights: Floats | None = None) -> dict[str, float]:
    """Returns the `CountMetrics` of arrays.

    Args:
        counts: `(N,)`, at least 0.
        expected: `(N,)`, above 0.
        weights: `(N,)` or None.
    """
    return _of(CountMetrics(), counts, expected, weights)


def _of(metrics: Metrics, labels: NDArray[Any], answers: Floats, weights: Floats | None) -> dict[str, float]:
    metrics.add(labels, answers, weights)
    return metrics.result()


# For each metric that training can watch, whether higher is better.
HIGHER_IS_BETTER = {
    "auc": True,
    "auc_pr": True,
    "accuracy": True,
    "r2": True,
    "log_loss": False,
    "rmse": False,
    "mae": False,
    "poisson_deviance": False,
}
