"""Lists without TensorFlow, beside the signature `recommend` of the SavedModel of the same model."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import list_cases
import numpy as np
import onnx
import pytest
import ranking_cases as cases
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from export.parity.hostile import hostile_rows
from export.parity.known_values import known_values
from tfwd.data.rows import Rows
from tfwd.data.source import Source
from tfwd.errors import DataError, RunError
from tfwd.features.raw_tensors import tensors
from tfwd.inference.load import load_scorer
from tfwd.inference.metadata import of_saved_model
from tfwd.schema import MISSING
from tfwd.server.lists import Lists, largest, lists_beside

ROOT = Path(__file__).parents[2]
NAMES = ("user_id", "liked", "city", "age")
FILE = "films.onnx"
Inputs = dict[str, Any]


@functools.cache
def lists() -> Lists:
    return Lists(lists_beside(cases.exported() / FILE))


@functools.cache
def saved() -> Any:
    return tf.saved_model.load(str(cases.exported() / "films" / "1"))


def recommended(inputs: Inputs) -> dict[str, np.ndarray]:
    """What the SavedModel answers, with texts as `str`."""
    given = {"k": np.array(10, np.int32), "candidates": texts([[""]]), "exclude": texts([[""]]), **inputs}
    found = {name: values.numpy() for name, values in saved().signatures["recommend"](**tensors(given)).items()}
    return {
        name: texts([[item.decode() for item in row] for row in values], values.shape) if name != "scores" else values
        for name, values in found.items()
    }


def texts(rows: Any, shape: tuple[int, ...] | None = None) -> np.ndarray:
    return np.array(rows, object).reshape(shape or np.shape(rows))


@functools.cache
def real() -> Inputs:
    frame = cases.users().head(12)
    schema = list_cases.user_schema(cases.trained().model, NAMES)
    return dict(next(Rows(Source.open(frame), schema, labelled=False).batches(100)).inputs)


@functools.cache
def strange() -> Inputs:
    schema = list_cases.user_schema(cases.trained().model, NAMES)
    return dict(next(Rows(Source.open(list_cases.strange_users()), schema, labelled=False).batches(100)).inputs)


@functools.cache
def hostile() -> Inputs:
    model = cases.trained().model
    made = hostile_rows(model.schema, known_values(model), 60, seed=31)
    return {name: made[name] for name in NAMES}


def check(inputs: Inputs) -> None:
    found, expected = lists().recommend(inputs), recommended(inputs)
    assert list(found) == ["items", "scores", "titles"]
    assert {name: (v.dtype, v.shape) for name, v in found.items()} == {
        n: (v.dtype, v.shape) for n, v in expected.items()
    }
    np.testing.assert_allclose(found["scores"], expected["scores"], rtol=0, atol=1e-6)
    for name in ("items", "titles"):
        assert found[name].tolist() == expected[name].tolist()


@pytest.mark.parametrize("users", [real, strange, hostile])
def test_all_items_for_all_users(users: Any) -> None:
    check({**users(), "k": np.array(cases.ITEMS + 4, np.int32)})
    check(users())


@pytest.mark.parametrize("k", [-3, 0, 1, 7])
def test_any_length(k: int) -> None:
    check({**real(), "k": np.array(k, np.int32)})


def seen() -> Inputs:
    """What each of the users has seen."""
    return {"exclude": texts([[*items, *[""] * (60 - len(items))] for items in cases.users()["seen"].head(12)])}


LISTED: dict[str, Inputs] = {
    "candidates for all": {"candidates": texts([["m3", "m5", "no such item", "m3", "m8", ""]])},
    "candidates for each": {"candidates": texts([["m3", "m5", ""], ["", "", ""], ["none", "", ""]] * 4)},
    "no lists at all": {"candidates": np.empty((1, 0), object), "exclude": np.empty((12, 0), object)},
    "all seen but one": {"exclude": texts([[f"m{n}" for n in range(cases.ITEMS) if n != 17]])},
    "all seen": {"exclude": texts([[f"m{n}" for n in range(cases.ITEMS)]])},
    "candidates that are seen": {"candidates": texts([["m1", "m2", "m3"]]), "exclude": texts([["m2"], ["m1"]] * 6)},
}


@pytest.mark.parametrize("name", ["what was seen", *LISTED])
@pytest.mark.parametrize("k", [2, 95])
def test_candidates_and_what_is_excluded(name: str, k: int) -> None:
    check({**real(), **(LISTED[name] if name in LISTED else seen()), "k": np.array(k, np.int32)})


@pytest.mark.parametrize("length", [0, 1, 8, 23])
def test_lists_of_any_length_of_a_user(length: int) -> None:
    liked = texts([[f"m{(3 * place + row) % 90}" for place in range(length)] for row in range(12)], (12, length))
    check({**real(), "liked": liked})


def test_one_user_and_none() -> None:
    check({name: values[3:4] for name, values in real().items()})
    found = lists().recommend({name: values[:0] for name, values in real().items()} | {"k": 3})
    assert {values.shape for values in found.values()} == {(0, 3)}


def test_what_may_be_given() -> None:
    """Lists and tuples, bytes, other integers and floats: what they say counts, not how they are given."""
    expected = lists().recommend({**real(), "candidates": texts([["m1", "m2"]]), "k": np.array(3, np.int32)})
    other = {
        **real(),
        "city": [city.encode() for city in real()["city"]],
        "age": real()["age"].astype(np.float64),
        "candidates": [["m1", b"m2"]],
        "exclude": [[]],
        "k": 3,
    }
    assert str(lists().recommend(other)) == str(expected)


WRONG: dict[str, tuple[Inputs, str]] = {
    "missing": ({"city": None}, "recommend needs the input 'city'"),
    "unknown": ({"movie_id": texts(["m1"])}, "no input 'movie_id'. It takes: user_id, liked, city, age, k, candidates"),
    "rows": ({"city": texts(["a", "b"])}, "one number of rows. Received: 12 of 'user_id' and 2 of 'city'"),
    "rank": ({"liked": texts(["a"] * 12)}, r"'liked' takes the shape \(any, any\). Received: \(12,\)"),
    "ragged": ({"liked": [["a"], ["b", "c"]] * 6}, r"'liked' takes the shape \(any, any\)"),
    "numbers": ({"city": np.arange(12)}, "'city' takes text. Received: 0"),
    "text": ({"age": texts(["a"] * 12)}, "'age' takes numbers. Received: object"),
    "bytes": ({"city": [b"\xff"] * 12}, "'city' takes text. Received: text that is not valid UTF-8"),
    "half a character": ({"city": texts(["\ud800"] * 12)}, "'city' takes text. Received: text that is not valid UTF-8"),
    "length": ({"k": [3]}, r"'k' takes the shape \(\). Received: \(1,\)"),
    "part of a place": ({"k": 2.5}, "'k' takes a whole number of 32 bits. Received: float64"),
    "beyond": ({"k": 2**40}, "'k' takes a whole number of 32 bits. Received: 1099511627776"),
    "candidates": (
        {"candidates": texts([["m1"]] * 2)},
        "one row, for all users, or one for each. Received: 2 rows for 12 users",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_may_not_be_given(name: str) -> None:
    changed, message = WRONG[name]
    inputs = {key: value for key, value in {**real(), **changed}.items() if value is not None}
    with pytest.raises(DataError, match=message):
        lists().recommend(inputs)


@settings(deadline=None, max_examples=200)
@given(
    arrays(np.float32, st.integers(1, 40), elements=st.sampled_from([0.0, -0.0, 1.5, -2.0, 1e30])), st.integers(1, 50)
)
def test_the_largest_are_those_of_a_stable_sort(values: np.ndarray, count: int) -> None:
    assert largest(values, count).tolist() == np.argsort(-values, kind="stable")[:count].tolist()


def test_threads_do_not_disturb_each_other() -> None:
    asked = [{name: values[row : row + 1] for name, values in real().items()} for row in range(12)] * 5
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lists().recommend, asked))
    for inputs, answer in zip(asked, found, strict=True):
        assert str(answer) == str(lists().recommend(inputs))


def test_what_it_takes_and_returns() -> None:
    assert [tuple(spec) for spec in lists().inputs] == [
        ("user_id", "string", (None,), "", None),
        ("liked", "string", (None, None), "", None),
        ("city", "string", (None,), "", None),
        ("age", "float32", (None,), MISSING["float"], None),
        ("k", "int32", (), None, None),
        ("candidates", "string", (None, None), "", None),
        ("exclude", "string", (None, None), "", None),
    ]
    signature = saved().signatures["recommend"]
    takes = signature.structured_input_signature[1]
    assert {spec.name: spec.dtype for spec in lists().inputs} == {name: spec.dtype.name for name, spec in takes.items()}
    gives = signature.structured_outputs
    assert {spec.name: spec.dtype for spec in lists().outputs} == {
        name: spec.dtype.name for name, spec in gives.items()
    }
    assert int(lists().defaults["k"]) == 10


def test_a_savedmodel_says_how_many_items_it_lists(tmp_path: Path) -> None:
    version = cases.exported() / "films" / "1"
    assert of_saved_model(version).items == len(lists().ids) == cases.ITEMS
    facts = json.loads((version / "assets.extra" / "tfwd.json").read_text())
    (tmp_path / "assets.extra").mkdir()
    # Of an older version, and of nobody.
    for changed in ({}, {"catalogue": 5}, {"catalogue": {"items": "5"}}, {"catalogue": {"items": -1}}):
        text = json.dumps({key: value for key, value in facts.items() if key != "catalogue"} | changed)
        (tmp_path / "assets.extra" / "tfwd.json").write_text(text)
        assert of_saved_model(tmp_path).items is None


def test_nobody_waits_any_more() -> None:
    asked: list[int] = []

    def stopped() -> bool:
        asked.append(1)
        return len(asked) > 3

    with pytest.raises(TimeoutError, match="3 of 12 users had theirs"):
        lists().recommend(real(), stopped)
    assert len(asked) == 4


PROGRAM = """
import json, sys
from pathlib import Path
from tfwd.server.lists import Lists

