"""What the page asks the model of a run: an answer with its reasons, a curve along one input, rows to begin with."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfwd.data.raw import raw_arrays
from tfwd.data.reading import Reading
from tfwd.errors import RunError
from tfwd.features.space import FeatureSpace
from tfwd.inference.load import load_scorer, run_scorer
from tfwd.inference.scorer import Scorer
from tfwd.inspection.contributions import Contributions
from tfwd.inspection.typical_row import typical_row
from tfwd.page.fields import Field, Row, Value, fields_of, row_of_raw
from tfwd.page.markup import number
from tfwd.run import Run
from tfwd.schema import Schema

# Rows of the data that a person can go through.
_EXAMPLES = 500
# Points of a curve along numbers, and the most categories of one.
_POINTS, _CATEGORIES = 61, 25
# What an export may differ from the model without a note: half-precision tables differ by less.
_CLOSE = 1e-3


@dataclass(frozen=True)
class Answer:
    """The answer to a row.

    Attributes:
        values: the probability `(1,)` or those of the classes `(C,)`, or the prediction `(1,)`.
        logits: the logits, of the same shape; for a regression the prediction, for counts its logarithm.
        parts: the contributions to the logits of the run's model.
        notes: what a person should know about it.
    """

    values: NDArray[np.float64]
    logits: NDArray[np.float64]
    parts: Contributions
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Point:
    """A point of a curve.

    Attributes:
        value: the value that the input has there; for a list, what is added to it.
        text: that value for people.
        answers: the answer's values there.
        here: whether it is the row itself.
    """

    value: Value
    text: str
    answers: NDArray[np.float64]
    here: bool = False


class Asker:
    """Asks the model of a run.

    Args:
        run: the run.

    Raises:
        RunError: it is damaged, or was changed after the training.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        run.refuse_changed()
        self.schema: Schema = self.run.model.schema
        space = FeatureSpace(self.run.config.features, self.run.statistics)
        outside = Reading.of(self.run.config).outside(self.schema)
        named = dict(line.split(": ", 1) for line in outside if ": " in line)
        # Callers of a model send seconds; a person types a date.
        named = {e.name: named[e.name] for e in self.schema.inputs if e.name in named and e.moment is None}
        self.fields = fields_of(self.schema, space, named)
        self.by_name = {field.name: field for field in self.fields}
        self.scorer, self.answers_by, self.warning = _scorer(self.run)
        typical = raw_arrays(self.schema, typical_row(self.schema, space))
        self.typical = row_of_raw(self.fields, typical, 0)
        self._examples = self.run.drawn(_EXAMPLES)

    @property
    def examples(self) -> int:
        """The number of rows of the data that `example` gives; 0 if the run has none, and gives a typical row."""
        return 0 if self._examples is None else len(next(iter(self._examples.values())))

    def example(self, number: int | None = None) -> Row:
        """Returns a row of the run's data, or the typical row if the run has none.

        Args:
            number: which; a random one if None.
        """
        if self._examples is None:
            return dict(self.typical)
        at = random.randrange(self.examples) if number is None else number % self.examples
        return row_of_raw(self.fields, self._examples, at)

    def answer(self, row: Row) -> Answer:
        """Answers a row.

        Raises:
            DataError: a value does not fit.
        """
        batch = self._batch([row])
        found = self.scorer.score(batch)
        values = np.reshape(found[self.schema.answer], -1).astype(np.float64)
        (parts,) = self.run.explainer(batch)
        logits = np.reshape(found["logit"], -1).astype(np.float64) if "logit" in found else _logits(self.schema, values)
        notes = [note for field in self.fields for note in field.notes(row[field.name])]
        if not agree(self.schema, self.run.statistics.label.stddev, values, logits, parts.logit):
            given, own = (number(float(of[0])) for of in (logits, parts.logit))
            notes.append(
                f"{self.answers_by} answers with the logit {given}, and the run's model with {own}: it is of another "
                "state of the run. Export again."
            )
        return Answer(values, logits, parts, tuple(notes))

    def curve(self, row: Row, name: str) -> list[Point]:
        """Returns the answers along one input, everything else as in the row.

        Numbers and moments run from one end of the training range to the other; of categories there are the most
        frequent, and the row's own. For an input of lists each point adds one value to the row's list.

        Args:
            row: the row.
            name: an input that `has_curve`.
        """
        field = self.by_name[name]
        own = row[name]
        grid: list[Value] = list(_numbers(field)) if field.kind in ("number", "moment") else self._categories(field)
        if field.kind == "categories":
            assert isinstance(own, list)
            values: list[Any] = [own, *([*own, value] for value in grid)]
            texts = ["the list as it is", *(f"and {field.shown(value)}" for value in grid)]
            grid = [None, *grid]
        else:
            assert not isinstance(own, list)
            if field.kind == "category" or own is not None:
                grid = [*(value for value in grid if value != own), own]
            if field.kind in ("number", "moment"):
                grid.sort(key=lambda value: value if isinstance(value, int | float) else 0)
            values, texts = list(grid), [field.shown(value) for value in grid]
        rows = [{**row, name: value, **self._weights(row, field, value)} for value in values]
        found = np.asarray(self.scorer.score(self._batch(rows))[self.schema.answer], np.float64).reshape(len(rows), -1)
        return [
            Point(value, text, answers, given == own)
            for value, given, text, answers in zip(grid, values, texts, found, strict=True)
        ]

    def warm(self) -> None:
        """Answers once, so that later answers are quick."""
        row = self.example(0)
        self.answer(row)
        for field in [field for field in self.fields if self.has_curve(field)][:1]:
            self.curve(row, field.name)

    def has_curve(self, field: Field) -> bool:
        """Whether there is a curve along a field: a range, or known categories."""
        if field.kind in ("number", "moment"):
            return field.low is not None
        return field.kind in ("category", "categories") and bool(field.values)

    def _weights(self, row: Row, field: Field, value: Any) -> Row:
        """The weights of a list that may have a value more than in the row, which then has the weight 1."""
        found: Row = {}
        for other in self.fields:
            weights = row[other.name]
            if field.entry.length and other.entry.weighs == field.label and isinstance(weights, list) and weights:
                found[other.name] = [*weights, *[None] * (len(value) - len(weights))]
        return found

    def _categories(self, field: Field) -> list[Value]:
        values = field.values[:_CATEGORIES]
        return [int(value) if field.entry.kind == "integer" else value for value in values]

    def _batch(self, rows: Sequence[Row]) -> dict[str, list[Any]]:
        return {entry.name: [row[entry.name] for row in rows] for entry in self.schema.inputs}


