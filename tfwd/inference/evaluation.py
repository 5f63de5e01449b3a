"""Exact metrics of a model on rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from tfwd.config.ranking import RankingConfig
from tfwd.data.rows import Rows
from tfwd.errors import DataError
from tfwd.inference.answers import AnswersRows
from tfwd.metrics.by_user import UserMetrics
from tfwd.metrics.tasks import Metrics, metrics_of

if TYPE_CHECKING:
    import tensorflow as tf

    from tfwd.model.wide_deep import WideDeep


BATCH_ROWS = 8192


def evaluate(
    scorer: AnswersRows,
    rows: Rows,
    batch_size: int = BATCH_ROWS,
    advance: Callable[[int], None] | None = None,
    ranking: RankingConfig | None = None,
) -> dict[str, float]:
    """Scores rows batch by batch and computes the task's metrics exactly.

    Memory does not grow with the rows: beyond a million rows, what has to be sorted goes to temporary files.

    Args:
        scorer: the scorer to evaluate.
        rows: labelled rows.
        batch_size: rows per call.
        advance: called with the number of rows after every batch.
        ranking: adds the metrics by user. The candidates of a user are the user's rows.

    Returns:
        `rows` and the metrics of `tfwd.metrics`, then those of `tfwd.metrics.by_user`.

    Raises:
        DataError: there are no rows, or a value or label does not fit.
        OSError: there is no room for temporary files.
    """
    found, by_user = _Metrics(scorer.schema.measures), None
    if ranking is not None:
        by_user = UserMetrics(ranking, binary=scorer.schema.task == "binary")
        key = (ranking.user, ranking.item)
        rows = Rows(rows.source, rows.schema, split=rows.split, fraction=rows.fraction, key=key)
    for batch in rows.batches(batch_size):
        answer = scorer.score(batch.inputs)
        answers = answer[scorer.schema.answer]
        found.add(batch.label, answers, batch.weight)
        if by_user is not None:
            assert batch.key is not None
            assert batch.label is not None
            by_user.add(batch.key, batch.label[:, 0], answer.get("logit", answers))
        if advance is not None:
            advance(len(next(iter(batch.inputs.values()))))
    if not found.rows:
        raise DataError(f"{rows.source.name} has no rows to evaluate on.")
    return found.result() | (by_user.result() if by_user is not None else {})


def evaluate_data(scorer: AnswersRows, data: Any) -> dict[str, float]:
    """Reads a file or a frame and computes the metrics, both as the training did; see `Scorer.evaluate`."""
    rows = Rows(scorer.source(data, labelled=True), scorer.schema)
    ranking = None if scorer.reading is None else scorer.reading.metrics_by_user(rows.source)
    return evaluate(scorer, rows, ranking=ranking)


class Evaluator:
    """Evaluates a model on a transformed dataset repeatedly.

    Args:
        model: the model that is being trained.
        dataset: a dataset of transformed `(x, y)` or `(x, y, w)`.
    """

    def __init__(self, model: WideDeep, dataset: tf.data.Dataset) -> None:
        import tensorflow as tf

        self._measures = model.schema.measures
        self._dataset = dataset
        self._answer = tf.function(lambda inputs: model(inputs, training=False), reduce_retracing=True, autograph=False)

    def __call__(self) -> dict[str, float]:
        """Returns `rows` and the exact metrics of the model in its current state."""
        found = _Metrics(self._measures)
        for inputs, labels, *weights in self._dataset:
            found.add(labels.numpy(), self._answer(inputs).numpy(), weights[0].numpy() if weights else None)
        return found.result()


class _Metrics:
    """The metrics of a task over batches, and their number of rows.

    Args:
        measures: the `measures` of the schema.
    """

    def __init__(self, measures: str) -> None:
        self.rows = 0
        self._measures = measures
        self._metrics: Metrics | None = None

    def add(self, labels: Any, answers: Any, weights: Any) -> None:
        """Adds a batch, answered by a scorer or a model."""
        rows = len(labels)
        self.rows += rows
        answers = np.reshape(answers, (rows, -1) if self._measures == "multiclass" else (rows,))
        if self._metrics is None:
            self._metrics = metrics_of(self._measures, answers.shape[-1])
        weights = None if weights is None else np.reshape(weights, (rows,))
        self._metrics.add(np.reshape(labels, (rows,)), answers, weights)

    def result(self) -> dict[str, float]:
        """Returns `rows` and the metrics; there must be at least one row."""
        assert self._metrics is not None
        return {"rows": self.rows, **self._metrics.result()}
