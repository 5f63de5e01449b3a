"""Exact metrics over whole sets of predictions, weighted.

Keras' streaming AUC works on 200 thresholds and is far off where positives are rare; these sort the scores.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]

# Predictions are float32, in which nothing lies between 1 - 2^-24 and 1.
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
    positives, negatives = _by_score(labels, scores, weights)
    below = np.concatenate([[0.0], np.cumsum(negatives)[:-1]])
    total = positives.sum() * negatives.sum()
    return float((positives * (below + 0.5 * negatives)).sum() / total) if total > 0 else float("nan")


def average_precision(labels: Floats, scores: Floats, weights: Floats | None = None) -> float:
    """Area under the precision-recall curve as a step function: sum of (recall step) x precision.

    Args:
        labels: `(N,)`, 0 or 1.
        scores: `(N,)`.
        weights: `(N,)` or None.

    Returns:
        0 to 1, or NaN without positives.
    """
    positives, negatives = _by_score(labels, scores, weights)
    hits = np.cumsum(positives[::-1])
    taken = hits + np.cumsum(negatives[::-1])
    if not hits.size or hits[-1] <= 0:
        return float("nan")
    precision = np.divide(hits, taken, out=np.ones_like(hits), where=taken > 0)
    return float((positives[::-1] * precision).sum() / hits[-1])


def _by_score(labels: Floats, scores: Floats, weights: Floats | None) -> tuple[Floats, Floats]:
    """The weight of the positives and of the negatives at each distinct score, rising."""
    order = np.argsort(scores, kind="stable")
    ranked = scores[order]
    if not ranked.size:
        return np.zeros(0), np.zeros(0)
    starts = np.flatnonzero(np.concatenate([[True], ranked[1:] != ranked[:-1]]))
    weight = np.ones(len(labels)) if weights is None else weights.astype(np.float64)
    positive = (labels * weight)[order].astype(np.float64)
    negative = ((1 - labels) * weight)[order].astype(np.float64)
    return np.add.reduceat(positive, starts), np.add.reduceat(negative, starts)


def binary_metrics(labels: Floats, probabilities: Floats, weights: Floats | None = None) -> dict[str, float]:
    """AUC, AUC-PR, log loss, accuracy at 0.5, mean prediction and mean label.

    Args:
        labels: `(N,)`, 0 or 1.
        probabilities: `(N,)`.
        weights: `(N,)` or None.
    """
    clipped = np.clip(probabilities.astype(np.float64), EPSILON, 1 - EPSILON)
    losses = -(labels * np.log(clipped) + (1 - labels) * np.log1p(-clipped))
    return {
        "auc": auc(labels, probabilities, weights),
        "auc_pr": average_precision(labels, probabilities, weights),
        "log_loss": _mean(losses, weights),
        "accuracy": _mean((probabilities >= 0.5) == (labels >= 0.5), weights),
        "mean_prediction": _mean(probabilities, weights),
        "mean_label": _mean(labels, weights),
    }


def multiclass_metrics(
    labels: NDArray[np.integer], probabilities: Floats, weights: Floats | None = None
) -> dict[str, float]:
    """Log loss, accuracy, and the mean over the classes of the AUC of each against the rest.

    Args:
        labels: `(N,)`, class indices.
        probabilities: `(N, C)`.
        weights: `(N,)` or None.
    """
    own = np.take_along_axis(probabilities, labels[:, None].astype(np.int64), axis=1)[:, 0]
    losses = -np.log(np.clip(own.astype(np.float64), EPSILON, 1.0))
    one_against_rest = [
        auc((labels == index).astype(np.float64), probabilities[:, index], weights)
        for index in range(probabilities.shape[1])
    ]
    present = [value for value in one_against_rest if not np.isnan(value)]
    return {
        "log_loss": _mean(losses, weights),
        "accuracy": _mean(probabilities.argmax(axis=1) == labels, weights),
        "auc": float(np.mean(present)) if present else float("nan"),
    }


def regression_metrics(labels: Floats, predictions: Floats, weights: Floats | None = None) -> dict[str, float]:
    """Root mean squared error, mean absolute error, R squared, mean prediction and mean label.

    Args:
        labels: `(N,)`.
        predictions: `(N,)`.
        weights: `(N,)` or None.
    """
    truth, answer = labels.astype(np.float64), predictions.astype(np.float64)
    squared = _mean((truth - answer) ** 2, weights)
    mean = _mean(truth, weights)
    variance = _mean((truth - mean) ** 2, weights)
    return {
        "rmse": float(np.sqrt(squared)),
        "mae": _mean(np.abs(truth - answer), weights),
        "r2": 1.0 - squared / variance if variance > 0 else float("nan"),
        "mean_prediction": _mean(answer, weights),
        "mean_label": mean,
    }


def _mean(values: NDArray[np.generic], weights: Floats | None) -> float:
    if not len(values) or (weights is not None and weights.sum() <= 0):
        return float("nan")
    return float(np.average(values.astype(np.float64), weights=weights))


# Of each metric that training can watch, whether more is better.
HIGHER_IS_BETTER = {
    "auc": True,
    "auc_pr": True,
    "accuracy": True,
    "r2": True,
    "log_loss": False,
    "rmse": False,
    "mae": False,
}
MONITORS = {
    "binary": ("log_loss", "auc", "auc_pr", "accuracy"),
    "multiclass": ("log_loss", "accuracy", "auc"),
    "regression": ("rmse", "mae", "r2"),
}
