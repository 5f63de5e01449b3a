"""A category: a string, or an integer that is formatted as one; or several of them, a bag."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from tfwd.config.features.base import (
    MAX_BINS,
    Bag,
    Embedded,
    Embedding,
    Feature,
    OnColumn,
    Placed,
    default_name,
)
from tfwd.config.preparation import MAX_LENGTH
from tfwd.config.section import Count, PathText, fault, refuse_twice, truth_values_as_text
from tfwd.config.tree import shown


class Categorical(OnColumn, Placed, Embedded, Bag):
    """A category: a string, or an integer that is formatted as one; or several of them, a bag.

    Rows of its table: out-of-vocabulary (OOV), missing, then the vocabulary. At most one of `vocabulary`,
    `vocabulary_file`, `hash_bins`, `identity` and `vocabulary_of` is given; without any, the vocabulary is learned,
    from all values of a row if there are several.

    With `max_length` the feature is multivalent: one list per row. The order of the values only decides which are
    kept: an embedding is their sum or mean, the wide head combines their weights likewise, and an empty list adds
    nothing.

    Args:
        column: the data column; with `max_length`, one of lists, or of text with a `delimiter`.
        dtype: `string` or `integer`; by default the type in the data, and `string` for CSV.
        vocabulary: the categories.
        vocabulary_file: a UTF-8 text file with one category per line.
        min_count: of a learned vocabulary: a category seen fewer times is OOV.
        max_size: of a learned vocabulary: the most categories; the most frequent are kept, ties by value.
        hash_bins: no vocabulary: Fingerprint64(value) mod this number of bins.
        identity: no vocabulary: the integers 0 to identity - 1 are the categories.
        vocabulary_of: the name of the categorical feature whose vocabulary this one uses instead of its own.
        max_length: makes it multivalent: the most values per row, of which the latest (last) are kept.
        delimiter: what separates the values in a string; None for a column of lists.
        combiner: how the embeddings of several values become one: `sum`, `mean` (divided by the sum of the weights) or
            `sqrtn` (by the root of the sum of their squares).
        wide_combiner: how their weights in the wide head become one, by the same three formulas.
        weights: a column of numbers: the weight of the value or, for a list, a list of equal length with the weight of
            each value. A value without a finite weight has the weight 1, and a weight below a millionth counts as 0.
            They apply in both heads, but not in crosses.
        wide: one weight per category in the wide head.
        embedding: a width, or `auto`, for an embedding in the deep head; or the name of a categorical feature with
            one, whose vocabulary and embedding it shares.
        embedding_initializer: how its rows are initialized: `truncated_normal` (the default), `normal`, `uniform` or
            `zeros`.
        embedding_scale: the standard deviation, or for `uniform` the largest absolute value; by default
            `model.embedding_stddev`, or 1 / sqrt(width).
        embedding_trainable: false keeps the rows as they were initialized or warm-started.
        one_hot: one-hot in the deep head; for several values, how often each occurs.
    """

    kind: ClassVar[str] = "categorical"

    type: Literal["categorical"] = "categorical"
    embedding: Embedding | str = None
    dtype: Literal["string", "integer"] | None = None
    vocabulary: tuple[str | int, ...] | None = Field(default=None, min_length=1)
    vocabulary_file: PathText | None = None
    min_count: Count = 1
    max_size: Count | None = None
    hash_bins: int | None = Field(default=None, ge=1, le=MAX_BINS)
    identity: int | None = Field(default=None, ge=1, le=MAX_BINS)
    vocabulary_of: str | None = None
    max_length: int | None = Field(default=None, ge=1, le=MAX_LENGTH)
    delimiter: str | None = Field(default=None, min_length=1)
    weights: str | None = Field(default=None, min_length=1)

    _name = model_validator(mode="before")(default_name)
    _values = field_validator("vocabulary", mode="before")(truth_values_as_text)

    if TYPE_CHECKING:
        # Defined in each class: type checkers synthesize a different constructor for a class without one.
        def __init__(self, column: str | None = None, /, **options: Any) -> None: ...

    @property
    def learned(self) -> bool:
        """Whether the vocabulary is learned from the training rows of its own column."""
        sources = (self.vocabulary, self.vocabulary_file, self.hash_bins, self.identity, self.owner)
        return all(source is None for source in sources)

    @property
    def owner(self) -> str | None:
        """The feature whose vocabulary it uses, or None if it has its own."""
        return self.vocabulary_of or self.embedding_of

    @property
    def embedding_of(self) -> str | None:
        """The feature whose embedding it uses, or None if it has its own or none."""
        return self.embedding if isinstance(self.embedding, str) and self.embedding != "auto" else None

    @property
    def columns(self) -> tuple[str, ...]:
        """The data columns that the feature reads: its own, and the column of the weights."""
        return (self.column,) if self.weights is None else (self.column, self.weights)

    def length(self, by_name: Mapping[str, Feature]) -> int | None:
        """`max_length`."""
        return self.max_length

    def known_rows(self, by_name: Mapping[str, Feature]) -> int:
        """Hashed: the bins, then missing. Identity: the integers, OOV, missing. Given: OOV, missing, the vocabulary."""
        owner = root(self, by_name)
        if owner.hash_bins is not None:
            return owner.hash_bins + 1
        if owner.identity is not None:
            return owner.identity + 2
        return 0 if owner.vocabulary is None else len(owner.vocabulary) + 2

    @model_validator(mode="after")
    def _check(self) -> Categorical:
        sources = (self.vocabulary, self.vocabulary_file, self.hash_bins, self.identity, self.owner)
        if sum(source is not None for source in sources) > 1:
            raise ValueError(
                "give at most one of vocabulary, vocabulary_file, hash_bins, identity, vocabulary_of and an embedding "
                "by name, which brings its vocabulary"
            )
        if self.vocabulary_of and self.embedding_of not in (None, self.vocabulary_of):
            raise ValueError("an embedding by name brings its vocabulary: leave vocabulary_of out")
        if self.max_length is None and self.delimiter is not None:
            raise ValueError("a delimiter separates several values: give max_length, the most that are kept")
        if not self.learned and (self.max_size is not None or self.min_count != 1):
            raise ValueError("min_count and max_size belong to a learned vocabulary of its own")
        if self.identity is not None and self.dtype == "string":
            raise ValueError("identity needs integers: dtype: string does not go with it")
        if self.vocabulary is not None:
            values = [str(value) for value in self.vocabulary]
            refuse_twice("vocabulary", values)
            if "" in values:
                raise ValueError("the empty string is the missing value, which has a row of its own")
            if self.dtype == "integer":
                try:
                    whole_numbers(values)
                except ValueError as error:
                    raise fault("vocabulary", f"{error}.") from None
        return self


def whole_numbers(texts: Iterable[str]) -> list[int]:
    """The numbers of a vocabulary of integers.

    Raises:
        ValueError: a string is not a 64-bit integer, or two are the same number.
    """
    numbers: dict[int, str] = {}
    for text in texts:
        if not re.fullmatch(r"[+-]?[0-9]{1,19}", text) or not -(2**63) <= int(text) < 2**63:
            raise ValueError(f"expected 64-bit integers. Received: {shown(text)}")
        twin = numbers.setdefault(int(text), text)
        if twin != text:
            raise ValueError(f"{shown(twin)} and {shown(text)} are the same number")
    return list(numbers)


def root(feature: Categorical, by_name: Mapping[str, Feature]) -> Categorical:
    """The feature whose vocabulary, bins or integers a categorical feature uses: its owner, or itself."""
    owner = by_name[feature.owner] if feature.owner is not None else feature
    assert isinstance(owner, Categorical)
    return owner
