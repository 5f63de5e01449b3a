"""The layout: which rows of which table belong to which feature, and the name of each row.

All features with a place in the wide head share one `(rows, outputs)` table, and all embeddings of one width share one
`(rows, width)` table. Row 0 of a table is padding: it is never trained and stays zero. A batch then takes one gather
per table.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from tfwd.config.features.base import MAX_ROWS, Combiner, Feature
from tfwd.config.features.bucketized import Bucketized
from tfwd.config.features.categorical import Categorical
from tfwd.config.features.cross import Cross
from tfwd.config.features.numeric import Numeric
from tfwd.errors import ConfigError
from tfwd.features.space import FeatureSpace


@dataclass(frozen=True)
class Range:
    """Rows `[start, start + rows)` of a table, which belong to one feature and which others may share."""

    feature: str
    start: int
    rows: int


@dataclass(frozen=True)
class Slot:
    """A feature's columns in an id matrix.

    Attributes:
        feature: the feature.
        start: the row of its id 0.
        width: 1, or the largest number of values in a bag.
        bag: whether the columns are summed: several values, or one with a weight. Padding has the id 0.
        combiner: how they are summed; see `Categorical`.
        weighted: whether the values come with weights.
        trainable: whether an embedding learns.
    """

    feature: str
    start: int
    width: int = 1
    bag: bool = False
    combiner: Combiner = "sum"
    weighted: bool = False
    trainable: bool = True


def columns_of(slots: tuple[Slot, ...]) -> list[Slot]:
    """Returns the slot of each column of an id matrix."""
    return [slot for slot in slots for _ in range(slot.width)]


def bag_columns(slots: tuple[Slot, ...]) -> int:
    """Returns how many of the last columns of an id matrix belong to bags."""
    return sum(slot.width for slot in slots if slot.bag)


def weights_name(ids: str) -> str:
    """Returns the name of the weights that belong to an id matrix: `wide_ids` -> `wide_weights`."""
    return ids.removesuffix("ids") + "weights"


@dataclass(frozen=True)
class Table:
    """A trainable matrix shared by features.

    Attributes:
        name: `wide` or `embedding_<width>`.
        dim: the number of columns: the number of logits (wide) or the width of the embedding.
        ranges: the rows of each feature that has its own.
        slots: one per feature, in the order of the id matrix's columns: single values first, then bags; within each
            group, those that learn come first.
    """

    name: str
    dim: int
    ranges: tuple[Range, ...]
    slots: tuple[Slot, ...]

    @property
    def ids(self) -> str:
        """The name of its id matrix, `(B, columns)`, among the transform's outputs."""
        return f"{self.name}_ids"

    @property
    def columns(self) -> int:
        """The number of columns of its id matrix."""
        return sum(slot.width for slot in self.slots)

    @property
    def rows(self) -> int:
        """The number of rows, including the padding row 0."""
        return self.ranges[-1].start + self.ranges[-1].rows if self.ranges else 1


@dataclass(frozen=True)
class Block:
    """Columns `[start, start + size)` of the tower's inputs: those of one feature, or one number.

    Attributes:
        kind: how they enter the tower.
        name: the name of the feature, or of the column of the numeric matrix.
        start: the first column.
        size: the number of columns.
        slot: for a feature with ids, its columns in the id matrix.
        table: for an embedding, the table that holds its rows.
    """

    kind: Literal["embedding", "one_hot", "number"]
    name: str
    start: int
    size: int
    slot: Slot | None = None
    table: Table | None = None


