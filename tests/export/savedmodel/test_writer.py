"""The SavedModel, read the way TF Serving reads it: by the TF1 loader, with the tag serve and by signature."""

from __future__ import annotations

import functools
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from export_models import FEATURES, as_tensors, everything, random_rows
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import prediction_log_pb2

from export.savedmodel import warmup
from export.savedmodel import writer as savedmodel
from tfwd.errors import ExportError
from tfwd.features.layout import Layout
from tfwd.model.wide_deep import WideDeep
from tfwd.schema import Schema

SIGNATURES = {
    "binary": {"serving_default", "transform", "classify", "regress"},
    "multiclass": {"serving_default", "transform", "classify"},
    "regression": {"serving_default", "transform", "regress"},
}
Serve = Callable[[str, dict[str, Any]], dict[str, np.ndarray]]


@functools.cache
def serving(folder: Path) -> tuple[Serve, Any]:
    """Runs a signature in a TF1 session."""
    graph = tf.Graph()
    session = tf.compat.v1.Session(graph=graph)
    with graph.as_default():
        loaded = tf.compat.v1.saved_model.loader.load(session, ["serve"], str(folder))

    def serve(signature: str, inputs: dict[str, Any]) -> dict[str, np.ndarray]:
        found = loaded.signature_def[signature]
        feeds = {found.inputs[name].name: value for name, value in inputs.items()}
        return session.run({name: info.name for name, info in found.outputs.items()}, feeds)

    return serve, loaded


def raw(rows: dict[str, np.ndarray]) -> dict[str, Any]:
    return {name: values.tolist() if values.dtype == object else values for name, values in rows.items()}


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_serving_default_answers_as_the_model_does(
    task: str, models: dict[str, WideDeep], exports: dict[str, tuple[Path, Path]]
) -> None:
    model, rows = models[task], random_rows(200, seed=5)
    serve, loaded = serving(exports[task][0])
    assert set(loaded.signature_def) - {"__saved_model_init_op"} == SIGNATURES[task]
    answer = serve("serving_default", raw(rows))
    expected = model(as_tensors(rows)).numpy()
    if task == "regression":
        assert set(answer) == {"prediction"}
        np.testing.assert_allclose(answer["prediction"], expected[:, 0], rtol=1e-5, atol=1e-5)
    elif task == "binary":
        assert set(answer) == {"probability", "logit"}
        np.testing.assert_allclose(answer["probability"], expected[:, 0], atol=1e-6, rtol=0)
        np.testing.assert_allclose(1 / (1 + np.exp(-answer["logit"])), expected[:, 0], atol=1e-6)
    else:
        assert set(answer) == {"probability", "logit", "classes"}
        np.testing.assert_allclose(answer["probability"], expected, atol=1e-6, rtol=0)
        assert answer["classes"].tolist() == [[b"low", b"middle", b"high"]] * 200


def test_keras_takes_it_as_a_layer(models: dict[str, WideDeep], exports: dict[str, tuple[Path, Path]]) -> None:
    rows = random_rows(20, seed=6)
    layer = keras.layers.TFSMLayer(str(exports["binary"][0]), call_endpoint="serve")
    expected = models["binary"](as_tensors(rows)).numpy()[:, 0]
    np.testing.assert_allclose(layer(as_tensors(rows))["probability"], expected, atol=1e-6)


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_transform_gives_the_ids_the_model_sees(
    task: str, models: dict[str, WideDeep], exports: dict[str, tuple[Path, Path]]
) -> None:
    rows = random_rows(100, seed=6)
    found = serving(exports[task][0])[0]("transform", raw(rows))
    expected = models[task].transform(as_tensors(rows))
    assert set(found) == set(expected)
    for name, values in expected.items():
        if name == "numeric":
            np.testing.assert_allclose(found[name], values, rtol=1e-6, atol=1e-6)
        else:
            np.testing.assert_array_equal(found[name], values)


def test_classify_and_regress_take_examples_in_which_features_may_be_missing(
    models: dict[str, WideDeep], exports: dict[str, tuple[Path, Path]]
) -> None:
    rows = random_rows(64, seed=7)
    for task in ("binary", "multiclass", "regression"):
        serve, _ = serving(exports[task][0])
        examples = warmup.examples(models[task].schema, rows)
        assert min(len(example.features.feature) for example in examples) < len(rows)
        serialized = [example.SerializeToString() for example in examples]
        expected = models[task](as_tensors(rows)).numpy()
        if task != "regression":
            found = serve("classify", {"inputs": serialized})
            columns = np.hstack([1 - expected, expected]) if task == "binary" else expected
            np.testing.assert_allclose(found["scores"], columns, atol=1e-6, rtol=0)
            assert found["classes"].shape == found["scores"].shape
            assert found["classes"][0].tolist() == [name.encode() for name in models[task].schema.classes]
        if task != "multiclass":
            outputs = serve("regress", {"inputs": serialized})["outputs"]
            assert outputs.shape == (64, 1)
            np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-6)


