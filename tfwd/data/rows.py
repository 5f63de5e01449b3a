"""The rows of a source under a schema, typed and checked, in batches."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import pyarrow as pa

from tfwd.data.chunk import Chunk, decode
from tfwd.data.failures import ENGINE_ERRORS
from tfwd.data.labels import LabelCoder
from tfwd.data.order import generator, pieces, shuffled
from tfwd.data.query import Query
from tfwd.data.scans import Block
from tfwd.data.source import Source
from tfwd.data.split import validation_rows
from tfwd.errors import DataError
from tfwd.schema import Schema

if TYPE_CHECKING:
    import tensorflow as tf


Split = Literal["train", "validation"]

# Values per chunk, which keep a chunk in the tens of megabytes. Below about ten thousand rows the cost of a chunk in
# Python, and of its dictionaries, becomes noticeable.
_CHUNK_VALUES = 2_000_000


class Batch(NamedTuple):
    """Rows of one batch.

    Attributes:
        inputs: input name -> (B,) str objects (missing: ""), int64 (missing: `MISSING_INTEGER`) or float32 (missing:
            NaN); (B, length) for an input of several values: the latest, in their order, then missing ones.
        label: binary (B, 1) float32 in {0, 1}, multi-class (B, 1) int32 class index, regression (B, 1) float32.
        weight: (B,) float32.
        key: B rows of the key columns, as read.
    """

    inputs: dict[str, np.ndarray]
    label: np.ndarray | None
    weight: np.ndarray | None
    key: pa.Table | None


class Rows:
    """Typed rows of a source.

    Args:
        source: where the rows come from.
        schema: what the rows must be. A binary or multi-class schema without `classes` serves `count` and the analysis.
        split: `validation` keeps about `fraction` of the rows, chosen by a hash of the row, and `train` the others;
            None keeps all.
        fraction: the share of validation rows.
        labelled: whether to read label and weight; otherwise those columns may be missing.
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
        self.query = Query(source, schema, labelled, key)
        self._count: int | None = None

    def with_classes(self, classes: tuple[str, ...]) -> Rows:
        """Returns the same rows under a schema with these classes, as the analysis found them."""
        rows = self.with_schema(dataclasses.replace(self.schema, classes=classes))
        rows._count = self._count
        return rows

    def with_schema(self, schema: Schema) -> Rows:
        """Returns the same rows under another schema."""
        return Rows(self.source, schema, split=self.split, fraction=self.fraction, labelled=self.labelled, key=self.key)

    def count(self) -> int:
        """Returns the number of rows; read once."""
        if self._count is None:
            try:
                if self.split is not None:
                    train, validation = validation_rows(self.source, self.fraction).counts()
                    self._count = validation if self.split == "validation" else train
                else:
                    found = self.source.connect().sql(self.source.select("count(*)")).fetchall()
                    self._count = int(found[0][0])
            except ENGINE_ERRORS as error:
                raise self.query.error(error) from None
        return self._count

    def batches(
        self,
        batch_size: int,
        *,
        order: tuple[int, int] | None = None,
        shuffle_rows: int = 100_000,
        skip: int = 0,
    ) -> Iterator[Batch]:
        """Yields batches of `batch_size` rows; the last may be smaller.

        Args:
            batch_size: rows per batch.
            order: (seed, epoch): a shuffled order that is the same in every process; None is the order of the files.
            shuffle_rows: rows in the shuffle's pool.
            skip: the number of batches to leave out at the start; the others stay the same.

        Raises:
            DataError: a value does not fit; names its file, row and column.
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
        """Returns the batches of `batches` as a `tf.data.Dataset`: `(x, y)` or `(x, y, w)`, or `x` where not labelled.

        It knows their number, or Keras would treat their end as a mistake; for that the rows are counted once.

        Args:
            batch_size: rows per batch.
            order: as in `batches`.
            shuffle_rows: as in `batches`.
            skip: as in `batches`.
            class_weights: label value -> a factor of the row's weight.

        Raises:
            ConfigError: `class_weights` names no class. While it is iterated, TensorFlow wraps a `DataError` in an
                error of its own: `tfwd.data.dataset.original_errors` brings it back.
        """
        import tensorflow as tf

        from tfwd.data.dataset import dataset

        expected = max(self.count() - skip * batch_size, 0)

        def chunks() -> Iterator[Chunk]:
            read = 0
            for chunk in self.chunks(batch_size, order=order, shuffle_rows=shuffle_rows, skip=skip):
                read += chunk.rows
                if read > expected:
                    break
                yield chunk
            if read != expected:
                found = "more" if read > expected else "fewer"
                raise DataError(
                    f"{self.source.name} changed after its rows were counted: {found} than {self.count():,}. "
                    "Open it again."
                )

        batches = tf.data.experimental.assert_cardinality(-(-expected // batch_size))
        return dataset(self.schema, self.labelled, batch_size, chunks, class_weights).apply(batches)

    def chunks(
        self, batch_size: int, *, order: tuple[int, int] | None, shuffle_rows: int, skip: int
    ) -> Iterator[Chunk]:
        """Yields the rows as decoded chunks of whole batches, on which `batches` and `dataset` are built."""
        if self.labelled and self.schema.task != "regression" and not self.schema.classes:
            raise ValueError("The schema has no classes yet: analyze the training rows, then use with_classes.")
        width = max(self.schema.width, 1)
        # Fewer rows if their lists are very long, or the padding would fill the memory.
        fewest = min(8_192, 4 * _CHUNK_VALUES // width)
        wanted = min(max(_CHUNK_VALUES // width, fewest, 1), 131_072)
        rows = -(-wanted // batch_size) * batch_size
        tables = self._tables(order)
        if order is not None:
            tables = shuffled(tables, shuffle_rows, generator(*order, stream=1))
        coder = LabelCoder(self.schema.classes)
        try:
            for table in pieces(tables, rows, skip * batch_size):
                yield decode(table, self.query, coder)
        except ENGINE_ERRORS as error:
            raise self.query.error(error) from None

    def hashes(self) -> Iterator[np.ndarray]:
        """Yields hashes of the rows as read here, uint64, in the order of the source; see `tfwd.data.fingerprint`."""
        values = [f"coalesce(CAST({value} AS VARCHAR), chr(30))" for value in self.query.expressions().values()]
        select = f"md5_number_lower(concat_ws(chr(31), {', '.join(values)})) AS hash"
        try:
            for table in self._tables(None, select):
                yield table.column(0).to_numpy()
        except ENGINE_ERRORS as error:
            raise self.query.error(error) from None

    def _tables(self, order: tuple[int, int] | None, select: str | None = None) -> Iterator[pa.Table]:
        if select is None:
            select = ", ".join(f"{value} AS {name}" for name, value in self.query.expressions().items())
        if order is None and self.split is None:
            # One query over all blocks, which DuckDB reads in parallel.
            yield from (pa.Table.from_batches([batch]) for batch in self.source.stream(select))
            return
        blocks = self.source.blocks()
        indices = list(range(len(blocks))) if order is None else generator(*order).permutation(len(blocks)).tolist()
        if any(block.stop is None for block in blocks):
            # A block without an end may be larger than memory.
            for index in indices:
                yield from self._block(select, blocks[index], index)
            return
        # A block is read while the one before is shuffled and decoded.
        with ThreadPoolExecutor(1) as reader:
            ahead: Future[list[pa.Table]] | None = None
            for index in indices:
                following = reader.submit(lambda at: list(self._block(select, blocks[at], at)), index)
                if ahead is not None:
                    yield from ahead.result()
                ahead = following
            if ahead is not None:
                yield from ahead.result()

    def _block(self, select: str, block: Block, index: int) -> Iterator[pa.Table]:
        kept, offset = self._kept(index), 0
        for batch in self.source.stream(select, block=block):
            table = pa.Table.from_batches([batch])
            if kept is not None:
                table = table.filter(pa.array(kept[offset : offset + batch.num_rows]))
                offset += batch.num_rows
            yield table

    def _kept(self, index: int) -> np.ndarray | None:
        if self.split is None:
            return None
        chosen = validation_rows(self.source, self.fraction).block(index)
        return chosen if self.split == "validation" else ~chosen