found = Lists(Path(sys.argv[1])).recommend(json.loads(sys.argv[2]))
print(json.dumps([found["items"].tolist(), sorted({name.partition(".")[0] for name in sys.modules})]))
"""
HEAVY = {"tensorflow", "keras", "duckdb", "ibis", "pandas", "pyarrow", "onnx", "sqlglot", "pydantic", "yaml", "rich"}


def test_a_process_of_its_own_loads_onnx_runtime_and_little_else() -> None:
    inputs = {name: values[:2].tolist() for name, values in real().items()}
    command = [sys.executable, "-c", PROGRAM, str(lists_beside(cases.exported() / FILE)), json.dumps(inputs)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    shown = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    items, modules = json.loads(shown.stdout)
    assert items == lists().recommend(inputs)["items"].tolist()
    assert HEAVY & set(modules) == set()


def changed(folder: Path, key: str, value: str | None) -> Path:
    """The file with another value in its metadata."""
    proto = onnx.load(str(lists_beside(cases.exported() / FILE)))
    kept = {entry.key: entry.value for entry in proto.metadata_props if entry.key != key}
    del proto.metadata_props[:]
    onnx.helper.set_model_props(proto, kept if value is None else kept | {key: value})
    onnx.save_model(proto, str(folder / "changed.onnx"))
    return folder / "changed.onnx"


def test_files_that_are_no_lists(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"films\.onnx is a whole model. Expected: the file of the lists of a model"):
        Lists(cases.exported() / FILE)
    with pytest.raises(RunError, match=r"recommend\.onnx is the file of the lists of a model. Expected: a whole model"):
        load_scorer(lists_beside(cases.exported() / FILE))
    (tmp_path / "text.onnx").write_text("lists")
    for file in (tmp_path / "text.onnx", tmp_path / "absent.onnx", tmp_path):
        with pytest.raises(RunError, match="cannot be read as an ONNX model"):
            Lists(file)
    for key, value, message in (
        ("tfwd_catalogue", None, "is not a file of lists: its metadata has no tfwd_catalogue"),
        ("tfwd_catalogue", '{"k": 0}', "is damaged: its tfwd_catalogue has no length of a list, k"),
        ("tfwd_catalogue", "[" * 10_000, "is damaged: its tfwd_catalogue has no length of a list, k"),
        ("tfwd_schema", None, "was not exported by tfwd"),
    ):
        with pytest.raises(RunError, match=message):
            Lists(changed(tmp_path, key, value))
    schema = json.loads(lists_metadata()["tfwd_schema"])
    schema["inputs"] = [entry | {"name": entry["name"].replace("city", "town")} for entry in schema["inputs"]]
    with pytest.raises(RunError, match="is damaged: .* do not match: the graph takes 'city'"):
        Lists(changed(tmp_path, "tfwd_schema", json.dumps(schema)))


def lists_metadata() -> dict[str, str]:
    proto = onnx.load(str(lists_beside(cases.exported() / FILE)))
    return {entry.key: entry.value for entry in proto.metadata_props}
