"""Metadata that were damaged or tampered with: one error with the file's name, whatever was done to them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx as onnx_format
import pytest
import reading_cases as cases

from export.parity.session import open_session
from export.serving import tf_serving as kit
from tfwd.data.reading import Reading
from tfwd.errors import ExportError, RunError, TfwdError
from tfwd.inference import metadata
from tfwd.inference.load import load_scorer
from tfwd.schema import Schema

Facts = dict[str, Any]


def described() -> Facts:
    """The metadata of the run's model, as JSON gives them back."""
    model = cases.trained().model
    facts = {"version": model.schema.version, **metadata.facts(model.schema, model.reading)}
    found: Facts = json.loads(json.dumps(facts))
    return found


def _set(path: str, value: Any) -> Callable[[Facts], None]:
    def change(facts: Facts) -> None:
        *parents, last = [int(part) if part.isdecimal() else part for part in path.split(".")]
        node: Any = facts
        for part in parents:
            node = node[part]
        node[last] = value

    return change


def _drop(path: str) -> Callable[[Facts], None]:
    def change(facts: Facts) -> None:
        section, key = path.split(".")
        del facts[section][key]

    return change


TAMPERED: dict[str, Callable[[Facts], None]] = {
    "schema is a list": _set("schema", []),
    "schema is null": _set("schema", None),
    "no inputs": _set("schema.inputs", []),
    "inputs are a text": _set("schema.inputs", "movie"),
    "an input is a number": _set("schema.inputs.0", 7),
    "an input has no name": _set("schema.inputs.0", {"column": "movie", "kind": "string"}),
    "a name is a number": _set("schema.inputs.0.name", 1),
    "two inputs of one name": _set("schema.inputs.0.name", "city"),
    "an unknown kind": _set("schema.inputs.0.kind", "complex"),
    "a kind that is a list": _set("schema.inputs.0.kind", ["string"]),
    "a kind that the graph does not take": _set("schema.inputs.0.kind", "float"),
    "lists that the graph does not take": _set("schema.inputs.0.length", 3),
    "a length below zero": _set("schema.inputs.0.length", -1),
    "a length beyond memory": _set("schema.inputs.0.length", 2**70),
    "half a surrogate pair": _set("schema.inputs.0.column", "\ud800"),
    "weights of nothing": _set("schema.inputs.0.weighs", "nothing"),
    "an input that the graph does not take": _set("schema.inputs.0.name", "other"),
    "another task": _set("schema.task", "regression"),
    "an unknown task": _set("schema.task", "clustering"),
    "one class": _set("schema.classes", ["yes"]),
    "classes that are numbers": _set("schema.classes", [0, 1]),
    "no label": _drop("schema.label"),
    "an unknown key": _set("schema.dialect", 1),
    "another version with more to say": lambda facts: (facts.update(version="9.1"), _set("schema.x", 1)(facts)),
    "counts of a binary task": _set("schema.counts", True),
    "a vector of no length": _set("schema.inputs.0.fixed", True),
    "reading is a text": _set("reading", "csv"),
    "an unknown key of the reading": _set("reading.sql", "1"),
    "a delimiter that is a section": _set("reading.csv.delimiter", {"a": 1}),
    "lines to skip below zero": _set("reading.csv.skip", -1),
    "a filter that is a number": _set("reading.filter", 5),
    "columns that are a list": _set("reading.columns", ["a"]),
    "a ranking without an item": _set("reading.ranking", {"user": "user"}),
    "an unknown format": _set("reading.format", "xml"),
}
"""What is done to a description; each makes it one that no tfwd wrote."""
RAW = {
    "no JSON": "{",
    "nothing": "",
    "nested": "[" * 100_000,
    "nested sections": '{"a":' * 100_000,
    "a long number": "1" * 5000,
    "NaN": "NaN",
}


def _text(name: str) -> Facts | str:
    if name in RAW:
        return RAW[name]
    facts = described()
    TAMPERED[name](facts)
    return facts


@pytest.fixture(scope="module")
def proto() -> onnx_format.ModelProto:
    return onnx_format.load(str(cases.kinds()["onnx"]))


@pytest.mark.parametrize("name", [*TAMPERED, *RAW])
def test_an_onnx_file(name: str, proto: onnx_format.ModelProto, tmp_path: Path) -> None:
    given = _text(name)
    made, path = onnx_format.ModelProto(), tmp_path / "tampered.onnx"
    made.CopyFrom(proto)
    del made.metadata_props[:]
    values = {"schema": given} if isinstance(given, str) else {k: json.dumps(v) for k, v in given.items()}
    values["version"] = given["version"] if isinstance(given, dict) else "0.4.0"
    onnx_format.helper.set_model_props(made, {f"tfwd_{key}": value for key, value in values.items()})
    onnx_format.save_model(made, str(path))
    with pytest.raises(RunError) as found:
        load_scorer(path)
    _is_one_sentence(str(found.value), path, name)


@pytest.mark.parametrize("name", [*TAMPERED, *RAW])
def test_a_saved_model(name: str, tmp_path: Path) -> None:
    given = _text(name)
    folder = tmp_path / "models" / "tampered" / "1"
    shutil.copytree(cases.kinds()["savedmodel"], folder)
    text = given if isinstance(given, str) else json.dumps(given)
    (folder / "assets.extra" / "tfwd.json").write_text(text, encoding="utf-8")
    with pytest.raises(RunError) as found:
        load_scorer(folder)
    _is_one_sentence(str(found.value), folder, name)
    if "graph" not in name and name != "another task":
        with pytest.raises(TfwdError):
            kit.write(tmp_path / "models")


