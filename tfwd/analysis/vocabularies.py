"""Vocabularies: the values of a column by how often they occur, learned or given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from tfwd.analysis.statistics import VocabularyStatistics
from tfwd.analysis.workspace import Workspace
from tfwd.config.features.categorical import Categorical, whole_numbers
from tfwd.errors import ConfigError, DataError
from tfwd.schema import Kind
from tfwd.utils.files import what_it_is


def vocabulary(
    workspace: Workspace, feature: Categorical, kind: Kind, may_be_empty: bool = False
) -> VocabularyStatistics:
    """Returns the vocabulary of a feature that has one.

    A learned vocabulary is sorted by descending count, and equal counts by ascending value (strings by code point). A
    given one keeps its order; its counts in the training rows may be 0. Of a list, all values that the feature keeps
    count.

    Args:
        workspace: the training rows.
        feature: a feature without `hash_bins`, `identity` and the vocabulary of another.
        kind: the kind of the feature's input.
        may_be_empty: whether the vocabulary may be empty.

    Raises:
        DataError: the vocabulary is empty and may not be.
        ConfigError: a given vocabulary cannot be read or does not fit the column.
    """
    values, total, empty = _values(workspace, feature)
    # Missing values are a group of their own.
    counts = values.group_by("value").aggregate(n=values.count())
    if feature.learned:
        kept = counts.filter(counts.value.isnull() | (counts.n >= feature.min_count))
        kept = kept.order_by([ibis.desc(kept.value.isnull()), ibis.desc("n"), ibis.asc("value")])
        found = _found(workspace, kept if feature.max_size is None else kept.limit(feature.max_size + 1))
        missing = empty + found.pop(None, 0)
        words = list(found)[: feature.max_size]
        if not words and not may_be_empty:
            raise DataError(_empty(feature, workspace.rows, missing))
    else:
        words = given_values(feature, kind)
        listed = workspace.given(pa.array([None, *words], pa.int64() if kind == "integer" else pa.string()))
        found = _found(workspace, counts.semi_join(listed, counts.value.identical_to(listed.value)))
        missing = empty + found.pop(None, 0)
    numbers = [found.get(word, 0) for word in words]
    return VocabularyStatistics(
        values=tuple(map(str, words)),
        counts=tuple(numbers),
        missing=missing,
        unlisted=total - missing - sum(numbers),
    )


def _values(workspace: Workspace, feature: Categorical) -> tuple[ir.Table, int, int]:
    """Returns a table of the feature's values, the number of values plus empty lists, and the number of empty lists."""
    column = workspace.table[workspace.column(feature)]
    if feature.max_length is None:
        return workspace.table.select(value=column), workspace.rows, 0
    # The input may keep more values, for another feature.
    lists = workspace.table.select(values=column[-feature.max_length :])
    length = lists["values"].length()
    asked = workspace.record(lists.aggregate(values=length.sum(), empty=(length == 0).sum()))
    return lists.select(value=lists["values"].unnest()), asked["values"] + asked["empty"], asked["empty"]


def _found(workspace: Workspace, counts: ir.Table) -> dict[Any, int]:
    answer = workspace.arrow(counts)
    return dict(zip(answer["value"].to_pylist(), answer["n"].to_pylist(), strict=True))


def given_values(feature: Categorical, kind: Kind) -> list[str] | list[int]:
    """Returns the values of `vocabulary` or `vocabulary_file` in the column's type.

    Raises:
        ConfigError: no such file, not UTF-8, an empty or repeated value, or text for a column of integers.
    """
    if feature.vocabulary is not None:
        where, texts = f"The vocabulary of {feature.name!r}", [str(value) for value in feature.vocabulary]
    else:
        assert feature.vocabulary_file is not None
        where, texts = feature.vocabulary_file, _lines(feature.vocabulary_file, feature.name)
    seen: set[str] = set()
    for number, text in enumerate(texts, 1):
        if text == "":
            raise ConfigError(f"{where}, value {number}, is empty: a missing value has a row of its own.")
        if text in seen:
            raise ConfigError(f"{where} holds {text!r} twice.")
        seen.add(text)
    if kind != "integer":
        return texts
    try:
        return whole_numbers(texts)
    except ValueError as error:
        raise ConfigError(
            f"{where} must hold whole numbers, since the column {feature.column!r} does: {error}. "
            "Or give the feature dtype: string."
        ) from None


def _lines(file: str, name: str) -> list[str]:
    found = what_it_is(file)
    if found is None:
        raise ConfigError(f"The vocabulary_file of {name!r} does not exist: {file}")
    if found != "a file":
        raise ConfigError(
            f"The vocabulary_file of {name!r}, {file}, is {found}: expected a file, with one category per line."
        )
    try:
        text = Path(file).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(f"The vocabulary_file of {name!r}, {file}, cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file} is not UTF-8 text: {error.reason} at byte {error.start}.") from None
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    if not lines:
        raise ConfigError(f"{file}, the vocabulary_file of {name!r}, is empty: expected one category per line.")
    return [line.removesuffix("\r") for line in lines]


def _empty(feature: Categorical, rows: int, missing: int) -> str:
    if missing == rows:
        return (
            f"The feature {feature.name!r} has no vocabulary: {feature.shown_column!r} is missing in all {rows} rows."
        )
    return (
        f"The feature {feature.name!r} has no vocabulary: no value of {feature.shown_column!r} occurs "
        f"min_count = {feature.min_count} times. Lower min_count, or hash the column with hash_bins."
    )
