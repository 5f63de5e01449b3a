"""Fingerprints that identify rows without keeping them: a sum of their hashes, and the smallest hashes."""

from __future__ import annotations

import base64
import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from tfwd.data.rows import Rows

# The number of hashes kept per split, 8 bytes each.
_SAMPLE = 4096
# The share of rows that may recur among others beyond chance, and by how many standard deviations.
_ALLOWED, _SURE = 0.05, 3.0

Hashes = NDArray[np.uint64]


@dataclass(frozen=True)
class Fingerprint:
    """The fingerprint of rows as a model reads them: inputs, label and weight.

    A row's hash is half of the MD5 of its values' text, so that a CSV file, a Parquet file and a frame with the same
    values have the same fingerprint, on any machine.

    Attributes:
        rows: the number of rows.
        content: the sum of their hashes modulo 2^64, independent of their order.
        order: the sum of odd multiples of them, by position.
        repeated: the share of the rows in the sample that occur more than once.
        sample: (at most 4,096,) the smallest distinct hashes, in rising order. It tells of every row with a hash up to
            the largest of them whether that row was there.
    """

    rows: int
    content: int
    order: int
    repeated: float
    sample: Hashes

    def same_rows(self, other: Fingerprint) -> bool:
        """Returns whether the rows are the same, in any order."""
        return (self.rows, self.content) == (other.rows, other.content)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Fingerprint) and self.same_rows(other) and self.order == other.order

    __hash__ = None  # type: ignore[assignment]

    def to_dict(self) -> dict[str, Any]:
        """Returns it as JSON takes it."""
        return {
            "rows": self.rows,
            "content": f"{self.content:016x}",
            "order": f"{self.order:016x}",
            "repeated": self.repeated,
            "sample": base64.b64encode(self.sample.astype("<u8").tobytes()).decode("ascii"),
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Fingerprint:
        """Reads what `to_dict` returned.

        Raises:
            ValueError, TypeError, KeyError: it is something else.
        """
        rows, repeated = values["rows"], values["repeated"]
        if type(rows) is not int or rows < 0 or type(repeated) not in (int, float) or not 0 <= repeated <= 1:
            raise ValueError("rows or repeated")
        sample = np.frombuffer(base64.b64decode(values["sample"], validate=True), "<u8").astype(np.uint64)
        return cls(rows, int(values["content"], 16), int(values["order"], 16), float(repeated), sample)

    def seen(self, hashes: Iterator[Hashes]) -> Overlap:
        """Returns how many of other rows were among these, among those for which it can be decided."""
        everything = len(self.sample) < _SAMPLE
        last = self.sample[-1] if len(self.sample) and not everything else np.uint64(2**64 - 1)
        told = found = 0
        for part in hashes:
            near = part[part <= last]
            told += len(near)
            found += int(np.isin(near, self.sample).sum())
        return Overlap(told, found, self.repeated)


@dataclass(frozen=True)
class Overlap:
    """How many of some rows were among the rows of a training.

    Attributes:
        told: the number of rows for which it can be decided.
        found: the number of these that were there.
        chance: the share that would be there if they had nothing to do with the training: rows with few values repeat.
    """

    told: int
    found: int
    chance: float

    @property
    def share(self) -> float:
        """The share that was there; NaN if it cannot be decided for any row."""
        return self.found / self.told if self.told else math.nan

    @property
    def too_many(self) -> bool:
        """Whether more rows were there than chance explains."""
        spread = math.sqrt(self.told * self.chance * (1 - self.chance))
        return self.found > self.told * (self.chance + _ALLOWED) + _SURE * spread


def fingerprint(rows: Rows) -> Fingerprint:
    """Reads the rows once; the memory does not grow with them.

    Raises:
        DataError: a value does not fit.
    """
    count, content, order = 0, np.uint64(0), np.uint64(0)
    sample, times = np.zeros(0, np.uint64), np.zeros(0, np.int64)
    for part in rows.hashes():
        odd = 2 * np.arange(count, count + len(part), dtype=np.uint64) + np.uint64(1)
        with np.errstate(over="ignore"):
            content, order = content + part.sum(dtype=np.uint64), order + (part * odd).sum(dtype=np.uint64)
        count += len(part)
        near = part[part <= sample[-1]] if len(sample) == _SAMPLE else part
        values, counts = np.unique(near, return_counts=True)
        sample, places = np.unique(np.concatenate([sample, values]), return_inverse=True)
        times = np.bincount(places, np.concatenate([times, counts]), len(sample)).astype(np.int64)
        sample, times = sample[:_SAMPLE], times[:_SAMPLE]
    repeated = float(times[times > 1].sum() / times.sum()) if len(times) else 0.0
    return Fingerprint(count, int(content), int(order), repeated, sample)


def together(one: Fingerprint, other: Fingerprint) -> Fingerprint:
    """Returns the fingerprint of the rows of both, without their order."""
    # Beyond the end of a sample nothing is known about its rows.
    ends = [part.sample[-1] for part in (one, other) if len(part.sample) == _SAMPLE]
    sample = np.union1d(one.sample, other.sample)
    if ends:
        sample = sample[sample <= min(ends)]
    rows = one.rows + other.rows
    repeated = (one.repeated * one.rows + other.repeated * other.rows) / max(rows, 1)
    return dataclasses.replace(
        one, rows=rows, content=(one.content + other.content) % 2**64, order=0, repeated=repeated, sample=sample
    )
