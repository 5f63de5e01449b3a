"""Configurations as nobody should write them: valid ones, changed at random, and what comes of each.

By hand, long: `python -m tests.hostile.configurations --count 20000`. The suite runs a few hundred.
"""

from __future__ import annotations

import argparse
import copy
import importlib.resources
import itertools
import random
import re
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tfwd.config import yaml12
from tfwd.config.config import Config
from tfwd.config.tree import unshared
from tfwd.errors import ConfigError

# Every section and every kind of feature.
FULL = """
task: binary
data:
  train: [rows/a.csv, rows/b.csv]
  format: csv
  csv: {delimiter: ";", quote: "'", header: true, columns: [age, city, zip, y, w, t, u], null: ["", NA]}
  label: {column: y, positive: yes}
  weight: w
  key: [u, t]
  join: {data: more.csv, on: city}
  columns: {double: age * 2}
  filter: age > 3 and city != 'x'
  history: {name: seen_before, user: u, item: zip, time: t, where: y = 1, length: 20}
  split: {by: time, time: t, validation: 0.1, test: 2000-11-20}
  since: 2000-01-01
  names: {user id: who}
features:
  - {type: numeric, column: age, normalization: [zscore, log], fill: mean, missing_indicator: true, wide: true}
  - {type: bucketized, column: age, boundaries: [18, 30.5, 65], embedding: 4}
  - {type: bucketized, column: double, exact: true, min_count: 2, oov: true, one_hot: true}
  - {type: categorical, column: city, vocabulary: [a, b, 1], embedding: auto}
  - {type: categorical, column: user id, hash_bins: 1000, embedding: 8}
  - {type: categorical, column: zip, dtype: integer, identity: 100}
  - {type: categorical, column: seen_before, max_length: 10, vocabulary_of: town, combiner: sqrtn, embedding: 4}
  - {type: categorical, column: town, min_count: 2, max_size: 100, embedding: 4}
  - {type: categorical, column: genres, delimiter: "|", max_length: 6, vocabulary_file: genres.txt, weights: w2}
  - {type: categorical, column: home, embedding: town}
  - {type: datetime, column: opened, format: "%d/%m/%Y", parts: [year, hour], age_in_days: closed, cyclic: [month]}
  - {type: datetime, column: closed, parts: [weekday], age_in_days: 2024-06-30, wide: false, one_hot: true, clip: false}
  - {type: cross, keys: [city, age_buckets], bins: exact}
  - {type: cross, keys: [city, genres, user_id], bins: 100, embedding: 4, wide_combiner: mean}
model: {heads: [wide, deep], hidden_units: [8, 4], activation: relu, dropout: 0.1, batch_norm: true, l2: 0.001}
train:
  epochs: 2
  max_steps: 10
  batch_size: 64
  wide_optimizer: {name: sparse_ftrl, learning_rate: 0.1, l1_regularization_strength: 0.01}
  deep_optimizer: {name: lazy_adam, learning_rate: {schedule: cosine, start: 0.01, warmup: 5}, clipnorm: 1.0}
  early_stopping: {monitor: auc, patience: 2}
  class_weights: {0: 1, 1: 2.5}
  cache_bytes: 1000000
export: {name: mine, formats: [onnx, savedmodel]}
ranking: {user: u, item: zip, title: name, k: 5}
"""
SCALARS: list[Any] = [
    None, True, False, 0, 1, -1, 2, 3.7, 1e-45, 1e308, 2**31 - 1, 2**31, 2**63 - 1, 2**63, 2**70, -(2**63), 10**100,
    10**400, float("nan"), float("inf"), -float("inf"), -0.0, "", " ", "no", "on", "yes", "null", "auto", "exact", "0",
    "1.0", "01", "²", "٣", "x", "city", "age", "year", "numeric", "classes", "class", "self", "probability", "年齢",
    "straße", "e\u0301", "\u202eabc", "\ufeff", "\ud800", "\0", "\n", "\r\n", "\x1b[31m", "a" * 241, "a" * 10_000,
    "../../etc/passwd", "~nobody/x", "/dev/zero", "census:train", "tfds:x", "a b", "a.b", "{x}", "%s", "{}", "'", '"',
    "1; DROP TABLE x", "${HOME}", "<<", "&a", "*a", "!!int 3", b"bytes", (1, 2), {1, 2}, object(), 1 + 2j,
    [], {}, [[]], [None], {"": None}, {"a": {"b": {}}}, [1, "1", 1.0, True], ["a", "a"], list(range(300)),
]  # fmt: skip
KEYS = [
    "",
    "sep",
    "columns",
    "lr",
    "learning_rate",
    "l2",
    "x" * 500,
    "name",
    "type",
    "0",
    "²",
    "\ud800",
    "\0",
    "__class__",
]


