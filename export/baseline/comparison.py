"""Before a new model replaces an old one, both score the same rows, and the metrics decide.

`python -m export.baseline NEW OLD`, `python -m export.savedmodel RUN --baseline OLD`
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.baseline.learned_rows import run_of
from tfwd.data.reading import Reading
from tfwd.data.rows import Rows
from tfwd.data.source import Source
from tfwd.errors import DataError, ExportError
from tfwd.inference.scorer import Scorer
from tfwd.metrics.tasks import HIGHER_IS_BETTER, metrics_of
from tfwd.run_folder.record import FRAMES
from tfwd.schema import Schema

Scores = NDArray[np.float32]

_BATCH = 8192
_BINS = 10
# The metrics that decide, and those that are only shown.
_DECIDE = {
    "binary": ("log_loss", "auc"),
    "multiclass": ("log_loss", "auc"),
    "regression": ("rmse", "mae"),
    "counts": ("poisson_deviance", "mae"),
}
_OF_NUMBERS = ("regression", "counts")
_BESIDE = ("auc_pr", "accuracy", "r2", "mean_prediction", "mean_label")


@dataclass(frozen=True)
class Limits:
    """How much worse a model may be than its baseline, and how far its scores may have moved.

    Attributes:
        tolerance: the share by which the log loss, the RMSE and the MAE may be larger, and the amount by which the AUC
            may be smaller.
        change: the mean absolute change of a row's probability (with several classes half the sum of their changes),
            by default 0.1; for a prediction in standard deviations of the baseline's predictions, by default 0.25.
        psi: the population stability index of the scores, largest over the classes: the sum over the tenths of the
            baseline's scores of (q - p) ln(q / p), where p and q are the shares of the old and new scores in each.
    """

    tolerance: float = 0.005
    change: float | None = None
    psi: float = 0.25

    def most_change(self, task: str) -> float:
        """Returns the limit of the mean change for a task."""
        return self.change if self.change is not None else 0.25 if task in _OF_NUMBERS else 0.1


@dataclass(frozen=True)
class Comparison:
    """Two models on the same rows.

    Attributes:
        task: the task that determines the metrics of both, as in `tfwd.Schema.measures`.
        name: the name of the rows.
        rows: the number of rows.
        new, old: the metrics of `tfwd.metrics` of each.
        change: the mean change of a score, as in `Limits`.
        psi: the population stability index, as in `Limits`.
        limits: the limits.
    """

    task: str
    name: str
    rows: int
    new: dict[str, float]
    old: dict[str, float]
    change: float
    psi: float
    limits: Limits = field(default_factory=Limits)

    def faults(self) -> list[str]:
        """Returns why the new model should not replace the old one, with figures; empty if it may."""
        found = []
        for metric in _DECIDE[self.task]:
            new, old = self.new[metric], self.old[metric]
            if not math.isfinite(old):
                continue  # such as the AUC of rows of one class
            worse, allowed = self._worse(metric), _shown_change(metric, self.limits.tolerance)
            if not math.isfinite(new) or worse > self.limits.tolerance:
                found.append(
                    f"its {metric} is {new:.4f} and the baseline's {old:.4f}, worse by {_shown_change(metric, worse)} "
                    f"with at most {allowed} allowed"
                )
        most = self.limits.most_change(self.task)
        if not self.change <= most:
            unit = " standard deviations" if self.task in _OF_NUMBERS else ""
            found.append(f"its scores moved by {self.change:.4f}{unit} on average, and at most {most:g} is allowed")
        if not self.psi <= self.limits.psi:
            found.append(f"the PSI of its scores is {self.psi:.4f}, and at most {self.limits.psi:g} is allowed")
        return found

    def lines(self) -> list[str]:
        """Returns the figures as a table."""
        lines = [
            f"On {self.rows:,} rows of {self.name}:",
            f"  {'':<16}{'baseline':>10}{'new':>10}{'worse by':>10}  limit",
        ]
        for metric in _DECIDE[self.task]:
            allowed = _shown_change(metric, self.limits.tolerance)
            worse = _shown_change(metric, self._worse(metric))
            lines.append(f"  {metric:<16}{self.old[metric]:>10.4f}{self.new[metric]:>10.4f}{worse:>10}  {allowed}")
        for metric in _BESIDE:
            if metric in self.new:
                lines.append(f"  {metric:<16}{self.old[metric]:>10.4f}{self.new[metric]:>10.4f}")
        lines.append(f"  {'mean change':<36}{self.change:>10.4f}  {self.limits.most_change(self.task):g}")
        lines.append(f"  {'PSI':<36}{self.psi:>10.4f}  {self.limits.psi:g}")
        return lines

    def _worse(self, metric: str) -> float:
        """Returns how much worse the new model is; for a loss, as a share of the old one's."""
        new, old = self.new[metric], self.old[metric]
        if HIGHER_IS_BETTER[metric]:
            return old - new
        return (new - old) / old if old else new - old


