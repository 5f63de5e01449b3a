"""What a model distinguishes in its inputs, from its layers, and ordinary rows of it."""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from export.parity.rows import Rows
from tfwd.data.raw import objects
from tfwd.dates import FIRST_SECOND, LAST_SECOND
from tfwd.layers.bucketize import Bucketize
from tfwd.layers.datetime_parts import AgeInDays, DatetimeParts
from tfwd.layers.direct_lookup import IdentityLookup
from tfwd.layers.join_columns import JoinColumns
from tfwd.layers.numeric_scaling import NumericScaling
from tfwd.layers.vocabulary_lookup import VocabularyLookup
from tfwd.model.wide_deep import WideDeep
from tfwd.schema import MISSING, Input, Schema

# Days on which a month, a quarter, a year or an ISO week begins, and those around a leap day.
_CHANGES = ((1, 1), (1, 4), (2, 28), (3, 1), (4, 1), (7, 1), (10, 1), (12, 29), (12, 31))
_DAY = 86_400

# By the id of a tensor that a layer reads: an input, or what is computed from a moment.
_Known = dict[int, list[Any]]


def known_values(model: WideDeep) -> Rows:
    """Returns values that a model distinguishes, by input.

    These are vocabularies, integers that are ids, boundaries and the ends of ranges; for a moment, the seconds in which
    a part of it changes, the first and the last second of the learned years, and the ends of its age in days, unless
    that is counted to another input.
    """
    transform = model.transform
    known = _known(transform.layers)
    inputs = {tensor.name: id(tensor) for tensor in transform.inputs}
    learned = _learned_moments(transform.layers, known)
    made: Rows = {}
    for entry in model.schema.inputs:
        place = inputs[entry.name]
        found = known[place] if entry.moment is None else [*_moments(), *learned[place]]
        values = list(dict.fromkeys(found))
        if entry.kind == "string":
            made[entry.name] = objects(values or ["a", "b"])
        else:
            made[entry.name] = np.array(values or [0, 1], np.int64 if entry.kind == "integer" else np.float32)
    return made


def _known(layers: Sequence[keras.layers.Layer]) -> _Known:
    """Returns the values that lookups, buckets and scales distinguish in what they read."""
    known: _Known = defaultdict(list)
    joined = {id(layer.output): _columns(layer.input) for layer in layers if isinstance(layer, JoinColumns)}
    for layer in layers:
        if isinstance(layer, VocabularyLookup):
            words = layer.vocabulary
            known[id(layer.input)] += [int(word) for word in words if _is_int64(word)] if layer.integer else words
        elif isinstance(layer, IdentityLookup):
            known[id(layer.input)] += [0, layer.size - 1, layer.size]
        elif isinstance(layer, Bucketize):
            own = np.split(layer.boundaries.numpy()[: sum(layer.sizes)], np.cumsum(layer.sizes)[:-1])
            for column, boundaries in zip(joined[id(layer.input)], own, strict=True):
                known[column] += boundaries.tolist()
        elif isinstance(layer, NumericScaling):
            for weight in (layer.fill, layer.low, layer.high):
                for source, value in zip(layer.sources, weight.numpy().tolist(), strict=True):
                    known[joined[id(layer.input)][source]].append(value)
    return known


def _columns(joined: Any) -> list[int]:
    """Returns the tensor of each column that `JoinColumns` makes; a vector has several."""
    tensors = keras.tree.flatten(joined)
    return [id(tensor) for tensor in tensors for _ in range(tensor.shape[1] if len(tensor.shape) == 2 else 1)]


def _is_int64(word: str) -> bool:
    try:
        return -(2**63) < int(word) < 2**63
    except ValueError:
        return False


def _moments() -> list[int]:
    """Returns seconds since 1970 of a century's days, including those on which a part changes, and of all years."""
    days = [datetime.date(year, month, day) for year in (1968, 1999, 2000, 2023, 2024) for month, day in _CHANGES]
    borders = [_first_second(day) + second for day in days for second in (-1, 0)]
    generator = np.random.default_rng(0)
    recent = generator.integers(-20 * 31_556_952, 80 * 31_556_952, 300)
    borders += [FIRST_SECOND, FIRST_SECOND - 1, LAST_SECOND, LAST_SECOND + 1]
    return [*borders, *recent.tolist(), *generator.integers(FIRST_SECOND, LAST_SECOND, 50).tolist()]


def _learned_moments(layers: Sequence[keras.layers.Layer], known: _Known) -> _Known:
    """Returns, for each input of moments, those at the ends of what was learned about its years and its age."""
    found: _Known = defaultdict(list)
    for layer in layers:
        if isinstance(layer, DatetimeParts) and "year" in layer.parts:
            # Keras lists the outputs by their sorted names.
            year = keras.tree.flatten(layer.output)[sorted(layer.parts).index("year")]
            for value in known[id(year)]:
                first = _first_second(datetime.date(value, 1, 1))
                last = _first_second(datetime.date(value, 12, 31)) + _DAY - 1
                found[id(layer.input)] += [first - 1, first, last, last + 1]
        elif isinstance(layer, AgeInDays) and layer.reference is not None:
            moments = [layer.reference - round(days * _DAY) for days in known[id(layer.output)]]
            # Without clip the ends are no moments.
            inside = [moment for moment in moments if FIRST_SECOND <= moment <= LAST_SECOND]
            found[id(layer.input)] += [moment + days * _DAY for moment in inside for days in (-1, 0, 1)]
    return found


def _first_second(day: datetime.date) -> int:
    return (day - datetime.date(1970, 1, 1)).days * _DAY


def ordinary_rows(schema: Schema, known: Mapping[str, np.ndarray], n: int, seed: int = 0) -> Rows:
    """Returns `n` rows of known values, each drawn independently: a stand-in when there are no real rows."""
    generator = np.random.default_rng(seed)
    made = {}
    for entry in schema.inputs:
        values = known[entry.name]
        made[entry.name] = values[generator.integers(len(values), size=shape_of(entry, n))]
        if entry.length:
            places = np.arange(made[entry.name].shape[1])
            made[entry.name][places >= generator.integers(len(places) + 1, size=(n, 1))] = MISSING[entry.kind]
    return made


def shape_of(entry: Input, n: int) -> tuple[int, ...]:
    """Returns the shape of `n` rows of an input; lists are made longer than the model keeps."""
    if entry.fixed:
        return (n, entry.length)
    return (n, entry.length + min(entry.length, 3)) if entry.length else (n,)
