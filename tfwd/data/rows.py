"""The rows of a source under a schema, typed and checked, in batches."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import pyarrow as pa

from tfwd.data.chunk import Chunk, decode_inputs
from tfwd.data.failures import ENGINE_ERRORS, explain, is_conversion
from tfwd.data.labels import LabelCoder, is_missing
from tfwd.data.order import generator, pieces, shuffled
from tfwd.data.source import Source
from tfwd.data.sql import as_double, as_float, as_text, identifier, in_split, is_bad, is_fractional, typed
from tfwd.errors import DataError
from tfwd.schema import Input, Kind, Schema

if TYPE_CHECKING:
    import tensorflow as tf

Split = Literal["train", "validation"]

# Values of a chunk: as many rows as keep a chunk in the tens of megabytes. Below some ten thousand rows the cost of
# a chunk in Python, and of its dictionaries, shows.
_CHUNK_VALUES = 2_000_000


class Batch(NamedTuple):
    """Rows that belong together.

    Attributes:
        inputs: input name -> (B,) str objects (missing: ""), int64 (missing: `MISSING_INTEGER`) or float32 (missing:
            NaN).
        label: binary (B, 1) float32 in {0, 1}, multi-class (B, 1) int32 class index, regression (B, 1) float32.
        weight: (B,) float32.
        key: B rows of the key columns, as they were read.
    """

    inputs: dict[str, np.ndarray]
    label: np.ndarray | None
    weight: np.ndarray | None
    key: pa.Table | None


class Rows:
    """Typed rows of a source.

    Args:
        source: where the rows come from.
        schema: what they must be. Without `classes`, a binary or multi-class schema serves `count` and the analysis.
        split: `validation` keeps about `fraction` of the rows, chosen by a hash of the row, and `train` the others;
            None keeps all.
        fraction: the share of validation rows.
        labelled: read label and weight; otherwise those columns need not be there.
        key: columns to pass through.

    Raises:
        DataError: a column is missing, or holds what its input cannot be.
    """

    def __init__(
        self,
        source: Source,
        schema: Schema,
        *,
        split: Split | None = None,
        fraction: float = 0.0,
        labelled: bool = True,
        key: tuple[str, ...] = (),
    ) -> None:
        self.source = source
        self.schema = schema
        self.split = split
        self.fraction = fraction
        self.labelled = labelled
        self.key = key
        for entry in schema.inputs:
            _check_kind(entry, source.require(entry.column, f"the input {entry.name!r}"), source.name)
        for column in key:
            source.require(column, "data.key")
        if labelled:
            source.require(schema.label, "the label")
            if schema.weight is not None:
                source.require(schema.weight, "the weight")
        self.where = in_split(source.columns, split, fraction) if split is not None else None
        self._count: int | None = None

    def with_classes(self, classes: tuple[str, ...]) -> Rows:
        """The same rows under a schema with these classes, as the analysis found them."""
        return self.with_schema(dataclasses.replace(self.schema, classes=classes))

    def with_schema(self, schema: Schema) -> Rows:
        """The same rows under another schema."""
        return Rows(self.source, schema, split=self.split, fraction=self.fraction, labelled=self.labelled, key=self.key)

    def count(self) -> int:
        """The number of rows; read once."""
        if self._count is None:
            try:
                query = self.source.select("count(*)", where=self.where)
                found = self.source.connect().sql(query).fetchall()
            except ENGINE_ERRORS as error:
                raise self.error(error) from None
            self._count = int(found[0][0])
        return self._count

    def batches(
        self,
        batch_size: int,
        *,
        order: tuple[int, int] | None = None,
        shuffle_rows: int = 100_000,
        skip: int = 0,
    ) -> Iterator[Batch]:
        """Batches of `batch_size` rows; the last may be smaller.

        Args:
            batch_size: rows a batch.
            order: (seed, epoch): a shuffled order that is the same in every process; None is the order of the files.
            shuffle_rows: rows in the shuffle's pool.
            skip: batches to leave out at the start: what follows is what would have followed.

        Raises:
            DataError: a value that does not fit; names its file, row and column.
        """
        for chunk in self.chunks(batch_size, order=order, shuffle_rows=shuffle_rows, skip=skip):
            words = {name: dictionary.to_numpy(zero_copy_only=False) for name, dictionary in chunk.dictionaries.items()}
            for start in range(0, chunk.rows, batch_size):
                part = slice(start, start + batch_size)
                inputs = {
                    name: words[name][values[part]] if name in words else values[part]
                    for name, values in chunk.values.items()
                }
                yield Batch(
                    inputs=inputs,
                    label=None if chunk.label is None else chunk.label[part],
                    weight=None if chunk.weight is None else chunk.weight[part],
                    key=None if chunk.key is None else chunk.key.slice(start, batch_size),
                )

    def dataset(
        self,
        batch_size: int,
        *,
        order: tuple[int, int] | None = None,
        shuffle_rows: int = 100_000,
        skip: int = 0,
        class_weights: dict[str, float] | None = None,
    ) -> tf.data.Dataset:
        """The batches of `batches` as a `tf.data.Dataset`: `(x, y)` or `(x, y, w)`, or `x` where not labelled.

        Args:
            batch_size: rows a batch.
            order: as in `batches`.
            shuffle_rows: as in `batches`.
            skip: as in `batches`.
            class_weights: label value -> a factor of the row's weight.

        Raises:
            ConfigError: `class_weights` names no class. While it is iterated, TensorFlow wraps a `DataError` in an
                error of its own: `tfwd.data.feed.original_errors` brings it back.
        """
        from tfwd.data.feed import dataset

        return dataset(self, batch_size, order=order, shuffle_rows=shuffle_rows, skip=skip, class_weights=class_weights)

    def chunks(
        self, batch_size: int, *, order: tuple[int, int] | None, shuffle_rows: int, skip: int
    ) -> Iterator[Chunk]:
        """The rows as decoded chunks of whole batches, on which `batches` and `dataset` stand."""
        if self.labelled and self.schema.task != "regression" and not self.schema.classes:
            raise ValueError("The schema has no classes yet: analyze the training rows, then use with_classes.")
        wanted = min(max(_CHUNK_VALUES // max(len(self.schema.inputs), 1), 8_192), 131_072)
        rows = -(-wanted // batch_size) * batch_size
        tables = self._tables(order)
        if order is not None:
            tables = shuffled(tables, shuffle_rows, generator(*order, stream=1))
        coder = LabelCoder(self.schema.classes)
        try:
            for table in pieces(tables, rows, skip * batch_size):
                values, dictionaries = decode_inputs(table, self.schema.inputs)
                yield Chunk(
                    inputs=self.schema.inputs,
                    values=values,
                    dictionaries=dictionaries,
                    label=self._label(table, coder),
                    weight=self._weight(table),
                    key=self._key(table),
                )
        except ENGINE_ERRORS as error:
            raise self.error(error) from None

    def expressions(self, *, nulls: bool = False) -> dict[str, str]:
        """The SQL of the typed columns: `x0`, `x1`, ... for the inputs, `label`, `weight`, `k0`, ... for the key.

        Args:
            nulls: leave missing inputs NULL.
        """
        columns = self.source.columns
        found = {
            f"x{index}": typed(entry.column, columns[entry.column], entry.kind, nulls=nulls)
            for index, entry in enumerate(self.schema.inputs)
        }
        if self.labelled:
            label = self.schema.label
            regression = self.schema.task == "regression"
            found["label"] = (as_double if regression else as_text)(label, columns[label])
            if self.schema.weight is not None:
                found["weight"] = as_float(self.schema.weight, columns[self.schema.weight])
        found.update({f"k{index}": identifier(column) for index, column in enumerate(self.key)})
        return found

    def error(self, error: BaseException) -> DataError:
        """The error to raise in place of the engine's: for a value of the wrong kind, with its place."""
        if is_conversion(error):
            for column, kind in self._read_as().items():
                bad = is_bad(column, self.source.columns[column], kind)
                place = self.source.first(column, bad, self.where) if bad else None
                if place:
                    expected = "a whole number of 64 bits" if kind == "integer" else "a number"
                    return DataError(
                        f"{place.part}, row {place.row}, column {column!r}: expected {expected}, found {place.value!r}."
                    )
        return explain(error, self.source.name)

    def refuse_label(self, text: str | None) -> DataError:
        """The error for a label text that is missing or no class, with its first place."""
        column = identifier(self.schema.label)
        value = as_text(self.schema.label, self.source.columns[self.schema.label])
        quoted = "NULL" if text is None else "'" + text.replace("'", "''") + "'"
        place = self.source.first(self.schema.label, f"{value} IS NOT DISTINCT FROM {quoted}", self.where)
        where = f"{place.part}, row {place.row}, column {column}" if place else self.source.name
        if is_missing(text):
            return DataError(f"{where}: the label is missing. Leave such rows out with data.filter.")
        return DataError(
            f"{where}: the label {text!r} is none of the classes {', '.join(map(repr, self.schema.classes))}."
        )

    def refuse_weight(self) -> DataError:
        """The error for a weight that is negative or missing, with its first place."""
        assert self.schema.weight is not None
        weight = as_float(self.schema.weight, self.source.columns[self.schema.weight])
        bad = f"{weight} IS NULL OR NOT isfinite({weight}) OR {weight} < 0"
        place = self.source.first(self.schema.weight, bad, self.where)
        where = f"{place.part}, row {place.row}, column {self.schema.weight!r}" if place else self.source.name
        found = "nothing" if place is None or place.value is None else place.value
        return DataError(f"{where}: a weight is a finite number of at least 0, found {found}.")

    def refuse_regression_label(self) -> DataError:
        """The error for a label to regress on that is missing or infinite, with its first place."""
        label = as_double(self.schema.label, self.source.columns[self.schema.label])
        bad = f"{label} IS NULL OR NOT isfinite(CAST({label} AS DOUBLE)) OR TRY_CAST({label} AS FLOAT) IS NULL"
        place = self.source.first(self.schema.label, bad, self.where)
        where = f"{place.part}, row {place.row}, column {self.schema.label!r}" if place else self.source.name
        found = "nothing" if place is None or place.value is None else place.value
        return DataError(f"{where}: the label must be a finite number, found {found}.")

    def _read_as(self) -> dict[str, Kind]:
        columns = {entry.column: entry.kind for entry in self.schema.inputs}
        if self.labelled and self.schema.task == "regression":
            columns[self.schema.label] = "float"
        if self.labelled and self.schema.weight is not None:
            columns[self.schema.weight] = "float"
        return columns

    def _tables(self, order: tuple[int, int] | None) -> Iterator[pa.Table]:
        select = ", ".join(f"{value} AS {name}" for name, value in self.expressions().items())
        if order is None:
            batches = self.source.stream(select, where=self.where)
            yield from (pa.Table.from_batches([batch]) for batch in batches)
            return
        blocks = self.source.blocks()
        for index in generator(*order).permutation(len(blocks)):
            for batch in self.source.stream(select, where=self.where, block=blocks[index]):
                yield pa.Table.from_batches([batch])

    def _label(self, table: pa.Table, coder: LabelCoder) -> np.ndarray | None:
        if not self.labelled:
            return None
        column = table.column("label")
        if self.schema.task == "regression":
            with np.errstate(over="ignore"):
                values = column.to_numpy().astype(np.float32)
            if not np.isfinite(values).all():
                raise self.refuse_regression_label()
            return values[:, None]
        encoded = column.dictionary_encode(null_encoding="encode").combine_chunks()
        if isinstance(encoded, pa.ChunkedArray):
            encoded = encoded.unify_dictionaries().combine_chunks()
        texts = encoded.dictionary.to_pylist()
        codes = coder.codes(texts)
        for text, code in zip(texts, codes, strict=True):
            if code < 0:
                raise self.refuse_label(text)
        values = codes[encoded.indices.to_numpy(zero_copy_only=False)][:, None]
        return values.astype(np.float32) if self.schema.task == "binary" else values

    def _weight(self, table: pa.Table) -> np.ndarray | None:
        if not self.labelled or self.schema.weight is None:
            return None
        weight = table.column("weight").to_numpy().astype(np.float32, copy=False)
        if not (np.isfinite(weight) & (weight >= 0)).all():
            raise self.refuse_weight()
        return weight

    def _key(self, table: pa.Table) -> pa.Table | None:
        if not self.key:
            return None
        return table.select([f"k{index}" for index in range(len(self.key))]).rename_columns(list(self.key))


def _check_kind(entry: Input, found: str, name: str) -> None:
    if entry.kind == "string" and is_fractional(found):
        raise DataError(
            f"Column {entry.column!r} is {found} in {name}, and the model takes text for it: "
            "a number with a fraction has no one text. Convert the column to text or to whole numbers."
        )
