"""Scorers: a run, a `.keras` file, a SavedModel or an ONNX file, all answering raw batches in the same way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tfwd.data.chunk import Chunk
from tfwd.data.reading import Reading
from tfwd.data.source import Source
from tfwd.inference.answers import Answer, Raw
from tfwd.inference.evaluation import evaluate_data
from tfwd.inference.prediction import predict_frame
from tfwd.schema import Schema


@dataclass(frozen=True)
class Scorer:
    """Something that answers raw batches.

    Attributes:
        schema: the raw inputs and the answer.
        score: `{input: (B,)}` -> `probability` `(B,)` or `(B, C)` with `logit` of that shape, or `prediction` `(B,)`.
            Inputs go by name and are checked the same way in all kinds; see `tfwd.data.raw.raw_arrays`.
        score_chunk: the same for a chunk of many rows, whose strings are indices into a dictionary.
        kind: `keras`, `savedmodel` or `onnx`.
        reading: how a file or a frame becomes raw batches; None if a file does not say, as in version 0.3.0.
    """

    schema: Schema
    score: Callable[[Raw], Answer]
    score_chunk: Callable[[Chunk], Answer]
    kind: str
    reading: Reading | None = None

    def source(
        self, data: Any, *, labelled: bool, key: tuple[str, ...] | None = (), delimiter: str | None = None
    ) -> Source:
        """Opens rows the way the model's training read them; see `tfwd.data.reading.Reading.open`."""
        reading = self.reading or Reading()
        return reading.open(data, self.schema, labelled=labelled, key=key, delimiter=delimiter)

    def predict(self, data: Any, *, key: Sequence[str] | None = None) -> Any:
        """Answers every row of a frame or a file, in memory; `tfwd.inference.prediction.predict` writes a file.

        Args:
            data: a `pandas.DataFrame`, a `polars.DataFrame`, a `pyarrow.Table`, or anything else that `Source.open`
                takes. Columns go by name, those that the model does not read are ignored, and None and NaN are missing
                values.
            key: columns to pass through; by default those of `data.key` that exist.

        Returns:
            A frame with one answer per row: the key, then the columns of `tfwd.inference.prediction.predict`. It is a
            polars frame if the rows are, and otherwise a pandas frame with the index of the rows.

        Raises:
            DataError: a column is missing, or a value does not fit.
        """
        given = (key,) if isinstance(key, str) else key
        return predict_frame(self, data, None if given is None else tuple(dict.fromkeys(given)))

    def evaluate(self, data: Any) -> dict[str, float]:
        """Returns the exact metrics on labelled rows, without those that `data.filter` leaves out.

        They are those of `tfwd.inference.evaluation.evaluate`, including those by user if the training ranked items.

        Args:
            data: as in `predict`, with the label.

        Raises:
            DataError: a column is missing, a value or label does not fit, or there are no rows.
        """
        return evaluate_data(self, data)
