"""The validation rows of a source: decided once by the hash of each row, then remembered at one bit per row.

The text of a whole row and its MD5 cost several times as much as reading the row, and every epoch reads it again.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from weakref import WeakKeyDictionary

import numpy as np

from tfwd.data.scans import Block
from tfwd.data.source import Source
from tfwd.data.sql import in_split


class ValidationRows:
    """Which rows are validation rows, block by block, in the order in which the source reads them.

    Args:
        source: the rows; only those that pass its filter count.
        fraction: the share of validation rows.
    """

    def __init__(self, source: Source, fraction: float) -> None:
        condition = f"{in_split(source.columns, 'validation', fraction)} AS chosen"

        def read(block: Block) -> tuple[np.ndarray, int]:
            batches = source.stream(condition, block=block)
            chosen = [batch.column(0).to_numpy(zero_copy_only=False) for batch in batches]
            bits = np.concatenate([np.zeros(0, bool), *chosen])
            return np.packbits(bits), len(bits)

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            self._blocks = list(pool.map(read, source.blocks()))

    def block(self, index: int) -> np.ndarray:
        """Returns bool `(rows of the block,)`."""
        bits, count = self._blocks[index]
        return np.unpackbits(bits, count=count).astype(bool)

    def counts(self) -> tuple[int, int]:
        """Returns the numbers of training and validation rows."""
        chosen = sum(int(self.block(index).sum()) for index in range(len(self._blocks)))
        return sum(count for _, count in self._blocks) - chosen, chosen


_KNOWN: WeakKeyDictionary[Source, dict[float, ValidationRows]] = WeakKeyDictionary()


def validation_rows(source: Source, fraction: float) -> ValidationRows:
    """Returns the validation rows of an open source; its training and validation rows share them."""
    known = _KNOWN.setdefault(source, {})
    if fraction not in known:
        known[fraction] = ValidationRows(source, fraction)
    return known[fraction]
