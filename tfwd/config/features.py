"""The features as a person declares them, in YAML or in Python.

Each class only stores and checks what can be checked without data. What is learnt from data is in
`tfwd.analysis.FeatureStatistics`; what is computed is in `tfwd.features.transform`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from tfwd.config.feature_base import (
    MAX_BINS,
    MAX_SHAPE,
    Bag,
    Embedded,
    Embedding,
    Feature,
    Normalization,
    OnColumn,
    Placed,
    default_name,
)
from tfwd.config.preparation import MAX_LENGTH
from tfwd.config.section import Count, Float32, PathText, fault, refuse_twice, truth_values_as_text
from tfwd.config.tree import shown


class Numeric(OnColumn):
    """A number, or a vector of them, as one or several real inputs of the heads.

    Values are float32, clipped to the range seen in training unless `clip` is false; NaN and infinities become `fill`.

    Args:
        column: the data column.
        shape: the length of a vector, where the column holds lists of so many numbers. Each of its numbers is treated
            as a column of its own: with its own mean, quantiles and range, and its own `fill`.
        delimiter: what parts the numbers of a text; None for a column of lists.
        normalization: one or several of `none`, `zscore`, `minmax` (to [0, 1]), `log`
            (log(1 + x - min), then z-scored) and `quantile`: value -> (i - 1) / (n - 1) for the i-th of n quantiles
            (Cheng et al. 2016, section 4.1); quantiles that fall on one value count once.
        quantiles: n of the quantile mapping.
        fill: what a missing value becomes before normalization: the `median` or `mean` of
            the training rows, or a number.
        missing_indicator: adds an input that is 1 where the value was missing, else 0.
        clip: whether a value outside the range of the training rows becomes the nearest end of it. Without, it is
            normalized as it is, to 1e18 in absolute value, which float32 can square; `quantile` has no other values
            than 0 to 1, and `log` none below that of the smallest.
        wide: whether the wide head reads it.
        deep: whether the deep head reads it.
    """

    type: Literal["numeric"] = "numeric"
    shape: int | None = Field(default=None, ge=1, le=MAX_SHAPE)
    delimiter: str | None = Field(default=None, min_length=1)
    normalization: Normalization | tuple[Normalization, ...] = "zscore"
    quantiles: int = Field(default=100, ge=2, le=10_000)
    fill: Float32 | Literal["median", "mean"] = "median"
    missing_indicator: bool = False
    clip: bool = True
    wide: bool = False
    deep: bool = True

    _name = model_validator(mode="before")(default_name)

    if TYPE_CHECKING:
        # Written in each class: type checkers make up another constructor for a class without one.
        def __init__(self, column: str | None = None, /, **options: Any) -> None: ...

    @property
    def normalizations(self) -> tuple[Normalization, ...]:
        """The normalizations as a tuple, whichever way they were given."""
        return (self.normalization,) if isinstance(self.normalization, str) else self.normalization

    @property
    def parts(self) -> tuple[str, ...]:
        """What its numbers' statistics go by: its name, or of a vector `name[0]`, `name[1]`, ..."""
        return (self.name,) if self.shape is None else tuple(f"{self.name}[{place}]" for place in range(self.shape))

    @property
    def numbers(self) -> list[str]:
        """The names of its columns in the numeric matrix: its own, or `<name>_<form>`, and `<name>_missing`.

        Of a vector those of `<name>_0`, then those of `<name>_1`, and so on.
        """
        forms = self.normalizations
        found = []
        for name in [self.name] if self.shape is None else [f"{self.name}_{place}" for place in range(self.shape)]:
            found += [name] if len(forms) == 1 else [f"{name}_{form}" for form in forms]
            found += [f"{name}_missing"] * self.missing_indicator
        return found

    @model_validator(mode="after")
    def _check(self) -> Numeric:
        if self.shape is None and self.delimiter is not None:
            raise ValueError("a delimiter parts the numbers of a vector: give shape, how many they are")
        if not self.normalizations or len(set(self.normalizations)) != len(self.normalizations):
            raise ValueError("normalization needs at least one form, each of them once")
        if not (self.wide or self.deep):
            raise ValueError("a numeric feature must go to wide, to deep, or to both")
        return self


