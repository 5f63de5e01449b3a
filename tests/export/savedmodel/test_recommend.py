"""The signature `recommend`, read as TF Serving reads it: equal to serving_default, sorted; spoilt ones are refused."""

from __future__ import annotations

import ast
import dataclasses
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ranking_cases as cases
import reasons_cases
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from export.pipeline import export_run, recommended
from export.savedmodel import recommend
from export.savedmodel.writer import save
from export.serving import tf_serving as kit
from tfwd.data.rows import Rows
from tfwd.data.source import Source
from tfwd.errors import ExportError
from tfwd.features.raw_tensors import tensors
from tfwd.recommend.top_k import ListMaker
from tfwd.run import Run


@pytest.fixture(scope="module")
def exported() -> tuple[Path, ListMaker]:
    """What the command exports of a run that it opens, and the lists of the same run."""
    return cases.exported() / "films" / "1", recommended(cases.trained())["lists"]


@pytest.fixture(scope="module")
def served(exported: tuple[Path, ListMaker]) -> Any:
    """A TF1 session with the model, and its signatures."""
    session = tf.compat.v1.Session(graph=tf.Graph())
    with session.graph.as_default():
        loaded = tf.compat.v1.saved_model.loader.load(session, ["serve"], str(exported[0]))

    def serve(signature: str, **inputs: Any) -> dict[str, np.ndarray]:
        found = loaded.signature_def[signature]
        feeds = {found.inputs[name].name: value for name, value in inputs.items()}
        return session.run({name: info.name for name, info in found.outputs.items()}, feeds)

    return serve, loaded.signature_def


def users(lists: ListMaker, count: int) -> dict[str, Any]:
    schema = dataclasses.replace(cases.trained().model.schema, inputs=lists.scorer.user_inputs)
    batch = next(Rows(Source.open(cases.users()), schema, labelled=False).batches(count))
    return {name: np.array(values.tolist()) for name, values in batch.inputs.items()}


def test_the_signature_has_the_inputs_of_the_user_and_defaults(served: Any) -> None:
    signature = served[1]["recommend"]
    assert set(signature.inputs) == {"user_id", "city", "age", "liked", "k", "candidates", "exclude"}
    assert set(signature.outputs) == {"items", "scores", "titles"}
    defaults = {name: tf.make_ndarray(value) for name, value in signature.defaults.items()}
    assert int(defaults["k"]) == 10
    assert defaults["candidates"].tolist() == defaults["exclude"].tolist() == [[b""]]
    assert signature.method_name == "tensorflow/serving/predict"


def test_a_list_is_serving_default_sorted(served: Any, exported: tuple[Path, ListMaker]) -> None:
    serve, _ = served
    lists = exported[1]
    asked = users(lists, 5)
    seen = cases.users()["seen"].head(5).tolist()
    longest = max(map(len, seen))
    exclude = [[*items, *[""] * (longest - len(items))] for items in seen]
    found = serve("recommend", **asked, k=7, candidates=[[""]], exclude=exclude)
    titles = dict(zip(cases.items()["movie_id"], cases.items()["title"], strict=True))
    catalogue = lists.catalogue
    for row in range(5):
        pairs = {name: np.repeat(values[row : row + 1], len(catalogue), axis=0) for name, values in asked.items()}
        items = {name: np.array(values.tolist()) for name, values in catalogue.inputs.items()}
        scores = serve("serving_default", **pairs, **items)["probability"]
        allowed = [place for place, item in enumerate(catalogue.ids) if item not in seen[row]]
        expected = sorted(allowed, key=lambda place: -scores[place])[:7]
        assert [item.decode() for item in found["items"][row]] == [catalogue.ids[place] for place in expected]
        np.testing.assert_allclose(found["scores"][row], scores[expected], atol=1e-6)
        listed = [item.decode() for item in found["items"][row]]
        assert [title.decode() for title in found["titles"][row]] == [titles[item] for item in listed]


def test_where_there_are_fewer_items_than_places(served: Any, exported: tuple[Path, ListMaker]) -> None:
    found = served[0]("recommend", **users(exported[1], 2), k=4, candidates=[["m1", "m2", "x"]], exclude=[["m2"]])
    assert found["items"].tolist() == [[b"m1", b"", b"", b""]] * 2
    assert found["titles"][0].tolist()[1:] == [b"", b"", b""]
    assert found["scores"][:, 1:].tolist() == [[0.0] * 3] * 2


def test_the_warm_up_asks_for_lists(served: Any, exported: tuple[Path, ListMaker]) -> None:
    file = exported[0] / "assets.extra" / "tf_serving_warmup_requests"
    logs = [prediction_log_pb2.PredictionLog.FromString(r.numpy()) for r in tf.data.TFRecordDataset(str(file))]
    asked = [
        log.predict_log.request for log in logs if log.predict_log.request.model_spec.signature_name == "recommend"
    ]
    assert 0 < len(asked) <= len(logs) <= 1000
    for request in asked[:3]:
        found = served[0]("recommend", **{name: tf.make_ndarray(value) for name, value in request.inputs.items()})
        assert found["items"].shape == (1, 10)