def compare(new: Scorer, old: Scorer, rows: Rows, limits: Limits | None = None) -> Comparison:
    """Compares two models on the same rows.

    The scores of all rows are kept in memory: 8 bytes per row, or per row and class.

    Args:
        new: the model that would replace the other.
        old: its baseline.
        rows: labelled rows, under the new model's schema.
        limits: the limits.

    Raises:
        ExportError: the models answer different questions.
        DataError: a model cannot score these rows, or there are none.
    """
    _refuse_other_question(new.schema, old.schema)
    # A model of counts and one of numbers answer the same question, with the metrics of numbers.
    task = new.schema.measures if new.schema.counts == old.schema.counts else new.schema.task
    name = rows.source.name
    try:
        old_rows = Rows(rows.source, old.schema, split=rows.split, fraction=rows.fraction, labelled=False)
    except DataError as error:
        raise DataError(f"The baseline cannot score the rows of {name}: {error}") from None
    answered: tuple[list[Scores], list[Scores]] = ([], [])
    classes = len(new.schema.classes) if task == "multiclass" else 1
    metrics = (metrics_of(task, classes), metrics_of(task, classes))
    count = 0
    for batch, old_batch in zip(rows.batches(_BATCH), _reading(old_rows, name), strict=True):
        assert batch.label is not None
        answers = (new.score(batch.inputs)[new.schema.answer], old.score(old_batch.inputs)[old.schema.answer])
        if task == "multiclass":
            answers = (answers[0], _aligned(answers[1], old.schema.classes, new.schema.classes))
        for found, kept, answer in zip(metrics, answered, answers, strict=True):
            found.add(batch.label[:, 0], answer, batch.weight)
            kept.append(answer)
        count += len(batch.label)
    if not count:
        raise DataError(f"{name} has no rows to compare the models on.")
    new_scores, old_scores = (np.concatenate(kept).astype(np.float64) for kept in answered)
    return Comparison(
        task=task,
        name=name,
        rows=count,
        new=metrics[0].result(),
        old=metrics[1].result(),
        change=_change(new_scores, old_scores, task),
        psi=_largest_psi(new_scores, old_scores),
        limits=limits or Limits(),
    )