def test_an_empty_example_is_a_row_of_missing_values(
    models: dict[str, WideDeep], exports: dict[str, tuple[Path, Path]]
) -> None:
    serve, _ = serving(exports["binary"][0])
    missing = {"string": "", "integer": -(2**63), "float": np.nan}
    row = {entry.name: np.array([missing[entry.kind]], object) for entry in models["binary"].schema.inputs}
    found = serve("regress", {"inputs": [tf.train.Example().SerializeToString()]})["outputs"][0, 0]
    assert found == serve("serving_default", row)["probability"][0]


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_the_file_has_servings_method_names_the_tag_serve_and_no_optimizer(
    task: str, exports: dict[str, tuple[Path, Path]]
) -> None:
    folder = exports[task][0]
    proto = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    assert [list(graph.meta_info_def.tags) for graph in proto.meta_graphs] == [["serve"]]
    methods = {key: definition.method_name for key, definition in proto.meta_graphs[0].signature_def.items()}
    for key in SIGNATURES[task]:
        kind = key if key in ("classify", "regress") else "predict"
        assert methods[key] == f"tensorflow/serving/{kind}"
    nodes = [node for function in proto.meta_graphs[0].graph_def.library.function for node in function.node_def]
    assert not [node.name for node in nodes if "_XlaMustCompile" in node.attr and node.attr["_XlaMustCompile"].b]
    variables = tf.train.list_variables(str(folder / "variables" / "variables"))
    assert not [name for name, _ in variables if "optimizer" in name.lower() or "accumulator" in name.lower()]


def test_no_more_numbers_are_saved_than_the_model_has(
    models: dict[str, WideDeep], exports: dict[str, tuple[Path, Path]]
) -> None:
    saved = tf.train.list_variables(str(exports["binary"][0] / "variables" / "variables"))
    model = models["binary"]
    counted = sum(int(np.prod(v.shape)) for v in (*model.transform.variables, *model.ranker.variables))
    assert sum(int(np.prod(shape)) for name, shape in saved if "OBJECT_GRAPH" not in name) == counted


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_every_warm_up_request_is_answered(task: str, exports: dict[str, tuple[Path, Path]]) -> None:
    folder = exports[task][0]
    serve, _ = serving(folder)
    records = list(tf.data.TFRecordDataset(str(folder / "assets.extra" / "tf_serving_warmup_requests")))
    assert 0 < len(records) <= 1000
    seen = set()
    for record in records:
        log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
        kind = log.WhichOneof("log_type")
        request = getattr(log, kind).request
        signature = request.model_spec.signature_name
        assert request.model_spec.name == task
        assert kind == f"{signature if signature in ('classify', 'regress') else 'predict'}_log"
        if kind == "predict_log":
            answer = serve(signature, {name: tf.make_ndarray(value) for name, value in request.inputs.items()})
        else:
            examples = request.input.example_list.examples
            answer = serve(signature, {"inputs": [example.SerializeToString() for example in examples]})
        assert all(np.isfinite(value).all() for value in answer.values() if value.dtype.kind == "f")
        seen.add(signature)
    assert seen == SIGNATURES[task]


def test_the_schema_and_the_layout_go_along(models: dict[str, WideDeep], exports: dict[str, tuple[Path, Path]]) -> None:
    facts = json.loads((exports["binary"][0] / "assets.extra" / "tfwd.json").read_text(encoding="utf-8"))
    assert Schema.from_dict(facts["schema"]) == models["binary"].schema
    assert Layout.from_dict(facts["layout"]) == models["binary"].layout
    assert facts["version"] == "0.1.0"


def test_a_reader_that_polls_sees_whole_versions_only(tmp_path: Path) -> None:
    models = [everything(heads=(head,), features=FEATURES[:1]) for head in ("wide", "deep")]
    half: list[str] = []
    versions: set[str] = set()
    done = threading.Event()

    def poll() -> None:
        while not done.wait(0.001):
            for entry in os.scandir(tmp_path / "wide"):
                if entry.name.isdecimal():
                    versions.add(entry.name)
                    whole = ("saved_model.pb", "variables/variables.index", "assets.extra/tf_serving_warmup_requests")
                    half.extend(f"{entry.name}/{part}" for part in whole if not os.path.exists(f"{entry.path}/{part}"))

    (tmp_path / "wide").mkdir()
    reader = threading.Thread(target=poll)
    reader.start()
    try:
        paths = [savedmodel.save(model, tmp_path, name="wide") for model in models]
    finally:
        done.set()
        reader.join()
    assert [path.relative_to(tmp_path).as_posix() for path in paths] == ["wide/1", "wide/2"]
    assert half == []
    assert versions >= {"1"}
    assert sorted(os.listdir(tmp_path / "wide")) == ["1", "2"]


def test_a_version_is_never_replaced_and_a_failed_export_leaves_nothing(
    models: dict[str, WideDeep], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "wide"
    (folder / "7").mkdir(parents=True)
    (folder / "7" / "saved_model.pb").write_text("mine")
    with pytest.raises(ExportError, match=r"7 exists already\. The next free version is 8"):
        savedmodel.save(models["wide"], tmp_path, name="wide", version=7)
    with pytest.raises(ExportError, match="a letter first"):
        savedmodel.save(models["wide"], tmp_path, name="../wide")
    rows = {name: values for name, values in random_rows(3).items() if name != "age"}
    with pytest.raises(ExportError, match=r"lack the inputs \['age'\]"):
        savedmodel.save(models["wide"], tmp_path, name="wide", rows=rows)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(warmup, "write", full)
    with pytest.raises(OSError, match="No space"):
        savedmodel.save(models["wide"], tmp_path, name="wide")
    assert os.listdir(folder) == ["7"]
    assert (folder / "7" / "saved_model.pb").read_text() == "mine"


def test_invalid_utf8_is_out_of_vocabulary_not_an_error(exports: dict[str, tuple[Path, Path]]) -> None:
    serve, _ = serving(exports["binary"][0])
    rows = raw(random_rows(2, seed=8))
    rows["class_"] = [b"plain\xff\xfe", "unknown"]
    rows = {name: [values[0]] * 2 if name != "class_" else values for name, values in rows.items()}
    found = serve("serving_default", rows)["probability"]
    assert found[0] == found[1]
