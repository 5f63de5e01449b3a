"""Raw rows for warm-up and comparison: given rows are converted, ordinary and hostile ones are made up."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from tfwd.data.raw import in_seconds, objects
from tfwd.dates import FIRST_SECOND, LAST_SECOND
from tfwd.errors import ExportError
from tfwd.layers.bucketize import Bucketize
from tfwd.layers.direct_lookup import IdentityLookup
from tfwd.layers.join_columns import JoinColumns
from tfwd.layers.numeric_scaling import NumericScaling
from tfwd.layers.vocabulary_lookup import VocabularyLookup
from tfwd.model.wide_deep import WideDeep
from tfwd.schema import MISSING, MISSING_INTEGER, Input, Kind, Schema

Rows = dict[str, np.ndarray]

LONG = 100_000
_LONG_CELLS = 20
_TEXTS = (
    *("", " ", "\t", "\n", "\r\n", "a\nb", "\x00", "a\x00b", "\x1b[31m", "\x7f", "\ufeff", "\u202e", "\u200b"),
    *("é", "e\u0301", "ß", "İ", "Ωμέγα", "日本語", "🦄", "👩‍👩‍👧", "\U0010ffff", "\ufffd"),
    *(
        "[OOV]",
        "[UNK]",
        "nan",
        "NaN",
        "None",
        "null",
        "NULL",
        "?",
        "0",
        "-1",
        "1.0",
        "1e3",
        "True",
        '"',
        "'",
        "\\",
        ",",
    ),
    *("never seen", "'; DROP TABLE users; --", str(MISSING_INTEGER)),
)
_LIMIT = float(np.finfo(np.float32).max)
_FLOATS = (
    *(np.nan, np.inf, -np.inf, _LIMIT, -_LIMIT, 1e38, -1e38, 1e10, -1e10, 16777217.0, 1.0, -1.0, 0.5),
    *(0.0, -0.0, 1e-38, -1e-38, 1e-40, -1e-40, 1.4e-45, -1.4e-45),
)
_INTEGERS = (
    MISSING_INTEGER,
    MISSING_INTEGER + 1,
    2**63 - 1,
    -1,
    0,
    1,
    2,
    2**31 - 1,
    2**31,
    -(2**31),
    2**53 + 1,
    10**18,
)


# Days on which a month, a quarter, a year or an ISO week begins, and those around a leap day.
_CHANGES = ((1, 1), (1, 4), (2, 28), (3, 1), (4, 1), (7, 1), (10, 1), (12, 29), (12, 31))


def as_rows(schema: Schema, rows: Mapping[str, Any]) -> Rows:
    """Converts raw rows to what the model takes.

    Args:
        schema: the schema of the model.
        rows: a column of values for every input, by input name; None is a missing value in any of them. Moments are
            seconds since 1970, datetimes or datetime64.

    Returns:
        By input, in order: object arrays of `str`, int64 or float32 arrays, all `(B,)`, or `(B, K)` for lists, where K
        is the longest of an input.

    Raises:
        ExportError: an input is missing, columns differ in length, a vector has another length than its input, a string
            is not valid UTF-8, or a value is not a number, or not an integer, where it must be one.
    """
    absent = [entry.name for entry in schema.inputs if entry.name not in rows]
    if absent:
        raise ExportError(f"The rows lack the inputs {absent}. They have: {sorted(rows)}.")
    made = {
        entry.name: (_lists if entry.length else _column)(entry.name, entry.kind, _given(entry, rows[entry.name]))
        for entry in schema.inputs
    }
    for entry in schema.inputs:
        if entry.weighs is not None:
            values = next(one.name for one in schema.inputs if one.column == entry.weighs)
            made[entry.name] = _as_wide(made[entry.name], made[values])
        if entry.fixed and made[entry.name].shape[1] != entry.length and len(made[entry.name]):
            raise ExportError(
                f"The input {entry.name!r} takes vectors of {entry.length} numbers. Received the shape "
                f"{made[entry.name].shape}"
            )
    lengths = {name: len(values) for name, values in made.items()}
    if len(set(lengths.values())) != 1:
        raise ExportError(f"The columns of the rows must have one length. Received: {lengths}")
    return made


def _given(entry: Input, values: Any) -> Any:
    """Returns the values of an input, with moments as seconds since 1970."""
    return values if entry.moment is None else in_seconds(objects(list(values)))


def _column(name: str, kind: Kind, values: Any) -> np.ndarray:
    if kind == "string":
        return objects([_text(name, value) for value in values])
    made = _float if kind == "float" else _integer
    # Via a list, as None among integers makes NumPy choose objects or floats.
    numbers = [made(name, value) for value in values]
    with np.errstate(over="ignore"):
        return np.array(numbers, np.float64).astype(np.float32) if kind == "float" else np.array(numbers, np.int64)


def _float(name: str, value: Any) -> float:
    try:
        return math.nan if value is None else float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
    except (TypeError, ValueError):
        raise ExportError(f"The input {name!r} takes a number. Received: {value!r}") from None


def _integer(name: str, value: Any) -> int:
    if value is None or value != value:
        return MISSING_INTEGER
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        number = None
    # Neither truncated nor wrapped: 3.0 is 3, and 3.7 is invalid.
    if number is None or (not isinstance(value, str | bytes) and number != value) or not -(2**63) <= number < 2**63:
        raise ExportError(f"The input {name!r} takes a 64-bit integer. Received: {value!r}")
    return number


def _lists(name: str, kind: Kind, rows: Any) -> np.ndarray:
    lists = [[] if row is None else list(row) for row in rows]
    longest = max(map(len, lists), default=0)
    padded = [value for row in lists for value in (*row, *[None] * (longest - len(row)))]
    return _column(name, kind, padded).reshape(len(lists), longest)


def _as_wide(weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Pads weights with missing ones to the width of the values, for when no row has as many."""
    more = max(values.shape[1] - weights.shape[1], 0)
    return np.pad(weights, ((0, 0), (0, more)), constant_values=np.nan)