@dataclass(frozen=True)
class Layout:
    """The tables and the columns of the other inputs of the heads.

    Attributes:
        tables: the wide table (if there is one) and the embedding tables.
        one_hot: the features that enter the tower as one-hot, with their numbers of rows; `start` counts tower inputs.
        one_hot_slots: their columns in the matrix `one_hot_ids`; ids are the feature's own, plus 1 for a bag.
        numeric: the names of the columns of the numeric matrix, which come from the features that a head reads.
        wide_numeric: the indices of the columns that the wide head reads.
        deep_numeric: the indices of the columns that the deep head reads.
    """

    tables: tuple[Table, ...] = ()
    one_hot: tuple[Range, ...] = ()
    one_hot_slots: tuple[Slot, ...] = ()
    numeric: tuple[str, ...] = ()
    wide_numeric: tuple[int, ...] = ()
    deep_numeric: tuple[int, ...] = ()

    @property
    def wide(self) -> Table | None:
        """The wide table, if any feature goes there."""
        return next((table for table in self.tables if table.name == "wide"), None)

    @property
    def matrices(self) -> dict[str, tuple[Slot, ...]]:
        """The slots of the id matrices among the transform's outputs, by name."""
        found = {table.ids: table.slots for table in self.tables}
        return {**found, "one_hot_ids": self.one_hot_slots} if self.one_hot_slots else found

    @property
    def embeddings(self) -> tuple[Table, ...]:
        """The embedding tables, by width."""
        return tuple(table for table in self.tables if table.name != "wide")

    def tower_blocks(self) -> tuple[Block, ...]:
        """Returns the tower's inputs, in the order in which `DeepHead.tower_inputs` joins them."""
        found: list[Block] = []

        def add(kind: Literal["embedding", "one_hot", "number"], name: str, size: int, *rest: Any) -> None:
            start = found[-1].start + found[-1].size if found else 0
            found.append(Block(kind, name, start, size, *rest))

        for table in self.embeddings:
            for slot in table.slots:
                add("embedding", slot.feature, table.dim, slot, table)
        for entry, slot in zip(self.one_hot, self.one_hot_slots, strict=True):
            add("one_hot", entry.feature, entry.rows, slot)
        for column in self.deep_numeric:
            add("number", self.numeric[column], 1)
        return tuple(found)

    def to_dict(self) -> dict[str, Any]:
        """Returns a JSON-able dict that `from_dict` reads."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Layout:
        """Returns the layout that `to_dict` wrote."""

        def ranges(entries: list[dict[str, Any]]) -> tuple[Range, ...]:
            return tuple(Range(**entry) for entry in entries)

        def slots(entries: list[dict[str, Any]]) -> tuple[Slot, ...]:
            return tuple(Slot(**entry) for entry in entries)

        return cls(
            tables=tuple(
                Table(entry["name"], entry["dim"], ranges(entry["ranges"]), slots(entry["slots"]))
                for entry in values["tables"]
            ),
            one_hot=ranges(values["one_hot"]),
            one_hot_slots=slots(values["one_hot_slots"]),
            numeric=tuple(values["numeric"]),
            wide_numeric=tuple(values["wide_numeric"]),
            deep_numeric=tuple(values["deep_numeric"]),
        )


def build_layout(space: FeatureSpace, heads: tuple[str, ...], outputs: int) -> Layout:
    """Assigns rows to every feature.

    Args:
        space: the features, and what was learned about them.
        heads: `wide`, `deep` or both; a feature has no place in a head that is left out.
        outputs: the number of logits: 1, or the number of classes.

    Raises:
        ConfigError: a table would have more rows than an int32 id can name.
    """
    members: dict[tuple[str, int], list[Feature]] = {}
    one_hot: list[Feature] = []
    numeric: list[str] = []
    wide_numeric: list[int] = []
    deep_numeric: list[int] = []
    for feature in space.features:
        if isinstance(feature, Numeric):
            in_wide, in_deep = feature.wide and "wide" in heads, feature.deep and "deep" in heads
            names = feature.numbers if in_wide or in_deep else []
            columns = range(len(numeric), len(numeric) + len(names))
            numeric += names
            wide_numeric += columns if in_wide else ()
            deep_numeric += columns if in_deep else ()
            continue
        assert isinstance(feature, Bucketized | Categorical | Cross)
        if feature.wide and "wide" in heads:
            members.setdefault(("wide", outputs), []).append(feature)
        if feature.embedding and "deep" in heads:
            # A feature that shares its embedding reads the rows of another, in that feature's table.
            width = space.width(feature.name)
            members.setdefault((f"embedding_{width}", width), []).append(feature)
        if feature.one_hot and "deep" in heads:
            one_hot.append(feature)
    sizes = {f.name: space.rows(f.name) for f in space.features if not isinstance(f, Numeric)}
    tables = tuple(
        _table(name, dim, readers, sizes, space)
        for (name, dim), readers in sorted(members.items(), key=lambda item: (item[0][0] != "wide", item[0][1]))
    )
    slots = _sorted([_slot(feature, 0, space) for feature in one_hot])
    # In a bag, id 0 is padding.
    slots = tuple(dataclasses.replace(slot, start=1, combiner="sum") if slot.bag else slot for slot in slots)
    return Layout(
        tables,
        _ranges([slot.feature for slot in slots], sizes, 0),
        slots,
        tuple(numeric),
        tuple(wide_numeric),
        tuple(deep_numeric),
    )


def _table(name: str, dim: int, readers: list[Feature], sizes: dict[str, int], space: FeatureSpace) -> Table:
    own = {f.name: f.name if name == "wide" else space.embedded_as(f.name).name for f in readers}
    ranges = _ranges(list(dict.fromkeys(own.values())), sizes, 1)
    rows = ranges[-1].start + ranges[-1].rows
    if rows > MAX_ROWS:
        raise ConfigError(
            f"The table {name!r} would have {rows:,} rows; ids are int32, so {MAX_ROWS:,} at most. Lower some bins."
        )
    starts = {entry.feature: entry.start for entry in ranges}
    slots = [_slot(feature, starts[own[feature.name]], space, name == "wide") for feature in readers]
    if name != "wide":
        owners = [_placed(space[own[feature.name]]) for feature in readers]
        slots = [
            dataclasses.replace(slot, trainable=owner.embedding_trainable)
            for slot, owner in zip(slots, owners, strict=True)
        ]
    return Table(name, dim, ranges, _sorted(slots))


def _ranges(features: list[str], sizes: dict[str, int], start: int) -> tuple[Range, ...]:
    ranges = []
    for feature in features:
        ranges.append(Range(feature, start, sizes[feature]))
        start += sizes[feature]
    return tuple(ranges)


def _slot(feature: Feature, start: int, space: FeatureSpace, wide: bool = False) -> Slot:
    length = space.length(feature.name)
    weighted = isinstance(feature, Categorical) and feature.weights is not None
    if length is None and not weighted:
        return Slot(feature.name, start)
    assert isinstance(feature, Categorical | Cross)
    combiner = feature.wide_combiner if wide else feature.combiner
    return Slot(feature.name, start, length or 1, True, combiner, weighted)


def _sorted(slots: list[Slot]) -> tuple[Slot, ...]:
    return tuple(sorted(slots, key=lambda slot: (slot.bag, not slot.trainable)))


def _placed(feature: Feature) -> Bucketized | Categorical | Cross:
    assert isinstance(feature, Bucketized | Categorical | Cross)
    return feature