def _scorer(run: Run) -> tuple[Scorer, str, str]:
    """Returns the scorer of the run's ONNX file, or of its model if there is none; its name, and a warning or ""."""
    file = run.path / "export" / f"{run.config.export.name}.onnx"
    if not file.is_file():
        return run_scorer(run), "the run's model", ""
    try:
        scorer = load_scorer(file)
    except RunError as error:
        return run_scorer(run), "the run's model", f"The ONNX file cannot be used: {error}"
    if (scorer.schema.inputs, scorer.schema.classes) != (run.model.schema.inputs, run.model.schema.classes):
        return run_scorer(run), "the run's model", f"{file} takes other inputs than the run's model. Export again."
    return scorer, file.name, ""


def _logits(schema: Schema, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The logits of answers that come without them."""
    with np.errstate(divide="ignore"):
        return np.log(values) if schema.counts else values


def agree(
    schema: Schema,
    spread: float,
    values: NDArray[np.float64],
    logits: NDArray[np.float64],
    expected: NDArray[np.float64],
) -> bool:
    """Returns whether an answer is that of the run's model.

    Args:
        schema: the answer's schema.
        spread: the label's standard deviation, with which the differences of a regression are compared.
        values, logits: the answer and its logits, as in `Answer`.
        expected: the logits that the run's model gives.
    """
    largest = float(np.abs(expected).max())
    if schema.counts:
        # A count that is 0 or infinite as float32 has no logarithm to compare.
        with np.errstate(over="ignore"):
            counts = np.exp(expected).astype(np.float32)
        rounded = float(np.finfo(np.float32).tiny)
        return bool(np.isclose(values, counts, rtol=_CLOSE * max(1.0, largest), atol=rounded).all())
    scale = (spread or 1.0) if schema.task == "regression" else 1.0
    return bool(np.abs(logits - expected).max() <= _CLOSE * max(scale, largest))


def _numbers(field: Field) -> NDArray[np.float64] | list[int]:
    assert field.low is not None
    assert field.high is not None
    if field.kind == "moment":
        return sorted({int(value) for value in np.linspace(field.low, field.high, _POINTS)})
    if not field.whole:
        return np.unique(np.linspace(field.low, field.high, _POINTS).astype(np.float32)).astype(np.float64)
    # A value between two whole numbers is one that the model has never seen.
    count = min(int(field.high - field.low) + 1, 2 * _POINTS)
    return np.unique(np.rint(np.linspace(field.low, field.high, count)))
