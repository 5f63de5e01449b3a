"""Every documented request, and what it is answered with: asked of a real server."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import pytest
from contract_cases import CASES, PREDICT, ROW, Case, binary, columns, infer, instances
from serving import Served, models, served

OPTIONS = ("--label", "census/stable=1", "--max-rows", "2000", "--max-list", "500", "--max-body-mb", "2")


@pytest.fixture(scope="module", params=["onnx", "tensorflow"])
def server(request: pytest.FixtureRequest) -> Iterator[Served]:
    with served(models(), *OPTIONS, "--backend", request.param) as running:
        yield running


def test_there_are_enough_requests() -> None:
    assert len(CASES) >= 150
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_answers_as_the_contract_says(server: Served, case: Case) -> None:
    reply = server.ask(case.path, case.body, dict(case.headers), case.method)
    content = reply.content
    if "inference-header-content-length" in reply.headers:
        content = content[: int(reply.headers["inference-header-content-length"])]
    assert reply.status == case.status, content
    assert reply.headers["content-type"] == "application/json"
    answer = json.loads(content)
    if callable(case.says):
        assert case.says(answer), answer
    else:
        assert set(answer) == {"error"}
        assert case.says in answer["error"]
    model_answered = reply.status == 200 and (":" in case.path or "infer" in case.path or "metadata" in case.path)
    assert reply.headers.get("x-model-version") == "1" or not model_answered


def test_numbers_are_those_of_the_model(server: Served) -> None:
    """By row, by column, in both protocols, alone and together: what the Keras model says."""
    from census_cases import trained

    from tfwd.inference.load import load_scorer

    rows = [ROW, {**ROW, "age": 20.0, "occupation": "Adm-clerical"}, {**ROW, "education": "", "hours_per_week": 99.0}]
    expected = load_scorer(trained().path).score({key: np.array(value) for key, value in columns(*rows).items()})
    by_row = server.ask(PREDICT, instances(*rows)).json["predictions"]
    np.testing.assert_allclose([row["probability"] for row in by_row], expected["probability"], atol=1e-6)
    np.testing.assert_allclose([row["logit"] for row in by_row], expected["logit"], atol=1e-5)
    by_column = server.ask(PREDICT, {"inputs": columns(*rows)}).json["outputs"]
    assert by_column["probability"] == [row["probability"] for row in by_row]
    by_v2 = server.ask("/v2/models/census/infer", infer(*rows)).json["outputs"]
    assert {tensor["name"]: tensor["data"] for tensor in by_v2} == by_column
    text, length = binary(*rows, back=True)
    reply = server.ask("/v2/models/census/infer", text, {"Inference-Header-Content-Length": length})
    start = int(reply.headers["inference-header-content-length"])
    assert np.frombuffer(reply.content[start:], "<f4").tolist() == np.float32(by_column["probability"]).tolist()
