"""Spans of a pass: the same rows as one reading from the start, and no more reading than that."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from census_cases import config, frame

from tfwd.data.chunk import Chunk
from tfwd.data.rows import Rows
from tfwd.training.spans import Spans
from tfwd.training.splits import open_splits

BATCH, SEED = 7, 3
ROWS = 500
STEPS = -(-ROWS // BATCH)


class Counted(Rows):
    """Rows that count how often a pass over them is begun, in chunks of three batches."""

    begun = 0

    def chunks(self, *arguments: Any, **options: Any) -> Iterator[Chunk]:
        self.begun += 1
        for chunk in super().chunks(*arguments, **options):
            for start in range(0, chunk.rows, 3 * BATCH):
                yield chunk.slice(start, start + 3 * BATCH)


@pytest.fixture
def rows() -> Counted:
    parts = open_splits(
        config({"weight": "weight", "validation_fraction": 0.0}, early_stopping=None), frame().head(ROWS)
    )
    fit = parts.with_classes(("<=50K", ">50K")).fit
    return Counted(fit.source, fit.schema, key=("id",))


def spans(rows: Rows) -> Spans:
    return Spans(rows, BATCH, SEED, shuffle_rows=200)


def plain(rows: Rows) -> Rows:
    """The same rows, uncounted."""
    return Rows(rows.source, rows.schema, key=rows.key)


def read(chunks: Iterator[Chunk]) -> dict[str, list[Any]]:
    """The rows of chunks, by column, categories as texts."""
    found: dict[str, list[Any]] = {"id": [], "label": [], "weight": [], "education": [], "age": []}
    for chunk in chunks:
        assert chunk.label is not None
        assert chunk.weight is not None
        assert chunk.key is not None
        found["id"] += chunk.key.column("id").to_pylist()
        found["label"] += chunk.label[:, 0].tolist()
        found["weight"] += chunk.weight.tolist()
        found["education"] += chunk.dictionaries["education"].take(chunk.values["education"]).to_pylist()
        found["age"] += chunk.values["age"].tolist()
    assert {len(values) for values in found.values()} == {len(found["id"])}
    return found


def alone(rows: Rows, epoch: int, first: int, last: int) -> dict[str, list[Any]]:
    """A span from the rows in the order of the pass, cut by hand."""
    whole = read(rows.chunks(BATCH, order=(SEED, epoch), shuffle_rows=200, skip=0))
    return {name: values[first * BATCH : last * BATCH] for name, values in whole.items()}


@pytest.mark.parametrize("cuts", [[0, STEPS], [0, 1, 2, 3, STEPS], [0, 10, 37, STEPS - 1, STEPS], [5, 6, 50, STEPS]])
def test_spans_are_the_pass_cut_by_hand_and_read_it_once(cuts: list[int], rows: Counted) -> None:
    reader = spans(rows)
    for first, last in itertools.pairwise(cuts):
        found = read(reader.chunks(2, first, last))
        assert found == alone(plain(rows), 2, first, last)
        assert len(found["id"]) == min(last * BATCH, ROWS) - first * BATCH
    assert rows.begun == 1


def test_a_span_that_does_not_follow_is_read_from_the_start(rows: Counted) -> None:
    reader = spans(rows)
    for begun, (epoch, first, last) in enumerate([(0, 0, 9), (0, 8, 12), (1, 12, 20), (0, 12, 20), (0, 30, 31)], 1):
        assert read(reader.chunks(epoch, first, last)) == alone(plain(rows), epoch, first, last)
        assert rows.begun == begun


def test_a_span_that_was_left_in_the_middle_is_not_gone_on_with(rows: Counted) -> None:
    reader = spans(rows)
    read(reader.chunks(0, 0, 5))
    left = reader.chunks(0, 5, 60)
    next(left)
    assert read(reader.chunks(0, 5, 9)) == alone(plain(rows), 0, 5, 9)
    assert read(reader.chunks(0, 9, 11)) == alone(plain(rows), 0, 9, 11)
    assert rows.begun == 2
