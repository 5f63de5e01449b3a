"""Batch prediction: from a file to a file with one answer per row."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from tfwd.data.frames import like
from tfwd.data.rows import Rows
from tfwd.data.source import Source
from tfwd.data.writer import writing
from tfwd.errors import DataError
from tfwd.inference.ahead import ahead
from tfwd.inference.answers import Answer, AnswersRows, no_answer
from tfwd.schema import Schema

# A chunk of rows is a multiple of this.
_ROWS = 8192


def predict(
    scorer: AnswersRows,
    source: Source,
    output: str | Path,
    *,
    key: tuple[str, ...] = (),
    advance: Callable[[int], None] | None = None,
) -> int:
    """Scores every row of a source, in order, and writes the answers; memory does not grow with the rows.

    Reading, scoring and writing go on at the same time, each a chunk of rows ahead of the next.

    Columns: those of `key` unchanged, then `probability`, `logit` and `predicted` for a binary task,
    `probability_<class>` and `predicted` for a multi-class task, `prediction` for a regression.

    Args:
        scorer: the scorer.
        source: the rows; a label is not needed.
        output: a `.parquet` or `.csv` file, which appears when it is complete.
        key: columns of the source that are passed through.
        advance: called with the number of rows after each write.

    Returns:
        The number of rows.

    Raises:
        DataError: the source lacks a column, a key has the name of an answer, or the output cannot be written.
    """
    rows = _rows(scorer, source, key)
    done = 0
    with writing(output) as writer:
        for table in ahead(_tables(scorer, rows)):
            writer.write(table)
            done += table.num_rows
            if advance is not None:
                advance(table.num_rows)
        if not done:
            writer.write(_no_rows(scorer.schema, key))
    return done


def predict_frame(scorer: AnswersRows, data: Any, key: tuple[str, ...] | None = None) -> Any:
    """Scores every row of a frame or a file in memory; see `tfwd.inference.scorer.Scorer.predict`."""
    source = scorer.source(data, labelled=False, key=key)
    key = default_key(scorer, source) if key is None else key
    tables = list(_tables(scorer, _rows(scorer, source, key)))
    return like(data, pa.concat_tables(tables) if tables else _no_rows(scorer.schema, key))


def default_key(scorer: AnswersRows, source: Source) -> tuple[str, ...]:
    """Returns the columns of `data.key` that a source has: a key is a convenience, not a requirement."""
    wanted = scorer.reading.key if scorer.reading is not None else ()
    return tuple(column for column in wanted if column in source.columns)


def _rows(scorer: AnswersRows, source: Source, key: tuple[str, ...]) -> Rows:
    answers = answer_table(scorer.schema, no_answer(scorer.schema)).column_names
    for column in key:
        if column in answers:
            raise DataError(
                f"The key {column!r} has the name of an answer's column. Rename it, or leave it out of the key."
            )
    return Rows(source, scorer.schema, labelled=False, key=key)


def _no_rows(schema: Schema, key: tuple[str, ...]) -> pa.Table:
    empty = answer_table(schema, no_answer(schema))
    keys = {column: pa.array([], pa.string()) for column in key}
    return pa.table({**keys, **{name: empty.column(name) for name in empty.column_names}})


def _tables(scorer: AnswersRows, rows: Rows) -> Generator[pa.Table, None, None]:
    chunks = (chunk for chunk in rows.chunks(_ROWS, order=None, shuffle_rows=0, skip=0))
    for chunk in ahead(chunks):
        table = answer_table(scorer.schema, scorer.score_chunk(chunk))
        if chunk.key is not None:
            names = [*chunk.key.column_names, *table.column_names]
            table = pa.table([*chunk.key.columns, *table.columns], names=names)
        yield table


def answer_table(schema: Schema, answer: Answer) -> pa.Table:
    """Returns answers as named columns; see `predict`."""
    if schema.task == "regression":
        return pa.table({schema.answer: answer[schema.answer]})
    probability = answer[schema.answer]
    classes = pa.array(schema.classes, pa.string())
    if schema.task == "binary":
        predicted = classes.take(pa.array((probability >= 0.5).astype(np.int8)))
        return pa.table({schema.answer: probability, "logit": answer["logit"], "predicted": predicted})
    columns = {f"{schema.answer}_{name}": probability[:, index] for index, name in enumerate(schema.classes)}
    return pa.table({**columns, "predicted": classes.take(pa.array(probability.argmax(axis=1)))})
