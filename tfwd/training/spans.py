"""A shuffled pass over rows, read one span of batches at a time; each span continues where the last one stopped."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from tfwd.data.chunk import Chunk
from tfwd.data.rows import Rows


@dataclass(frozen=True)
class _Ahead:
    """What follows batch `batch` of pass `epoch`."""

    epoch: int
    batch: int
    chunks: Iterator[Chunk]


class Spans:
    """Spans of batches of shuffled passes.

    What a span holds is a function of seed, pass and position alone. If it begins where the previous span ended,
    reading continues: many spans of a pass cost one reading of the data, instead of one from its start each.

    Args:
        rows: the rows.
        batch_size: rows per batch; the last of a pass may be smaller.
        seed: seeds the order.
        shuffle_rows: rows in the shuffle buffer.
    """

    def __init__(self, rows: Rows, batch_size: int, seed: int, shuffle_rows: int) -> None:
        self._rows, self._batch_size, self._seed, self._shuffle_rows = rows, batch_size, seed, shuffle_rows
        self._ahead: _Ahead | None = None

    def chunks(self, epoch: int, first: int, last: int) -> Iterator[Chunk]:
        """Yields the rows of the batches `first` to `last - 1` of a pass."""
        # Removed until the span has been read to its end: an abandoned span is not continued.
        ahead, self._ahead = self._ahead, None
        if ahead is not None and (ahead.epoch, ahead.batch) == (epoch, first):
            chunks = ahead.chunks
        else:
            order = (self._seed, epoch)
            chunks = self._rows.chunks(self._batch_size, order=order, shuffle_rows=self._shuffle_rows, skip=first)
        left = (last - first) * self._batch_size
        for chunk in chunks:
            wanted = chunk.slice(0, left)
            left -= wanted.rows
            if not left:
                rest = chunk.slice(wanted.rows, chunk.rows)
                self._ahead = _Ahead(epoch, last, itertools.chain([rest] if rest.rows else [], chunks))
            yield wanted
            if not left:
                return