class Bucketized(OnColumn, Placed, Embedded):
    """A number as one of a row of buckets; bucket i holds boundaries[i-1] <= x < boundaries[i].

    A missing value has a bucket of its own. Exactly one of `boundaries`, `quantiles` and `exact` says how the
    buckets are made.

    Args:
        column: the data column.
        boundaries: the boundaries, rising.
        quantiles: the number of equally full buckets, learnt from the training rows.
        exact: the distinct values of the training rows are the boundaries, so that each value is a category.
        min_count: with `exact`, values that are rarer share the bucket of the next lower value.
        max_size: with `exact`, at most so many values, the most frequent.
        oov: with `exact`, a value that is none of the distinct ones goes to a bucket of its own, not to that of its
            lower neighbour.
        wide: one weight per bucket in the wide head.
        embedding: a width, or `auto`, for an embedding in the deep head.
        embedding_initializer, embedding_scale, embedding_trainable: see `Categorical`.
        one_hot: one-hot in the deep head.
    """

    type: Literal["bucketized"] = "bucketized"
    embedding: Embedding = None
    boundaries: tuple[Float32, ...] | None = None
    quantiles: int | None = Field(default=None, ge=2, le=10_000)
    exact: bool = False
    min_count: Count = 1
    max_size: Count | None = None
    oov: bool = False

    if TYPE_CHECKING:
        # Written in each class: type checkers make up another constructor for a class without one.
        def __init__(self, column: str | None = None, /, **options: Any) -> None: ...

    @model_validator(mode="before")
    @classmethod
    def _name(cls, values: Any) -> Any:
        # In Python the class is the type.
        return default_name({"type": "bucketized", **values} if isinstance(values, dict) else values)

    @property
    def parts(self) -> tuple[str, ...]:
        """What its number's statistics go by: its name."""
        return (self.name,)

    def known_rows(self, by_name: Mapping[str, Feature]) -> int:
        """The buckets, missing and, if asked for, OOV; 0 where the boundaries are learnt."""
        return len(self.boundaries) + 2 + self.oov if self.boundaries is not None else 0

    @model_validator(mode="after")
    def _check(self) -> Bucketized:
        if (self.boundaries is not None) + (self.quantiles is not None) + self.exact != 1:
            raise ValueError("give exactly one of boundaries, quantiles and exact: true")
        if self.boundaries is not None and (
            not self.boundaries or any(a >= b for a, b in zip(self.boundaries, self.boundaries[1:], strict=False))
        ):
            raise ValueError("boundaries must rise, each once, and be at least one")
        if not self.exact and (self.oov or self.max_size is not None or self.min_count != 1):
            raise ValueError("oov, min_count and max_size belong to exact: true")
        return self