def comparison_rows(
    source: str | Path, schema: Schema, data: str | None = None, reading: Reading | None = None
) -> Rows:
    """Returns the labelled rows on which a run's model is compared.

    Args:
        source: the run directory, or a model or an export, inside a run or elsewhere.
        schema: the schema of its model.
        data: a file; by default the test rows of the run, or else its validation rows.
        reading: how the model reads a file, if it says so.

    Raises:
        ExportError: no file is given, and there are no such rows, or the run has learned from them in a refit.
    """
    run = run_of(source)
    if data is not None:
        reading = Reading.of(run.config) if run is not None else reading or Reading()
        return Rows(reading.open(data, schema, labelled=True, everything=True), schema)
    if run is not None:
        section = run.config.data

        def opened(path: str | tuple[str, ...], prepared: bool) -> Source:
            if prepared:
                return Source.open(path)
            return Source.open(path, csv=section.csv, format=section.format, filter=section.filter)

        prepared = run.data is not None and (run.data / "train.parquet").is_file()
        held_out = None if run.was_frame("validation") else section.validation
        if prepared and run.data is not None:
            file = run.data / "validation.parquet"
            held_out = str(file) if file.is_file() else None
        path = run.rows("test")
        if path is None and run.config.train.refit:
            raise ExportError(
                f"{source} has no test rows to compare the models on, and has learned from its validation rows too "
                "(train.refit). Give labelled rows: --data FILE"
            )
        path = path or held_out
        if path is not None:
            return Rows(opened(path, prepared), schema)
        train = run.rows("train")
        parted = section.split is None and section.validation is None and not run.was_frame("validation")
        if train is not None and parted and section.validation_fraction:
            return Rows(opened(train, prepared), schema, split="validation", fraction=section.validation_fraction)
        if any(run.was_frame(split) for split in FRAMES):
            raise ExportError(
                f"{source} was trained on DataFrames, which a run does not keep, so it has no rows to compare the "
                "models on. Give labelled rows that neither model has learned from: --data FILE"
            )
    raise ExportError(
        f"{source} has neither test nor validation rows to compare the models on. Give labelled rows: --data FILE"
    )


def psi(new: NDArray[np.floating], old: NDArray[np.floating]) -> float:
    """Returns the population stability index of scores `(N,)` and `(M,)`, over the tenths of the old ones.

    An empty share counts as half a row.
    """
    edges = np.unique(np.quantile(old, np.arange(1, _BINS) / _BINS))
    shares = []
    for scores in (new, old):
        counts = np.bincount(np.searchsorted(edges, scores, "right"), minlength=len(edges) + 1)
        shares.append(np.maximum(counts, 0.5) / len(scores))
    return float(((shares[0] - shares[1]) * np.log(shares[0] / shares[1])).sum())


def _refuse_other_question(new: Schema, old: Schema) -> None:
    if new.task != old.task:
        raise ExportError(f"The baseline was trained for task {old.task}, and this model for {new.task}.")
    if new.task == "binary" and new.classes != old.classes and set(new.classes) == set(old.classes):
        raise ExportError(
            f"The positive class of the baseline is {old.classes[1]!r}, of this model {new.classes[1]!r}."
        )


def _reading(rows: Rows, name: str) -> Iterator[Any]:
    try:
        yield from rows.batches(_BATCH)
    except DataError as error:
        raise DataError(f"The baseline cannot score the rows of {name}: {error}") from None


def _aligned(scores: Scores, classes: tuple[str, ...], wanted: tuple[str, ...]) -> Scores:
    """Returns probabilities in the order of other classes; 0 for a class that the model does not know."""
    known = {name: index for index, name in enumerate(classes)}
    none = np.zeros(len(scores), np.float32)
    return np.stack([scores[:, known[name]] if name in known else none for name in wanted], axis=1)


def _change(new: NDArray[np.float64], old: NDArray[np.float64], task: str) -> float:
    moved = np.abs(new - old)
    if task == "multiclass":
        return float(moved.sum(axis=1).mean() / 2)
    if task in _OF_NUMBERS:
        return float(moved.mean() / (old.std() or 1.0))
    return float(moved.mean())


def _largest_psi(new: NDArray[np.float64], old: NDArray[np.float64]) -> float:
    if new.ndim == 1:
        return psi(new, old)
    return max(psi(new[:, index], old[:, index]) for index in range(new.shape[1]))


def _shown_change(metric: str, amount: float) -> str:
    return f"{amount:.4f}" if HIGHER_IS_BETTER[metric] else f"{amount:.2%}"
