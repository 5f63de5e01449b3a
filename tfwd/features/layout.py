"""The layout: which rows of which table belong to which feature, and which name each row has.

All features with a place in the wide head share one `(rows, outputs)` table, all embeddings of one width share one
`(rows, width)` table. Row 0 of a table is padding, is never trained and stays zero. A batch is then one gather a table.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from tfwd.analysis.statistics import FeatureStatistics
from tfwd.errors import ConfigError
from tfwd.features.columns import Bucketized, Categorical, Column, Cross, Embedding, Numeric

AUTO_WIDTHS = (4, 8, 16, 32, 64)
MAX_ROWS = 2**31 - 1


@dataclass(frozen=True)
class Range:
    """Rows `[start, start + rows)` of a table: those of one feature. Also its column in the table's id matrix."""

    feature: str
    start: int
    rows: int


@dataclass(frozen=True)
class Table:
    """A trainable matrix shared by features.

    Attributes:
        name: `wide` or `embedding_<width>`.
        dim: columns: the number of logits (wide) or the width of the embedding.
        ranges: one a feature, in the order of the id matrix's columns.
    """

    name: str
    dim: int
    ranges: tuple[Range, ...]

    @property
    def ids(self) -> str:
        """The name of its id matrix, `(B, len(ranges))`, among the transform's outputs."""
        return f"{self.name}_ids"

    @property
    def rows(self) -> int:
        """All rows, the padding row 0 included."""
        return self.ranges[-1].start + self.ranges[-1].rows if self.ranges else 1


@dataclass(frozen=True)
class Layout:
    """The tables and the columns of the other inputs of the heads.

    Attributes:
        tables: the wide table (if there is one) and the embedding tables.
        one_hot: features that enter the tower as one-hot, with their numbers of rows; `start` counts tower inputs.
        numeric: names of the columns of the numeric matrix: those of the features that a head reads.
        wide_numeric: indices of those that the wide head reads.
        deep_numeric: indices of those that the deep head reads.
    """

    tables: tuple[Table, ...] = ()
    one_hot: tuple[Range, ...] = ()
    numeric: tuple[str, ...] = ()
    wide_numeric: tuple[int, ...] = ()
    deep_numeric: tuple[int, ...] = ()

    @property
    def wide(self) -> Table | None:
        """The wide table, if any feature goes there."""
        return next((table for table in self.tables if table.name == "wide"), None)

    @property
    def embeddings(self) -> tuple[Table, ...]:
        """The embedding tables, by width."""
        return tuple(table for table in self.tables if table.name != "wide")

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able dict that `from_dict` reads."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Layout:
        """The layout that `to_dict` wrote."""

        def ranges(entries: list[dict[str, Any]]) -> tuple[Range, ...]:
            return tuple(Range(**entry) for entry in entries)

        return cls(
            tables=tuple(Table(entry["name"], entry["dim"], ranges(entry["ranges"])) for entry in values["tables"]),
            one_hot=ranges(values["one_hot"]),
            numeric=tuple(values["numeric"]),
            wide_numeric=tuple(values["wide_numeric"]),
            deep_numeric=tuple(values["deep_numeric"]),
        )


def feature_rows(feature: Column, statistics: FeatureStatistics, by_name: dict[str, Column]) -> int:
    """How many local ids `0 .. rows - 1` a feature has.

    Categorical with a vocabulary: OOV, missing, then the vocabulary. Hashed: the bins, then missing.
    Identity: the integers, OOV, missing. Bucketized: the buckets, missing, and OOV if asked for.
    Cross: its bins.
    """
    if isinstance(feature, Categorical):
        if feature.hash_bins is not None:
            return feature.hash_bins + 1
        if feature.identity is not None:
            return feature.identity + 2
        return len(statistics.vocabularies[feature.name].values) + 2
    if isinstance(feature, Bucketized):
        return len(statistics.numerics[feature.name].boundaries) + 2 + feature.oov
    if isinstance(feature, Cross):
        if feature.bins != "exact":
            return feature.bins
        rows = 1
        for key in feature.keys:
            rows *= feature_rows(by_name[key], statistics, by_name)
        if rows > MAX_ROWS:
            raise ConfigError(
                f"The cross {feature.name!r} has {rows:,} combinations, too many for bins: exact. "
                "Give a number of bins."
            )
        return rows
    raise TypeError(f"Only features with ids have rows. Received: {feature!r}")


