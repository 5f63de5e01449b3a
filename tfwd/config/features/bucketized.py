"""A number as one of a row of buckets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator

from tfwd.config.features.base import (
    Embedded,
    Embedding,
    Feature,
    OnColumn,
    Placed,
    default_name,
)
from tfwd.config.section import Count, Float32


class Bucketized(OnColumn, Placed, Embedded):
    """A number as one of a row of buckets; bucket i holds boundaries[i-1] <= x < boundaries[i].

    A missing value has its own bucket. Exactly one of `boundaries`, `quantiles` and `exact` says how the
    buckets are made.

    Args:
        column: the data column.
        boundaries: the boundaries, in rising order.
        quantiles: the number of equally full buckets, learned from the training rows.
        exact: the distinct values of the training rows are the boundaries, so that each value is a category.
        min_count: with `exact`, values that are rarer share the bucket of the next lower value.
        max_size: with `exact`, the most values, of which the most frequent are kept.
        oov: with `exact`, a value that is not one of the distinct ones goes to a separate bucket, not to the bucket
            of its lower neighbour.
        wide: one weight per bucket in the wide head.
        embedding: a width, or `auto`, for an embedding in the deep head.
        embedding_initializer, embedding_scale, embedding_trainable: see `Categorical`.
        one_hot: one-hot in the deep head.
    """

    kind: ClassVar[str] = "bucketized"

    type: Literal["bucketized"] = "bucketized"
    embedding: Embedding = None
    boundaries: tuple[Float32, ...] | None = None
    quantiles: int | None = Field(default=None, ge=2, le=10_000)
    exact: bool = False
    min_count: Count = 1
    max_size: Count | None = None
    oov: bool = False

    if TYPE_CHECKING:
        # Defined in each class: type checkers synthesize a different constructor for a class without one.
        def __init__(self, column: str | None = None, /, **options: Any) -> None: ...

    @model_validator(mode="before")
    @classmethod
    def _name(cls, values: Any) -> Any:
        # In Python the class is the type.
        return default_name({"type": "bucketized", **values} if isinstance(values, dict) else values)

    @property
    def statistics_keys(self) -> tuple[str, ...]:
        """The key of its number's statistics: its name."""
        return (self.name,)

    def known_rows(self, by_name: Mapping[str, Feature]) -> int:
        """The number of buckets, with missing and, if asked for, OOV; 0 if the boundaries are learned."""
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