def test_a_signature_that_disagrees_is_refused(exported: tuple[Path, ListMaker]) -> None:
    folder, lists = exported
    loaded = tf.saved_model.load(str(folder))
    rows = cases.trained().sample(3)
    assert rows is not None
    recommend.check(cases.trained().model, lists, loaded, rows)

    class Spoilt:
        """The loaded model, the first two places of every list exchanged, or all scores moved."""

        def __init__(self, change: Any) -> None:
            def listed(**inputs: Any) -> Any:
                return change({name: value.numpy() for name, value in loaded.signatures["recommend"](**inputs).items()})

            self.signatures = {"recommend": listed, "serving_default": loaded.signatures["serving_default"]}

    def exchanged(found: dict[str, Any]) -> dict[str, tf.Tensor]:
        order = np.r_[1, 0, 2 : found["items"].shape[1]]
        return {name: tf.constant(values[:, order]) for name, values in found.items()}

    def moved(found: dict[str, Any]) -> dict[str, tf.Tensor]:
        return {**{n: tf.constant(v) for n, v in found.items()}, "scores": tf.constant(found["scores"] + 1e-4)}

    def repeated(found: dict[str, Any]) -> dict[str, tf.Tensor]:
        order = np.r_[0, 0, 2 : found["items"].shape[1]]
        return {name: tf.constant(values[:, order]) for name, values in found.items()}

    for change, message in ((exchanged, "place 1 has"), (moved, "place 1 has"), (repeated, "lists 89 items")):
        with pytest.raises(ExportError, match=message):
            recommend.check(cases.trained().model, lists, Spoilt(change), rows)


@pytest.mark.long
def test_training_exports_it(tmp_path: Path) -> None:
    """What a run that ranks exports has the signature; a run without a catalogue has nothing to make it of."""
    copy = tmp_path / "run"
    shutil.copytree(reasons_cases.trained().path, copy)
    (copy / "data").mkdir(exist_ok=True)
    reasons_cases.items().to_parquet(copy / "data" / "items.parquet", index=False)
    text = (copy / "config.yaml").read_text(encoding="utf-8").replace("formats: []", "formats: [savedmodel]")
    (copy / "config.yaml").write_text(text, encoding="utf-8")
    run = Run.open(copy)
    (written,) = export_run(run)
    loaded = tf.saved_model.load(str(written))
    lists, rows = recommended(run)["lists"], run.sample(2)
    assert rows is not None
    found = loaded.signatures["recommend"](**tensors(recommend.requests(lists, rows, 5)))
    assert found["items"].shape == (2, 5)
    (copy / "data" / "items.parquet").unlink()
    assert recommended(Run.open(copy)) == {}


def test_the_command_exports_it_from_a_run_that_it_opens(served: Any, exported: tuple[Path, ListMaker]) -> None:
    rows, lists = cases.trained().sample(2), exported[1]
    assert rows is not None
    request = recommend.requests(lists, rows, 5)
    asked = tensors(request)
    options = (asked[name] for name in ("k", "candidates", "exclude"))
    own = lists({entry.name: asked[entry.name] for entry in lists.scorer.user_inputs}, *options)
    found = served[0]("recommend", **{name: np.array(values.tolist()) for name, values in request.items()})["items"]
    assert [item.decode() for item in found.ravel()] == lists.catalogue.ids[own.places.numpy().ravel()].tolist()


def test_the_page_for_serving_has_a_row_and_a_user_that_the_model_takes(
    exported: tuple[Path, ListMaker], served: Any
) -> None:
    """Lists as JSON has them, without the padding of the warm-up's arrays."""
    page = (kit.write(exported[0].parent.parent) / "README.md").read_text(encoding="utf-8")
    assert "| `liked` | list of string, of which the latest 8 count |" in page
    asked = [json.loads(text.replace("'\\''", "'")) for text in re.findall(r"curl -d '(.*)' http", page)]
    (row,), request = asked[0]["instances"], asked[1]
    assert row["liked"]
    assert "" not in row["liked"]
    one = served[0]("serving_default", **{name: np.array([value]) for name, value in row.items()})
    assert 0 < float(one["probability"][0]) < 1
    assert request["signature_name"] == "recommend"
    found = served[0]("recommend", **{name: np.array(value) for name, value in request["inputs"].items()})
    assert found["items"].shape == (1, 10)
    assert set(found["items"][0].tolist()) <= {item.encode() for item in exported[1].catalogue.ids}
    source = re.search(r"row = \{.*?\}\n", page, re.DOTALL)
    assert source is not None
    assert ast.literal_eval(source.group().removeprefix("row = ")) == {name: [value] for name, value in row.items()}


def test_the_clients_of_the_kit_ask_for_lists(exported: tuple[Path, ListMaker], served: Any) -> None:
    folder = kit.write(exported[0].parent.parent) / "clients" / exported[0].parent.name
    body = json.loads((folder / "recommend.json").read_text(encoding="utf-8"))
    space: dict[str, Any] = {"__name__": "grpc_client", "__file__": str(folder / "grpc_client.py")}
    exec((folder / "grpc_client.py").read_text(), space)
    requests = dict(space["requests"]())
    assert set(requests) == {"predict", "recommend"}
    for name, request in requests.items():
        given = {key: tf.make_ndarray(value) for key, value in request.inputs.items()}
        definition = served[1][request.model_spec.signature_name]
        assert {key: info.dtype for key, info in definition.inputs.items()} == {
            key: value.dtype for key, value in request.inputs.items()
        }
        found = served[0](request.model_spec.signature_name, **given)
        if name == "recommend":
            own = served[0](name, **{key: np.array(value) for key, value in body["inputs"].items()})
            assert found["items"].tolist() == own["items"].tolist()
    # `k` is a scalar, with which TF Serving's batching session refuses the warm-up.
    assert not (exported[0] / "batching_params.pbtxt").exists()


def test_lists_of_another_model_are_refused(exported: tuple[Path, ListMaker], tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="belong to another model"):
        save(Run.open(cases.trained().path).model, tmp_path, name="films", lists=exported[1])
