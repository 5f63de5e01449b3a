"""What all kinds of feature have in common: a name, a column, places in the heads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, Field, model_validator

from tfwd.config.section import Section
from tfwd.config.tree import shown
from tfwd.errors import ConfigError
from tfwd.utils.naming import LONGEST, input_name, is_valid

Normalization = Literal["none", "zscore", "minmax", "log", "quantile"]


Width = Annotated[int, Field(ge=1, le=4096)] | Literal["auto"]


Embedding = Width | None


Combiner = Literal["sum", "mean", "sqrtn"]


Initializer = Literal["truncated_normal", "normal", "uniform", "zeros"]


MAX_BINS = 2**31 - 1
# The most rows of a table: ids are int32.
MAX_ROWS = 2**31 - 1


MAX_SHAPE = 4096


class Feature(Section):
    """Base of all features: frozen, no unknown keys, a valid name.

    Attributes:
        kind: what messages call a feature of its class: `was numeric, is categorical`.
    """

    kind: ClassVar[str]

    name: str = ""

    @property
    def columns(self) -> tuple[str, ...]:
        """The data columns that the feature reads itself (a cross reads none: it reads its keys)."""
        return ()

    def expanded(self) -> tuple[Feature, ...]:
        """The features that the heads read in its place: itself, or the features that it expands to."""
        return (self,)

    @property
    def in_wide(self) -> bool:
        """Whether it has a place in the wide head."""
        return bool(getattr(self, "wide", False))

    @property
    def in_deep(self) -> bool:
        """Whether it has a place in the deep head: as a number, as an embedding or as one-hot."""
        return any(getattr(self, place, None) for place in ("deep", "embedding", "one_hot"))

    def length(self, by_name: Mapping[str, Feature]) -> int | None:
        """The most values per row if it is multivalent, else None.

        Args:
            by_name: all features, among which a cross looks up its keys.
        """
        return None

    def with_widths(self, widths: Mapping[str, int]) -> Feature:
        """The same feature with fixed widths instead of `embedding: auto`, which depends on the rows.

        Args:
            widths: the widths by feature; one that is not in it keeps `auto`.
        """
        if getattr(self, "embedding", None) != "auto" or self.name not in widths:
            return self
        return self.model_copy(update={"embedding": widths[self.name]})

    def known_rows(self, by_name: Mapping[str, Feature]) -> int:
        """The number of its ids, if the declaration says how many; 0 if they are learned."""
        return 0

    @model_validator(mode="after")
    def _check_name(self) -> Feature:
        if not is_valid(self.name):
            raise ValueError(
                f"a feature's name is made of letters, digits and _, a letter first, {LONGEST} at the most, and is not "
                f"a Python keyword: give it another `name`. Received: {shown(self.name)}"
            )
        return self


class OnColumn(Feature):
    positional: ClassVar[tuple[str, ...]] = ("column",)

    column: str = Field(min_length=1)

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    @property
    def shown_column(self) -> str:
        """The data column that a message names: the one that it reads, or is computed from."""
        return self.columns[0]


class Placed(BaseModel):
    """Where ids go: the wide head, the deep head as an embedding, the deep head as one-hot."""

    wide: bool = True
    embedding: Any = None
    one_hot: bool = False


class Embedded(BaseModel):
    """How the feature's own embedding is initialized, and whether it is trained."""

    embedding_initializer: Initializer | None = None
    embedding_scale: float | None = Field(default=None, gt=0, le=1e6)
    embedding_trainable: bool = True

    @model_validator(mode="after")
    def _check_embedded(self) -> Embedded:
        keys = ("embedding_initializer", "embedding_scale", "embedding_trainable")
        given = [key for key in keys if getattr(self, key) != Embedded.model_fields[key].default]
        embedding = getattr(self, "embedding", None)
        if given and (embedding is None or (isinstance(embedding, str) and embedding != "auto")):
            raise ValueError(f"{given[0]} belongs to a feature with an embedding of its own: give embedding a width")
        if self.embedding_initializer == "zeros" and self.embedding_scale is not None:
            raise ValueError("an embedding that starts at zeros has no embedding_scale")
        return self


class Bag(BaseModel):
    """How several values become one: their embeddings, and their weights in the wide head."""

    combiner: Combiner = "mean"
    wide_combiner: Combiner = "sum"


def default_name(values: Any) -> Any:
    """The dict of a feature with its default name added if it has none; anything else unchanged."""
    if not isinstance(values, dict) or values.get("name"):
        return values
    column, keys = values.get("column"), values.get("keys")
    if isinstance(column, str) and column:
        # A number and its buckets, which are often declared together, get different names.
        suffix = "_buckets" if values.get("type") == "bucketized" else ""
        try:
            return {**values, "name": input_name(column) + suffix}
        except ConfigError as error:
            # Raised as pydantic's error, so that the message says which feature it is.
            raise ValueError(str(error)) from None
    if isinstance(keys, list | tuple) and all(isinstance(key, str) for key in keys) and keys:
        return {**values, "name": "_x_".join(keys)}
    return values
