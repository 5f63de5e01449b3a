"""Training batches as a function of the global step, so that training can resume exactly from any step.

The order of the rows in each pass over the data is a function of (seed, pass). Data that is read more than once and
fits in memory is kept there as transformed ids and shuffled as a whole; other data is read and transformed again in
every pass.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from tfwd.data.chunk import Chunk
from tfwd.data.dataset import dataset, without_autotune
from tfwd.data.rows import Rows
from tfwd.errors import DataError
from tfwd.training.spans import Spans

if TYPE_CHECKING:
    from tfwd.model.wide_deep import WideDeep


Weights = dict[str, float] | None

# Transformed batches that are prefetched for the step.
_AHEAD = 8
# Rows that are transformed at a time: the transform is a hundred small operations, and on more rows than a step has
# each costs less per row. Fewer where so many values would fill the memory.
READ_ROWS, _READ_VALUES = 8192, 2**22


class Stream(ABC):
    """Base: which batches of which pass make up a span of global steps.

    Args:
        count: the number of training rows.
        batch_size: rows per step; the last step of a pass may have fewer.
        seed: seeds the order.
    """

    def __init__(self, count: int, batch_size: int, seed: int) -> None:
        self.count, self.batch_size, self.seed = count, batch_size, seed
        self.steps_per_epoch = -(-count // batch_size)

    def steps(self, start: int, stop: int) -> tf.data.Dataset:
        """Returns the transformed batches of the global steps `start` to `stop - 1`."""
        parts = [self._part(epoch, first, last) for epoch, first, last in self._spans(start, stop)]
        dataset = parts[0]
        for part in parts[1:]:
            dataset = dataset.concatenate(part)
        # Keras takes the end of a dataset of unknown length for a mistake.
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(stop - start))
        return without_autotune(dataset.prefetch(_AHEAD))

    def _spans(self, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
        while start < stop:
            epoch, first = divmod(start, self.steps_per_epoch)
            last = min(self.steps_per_epoch, first + stop - start)
            yield epoch, first, last
            start += last - first

    @abstractmethod
    def _part(self, epoch: int, first: int, last: int) -> tf.data.Dataset:
        """Returns the transformed batches `first` to `last - 1` of one pass."""


class StreamedRows(Stream):
    """Rows that are read and transformed in every pass; memory does not grow with the data.

    Args:
        model: the model whose transform is applied.
        rows: the training rows.
        batch_size, seed: see `Stream`.
        shuffle_rows: rows in the shuffle buffer.
        class_weights: a weight per label value.
    """

    def __init__(
        self, model: WideDeep, rows: Rows, batch_size: int, seed: int, shuffle_rows: int, class_weights: Weights
    ) -> None:
        super().__init__(rows.count(), batch_size, seed)
        self.model, self.rows, self.class_weights = model, rows, class_weights
        self._reader = Spans(rows, batch_size, seed, shuffle_rows)
        # A hundred operations, traced once and not in every pass.
        self._transform = model.batch_transform()

    def _part(self, epoch: int, first: int, last: int) -> tf.data.Dataset:
        def chunks() -> Iterator[Chunk]:
            return self._reader.chunks(epoch, first, last)

        size = max(self.batch_size, _read_rows(self.rows))
        raw = dataset(self.rows.schema, True, size, chunks, self.class_weights)
        return self.model.transformed(raw, self._transform).rebatch(self.batch_size)


class CachedIds(Stream):
    """Rows whose ids and numbers are kept in memory and shuffled as a whole in every pass.

    Args:
        model: the model whose transform is applied, once.
        rows: the training rows.
        batch_size, seed: see `Stream`.
        class_weights: a weight per label value.
    """

    def __init__(self, model: WideDeep, rows: Rows, batch_size: int, seed: int, class_weights: Weights) -> None:
        super().__init__(rows.count(), batch_size, seed)
        self._structure: Any = None
        size = _read_rows(rows)

        def chunks() -> Iterator[Chunk]:
            return rows.chunks(size, order=None, shuffle_rows=0, skip=0)

        self._rows = self._read(model.transformed(dataset(rows.schema, True, size, chunks, class_weights)))

    def _read(self, dataset: tf.data.Dataset) -> tf.Tensor:
        """Returns whole rows side by side, floats as the integers of their bits: a batch is then a single gather."""
        self._structure = dataset.element_spec
        specs = tf.nest.flatten(self._structure)
        packed = np.empty((self.count, sum(map(_width, specs))), np.int32)
        filled = 0
        for batch in dataset:
            parts = [part.numpy() for part in tf.nest.flatten(batch)]
            column = 0
            for spec, part in zip(specs, parts, strict=True):
                values = part[: self.count - filled].reshape(-1, _width(spec))
                packed[filled : filled + len(values), column : column + _width(spec)] = values.view(np.int32)
                column += _width(spec)
            filled += len(parts[0])
        if filled != self.count:
            raise DataError(f"The training data changed while it was read: {self.count:,} rows, then {filled:,}.")
        with tf.device("/CPU:0"):
            return tf.constant(packed)

    def _part(self, epoch: int, first: int, last: int) -> tf.data.Dataset:
        order = np.random.Generator(np.random.Philox(key=[self.seed, epoch])).permutation(self.count)
        with tf.device("/CPU:0"):
            order = tf.constant(order.astype(np.int32))

        @tf.autograph.experimental.do_not_convert
        def batch(index: tf.Tensor) -> Any:
            start = index * self.batch_size
            return self._unpack(tf.gather(self._rows, order[start : start + self.batch_size]))

        numbers = tf.data.Dataset.range(first, last)
        return numbers.map(batch, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)

    def _unpack(self, packed: tf.Tensor) -> Any:
        specs = tf.nest.flatten(self._structure)
        parts = tf.split(packed, [_width(spec) for spec in specs], axis=1)
        columns = [
            tf.reshape(part if spec.dtype == tf.int32 else tf.bitcast(part, spec.dtype), [-1, *spec.shape[1:]])
            for spec, part in zip(specs, parts, strict=True)
        ]
        return tf.nest.pack_sequence_as(self._structure, columns)


def _read_rows(rows: Rows) -> int:
    return max(min(READ_ROWS, _READ_VALUES // max(rows.schema.width, 1)), 1)


def _width(spec: tf.TensorSpec) -> int:
    return math.prod(spec.shape[1:])


def row_bytes(model: WideDeep) -> int:
    """Returns the bytes that one cached row takes: int32 ids, float32 numbers, label and weight."""
    return 8 + 4 * sum(tensor.shape[1] for tensor in model.ranker.inputs)
