"""Raw rows with values that break exports."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from export.parity.known_values import shape_of
from export.parity.rows import Rows
from tfwd.data.raw import objects
from tfwd.schema import MISSING, MISSING_INTEGER, Schema

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
# The largest finite weight of a value.
_MOST_WEIGHT = np.float32(100)


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
        shape = shape_of(entry, n)
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


_POOLS = {"string": _texts, "float": _floats, "integer": _integers}


def narrowed(schema: Schema, rows: Rows, share: float) -> Rows:
    """Cuts the lists of rows to a share of what the model keeps: a graph pads these and sorts longer ones."""
    widths = {entry.name: int(entry.length * share) for entry in schema.inputs if entry.length and not entry.fixed}
    return {name: values[:, : widths[name]] if name in widths else values for name, values in rows.items()}