class Categorical(OnColumn, Placed, Embedded, Bag):
    """A category: a string, or an integer that is formatted as one; or several of them, a bag.

    Rows of its table: out-of-vocabulary (OOV), missing, then the vocabulary. At most one of `vocabulary`,
    `vocabulary_file`, `hash_bins`, `identity` and `vocabulary_of` is given; without any, the vocabulary is learnt, of
    several values from all of them.

    With `max_length` the feature is multivalent: a list a row. The order of the values says which are kept and nothing
    else: an embedding is their sum or mean, the wide head adds their weights up likewise, and a list without values
    adds nothing.

    Args:
        column: the data column; with `max_length` of lists, or of text with a `delimiter`.
        dtype: `string` or `integer`; by default what the data says, and `string` for CSV.
        vocabulary: the categories.
        vocabulary_file: a UTF-8 text file with one category a line.
        min_count: learnt: a category seen fewer times is OOV.
        max_size: learnt: at most so many categories, the most frequent, ties by value.
        hash_bins: no vocabulary: Fingerprint64(value) mod so many bins.
        identity: no vocabulary: integers 0 to identity - 1 are the categories.
        vocabulary_of: no vocabulary of its own: that of the categorical feature of this name.
        max_length: makes it multivalent: the most values of a row, of which the latest (last) are kept.
        delimiter: what parts the values of a text; None for a column of lists.
        combiner: how the embeddings of several values become one: `sum`, `mean` (divided by the sum of the weights) or
            `sqrtn` (by the root of the sum of their squares).
        wide_combiner: how their weights in the wide head become one, by the same three formulas.
        weights: a column of numbers, the weight of the value or, as long as the list, of each value; a value without
            a finite weight has the weight 1, and one below a millionth counts nothing. They weigh in both heads, but
            not in crosses.
        wide: one weight per category in the wide head.
        embedding: a width, or `auto`, for an embedding in the deep head; or the name of a categorical feature with
            one, whose vocabulary and embedding it shares.
        embedding_initializer: how its rows begin: `truncated_normal` (the default), `normal`, `uniform` or `zeros`.
        embedding_scale: the standard deviation, or of `uniform` the largest absolute value; by default
            `model.embedding_stddev`, or 1 / sqrt(width).
        embedding_trainable: false keeps the rows as they begin, or as a warm start brings them.
        one_hot: one-hot in the deep head; of several values, how often each occurs.
    """

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
        # Written in each class: type checkers make up another constructor for a class without one.
        def __init__(self, column: str | None = None, /, **options: Any) -> None: ...

    @property
    def learnt(self) -> bool:
        """Whether the vocabulary is learnt from the training rows of its own column."""
        sources = (self.vocabulary, self.vocabulary_file, self.hash_bins, self.identity, self.owner)
        return all(source is None for source in sources)

    @property
    def owner(self) -> str | None:
        """The feature whose vocabulary it has, or None where it has its own."""
        return self.vocabulary_of or self.embedding_of

    @property
    def embedding_of(self) -> str | None:
        """The feature whose embedding it has, or None where it has its own, or none."""
        return self.embedding if isinstance(self.embedding, str) and self.embedding != "auto" else None

    @property
    def columns(self) -> tuple[str, ...]:
        """The data columns that the feature reads: its own and that of the weights."""
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
            raise ValueError("a delimiter parts several values: give max_length, the most that are kept")
        if not self.learnt and (self.max_size is not None or self.min_count != 1):
            raise ValueError("min_count and max_size belong to a learnt vocabulary of its own")
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
        ValueError: a text is no whole number of 64 bits, or two are one number.
    """
    numbers: dict[int, str] = {}
    for text in texts:
        if not re.fullmatch(r"[+-]?[0-9]{1,19}", text) or not -(2**63) <= int(text) < 2**63:
            raise ValueError(f"expected whole numbers of 64 bits. Received: {shown(text)}")
        twin = numbers.setdefault(int(text), text)
        if twin != text:
            raise ValueError(f"{shown(twin)} and {shown(text)} are one number")
    return list(numbers)


def root(feature: Categorical, by_name: Mapping[str, Feature]) -> Categorical:
    """The feature whose vocabulary, bins or integers a categorical feature has: its owner, or itself."""
    owner = by_name[feature.owner] if feature.owner is not None else feature
    assert isinstance(owner, Categorical)
    return owner


class Cross(Feature, Placed, Embedded, Bag):
    """The cross-product of 2 or more categories or buckets (Cheng et al. 2016, equation 1), hashed into bins.

    With multivalent keys it is a bag of all combinations of their values (the Cartesian product).

    Equal to `keras.layers.HashedCrossing` on the raw strings (and on the bucket indices of bucketized keys);
    all out-of-vocabulary values of a key count as one value.

    Args:
        keys: names of categorical or bucketized features.
        bins: the number of hash bins; `exact` numbers every combination instead, without collisions.
        combiner: with a multivalent key, how the embeddings of the combinations become one; see `Categorical`.
        wide_combiner: likewise, how their weights in the wide head become one.
        wide: one weight per bin in the wide head.
        embedding: a width, or `auto`, for an embedding in the deep head.
        embedding_initializer, embedding_scale, embedding_trainable: see `Categorical`.
        one_hot: one-hot in the deep head.
    """

    positional: ClassVar[tuple[str, ...]] = ("keys", "bins")

    type: Literal["cross"] = "cross"
    embedding: Embedding = None
    keys: tuple[str, ...] = Field(min_length=2)
    bins: Annotated[int, Field(ge=1, le=MAX_BINS)] | Literal["exact"]

    if TYPE_CHECKING:

        def __init__(self, keys: Iterable[str] | None = None, bins: Any = None, /, **options: Any) -> None: ...

    _name = model_validator(mode="before")(default_name)

    def length(self, by_name: Mapping[str, Feature]) -> int | None:
        """As many as there are combinations of its keys' values; None where no key is multivalent."""
        lengths = [by_name[key].length(by_name) for key in self.keys]
        return None if all(length is None for length in lengths) else math.prod(length or 1 for length in lengths)

    def known_rows(self, by_name: Mapping[str, Feature]) -> int:
        """Its bins."""
        return 0 if self.bins == "exact" else self.bins

    @model_validator(mode="after")
    def _check(self) -> Cross:
        refuse_twice("keys", self.keys)
        if not (self.wide or self.embedding or self.one_hot):
            raise ValueError("a cross must go somewhere: wide, embedding or one_hot")
        return self


AnyFeature = Annotated[Numeric | Bucketized | Categorical | Cross, Field(discriminator="type")]
