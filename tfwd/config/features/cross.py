"""The cross-product of categories and buckets."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from tfwd.config.features.base import (
    MAX_BINS,
    Bag,
    Embedded,
    Embedding,
    Feature,
    Placed,
    default_name,
)
from tfwd.config.section import refuse_twice


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
    kind: ClassVar[str] = "a cross"

    type: Literal["cross"] = "cross"
    embedding: Embedding = None
    keys: tuple[str, ...] = Field(min_length=2)
    bins: Annotated[int, Field(ge=1, le=MAX_BINS)] | Literal["exact"]

    if TYPE_CHECKING:

        def __init__(self, keys: Iterable[str] | None = None, bins: Any = None, /, **options: Any) -> None: ...

    _name = model_validator(mode="before")(default_name)

    def length(self, by_name: Mapping[str, Feature]) -> int | None:
        """The number of combinations of its keys' values; None if no key is multivalent."""
        lengths = [by_name[key].length(by_name) for key in self.keys]
        return None if all(length is None for length in lengths) else math.prod(length or 1 for length in lengths)

    def known_rows(self, by_name: Mapping[str, Feature]) -> int:
        """The number of its bins."""
        return 0 if self.bins == "exact" else self.bins

    @model_validator(mode="after")
    def _check(self) -> Cross:
        refuse_twice("keys", self.keys)
        if not (self.wide or self.embedding or self.one_hot):
            raise ValueError("a cross must go somewhere: wide, embedding or one_hot")
        return self