def _text(name: str, value: Any) -> str:
    if value is None or value != value:
        return ""
    try:
        text = value.decode() if isinstance(value, bytes) else str(value)
        text.encode()
    except UnicodeError:
        raise ExportError(f"The input {name!r} takes UTF-8 text. Received: {value!r}") from None
    return text


def length(rows: Rows) -> int:
    """The number of rows."""
    return len(next(iter(rows.values())))


def part(rows: Rows, start: int, stop: int) -> Rows:
    """Returns the rows `start` to `stop - 1`."""
    return {name: values[start:stop] for name, values in rows.items()}


def narrowed(schema: Schema, rows: Rows, share: float) -> Rows:
    """Cuts the lists of rows to a share of what the model keeps: a graph pads these and sorts longer ones."""
    widths = {entry.name: int(entry.length * share) for entry in schema.inputs if entry.length and not entry.fixed}
    return {name: values[:, : widths[name]] if name in widths else values for name, values in rows.items()}


def known_values(model: WideDeep) -> Rows:
    """Returns values that a model distinguishes, by input: vocabularies, identity integers, boundaries and ranges."""
    known: dict[str, list[Any]] = {entry.name: [] for entry in model.schema.inputs}
    # What is computed from a moment is looked up and scaled too, but is not an input.
    computed: list[Any] = []
    layers = model.transform.layers
    joins = [layer for layer in layers if isinstance(layer, JoinColumns)]
    joined = {id(layer.output): _columns(layer.input) for layer in joins}
    for layer in layers:
        if isinstance(layer, VocabularyLookup):
            words = layer.vocabulary
            known.get(layer.input.name, computed).extend(
                [int(word) for word in words if _is_int64(word)] if layer.integer else words
            )
        elif isinstance(layer, IdentityLookup):
            known[layer.input.name] += [0, layer.size - 1, layer.size]
        elif isinstance(layer, Bucketize):
            parts = np.split(layer.boundaries.numpy()[: sum(layer.sizes)], np.cumsum(layer.sizes)[:-1])
            for name, boundaries in zip(joined[id(layer.input)], parts, strict=True):
                known[name] += boundaries.tolist()
        elif isinstance(layer, NumericScaling):
            for weight in (layer.fill, layer.low, layer.high):
                for source, value in zip(layer.sources, weight.numpy().tolist(), strict=True):
                    known.get(joined[id(layer.input)][source], computed).append(value)
    made: Rows = {}
    for entry in model.schema.inputs:
        values = list(dict.fromkeys(known[entry.name] if entry.moment is None else _moments()))
        if entry.kind == "string":
            made[entry.name] = objects(values or ["a", "b"])
        else:
            made[entry.name] = np.array(values or [0, 1], np.int64 if entry.kind == "integer" else np.float32)
    return made


def _moments() -> list[int]:
    """Returns seconds since 1970 of a century's days, including those on which a part changes, and of all years."""
    days = [datetime.date(year, month, day) for year in (1968, 1999, 2000, 2023, 2024) for month, day in _CHANGES]
    borders = [(day - datetime.date(1970, 1, 1)).days * 86_400 + second for day in days for second in (-1, 0)]
    generator = np.random.default_rng(0)
    recent = generator.integers(-20 * 31_556_952, 80 * 31_556_952, 300)
    borders += [FIRST_SECOND, FIRST_SECOND - 1, LAST_SECOND, LAST_SECOND + 1]
    return [*borders, *recent.tolist(), *generator.integers(FIRST_SECOND, LAST_SECOND, 50).tolist()]


