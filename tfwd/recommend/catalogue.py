"""The items that are recommended: their ids, titles, and what the model reads about them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfwd.config.ranking import RankingConfig
from tfwd.data.rows import Rows
from tfwd.data.source import Source
from tfwd.errors import DataError
from tfwd.recommend.inputs import item_inputs
from tfwd.schema import MISSING, Input, Schema

# Rows that are read at a time.
_ROWS = 8192

Raw = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Catalogue:
    """The items, in an order that breaks ties between equal scores.

    Attributes:
        input: the model's input that identifies the item.
        ids: `(N,)` str objects or int64, as that input takes them.
        titles: one per item, or None.
        inputs: the items' raw inputs, `(N,)` or `(N, K)` each.
    """

    input: Input
    ids: NDArray[Any]
    titles: list[str] | None
    inputs: Raw

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def missing(self) -> str | int:
        """The value that stands for no item."""
        found: str | int = MISSING[self.input.kind]
        return found


def read_catalogue(source: Source, schema: Schema, ranking: RankingConfig) -> Catalogue:
    """Reads the items.

    Args:
        source: one row per item: the item, its title and the item columns.
        schema: the schema of the model.
        ranking: names the columns.

    Raises:
        DataError: there are no items, an item is listed twice or missing, or a column is missing.
    """
    inputs = item_inputs(schema, ranking)
    if ranking.title:
        source.require(ranking.title, "ranking.title")
    key = (ranking.title,) if ranking.title else ()
    batches = list(Rows(source, dataclasses.replace(schema, inputs=inputs), labelled=False, key=key).batches(_ROWS))
    if not batches:
        raise DataError(f"{source.name} has no items to recommend.")
    raw = {entry.name: np.concatenate([batch.inputs[entry.name] for batch in batches]) for entry in inputs}
    item = next(entry for entry in inputs if entry.column == ranking.item)
    titles = None
    if ranking.title:
        found = [value for batch in batches if batch.key is not None for value in batch.key.column(0).to_pylist()]
        titles = ["" if value is None else str(value) for value in found]
    catalogue = Catalogue(item, raw[item.name], titles, raw)
    seen: dict[Any, int] = {}
    for row, value in enumerate(catalogue.ids.tolist(), 1):
        if value == catalogue.missing:
            raise DataError(f"{source.name}, row {row}, column {ranking.item!r}: the item is missing.")
        if value in seen:
            raise DataError(f"{source.name}, column {ranking.item!r}: rows {seen[value]} and {row} are both {value!r}.")
        seen[value] = row
    return catalogue
