"""Training batches as a function of (seed, step)."""

from __future__ import annotations

import functools
import itertools
from typing import Any

import numpy as np
import pytest
from census_cases import FEATURES, config, frame

from tfwd.analysis.analyze import analyze
from tfwd.errors import DataError
from tfwd.model.build import build_model
from tfwd.model.wide_deep import WideDeep
from tfwd.training.splits import Splits, open_splits
from tfwd.training.stream import CachedIds, Stream, StreamedRows, row_bytes

ROWS, BATCH = 530, 64


@functools.cache
def _made() -> tuple[WideDeep, Splits]:
    options = config({"weight": "weight", "validation_fraction": 0.0}, early_stopping=None)
    # A number, an embedding, a one-hot and a cross.
    chosen = options.replace(features=[FEATURES[index] for index in (0, 3, 4, 6)])
    parts = open_splits(chosen, frame().head(ROWS))
    statistics = analyze(parts.fit, chosen)
    parts = parts.with_classes(statistics.label.classes)
    return build_model(chosen, statistics, parts.schema), parts


@pytest.fixture(scope="module")
def made() -> tuple[WideDeep, Splits]:
    return _made()


@functools.cache
def whole(kind: str) -> list[np.ndarray]:
    """The batches of more than two epochs."""
    return rows(shared(kind).steps(0, 20))


@functools.cache
def shared(kind: str) -> Stream:
    """One that has given batches to other tests, or has not."""
    return stream(kind, _made())


def stream(kind: str, made: tuple[WideDeep, Splits], seed: int = 3, weights: Any = None) -> Stream:
    model, parts = made
    if kind == "cached":
        return CachedIds(model, parts.fit, BATCH, seed, weights)
    return StreamedRows(model, parts.fit, BATCH, seed, 100, weights)


def rows(dataset: Any) -> list[np.ndarray]:
    """Every batch as one float64 matrix: ids, numbers, label and weight."""
    batches = []
    for x, y, w in dataset:
        columns = [x[name].numpy() for name in sorted(x)] + [y.numpy(), w.numpy()[:, None]]
        batches.append(np.concatenate([column.astype(np.float64) for column in columns], axis=1))
    return batches


def joined(batches: list[np.ndarray]) -> np.ndarray:
    return np.concatenate(batches)


def as_set(matrix: np.ndarray) -> np.ndarray:
    """The rows in an order of their own, so that two multisets can be compared."""
    return matrix[np.lexsort(matrix.T)]


@pytest.mark.parametrize("kind", ["cached", "streamed"])
def test_every_row_once_an_epoch_in_another_order(kind: str, made: tuple[WideDeep, Splits]) -> None:
    steps = shared(kind).steps_per_epoch
    assert steps == 9
    epochs = [whole(kind)[epoch * steps : (epoch + 1) * steps] for epoch in range(2)]
    model, parts = made
    plain = joined(rows(model.transformed(parts.fit.dataset(BATCH))))
    assert len(plain) == ROWS
    for epoch in epochs:
        assert [len(batch) for batch in epoch] == [64] * 8 + [ROWS - 8 * 64]
        np.testing.assert_array_equal(as_set(joined(epoch)), as_set(plain))
        assert not np.array_equal(joined(epoch), plain)
    assert not np.array_equal(joined(epochs[0]), joined(epochs[1]))


@pytest.mark.parametrize("kind", ["cached", "streamed"])
def test_order_follows_from_seed_and_epoch_alone(kind: str, made: tuple[WideDeep, Splits]) -> None:
    first = joined(whole(kind)[:12])
    np.testing.assert_array_equal(first, joined(rows(stream(kind, made).steps(0, 12))))
    assert not np.array_equal(joined(whole(kind)[:9]), joined(rows(stream(kind, made, seed=4).steps(0, 9))))


@pytest.mark.parametrize("kind", ["cached", "streamed"])
def test_spans_of_steps_add_up(kind: str) -> None:
    """Of 9 steps an epoch: cut before its last one, at its end, and in the middle of the next."""
    cuts = itertools.pairwise((0, 8, 9, 13, 20))
    parts = [batch for start, stop in cuts for batch in rows(shared(kind).steps(start, stop))]
    assert len(whole(kind)) == len(parts) == 20
    for one, other in zip(whole(kind), parts, strict=True):
        np.testing.assert_array_equal(one, other)


def test_class_weights_multiply_the_weight(made: tuple[WideDeep, Splits]) -> None:
    for kind in ("cached", "streamed"):
        plain = as_set(joined(whole(kind)[:9]))
        heavy = as_set(joined(rows(stream(kind, made, weights={">50K": 3.0}).steps(0, 9))))
        np.testing.assert_array_equal(plain[:, :-1].sum(axis=0), heavy[:, :-1].sum(axis=0))
        positive = heavy[:, -2] == 1
        np.testing.assert_allclose(heavy[positive, -1].sum(), 3 * plain[plain[:, -2] == 1, -1].sum(), rtol=1e-6)
        np.testing.assert_allclose(heavy[~positive, -1].sum(), plain[plain[:, -2] == 0, -1].sum(), rtol=1e-6)


def test_keras_knows_the_length() -> None:
    for kind in ("cached", "streamed"):
        assert int(shared(kind).steps(5, 17).cardinality()) == 12


def test_rows_that_change_while_they_are_read_are_noticed(made: tuple[WideDeep, Splits]) -> None:
    model, parts = made
    for counted in (ROWS - 1, ROWS + 1):
        other = parts.fit.with_classes(parts.schema.classes)
        other._count = counted
        with pytest.raises(DataError, match=rf"changed while it was read: {counted} rows, then {ROWS}"):
            CachedIds(model, other, BATCH, 0, None)


def test_row_bytes_is_what_the_cache_takes(made: tuple[WideDeep, Splits]) -> None:
    chosen = shared("cached")
    assert isinstance(chosen, CachedIds)
    assert chosen._rows.numpy().nbytes == ROWS * row_bytes(made[0])