@pytest.mark.parametrize("name", TAMPERED)
def test_the_constructors_say_what_is_wrong(name: str) -> None:
    """Those of a `.keras` file, which `load_model` makes a RunError of."""
    facts = described()
    TAMPERED[name](facts)
    if "graph" in name:
        assert Schema.from_dict(facts["schema"]) != cases.trained().model.schema
        return
    section, read = ("reading", Reading.from_dict) if facts["schema"] == described()["schema"] else ("schema", _schema)
    with pytest.raises(ValueError, match=f"^{section}"):
        read(facts[section])


def _schema(values: Any) -> Any:
    return Schema.from_dict(values)


def _is_one_sentence(message: str, path: Path, name: str) -> None:
    assert message.startswith(str(path))
    assert len(message) < 600
    assert "Traceback" not in message
    assert ("tfwd 9.1 wrote it" in message) == (name == "another version with more to say")


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    folder = tmp_path / "1"
    shutil.copytree(cases.kinds()["savedmodel"], folder)
    file = folder / "assets.extra" / "tfwd.json"
    for content in (b"\xff\xfe", b""):
        file.write_bytes(content)
        with pytest.raises(RunError, match=r"tfwd\.json is damaged"):
            load_scorer(folder)
    file.unlink()
    file.mkdir()
    with pytest.raises(RunError, match=r"tfwd\.json does"):
        load_scorer(folder)


@pytest.mark.parametrize("content", [b"", b"no record", None])
def test_the_page_of_a_model_whose_requests_are_damaged(content: bytes | None, tmp_path: Path) -> None:
    folder = tmp_path / "models" / "films" / "1"
    shutil.copytree(cases.kinds()["savedmodel"], folder)
    file = folder / "assets.extra" / "tf_serving_warmup_requests"
    file.write_bytes(file.read_bytes()[:-3] if content is None else content)
    with pytest.raises(ExportError, match="tf_serving_warmup_requests is damaged"):
        kit.write(tmp_path / "models")


def test_a_key_that_stands_twice(proto: onnx_format.ModelProto, tmp_path: Path) -> None:
    made = onnx_format.ModelProto()
    made.CopyFrom(proto)
    made.metadata_props.add(key="tfwd_reading", value="{}")
    onnx_format.save_model(made, str(tmp_path / "twice.onnx"))
    with pytest.raises(RunError, match=r"twice\.onnx is damaged: its metadata has tfwd_reading twice"):
        load_scorer(tmp_path / "twice.onnx")


@pytest.mark.parametrize("tables", ["", "[" * 100_000, "[1]", '{"wide": 3}', '{"wide": {}}'])
def test_the_check_of_a_file_whose_tables_say_nothing(
    tables: str, proto: onnx_format.ModelProto, tmp_path: Path
) -> None:
    made, path = onnx_format.ModelProto(), tmp_path / "tables.onnx"
    made.CopyFrom(proto)
    onnx_format.helper.set_model_props(made, {"tfwd_tables": tables})
    onnx_format.save_model(made, str(path))
    with pytest.raises(ExportError, match=r"tables\.onnx is damaged: its metadata has no readable tfwd_tables"):
        assert open_session(path).half is None
    path.write_bytes(b"no model")
    with pytest.raises(ExportError, match=r"tables\.onnx cannot be read as an ONNX model"):
        open_session(path)


@pytest.mark.parametrize("kind", ["onnx", "savedmodel", "keras"])
def test_a_file_of_an_older_version_does_not_say_how_it_is_read(kind: str, tmp_path: Path) -> None:
    """It scores as before: its inputs as they are in the file."""
    path = cases.kinds()[kind]
    if kind == "onnx":
        made = onnx_format.load(str(path))
        kept = {entry.key: entry.value for entry in made.metadata_props if entry.key != "tfwd_reading"}
        del made.metadata_props[:]
        onnx_format.helper.set_model_props(made, kept)
        path = tmp_path / "old.onnx"
        onnx_format.save_model(made, str(path))
    elif kind == "savedmodel":
        path = tmp_path / "1"
        shutil.copytree(cases.kinds()[kind], path)
        file = path / "assets.extra" / "tfwd.json"
        facts = json.loads(file.read_text(encoding="utf-8"))
        del facts["reading"]
        file.write_text(json.dumps(facts), encoding="utf-8")
    else:
        path = _without_reading(path, tmp_path)
    scorer = load_scorer(path)
    assert scorer.reading is None
    prepared = cases.trained().path / "data" / "test.parquet"
    found = load_scorer(cases.kinds()[kind]).predict(prepared)
    np.testing.assert_array_equal(scorer.predict(prepared)["probability"], found["probability"])


def _without_reading(path: Path, folder: Path) -> Path:
    import zipfile

    target = folder / "old.keras"
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, "w") as made:
        for name in source.namelist():
            content = source.read(name)
            if name == "config.json":
                config = json.loads(content)
                del config["config"]["reading"]
                content = json.dumps(config).encode()
            made.writestr(name, content)
    return target


def test_what_metadata_say_in_sql_goes_the_way_of_every_filter(tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    hostile = f"1=1); COPY (SELECT 1) TO '{target}'; --"
    changes = [
        {"filter": hostile},
        *({"columns": {**cases.COLUMNS, "year": sql}} for sql in (hostile, "getenv('HOME')")),
    ]
    for reading in changes:
        facts = described()
        facts["reading"] |= reading
        made = Reading.from_dict(facts["reading"])
        with pytest.raises(TfwdError, match=r"data\.(filter|columns\.year)"):
            made.open(cases.trained().config.data.test, Schema.from_dict(facts["schema"]), labelled=True)
    assert not target.exists()
