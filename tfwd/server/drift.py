"""Counts, by input, of values that training has not seen, that are missing, or that lie outside the range of training.

So it is seen that requests differ from the training rows while they come in, and not in the next evaluation. What is
out-of-vocabulary is read off the ids that the model itself computes; which id that is, the model is asked once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tfwd.schema import FINGERPRINT_SUFFIX, MISSING_INTEGER, Input, Schema
from tfwd.server.signature import Spec

KINDS = ("unseen", "missing", "out_of_range")

# Rows that wait until they are counted, a hundred times faster together than one by one.
_WAITING = 4096
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
    """Counts what is unusual in the inputs of one model.

    Args:
        schema: the raw inputs.
        inputs: what the graph takes.
        ranges: the smallest and the largest value of training, by input.
        ask: returns the id matrices for raw rows.

    Attributes:
        matrices: the id matrices that `add` needs.
        counts: the number of values by input and kind, since they were last taken.
    """

    def __init__(
        self,
        schema: Schema,
        inputs: tuple[Spec, ...],
        ranges: Mapping[str, tuple[float, float]],
        ask: Callable[[Mapping[str, NDArray[Any]]], Ids],
    ) -> None:
        self._entries = {entry.name: entry for entry in schema.inputs}
        self._specs = {spec.name: spec for spec in inputs}
        self._ranges = {name: ranges[name] for name in ranges if name in self._specs}
        self._places = {} if not inputs else self._find(ask)
        self.matrices = sorted({place.matrix for place in self._places.values()})
        self.counts: dict[tuple[str, str], int] = {
            **{(self._shown(name), "missing"): 0 for name in self._specs},
            **{(name, "unseen"): 0 for name in self._places},
            **{(name, "out_of_range"): 0 for name in self._ranges},
        }
        self._waiting: list[tuple[Mapping[str, NDArray[Any]], Ids]] = []
        self._rows = 0

    def add(self, inputs: Mapping[str, NDArray[Any]], ids: Ids) -> None:
        """Takes the inputs of some rows and their ids; they are counted with others, or by `count`."""
        self._waiting.append((inputs, ids))
        self._rows += len(next(iter(inputs.values())))
        if self._rows >= _WAITING:
            self.count()

    def forget(self) -> None:
        """Forgets what has come in, as the rows that warm the model up."""
        self._waiting, self._rows = [], 0
        self.counts = dict.fromkeys(self.counts, 0)

    def taken(self) -> dict[tuple[str, str], int]:
        """Returns the counts since it was last asked."""
        found, self.counts = self.counts, dict.fromkeys(self.counts, 0)
        return found

    def count(self) -> None:
        """Counts what has come in."""
        waiting, self._waiting, self._rows = self._waiting, [], 0
        if not waiting:
            return
        for name, spec in self._specs.items():
            values = [np.ravel(inputs[name]) for inputs, _ in waiting if name in inputs]
            self._count_values(name, spec, np.concatenate(values) if len(values) != 1 else values[0])
        for name, place in self._places.items():
            found = sum(int((ids[place.matrix][:, place.columns] == place.ids).sum()) for _, ids in waiting)
            self.counts[name, "unseen"] += found

    def _count_values(self, name: str, spec: Spec, values: NDArray[Any]) -> None:
        missing = self._missing(spec, values)
        if not self._is_list(name):
            # In a list, what looks missing is padding.
            self.counts[self._shown(name), "missing"] += int(missing.sum())
        if name in self._ranges:
            low, high = self._ranges[name]
            outside = (values < low) | (values > high)
            self.counts[name, "out_of_range"] += int((outside & ~missing).sum())

    def _is_list(self, name: str) -> bool:
        entry = self._entries.get(name)
        return entry is not None and bool(entry.length) and not entry.fixed

    @staticmethod
    def _missing(spec: Spec, values: NDArray[Any]) -> NDArray[np.bool_]:
        if spec.dtype == "float32":
            return np.isnan(values)
        return np.asarray(values == ("" if spec.dtype == "string" else MISSING_INTEGER), bool)

    @staticmethod
    def _shown(name: str) -> str:
        return name.removesuffix(FINGERPRINT_SUFFIX)

    def _find(self, ask: Callable[[Mapping[str, NDArray[Any]]], Ids]) -> dict[str, _Place]:
        """Returns where the out-of-vocabulary ids of each input are.

        An input's columns are those that change when it alone changes. If three strange values have one id there, which
        a missing value has not, that id is the out-of-vocabulary one; a hashed value has another bin each time. Crosses
        change with several inputs, and are left out.
        """
        asked = {name: spec for name, spec in self._specs.items() if name in self._entries}
        empty = {name: self._row(spec, self._entries[name], None) for name, spec in asked.items()}
        # Fingerprints, for which there is no vocabulary.
        empty |= {name: np.full((1,), MISSING_INTEGER) for name in self._specs if name not in asked}
        base = ask(empty)
        changed: dict[str, dict[str, NDArray[np.bool_]]] = {}
        constant: dict[str, Ids] = {}
        for name, spec in asked.items():
            rows = [self._row(spec, self._entries[name], value) for value in _STRANGE[spec.dtype]]
            found = [ask({**empty, name: row}) for row in rows]
            stacked = {matrix: np.concatenate([one[matrix] for one in found]) for matrix in base}
            changed[name] = {matrix: (ids != base[matrix]).any(axis=0) for matrix, ids in stacked.items()}
            constant[name] = {
                matrix: np.where((ids == ids[0]).all(axis=0) & (ids[0] != base[matrix][0]), ids[0], -1)
                for matrix, ids in stacked.items()
            }
        places = {}
        for name in (name for name, spec in asked.items() if spec.dtype != "float32"):
            # The wide table first, if there is one: it has most features.
            for matrix in sorted(base, key=lambda m: not m.endswith("wide_ids")):
                others = [changed[other][matrix] for other in asked if other != name]
                own = changed[name][matrix] & ~np.any(others, axis=0) if others else changed[name][matrix]
                columns = np.flatnonzero(own & (constant[name][matrix] >= 0))
                if len(columns):
                    ids = constant[name][matrix][columns]
                    # Several features may read the input: the first tells.
                    places[name] = self._first(matrix, columns, ids, self._entries[name])
                    break
        return places

    @staticmethod
    def _first(matrix: str, columns: NDArray[Any], ids: NDArray[Any], entry: Input) -> _Place:
        of_first = ids == ids[0] if entry.length else np.arange(len(ids)) == 0
        return _Place(matrix, columns[of_first], ids[of_first].astype(np.int32))

    @staticmethod
    def _row(spec: Spec, entry: Input, value: Any) -> NDArray[Any]:
        missing = {"string": "", "int64": MISSING_INTEGER, "float32": np.nan}[spec.dtype]
        shape = (1, entry.length) if entry.length else (1,)
        return np.full(shape, missing if value is None else value, spec.type)
