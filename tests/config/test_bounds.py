"""A configuration of any size, depth or kind is refused in one message, without the memory that it asks for."""

from __future__ import annotations

import copy
import os
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from config_cases import SMALL

from tfwd.config.config import Config
from tfwd.config.features.categorical import Categorical
from tfwd.config.yaml12 import dump
from tfwd.errors import ConfigError

BASE = {**SMALL, "features": [*SMALL["features"], {"type": "cross", "keys": ["city", "zip"], "bins": 10}]}
TEXT = dump(BASE)


def written(folder: Path, text: str) -> Path:
    path = folder / "c.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def changed(path: str, value: Any) -> Config:
    """BASE with a value at a path."""
    values = copy.deepcopy(BASE)
    node: Any = values
    *parents, last = path.split(".")
    for part in parents:
        node = node[int(part)] if isinstance(node, list) else node.setdefault(part, {})
    node[int(last) if isinstance(node, list) else last] = value
    return Config.of(values)


def refused(make: Callable[[], Any]) -> str:
    """The message of the error, which is made in a few megabytes."""
    tracemalloc.start()
    try:
        with pytest.raises(ConfigError) as caught:
            make()
        assert tracemalloc.get_traced_memory()[1] < 64 * 2**20
    finally:
        tracemalloc.stop()
    assert len(str(caught.value)) < 4000
    return str(caught.value)


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 10)
)
MERGES = "m0: &m0 {k0: 1}\n" + "".join(f"m{i}: &m{i} {{k{i}: 1, <<: [*m{i - 1}, *m{i - 1}]}}\n" for i in range(1, 40))
FILES = {
    "anchors": (BOMB, "expected at most 1,000,000 values in all, repeated ones (anchors) counted each time."),
    "anchors beside sections": (BOMB + TEXT, "1,000,000 values"),
    "merges": (MERGES + TEXT, "m0: unknown key."),
    "itself": ("data: &a {b: *a}", "expected at most 32 levels of sections and lists, one inside the other."),
    "deep lists": (f"data: {'[' * 900}{']' * 900}", "data[0][0]"),
    "deep sections": ("\n".join(" " * level + "a:" for level in range(900)), "a.a.a.a.a.a.a.a: expected at most 32"),
    "deeper": (f"data: {'[' * 100_000}", "is not YAML: line 1, "),
    "a long number": ("data: " + "9" * 5000, "is not YAML: line 1, column 7: a number of 5,000 digits."),
    "3,000 keys": (TEXT + "".join(f"key{i}: 1\n" for i in range(3_000)), "and more."),
    "a long text": (f"data: {'a' * 1_500_000}", "data: expected a string of at most 1,000,000 characters."),
    "a long key": (TEXT + f"{'a' * 900}: 1\n", "aaa...: unknown key. There is: data, "),
    "half a surrogate": (TEXT + 'task: "\\ud800"\n', "is not YAML: "),
    "NUL": (TEXT + 'task: "a\\0"\n', "task: expected a string without the character NUL. Received: 'a\\x00'."),
    "a tab": ("data:\n\tlabel: y\n", "is not YAML: line 2, column 1: a tab, where lines are indented by spaces."),
    "a key twice": ("data:\n  label: y\n  label: z\n", "line 3, column 3: the key 'label' occurs twice in one sec"),
    "a colon": ("data: label: y\n", "line 1, column 12: a second `: ` in one line: put a text th"),
    "an at": ("data: @x\n", "line 1, column 7: no value begins with @: put the text in quotes."),
    "nothing but a text": ("data", "must hold keys such as data and features. Received: 'data'"),
}  # fmt: skip


@pytest.mark.parametrize("case", FILES)
def test_a_file_that_is_refused(case: str, tmp_path: Path) -> None:
    text, message = FILES[case]
    path = written(tmp_path, text)
    found = refused(lambda: Config.load(path))
    assert found.startswith(str(path))
    assert message in found


