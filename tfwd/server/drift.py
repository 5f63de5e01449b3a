"""Counts, by input, of values that training has not seen, that are missing, or that lie outside the range of training.

So it is seen that requests differ from the training rows while they come in, and not in the next evaluation. What is
out-of-vocabulary is read off the ids that the model itself computes; which id that is, the model is asked once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tfwd.schema import Schema
from tfwd.server.signature import Spec

KINDS = ("unseen", "missing", "out_of_range")

# Rows, and values of their lists and ids, that wait until they are counted, a hundred times faster together than one
# by one.
_WAITING_ROWS, _WAITING_VALUES = 256, 2**20
# No training data has all of them, and no hash maps all of them to one bin.
_STRANGE_TEXTS = tuple(f"no value of any training row: {number} \u2603" for number in (1, 2, 3))
_STRANGE_INTEGERS = (-(2**62) + 12_345_677, -(2**61) + 987_654_321, -(2**60) + 55_555_555)
_STRANGE_NUMBERS = (-1e30, 0.0, 1e30)
_STRANGE = {"string": _STRANGE_TEXTS, "int64": _STRANGE_INTEGERS, "float32": _STRANGE_NUMBERS}

Ids = dict[str, NDArray[Any]]


class _Place(NamedTuple):
    """Columns of an id matrix that belong to one input alone, and their out-of-vocabulary ids."""

    matrix: str
    columns: NDArray[np.int64]
    ids: NDArray[np.int32]


class Watch:
    """Counts what is unusual in the inputs of one model. Several threads may use one object.

    Args:
        schema: the raw inputs.
        inputs: what the graph takes.
        ranges: the smallest and the largest value of training, by input.
        ask: returns the id matrices for raw rows.

    Attributes:
        matrices: the id matrices that `add` needs.
    """

    def __init__(
        self,
        schema: Schema,
        inputs: tuple[Spec, ...],
        ranges: Mapping[str, tuple[float, float]],
        ask: Callable[[Mapping[str, NDArray[Any]]], Ids],
    ) -> None:
        self._schema = schema
        self._specs = {spec.name: spec for spec in inputs}
        self._ranges = {name: ranges[name] for name in ranges if name in self._specs}
        self._places = {} if not inputs else self._find(ask)
        self.matrices = sorted({place.matrix for place in self._places.values()})
        # In a list, what looks missing is padding.
        self._texts = [spec.name for spec in inputs if spec.dtype == "string" and not spec.of_lists]
        self._numbers = [
            spec for spec in inputs if spec.dtype != "string" and (not spec.of_lists or spec.name in self._ranges)
        ]
        self._names = [spec.name for spec in self._numbers]
        self._lists = [spec.name for spec in self._numbers if len(spec.shape) == 2]
        self._counts: dict[tuple[str, str], int] = {
            **{(self._shown(name), "missing"): 0 for name in self._specs},
            **{(name, "unseen"): 0 for name in self._places},
            **{(name, "out_of_range"): 0 for name in self._ranges},
        }
        self._waiting: list[tuple[list[NDArray[Any]], list[NDArray[Any]]]] = []
        self._rows = self._values = 0
        self._lock = threading.Lock()

    def add(self, inputs: Mapping[str, NDArray[Any]], ids: Ids) -> None:
        """Takes the inputs of some rows and their ids; they are counted with others, or by `count`."""
        numbers, matrices = [inputs[name] for name in self._names], [ids[name] for name in self.matrices]
        # Counted at once: a text may be as long as a body, and is not to wait.
        missing = [(name, count) for name in self._texts if (count := inputs[name].tolist().count(""))]
        with self._lock:
            for name, count in missing:
                self._counts[name, "missing"] += count
            self._waiting.append((numbers, matrices))
            self._rows += len(next(iter(inputs.values())))
            for name in self._lists:
                self._values += inputs[name].size
            for array in matrices:
                self._values += array.size
            if self._rows >= _WAITING_ROWS or self._values >= _WAITING_VALUES:
                self._count()

    def forget(self) -> None:
        """Forgets what has come in, as the rows that warm the model up."""
        with self._lock:
            self._waiting, self._rows, self._values = [], 0, 0
            self._counts = dict.fromkeys(self._counts, 0)

    def taken(self) -> dict[tuple[str, str], int]:
        """Returns the counts by input and kind since it was last asked."""
        with self._lock:
            found, self._counts = self._counts, dict.fromkeys(self._counts, 0)
        return found

    def count(self) -> None:
        """Counts what has come in."""
        with self._lock:
            self._count()

    def _count(self) -> None:
        waiting, self._waiting, self._rows, self._values = self._waiting, [], 0, 0
        if not waiting:
            return
        for index, spec in enumerate(self._numbers):
            self._count_values(spec, np.concatenate([np.ravel(numbers[index]) for numbers, _ in waiting]))
        for index, matrix in enumerate(self.matrices):
            # One comparison for all requests; those of shorter lists have fewer columns.
            widths: dict[int, list[NDArray[Any]]] = {}
            for _, ids in waiting:
                widths.setdefault(ids[index].shape[1], []).append(ids[index])
            for rows in map(np.concatenate, widths.values()):
                for name, place in self._places.items():
                    if place.matrix == matrix:
                        found = int((rows[:, place.columns] == place.ids).sum())
                        self._counts[name, "unseen"] += found

    def _count_values(self, spec: Spec, values: NDArray[Any]) -> None:
        missing = np.isnan(values) if spec.dtype == "float32" else values == spec.missing
        if not spec.of_lists:
            self._counts[self._shown(spec.name), "missing"] += int(missing.sum())
        if spec.name in self._ranges:
            low, high = self._ranges[spec.name]
            outside = (values < low) | (values > high)
            self._counts[spec.name, "out_of_range"] += int((outside & ~missing).sum())

    def _shown(self, name: str) -> str:
        """Returns the raw input of an input, which may be its fingerprints."""
        source = self._schema.source(name)
        return name if source is None else source.name

    def _find(self, ask: Callable[[Mapping[str, NDArray[Any]]], Ids]) -> dict[str, _Place]:
        """Returns where the out-of-vocabulary ids of each input are.

        An input's columns are those that change when it alone changes. If three strange values have one id there, which
        a missing value has not, that id is the out-of-vocabulary one; a hashed value has another bin each time. Crosses
        change with several inputs, and are left out.
        """
        asked = self._specs
        empty = {name: self._row(spec, spec.missing) for name, spec in asked.items()}
        base = ask(empty)
        changed: dict[str, dict[str, NDArray[np.bool_]]] = {}
        constant: dict[str, Ids] = {}
        for name, spec in asked.items():
            rows = [self._row(spec, value) for value in _STRANGE[spec.dtype]]
            found = [ask({**empty, name: row}) for row in rows]
            stacked = {matrix: np.concatenate([one[matrix] for one in found]) for matrix in base}
            changed[name] = {matrix: (ids != base[matrix]).any(axis=0) for matrix, ids in stacked.items()}
            constant[name] = {
                matrix: np.where((ids == ids[0]).all(axis=0) & (ids[0] != base[matrix][0]), ids[0], -1)
                for matrix, ids in stacked.items()
            }
        places = {}
        # Fingerprints have no vocabulary.
        vocabularies = [name for name, spec in asked.items() if spec.dtype != "float32" and self._shown(name) == name]
        for name in vocabularies:
            # The wide table first, if there is one: it has most features.
            for matrix in sorted(base, key=lambda m: not m.endswith("wide_ids")):
                others = [changed[other][matrix] for other in asked if other != name]
                own = changed[name][matrix] & ~np.any(others, axis=0) if others else changed[name][matrix]
                columns = np.flatnonzero(own & (constant[name][matrix] >= 0))
                if len(columns):
                    ids = constant[name][matrix][columns]
                    # Several features may read the input: the first tells.
                    places[name] = self._first(matrix, columns, ids, len(asked[name].shape) == 2)
                    break
        return places

    @staticmethod
    def _first(matrix: str, columns: NDArray[Any], ids: NDArray[Any], several: bool) -> _Place:
        of_first = ids == ids[0] if several else np.arange(len(ids)) == 0
        return _Place(matrix, columns[of_first], ids[of_first].astype(np.int32))

    def _row(self, spec: Spec, value: Any) -> NDArray[Any]:
        """Returns a row with a value, in a list as often as the model reads of it."""
        source = self._schema.source(spec.name)
        length = 0 if source is None else source.length
        return np.full((1, length) if length else (1,), value, spec.type)