PIECES = [
    "\t", ":", ": ", "- ", "{", "}", "[", "]", "&a ", "*a", "<<: ", "!!int ", "'", '"', "#", "%", "@", "|\n", ">", "\n",
    "?", ",", "\x00", "\x85", "\ufeff", "年", "9" * 400, "[" * 2000,
]  # fmt: skip
OVERRIDES = ["", "null", "[", "{a: 1}", "&a [*a]", "3", "-1", "1e400", ".nan", "~", "[1, 2]", "x", "9" * 400]


def seeds() -> list[dict[str, Any]]:
    """Valid configurations: the presets, and one with every section."""
    folder = importlib.resources.files("tfwd.config") / "presets"
    texts = [entry.read_text(encoding="utf-8") for entry in sorted(folder.iterdir(), key=str)]
    full = yaml12.load(FULL)
    small = {"data": {"label": "y"}, "features": [{"type": "categorical", "column": "city", "embedding": 4}]}
    return [full, full, small, *(yaml12.load(text) for text in texts)]


def places(root: Any) -> list[tuple[Any, Any]]:
    """Every list or section with each of its keys; of a large tree the first few thousand."""

    def below(node: Any, depth: int) -> Iterator[tuple[Any, Any]]:
        if depth > 12 or not isinstance(node, dict | list):
            return
        for key in list(node) if isinstance(node, dict) else range(len(node)):
            yield node, key
            yield from below(node[key], depth + 1)

    return list(itertools.islice(below(root, 0), 5000))


def _typo(rng: random.Random, key: Any) -> Any:
    if not isinstance(key, str) or not key:
        return rng.choice(KEYS)
    at = rng.randrange(len(key))
    return rng.choice(
        [key[:at] + key[at + 1 :], key[:at] + key[at] + key[at:], key.upper(), key + "s", rng.choice(KEYS)]
    )


def _put(node: Any, key: Any, value: Any) -> None:
    node[key] = value


def _delete(rng: random.Random, root: Any, node: Any, key: Any) -> None:
    del node[key]


def _replace(rng: random.Random, root: Any, node: Any, key: Any) -> None:
    node[key] = copy.copy(rng.choice(SCALARS))


def _repeat(rng: random.Random, root: Any, node: Any, key: Any) -> None:
    if isinstance(node, list):
        node[key:key] = [copy.copy(node[key])] * rng.choice([1, 1, 1, 40])
    else:
        node[_typo(rng, key)] = node[key]


def _rename(rng: random.Random, root: Any, node: Any, key: Any) -> None:
    if isinstance(node, dict):
        node[_typo(rng, key)] = node.pop(key)
    else:
        node[key] = {"x": node[key]}


def _other_key(rng: random.Random, root: Any, node: Any, key: Any) -> None:
    if isinstance(node, dict):
        node[rng.choice([1, None, True, 1.5, (1, 2), float("nan"), *KEYS])] = rng.choice(SCALARS)
    else:
        node.append(rng.choice(SCALARS))


def _retype(rng: random.Random, root: Any, node: Any, key: Any) -> None:
    value = node[key]
    text = str(value) if not isinstance(value, dict | list) else "text"
    node[key] = rng.choice([[value], {"x": value}, text, bool(value)])


def _number(rng: random.Random, root: Any, node: Any, key: Any) -> None:
    node[key] = rng.choice([1, -1]) * rng.choice(
        [rng.random(), 10 ** rng.randrange(40), 2 ** rng.randrange(80), 1e-300]
    )


def _deep(rng: random.Random, root: Any, node: Any, key: Any) -> None:
    for _ in range(rng.choice([3, 30, 300, 3000])):
        node[key] = [node[key]] if rng.random() < 0.5 else {rng.choice(["a", "label"]): node[key]}


def _alias(rng: random.Random, root: Any, node: Any, key: Any) -> None:
    other, chosen = rng.choice(places(root))
    node[key] = other[chosen] if rng.random() < 0.7 else other


def _bomb(rng: random.Random, root: Any, node: Any, key: Any) -> None:
    for _ in range(rng.choice([3, 12, 60])):
        node[key] = [node[key]] * 10


def _swap(rng: random.Random, root: Any, node: Any, key: Any) -> None:
    other, chosen = rng.choice(places(root))
    node[key], other[chosen] = other[chosen], node[key]


MUTATIONS: list[Callable[[random.Random, Any, Any, Any], None]] = [
    _delete, _replace, _replace, _replace, _repeat, _rename, _other_key, _retype, _number, _number, _deep, _alias,
    _bomb, _swap,
]  # fmt: skip