def test_a_vocabulary_of_20_000_words_is_read(tmp_path: Path) -> None:
    words = [f"word{number}" for number in range(20_000)]
    values = copy.deepcopy(BASE)
    values["features"][1]["vocabulary"] = words
    assert Config.load(written(tmp_path, dump(values))).features[1].vocabulary == tuple(words)


def test_what_is_no_file_of_a_configuration(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    with (tmp_path / "long.yaml").open("wb") as file:
        file.truncate(2**40)  # a hole: it takes no room
    for path, kind in {"/dev/zero": "a device", str(tmp_path / "pipe"): "a pipe", str(tmp_path): "a folder"}.items():
        assert refused(lambda path=path: Config.load(path)) == f"{path} is {kind}: expected a file of YAML."
    assert "long.yaml is longer than 32 MiB" in refused(lambda: Config.load(tmp_path / "long.yaml"))
    assert "is neither a preset nor a file" in refused(lambda: Config.load("a" * 5000))
    assert "is neither a preset nor a file" in refused(lambda: Config.load("a\0b"))


def test_a_byte_order_mark_is_no_part_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_bytes(b"\xef\xbb\xbf" + TEXT.encode())
    assert Config.load(tmp_path / "c.yaml") == Config.of(BASE)


def test_an_override_changes_what_an_anchor_leads_to_in_one_place_only(tmp_path: Path) -> None:
    text = TEXT + "train: {wide_optimizer: &x {name: adam}, deep_optimizer: *x}\n"
    config = Config.load(written(tmp_path, text), ["train.deep_optimizer.learning_rate=0.5"])
    assert (config.train.wide_optimizer.learning_rate, config.train.deep_optimizer.learning_rate) == (0.001, 0.5)


NAMED = {"type": "categorical", "column": "年", "name": "zip"}
VALUES: list[tuple[str, Any, str]] = [
    ("train.batch_size", 2**63, "train.batch_size: expected at most 2147483647. Received: 9223372036854775808."),
    ("train.epochs", 2**70, "train.epochs: expected at most 9223372036854775807."),
    ("train.epochs", 10**400, "train.epochs: expected a number of at most 300 digits. Received: a number of 1329 b"),
    ("data.label", {"column": "y", "positive": -(10**300)}, "data.label.positive: expected a number of at most 300 di"),
    ("features.2", NAMED, "features[2]: Column '年' has no letter or digit that a graph input may carry."),
    ("train.steps_per_execution", 2**40, "train.steps_per_execution: expected at most 2147483647."),
    ("train.cache_bytes", 2**64, "train.cache_bytes: expected at most 9223372036854775807."),
    ("train.class_weights", {0: 1e300}, "train.class_weights.0: expected at most 3.4"),
    ("train.wide_optimizer", {"learning_rate": 1e308}, "train.wide_optimizer.learning_rate: expected at most 3.4"),
    ("train.deep_optimizer", {"beta_1": 2}, "train.deep_optimizer.beta_1: expected a number from 0 to below 1."),
    ("train.deep_optimizer", {"zz": 2}, "train.deep_optimizer.zz: the optimizer 'lazy_adam' has no option 'zz'."),
    ("train.deep_optimizer", {"l2": 2}, "no option 'l2'. Did you mean 'l2_regularization_strength'?"),
    ("model.hidden_units", [10**12], "model.hidden_units[0]: expected at most 2147483647. Received: 1000000000000."),
    ("model.l2", 1e39, "model.l2: expected at most 3.4"),
    ("data.csv", {"skip": 2**63}, "data.csv.skip: expected at most 2147483647."),
    ("data.since", 2**64, "data.since: expected at most 9223372036854775807 or "),
    ("features.0.fill", 1e39, "features[0].fill: expected 'median', 'mean' or at most 3.4"),
    ("features.1.min_count", 2**70, "features[1].min_count: expected at most 9223372036854775807."),
    ("features.1.max_size", 2**63, "features[1].max_size: expected at most 9223372036854775807."),
    ("features.2.hash_bins", 2**31, "features[2].hash_bins: expected at most 2147483647."),
    ("features.3.bins", 10**30, "features[3].bins: expected 'exact' or at most 2147483647."),
    ("features.1.name", "a" * 241, "features[1]: a feature's name is made of letters, digits and _, a"),
    ("features.1.column", "a" * 100_000, "features[1]: Column 'aaaaaaaaaaaaaaaaaaaa...' has a name of 1"),
    ("export.name", "a" * 241, "export: name becomes a folder"),
    ("ranking", {"user": "u", "item": "zip", "k": 2**40}, "ranking.k: expected at most 2147483647."),
]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "value", "message"), VALUES, ids=[f"{path}={value!r:.20}" for path, value, _ in VALUES]
)
def test_a_value_that_is_too_large(path: str, value: Any, message: str) -> None:
    assert message in refused(lambda: changed(path, value))


