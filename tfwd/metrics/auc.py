"""Exact area under the ROC curve and average precision of any number of rows, in bounded memory.

Rows wait in memory until there are `WAITING` of them. Then they are sorted, rows with the same score become one entry,
and the entries go to a temporary file; finally all such runs are merged in one pass. Fewer rows never touch the disk.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

# Scores that wait, over all columns: sorting them takes tens of megabytes.
WAITING = 2**20
# Rows that wait where there are many columns: shorter runs would be too numerous.
_FEWEST_ROWS = 2**12
# Entries in memory while runs are merged: in total, and the minimum per run.
_MERGED, _MERGED_OF_ONE = 2**18, 2**8

# A score, negated so that the highest comes first, and the weights of the positives and the negatives with it.
_ENTRY = np.dtype([("key", np.float64), ("positive", np.float64), ("negative", np.float64)])


@dataclass(frozen=True)
class Ranked:
    """How well the order of the scores separates a class from the rest.

    Attributes:
        auc: the chance that a positive is scored above a negative, ties counting half; NaN where one of them has no
            weight.
        average_precision: the sum of (recall step) x precision; NaN without positives.
    """

    auc: float
    average_precision: float


class Ranking:
    """Collects rows and ranks them by each column of scores.

    Args:
        classes: for each column, the label of its positives.
        waiting: how many scores stay in memory before they go to disk.
    """

    def __init__(self, classes: Sequence[int], waiting: int = WAITING) -> None:
        self._classes = classes
        self._most = max(waiting // len(classes), min(waiting, _FEWEST_ROWS), 1)
        self._waiting: list[tuple[Array, Array, Array | None]] = []
        self._rows = 0
        self._file: IO[bytes] | None = None
        self._runs: list[list[_Run]] = [[] for _ in classes]

    def add(self, labels: Array, scores: Array, weights: Array | None) -> None:
        """Adds rows.

        Args:
            labels: `(B,)`.
            scores: `(B, columns)`.
            weights: `(B,)`, or None in every call.

        Raises:
            OSError: there is no space for temporary files.
        """
        start = 0
        while start < len(labels):
            if self._rows == self._most:
                self._write()
            part = slice(start, start + self._most - self._rows)
            self._waiting.append((labels[part], scores[part], None if weights is None else weights[part]))
            self._rows += len(labels[part])
            start = part.stop

    def result(self) -> list[Ranked]:
        """Returns one `Ranked` per column. No more rows can be added afterwards."""
        if self._file is None:
            return [_ranked([entries]) for entries in self._sorted()]
        self._write()
        with self._file:
            return [_ranked(_merged(runs)) for runs in self._runs]

    def _sorted(self) -> Iterator[Array]:
        """Yields the waiting rows as entries, column by column."""
        if not self._rows:
            yield from (np.empty(0, _ENTRY) for _ in self._classes)
            return
        labels, scores, weights = zip(*self._waiting, strict=True)
        self._waiting, self._rows = [], 0
        label = np.concatenate(labels)
        weight = None if weights[0] is None else np.concatenate(weights)
        for column, own in enumerate(self._classes):
            yield entries(label == own, np.concatenate([part[:, column] for part in scores]), weight)

    def _write(self) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="tfwd-evaluation-")  # noqa: SIM115  open until the result
        for runs, found in zip(self._runs, self._sorted(), strict=True):
            runs.append(_Run(self._file, self._file.seek(0, 2), len(found)))
            self._file.write(found.data)


class _Run:
    """Entries in a file with distinct scores, the highest first.

    Args:
        file: the file that holds them.
        start: the position of their first byte.
        count: the number of entries.
    """

    def __init__(self, file: IO[bytes], start: int, count: int) -> None:
        self._file, self._at, self._left = file, start, count

    def read(self, count: int) -> Array:
        """Reads the next entries, at most `count`."""
        count = min(count, self._left)
        self._file.seek(self._at)
        self._at += count * _ENTRY.itemsize
        self._left -= count
        return np.frombuffer(self._file.read(count * _ENTRY.itemsize), _ENTRY)

    @property
    def ended(self) -> bool:
        """Whether all entries were read."""
        return not self._left


def entries(positive: Array, scores: Array, weights: Array | None) -> Array:
    """Turns rows into entries, one per distinct score, the highest first.

    Args:
        positive: `(N,)` bool.
        scores: `(N,)`.
        weights: `(N,)` or None.
    """
    rows = np.empty(len(scores), _ENTRY)
    rows["key"] = -scores
    rows["positive"] = positive if weights is None else np.where(positive, weights, 0)
    rows["negative"] = ~positive if weights is None else np.where(positive, 0, weights)
    return _joined(rows)


def _joined(unsorted: Array) -> Array:
    """Returns the entries in order, with those of the same score added up."""
    order = np.argsort(unsorted["key"], kind="stable")
    key = unsorted["key"][order]
    starts = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1]])[: len(key)])
    found = np.empty(len(starts), _ENTRY)
    found["key"] = key[starts]
    for name in ("positive", "negative"):
        found[name] = np.add.reduceat(unsorted[name][order], starts) if len(starts) else 0
    return found


def _merged(runs: Sequence[_Run]) -> Iterator[Array]:
    """Yields the entries of all runs in order, in pieces cut between scores."""
    size = max(_MERGED // len(runs), _MERGED_OF_ONE)
    heads = [np.empty(0, _ENTRY) for _ in runs]
    while True:
        # Refilled before they are empty: else every step would end at the shortest remaining run.
        for index, run in enumerate(runs):
            if not run.ended and len(heads[index]) <= size // 2:
                heads[index] = np.concatenate([heads[index], run.read(size - len(heads[index]))])
        # Scores after this one may recur in what is not read yet. It is NaN, the last of all, once everything is read.
        unfinished = [head["key"][-1] for head, run in zip(heads, runs, strict=True) if not run.ended]
        last = np.fmin.reduce([np.nan, *unfinished])
        cuts = [int(np.searchsorted(head["key"], last, side="right")) for head in heads]
        taken = np.concatenate([head[:cut] for head, cut in zip(heads, cuts, strict=True)])
        if not len(taken):
            return
        heads = [head[cut:] for head, cut in zip(heads, cuts, strict=True)]
        yield _joined(taken)


def _ranked(pieces: Iterable[Array]) -> Ranked:
    hits, misses, area, steps = 0.0, 0.0, 0.0, 0.0
    for piece in pieces:
        positive, negative = piece["positive"], piece["negative"]
        found, passed = hits + np.cumsum(positive), misses + np.cumsum(negative)
        area += float((negative * (found - 0.5 * positive)).sum())
        taken = found + passed
        precision = np.divide(found, taken, out=np.ones_like(found), where=taken > 0)
        steps += float((positive * precision).sum())
        if len(piece):
            hits, misses = float(found[-1]), float(passed[-1])
    pairs = hits * misses
    return Ranked(area / pairs if pairs > 0 else float("nan"), steps / hits if hits > 0 else float("nan"))


def rank(positive: Array, scores: Array, weights: Array | None) -> Ranked:
    """Ranks rows that are in memory.

    Args:
        positive: `(N,)` bool.
        scores: `(N,)`.
        weights: `(N,)` or None.
    """
    return _ranked([entries(positive, scores, weights)])