def mutated(rng: random.Random, seed: dict[str, Any]) -> dict[str, Any]:
    """A copy of a valid configuration with one to four changes anywhere in it."""
    values: dict[str, Any] = unshared(seed)
    for _ in range(rng.choice([1, 1, 2, 4])):
        found = places(values)
        if not found:
            break
        node, key = rng.choice(found)
        rng.choice(MUTATIONS)(rng, values, node, key)
    return values


def mutated_text(rng: random.Random, text: str) -> str:
    """A YAML text with one to four changes of its characters and lines."""
    for _ in range(rng.choice([1, 2, 4])):
        at = rng.randrange(len(text) + 1)
        lines = text.splitlines(keepends=True) or [""]
        line = rng.randrange(len(lines))
        piece = rng.choice(PIECES)
        text = rng.choice(
            [
                text[:at] + piece + text[at:],
                text[:at] + text[at + rng.choice([1, 5, 50]) :],
                "".join([*lines[:line], lines[line], *lines[line:]]),
                "".join([*lines[:line], *lines[line + 1 :]]),
                "".join([*lines[:line], " " + lines[line], *lines[line + 1 :]]),
            ]
        )
    return text


def override(rng: random.Random, seed: dict[str, Any]) -> str:
    """A `--set` that may or may not fit."""
    node: Any = seed
    path: list[str] = []
    while isinstance(node, dict | list) and node and (not path or rng.random() < 0.8):
        key = rng.choice(list(node) if isinstance(node, dict) else range(len(node)))
        path.append(str(key) if rng.random() < 0.9 else str(_typo(rng, key)))
        node = node[key]
    value = rng.choice(
        ["", "null", "[", "{a: 1}", "&a [*a]", "3", "-1", "1e400", ".nan", "~", "[1, 2]", "x", "9" * 400]
    )
    return f"{'.'.join(path)}{rng.choice(['=', '=', '=', '==', ''])}{value}"


_PATH = re.compile(
    r"(task|data|features|model|train|export|ranking|[^ ]+: unknown key|is not YAML|must hold|the list has no|--set|"
    r"expected (at most|a text|a number of)|keys are strings)"
)


def fault(make: Callable[[], Config]) -> tuple[str, str | None]:
    """What came of a configuration: `valid` or `refused`, and what is wrong with that, or None."""
    try:
        config = make()
    except ConfigError as error:
        text = str(error)
        if len(text) > 8000:
            return "refused", f"a message of {len(text):,} characters: {text[:200]}"
        if not _PATH.search(text.encode("ascii", "replace").decode()):
            return "refused", f"a message without a key: {text[:300]}"
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            return "refused", f"a message that cannot be printed: {text[:300]!r}"
        return "refused", None
    except RecursionError as error:
        return "refused", f"RecursionError: {error}"
    except Exception as error:  # what is looked for
        return "refused", f"{type(error).__name__}: {str(error)[:300]}"
    try:
        again = Config.of(yaml12.load(config.dump()))
    except Exception as error:
        return "valid", f"its dump is refused: {type(error).__name__}: {str(error)[:300]}"
    return "valid", None if again == config else "its dump is another configuration"


def attempts(rng: random.Random, folder: Path) -> Iterator[tuple[str, Callable[[], Config]]]:
    """Configurations without end, by the way that they come in."""
    valid = seeds()
    path = folder / "c.yaml"
    while True:
        seed = rng.choice(valid)
        values = mutated(rng, seed)
        yield "values", lambda values=values: Config.of(values)
        text = mutated_text(rng, yaml12.dump(seed))
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        yield "text", lambda: Config.load(path)
        path.write_text(yaml12.dump(seed), encoding="utf-8")
        changes = [override(rng, seed) for _ in range(rng.choice([1, 2]))]
        yield "override", lambda changes=changes: Config.load(path, changes)


def main() -> int:
    """Runs many, prints what is wrong with any, and answers 1 if something is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=2.0, help="what takes longer is a fault")
    parser.add_argument("--memory", type=int, default=2 << 30, help="address space in bytes; beyond it is a fault")
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (options.memory, options.memory))
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        found = attempts(random.Random(options.seed), Path(folder))
        for number, (way, make) in zip(range(options.count), found, strict=False):
            started = time.process_time()
            outcome, wrong = fault(make)
            spent = time.process_time() - started
            if spent > options.seconds:
                wrong = f"{spent:.1f} s; {wrong}"
            counts[outcome if wrong is None else "fault"] += 1
            if wrong is not None:
                print(f"{number} {way}: {wrong}".encode("ascii", "backslashreplace").decode(), flush=True)
    print(f"{options.count:,} configurations: {dict(counts)}; at most {_megabytes():,} MB")
    return 1 if counts["fault"] else 0


def _megabytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


if __name__ == "__main__":
    sys.exit(main())