INTEGERS: list[tuple[list[Any], str]] = [
    ([1, 2**63], "vocabulary: expected 64-bit integers. Received: '9223372036854775808'."),
    ([1, -(2**63) - 1], "Received: '-9223372036854775809'."),
    ([1, "x"], "vocabulary: expected 64-bit integers. Received: 'x'."),
    (["1_0"], "Received: '1_0'."),
    (["１"], "Received: '１'."),
    (["1", "01"], "vocabulary: '1' and '01' are the same number."),
]


@pytest.mark.parametrize(("values", "message"), INTEGERS, ids=[message for _, message in INTEGERS])
def test_a_vocabulary_of_integers(values: list[Any], message: str) -> None:
    assert message in refused(lambda: Categorical("x", dtype="integer", vocabulary=values))
    assert Categorical("x", dtype="integer", vocabulary=[2**63 - 1, -(2**63), 0]).vocabulary is not None


HISTORY = {"name": "h", "user": "u", "item": "i", "time": "t"}
TWICE: list[tuple[str, Any, str]] = [
    ("data.csv", {"columns": ["a", "a", "b"]}, "data.csv.columns: 'a' is listed twice."),
    (
        "data.csv",
        {"null": []},
        "data.csv.null: expected at least one text that stands for a missing value, such as ''.",
    ),
    ("data.csv", {"quote": "é"}, "data.csv.quote: 'é' is not an ASCII character, as a quote and its escape must be."),
    ("data.csv", {"quote": ","}, "data.csv.quote: ',' is the delimiter too, or a part of it."),
    ("data.csv", {"null": ["", ","]}, "data.csv.null: ',' holds the delimiter ',', so that it cannot"),
    ("data.csv", {"delimiter": "\n"}, "data.csv.delimiter: '\\n' ends a line, and cannot be part of one."),
    ("data.key", ["a", "a"], "data.key: 'a' is listed twice."),
    ("data.history", [HISTORY] * 2, "data.history: 'h' is listed twice."),
    ("data.join", [{"data": "a.csv", "on": "k"}] * 2, "data.join: 'a.csv' is joined twice on the same column."),
    ("data.train", ["a.csv", "b.csv", "a.csv"], "data.train: 'a.csv' is listed twice."),
    ("data.train", ["tfds:x", "b.csv"], "data.train: expected a list of files. Received: 'tfds:x', wh"),
    ("data.train", [], "data.train: expected a string or a list of at least 1"),
    ("model.heads", ["wide", "wide"], "model.heads: 'wide' is listed twice."),
    ("export.formats", ["onnx", "onnx"], "export.formats: 'onnx' is listed twice."),
    ("train.class_weights", {0: 1, "0": 2}, "train.class_weights: '0' is listed twice."),
    ("train.class_weights", {"1": 1, "1.0": 2}, "train.class_weights: '1' is listed twice."),
    ("features.1.vocabulary", [1, "1"], "features[1].vocabulary: '1' is listed twice."),
    ("features.1.vocabulary", [True, "true"], "features[1].vocabulary: 'true' is listed twice."),
    ("features.3.keys", ["city", "zip", "city"], "features[3].keys: 'city' is listed twice."),
    ("features.0.normalization", ["log", "log"], "features[0].normalization: expected at least one form, each of"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "message"), TWICE, ids=[message for _, _, message in TWICE])