def _columns(joined: Any) -> list[str]:
    """Returns the input of each column that `JoinColumns` makes; a vector has several."""
    tensors = keras.tree.flatten(joined)
    return [tensor.name for tensor in tensors for _ in range(tensor.shape[1] if len(tensor.shape) == 2 else 1)]


def _is_int64(word: str) -> bool:
    try:
        return -(2**63) < int(word) < 2**63
    except ValueError:
        return False


def ordinary_rows(schema: Schema, known: Mapping[str, np.ndarray], n: int, seed: int = 0) -> Rows:
    """Returns `n` rows of known values, each drawn independently: a stand-in when there are no real rows."""
    generator = np.random.default_rng(seed)
    made = {}
    for entry in schema.inputs:
        values = known[entry.name]
        made[entry.name] = values[generator.integers(len(values), size=_shape(entry, n))]
        if entry.length:
            places = np.arange(made[entry.name].shape[1])
            made[entry.name][places >= generator.integers(len(places) + 1, size=(n, 1))] = MISSING[entry.kind]
    return made


def _shape(entry: Input, n: int) -> tuple[int, ...]:
    """Returns the shape of `n` rows of an input; lists are made longer than the model keeps."""
    if entry.fixed:
        return (n, entry.length)
    return (n, entry.length + min(entry.length, 3)) if entry.length else (n,)


def hostile_rows(schema: Schema, vocabularies: Mapping[str, np.ndarray], n: int, seed: int = 0) -> Rows:
    """Returns rows with values that break exports; every other cell has a known value.

    Unseen, empty, very long, non-ASCII and control-character strings (NUL among them), near misses of known
    categories; NaN, infinities, the largest and the denormal floats, known numbers and their neighbours; extreme
    integers, the missing one included. Finite weights of values are at most 100. All strings are valid UTF-8: other
    bytes cannot be given to ONNX Runtime from Python, and a vocabulary maps them to OOV in either export.

    Args:
        schema: the schema of the model.
        vocabularies: the known values of each input, from `known_values`.
        n: the number of rows.
        seed: seeds all choices: the same arguments give the same rows.
    """
    generator = np.random.default_rng(seed)
    made: Rows = {}
    for entry in schema.inputs:
        known = vocabularies[entry.name]
        pool = _POOLS[entry.kind](known, generator)
        shape = _shape(entry, n)
        chosen = pool[generator.integers(len(pool), size=shape)]
        usual = known[generator.integers(len(known), size=shape)]
        made[entry.name] = np.where(generator.random(shape) < 0.5, usual, chosen)
        if entry.kind == "string":
            for row in generator.integers(n, size=min(_LONG_CELLS, n // 20)):
                made[entry.name][(row,) if not entry.length else (row, 0)] = str(known[0]) + "x" * LONG
        if entry.weighs is not None:
            # They multiply what the heads sum. Beyond some bound the sum is little but float32 rounding.
            weights = made[entry.name]
            made[entry.name] = np.where(np.isfinite(weights), np.clip(weights, -_MOST_WEIGHT, _MOST_WEIGHT), weights)
        if entry.length:
            # Lists of any length, with gaps, and some without a value.
            made[entry.name][generator.random(shape) < generator.random((n, 1)) * 1.2] = MISSING[entry.kind]
    return made


def _texts(known: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    some = [str(value) for value in known[generator.integers(len(known), size=20)]]
    near = [change for text in some for change in (text + " ", " " + text, text.swapcase(), text[:-1], text + "\x00")]
    random = ["".join(chr(c) for c in generator.integers(1, 0xD800, size=generator.integers(1, 20))) for _ in range(50)]
    return objects([*_TEXTS, *near, *random])


def _floats(known: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    with np.errstate(over="ignore"):
        up, down = np.nextafter(known, np.float32(np.inf)), np.nextafter(known, np.float32(-np.inf))
    spread = generator.normal(size=200) * 10.0 ** generator.uniform(-40, 37, size=200)
    special = np.repeat(np.array(_FLOATS, np.float32), 5)
    some = generator.integers(len(known), size=100)
    return np.concatenate([special, up[some], down[some], spread.astype(np.float32)])


def _integers(known: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    random = generator.integers(-(2**63), 2**63 - 1, size=50)
    near = known[generator.integers(len(known), size=20)]
    return np.concatenate([np.repeat(np.array(_INTEGERS, np.int64), 5), near + 1, near - 1, random])


# The largest finite weight of a value in a hostile row.
_MOST_WEIGHT = np.float32(100)
_POOLS = {"string": _texts, "float": _floats, "integer": _integers}