def embedding_width(embedding: Embedding, rows: int) -> int:
    """A given width, or for `auto` 1.6 * rows^0.56 rounded up to 4, 8, 16, 32 or 64.

    The rule is fastai's (`emb_sz_rule`), the rounding lets features share a table.
    """
    if embedding != "auto":
        assert embedding is not None
        return embedding
    wanted = 1.6 * rows**0.56
    return next((width for width in AUTO_WIDTHS if width >= wanted), AUTO_WIDTHS[-1])


def numeric_names(feature: Numeric) -> list[str]:
    """The names of a numeric feature's columns: its own, or `<name>_<form>`, and `<name>_missing`."""
    forms = feature.normalizations
    names = [feature.name] if len(forms) == 1 else [f"{feature.name}_{form}" for form in forms]
    return names + [f"{feature.name}_missing"] * feature.missing_indicator


def build_layout(
    features: tuple[Column, ...], statistics: FeatureStatistics, heads: tuple[str, ...], outputs: int
) -> Layout:
    """Gives every feature its rows.

    Args:
        features: as declared.
        statistics: of the training rows.
        heads: `wide`, `deep` or both; a feature's places in a head that is left out are left out.
        outputs: the number of logits: 1, or the number of classes.

    Raises:
        ConfigError: a table would have more rows than an int32 id can name.
    """
    by_name = {feature.name: feature for feature in features}
    members: dict[tuple[str, int], list[tuple[str, int]]] = {}
    one_hot: list[Range] = []
    numeric: list[str] = []
    wide_numeric: list[int] = []
    deep_numeric: list[int] = []
    for feature in features:
        if isinstance(feature, Numeric):
            in_wide, in_deep = feature.wide and "wide" in heads, feature.deep and "deep" in heads
            names = numeric_names(feature) if in_wide or in_deep else []
            columns = range(len(numeric), len(numeric) + len(names))
            numeric += names
            wide_numeric += columns if in_wide else ()
            deep_numeric += columns if in_deep else ()
            continue
        assert isinstance(feature, Bucketized | Categorical | Cross)
        rows = feature_rows(feature, statistics, by_name)
        if feature.wide and "wide" in heads:
            members.setdefault(("wide", outputs), []).append((feature.name, rows))
        if feature.embedding and "deep" in heads:
            width = embedding_width(feature.embedding, rows)
            members.setdefault((f"embedding_{width}", width), []).append((feature.name, rows))
        if feature.one_hot and "deep" in heads:
            start = one_hot[-1].start + one_hot[-1].rows if one_hot else 0
            one_hot.append(Range(feature.name, start, rows))
    tables = tuple(
        _table(name, dim, rows)
        for (name, dim), rows in sorted(members.items(), key=lambda item: (item[0][0] != "wide", item[0][1]))
    )
    return Layout(tables, tuple(one_hot), tuple(numeric), tuple(wide_numeric), tuple(deep_numeric))


def _table(name: str, dim: int, members: list[tuple[str, int]]) -> Table:
    ranges: list[Range] = []
    start = 1
    for feature, rows in members:
        ranges.append(Range(feature, start, rows))
        start += rows
    if start > MAX_ROWS:
        raise ConfigError(
            f"The table {name!r} would have {start:,} rows; ids are int32, so {MAX_ROWS:,} at most. Lower some bins."
        )
    return Table(name, dim, tuple(ranges))
