"""Lists over HTTP: those of the run's own recommender, from the ONNX file and from the SavedModel alike."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import ranking_cases as cases
from serving import Served, served

PREDICT, INFER = "/v1/models/films:predict", "/v2/models/films/infer"
USERS = {
    "user_id": ["1", "2"],
    "liked": [["m1", "m2"], ["m3", ""]],
    "city": ["Drama Town", "Nowhere"],
    "age": [30.0, 40.0],
}


@pytest.fixture(scope="module", params=["onnx", "tensorflow"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Two versions, of which only the first has lists beside its ONNX file; a SavedModel has its lists inside."""
    target, exported = tmp_path_factory.mktemp("models") / "films", cases.exported()
    if request.param == "tensorflow":
        shutil.copytree(exported / "films" / "1", target / "1")
        shutil.copy(exported / "films.onnx", target / "1" / "model.onnx")
    else:
        for version in ("1", "2"):
            (target / version).mkdir(parents=True)
            shutil.copy(exported / "films.onnx", target / version / "model.onnx")
        shutil.copy(exported / "films.recommend.onnx", target / "1" / "model.recommend.onnx")
    with served(target.parent, "--keep-versions", "2", "--backend", request.param) as running:
        yield running


def asked(version: int = 1, **inputs: Any) -> tuple[str, dict[str, Any]]:
    path = PREDICT.replace(":", f"/versions/{version}:")
    return path, {"signature_name": "recommend", "inputs": {**USERS, **inputs}}


def test_the_lists_of_the_recommender(server: Served) -> None:
    users = cases.users().head(4)
    expected = cases.trained().recommend(users, k=5, include_seen=True)
    length = max(map(len, users["liked"]))
    inputs = {
        "user_id": users["user_id"].tolist(),
        "city": users["city"].tolist(),
        "age": users["age"].astype(float).tolist(),
        "liked": [[*items, *[""] * (length - len(items))] for items in users["liked"]],
    }
    answer = server.ask(*asked(**inputs, k=5)).json["outputs"]
    assert np.ravel(answer["items"]).tolist() == expected["movie_id"].tolist()
    np.testing.assert_allclose(np.ravel(answer["scores"]), expected["score"], atol=1e-6)


def test_what_may_be_left_out_and_given(server: Served) -> None:
    usual = server.ask(*asked()).json["outputs"]
    assert np.shape(usual["items"]) == np.shape(usual["titles"]) == np.shape(usual["scores"]) == (2, 10)
    first = usual["items"][0][0]
    without = server.ask(*asked(exclude=[[first], [""]], k=3)).json["outputs"]["items"]
    assert without == [usual["items"][0][1:4], usual["items"][1][:3]]
    among = server.ask(*asked(candidates=[["m5", "m7", first]], k=3)).json["outputs"]["items"]
    assert among[0][0] == first
    assert sorted(among[0]) == sorted(among[1]) == sorted(["m5", "m7", first])


def test_the_open_inference_protocol_lists_too(server: Served) -> None:
    def tensor(name: str, values: Any, datatype: str = "BYTES") -> dict[str, Any]:
        data = np.ravel(np.array(values, object)).tolist()
        return {"name": name, "datatype": datatype, "shape": list(np.shape(values)), "data": data}

    inputs = [tensor(name, values, "FP32" if name == "age" else "BYTES") for name, values in USERS.items()]
    body = {"parameters": {"signature_name": "recommend"}, "inputs": [*inputs, tensor("k", 4, "INT32")]}
    path = INFER.replace("/infer", "/versions/1/infer")
    found = {entry["name"]: entry for entry in server.ask(path, body).json["outputs"]}
    assert found["items"]["shape"] == [2, 4]
    assert found["items"]["data"] == np.ravel(server.ask(*asked(k=4)).json["outputs"]["items"]).tolist()


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        ({"k": 1_000_000}, "'k'"),
        ({"k": "5"}, "'k'"),
        ({"k": [5]}, "'k'"),
        ({"user_id": ["1"]}, "must have one number of rows"),
        ({"exclude": [["m1"]] * 3}, "'exclude' must have one row"),
        ({"candidates": [[5]]}, "candidates"),
    ],
)
def test_what_is_no_request_for_a_list(server: Served, inputs: dict[str, Any], says: str) -> None:
    reply = server.ask(*asked(**inputs))
    assert reply.status == 400
    assert says in reply.json["error"]


def test_without_lists_the_answer_says_what_writes_them(server: Served) -> None:
    if server.ask("/v2/models/films").json["platform"] == "tensorflow_savedmodel":
        assert server.ask(*asked()).status == 200
        return
    reply = server.ask(*asked(version=2))
    assert reply.status == 400
    assert "export.onnx writes that file" in reply.json["error"]