def test_what_stands_in_a_list_twice(path: str, value: Any, message: str) -> None:
    assert message in refused(lambda: changed(path, value))


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (["a", "b", "a"], "data.label.classes: 'a' and 'a' are the same label."),
        ([1, "1"], "data.label.classes: 1 and '1' are the same label."),
        (["1", "1.0"], "data.label.classes: '1' and '1.0' are the same label."),
        (["true", True], "data.label.classes: 'true' and 'true' are the same label."),
        (["True", "true"], "data.label.classes: 'True' and 'true' are the same label."),
        (["a", ""], "data.label.classes: '' stands for a missing label, so it cannot be a class."),
        (["a", "nan"], "data.label.classes: 'nan' stands for a missing label, so it cannot be a class."),
    ],
)
def test_classes_that_are_one_label(classes: list[Any], message: str) -> None:
    assert message in refused(
        lambda: Config.of({**BASE, "task": "multiclass", "data": {"label": {"column": "y", "classes": classes}}})
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("features.²=1", "features.²: the list has no element '²'. It has 0 to 3, or by name: age, city"),
        (f"features.{'9' * 5000}=1", "the list has no element '9999"),
        (f"{'a.' * 5000}b=1", "expected at most 32 levels"),
        ("train.epochs=[1", "--set train.epochs: '[1' is not a YAML value: line "),
        ("train.epochs=" + "9" * 5000, "is not a YAML value: line 1, column 1: a number of 5,000 digits."),
        ("data.train=~nobody-of-this-name/x", "names the home directory of an unknown user."),
        ("features.0=[]", "features[0]: expected a section of keys. Received: []."),
    ],
)  # fmt: skip
def test_overrides(change: str, message: str, tmp_path: Path) -> None:
    path = written(tmp_path, TEXT)
    assert message in refused(lambda: Config.load(path, [change]))


def shared(count: int) -> dict[str, Any]:
    """Features that share one embedding, crosses of them, and all names given."""
    features: list[dict[str, Any]] = [{"type": "categorical", "column": "c0", "embedding": 8}]
    features += [{"type": "categorical", "column": f"c{i}", "embedding": "c0"} for i in range(1, count)]
    features += [{"type": "cross", "keys": ["c0", f"c{i}"], "bins": 10} for i in range(1, count)]
    names = {f"c{i}": f"x{i}" for i in range(count)}
    ranking = {"user": "u", "item": "c1", "item_columns": [f"c{i}" for i in range(2, count)]}
    return {"data": {"label": "y", "names": names}, "features": features, "ranking": ranking}


def calls(work: Callable[[], Any]) -> int:
    """How many functions, Python's and C's, a piece of work calls."""
    count = 0

    def seen(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event.endswith("call")

    sys.setprofile(seen)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("step", ["check", "load", "override"])
def test_the_work_grows_with_the_features_and_not_with_their_square(step: str, tmp_path: Path) -> None:
    counts = []
    for size in (100, 400):
        values = shared(size)
        path = written(tmp_path, dump(values))
        change = [f"features.c{size // 2}.one_hot=true"]
        work = {
            "check": lambda values=values: Config.of(values),
            "load": lambda path=path: Config.load(path),
            "override": lambda path=path, change=change: Config.load(path, change),
        }[step]
        work()
        counts.append(calls(work))
    assert counts[1] < 4.5 * counts[0]
