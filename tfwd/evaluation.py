"""Exact metrics of a model on rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tfwd.data.rows import Rows
from tfwd.errors import DataError
from tfwd.metrics import binary_metrics, multiclass_metrics, regression_metrics
from tfwd.scoring import Scorer

if TYPE_CHECKING:
    import tensorflow as tf

    from tfwd.model import WideDeep

BATCH_ROWS = 8192


def evaluate(
    scorer: Scorer, rows: Rows, batch_size: int = BATCH_ROWS, advance: Callable[[int], None] | None = None
) -> dict[str, float]:
    """Scores rows batch by batch and computes the task's metrics exactly.

    Of every row only label, weight and score are kept: 12 bytes for a binary task.

    Args:
        scorer: what is evaluated.
        rows: labelled rows.
        batch_size: rows a call.
        advance: called with the number of rows after every batch.

    Returns:
        `rows` and the metrics of `tfwd.metrics`.

    Raises:
        DataError: there are no rows, or a value or label does not fit.
    """
    collected = _Collected(scorer.schema.task)
    for batch in rows.batches(batch_size):
        answer = scorer.score(batch.inputs)
        collected.add(batch.label, answer.get("probability", answer.get("prediction")), batch.weight)
        if advance is not None:
            advance(len(next(iter(batch.inputs.values()))))
    if collected.empty:
        raise DataError(f"{rows.source.name} has no rows to evaluate on.")
    return collected.metrics()


class Evaluator:
    """Evaluates a model on a prepared dataset, again and again.

    Args:
        model: the model, as it is trained.
        dataset: of prepared `(x, y)` or `(x, y, w)`.
    """

    def __init__(self, model: WideDeep, dataset: tf.data.Dataset) -> None:
        import tensorflow as tf

        self._task = model.schema.task
        self._dataset = dataset
        self._answer = tf.function(lambda inputs: model(inputs, training=False), reduce_retracing=True)

    def __call__(self) -> dict[str, float]:
        """`rows` and the exact metrics of the model as it is now."""
        collected = _Collected(self._task)
        for inputs, labels, *weights in self._dataset:
            collected.add(labels.numpy(), self._answer(inputs).numpy(), weights[0].numpy() if weights else None)
        return collected.metrics()


class _Collected:
    """Labels, answers and weights of many batches, compactly."""

    def __init__(self, task: str) -> None:
        self._task = task
        self._labels: list[NDArray[Any]] = []
        self._answers: list[NDArray[Any]] = []
        self._weights: list[NDArray[Any]] = []

    @property
    def empty(self) -> bool:
        return not self._labels

    def add(self, labels: Any, answers: Any, weights: Any) -> None:
        rows = len(labels)
        self._labels.append(np.reshape(labels, (rows,)))
        self._answers.append(np.reshape(answers, (rows, -1) if self._task == "multiclass" else (rows,)))
        if weights is not None:
            self._weights.append(np.reshape(weights, (rows,)))

    def metrics(self) -> dict[str, float]:
        labels, answers = np.concatenate(self._labels), np.concatenate(self._answers)
        weights = np.concatenate(self._weights) if self._weights else None
        compute: Any = {
            "binary": binary_metrics,
            "multiclass": multiclass_metrics,
            "regression": regression_metrics,
        }[self._task]
        return {"rows": len(labels), **compute(labels, answers, weights)}
