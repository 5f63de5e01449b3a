"""Real clients of other projects: curl, node, Triton's, and KServe's where it is installed."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator

import numpy as np
import pytest
from contract_cases import PREDICT, ROW, columns, instances
from serving import ROOT, Served, models, served

ROWS = [ROW, {**ROW, "age": 20.0, "occupation": "電車男"}]


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with served(models()) as running:
        yield running


@pytest.fixture(scope="module")
def answers(server: Served) -> list[float]:
    return [row["probability"] for row in server.ask(PREDICT, instances(*ROWS)).json["predictions"]]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl(server: Served, answers: list[float]) -> None:
    url = f"http://localhost:{server.port}{PREDICT}"
    ran = subprocess.run(
        ["curl", "-sf", "--compressed", url, "-d", json.dumps(instances(*ROWS))], capture_output=True, check=True
    )
    assert [row["probability"] for row in json.loads(ran.stdout)["predictions"]] == answers


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_node(server: Served, answers: list[float]) -> None:
    program = """
    const [url, body] = process.argv.slice(1)
    fetch(url, {method: "POST", body}).then(async reply => console.log(reply.status, await reply.text()))
    """
    url = f"http://localhost:{server.port}{PREDICT}"
    ran = subprocess.run(
        ["node", "-e", program, url, json.dumps(instances(*ROWS))], capture_output=True, check=True, text=True
    )
    status, _, text = ran.stdout.partition(" ")
    assert status == "200"
    assert [row["probability"] for row in json.loads(text)["predictions"]] == answers


def test_triton_client(server: Served, answers: list[float]) -> None:
    from tritonclient import http

    client = http.InferenceServerClient(f"localhost:{server.port}")
    assert client.is_server_live()
    assert client.is_model_ready("census")
    inputs = []
    for name, values in columns(*ROWS).items():
        array = np.array(values, object if isinstance(values[0], str) else np.float32)
        entry = http.InferInput(name, [len(values)], "BYTES" if array.dtype == object else "FP32")
        entry.set_data_from_numpy(array)
        inputs.append(entry)
    for more in ({}, {"request_compression_algorithm": "gzip"}):
        found = client.infer("census", inputs, **more).as_numpy("probability")
        np.testing.assert_allclose(found, answers, rtol=1e-6)
    outputs = [http.InferRequestedOutput("logit", binary_data=False)]
    assert client.infer("census", inputs, outputs=outputs).as_numpy("logit").shape == (2,)


_KSERVE_PROGRAM = """
import asyncio, json, sys
from kserve import InferInput, InferRequest
from kserve.inference_client import InferenceRESTClient, RESTConfig

async def ask(url, columns, rows):
    by_row = await InferenceRESTClient(RESTConfig(protocol="v1")).infer(url, {"instances": rows}, model_name="census")
    client = InferenceRESTClient(RESTConfig(protocol="v2"))
    assert await client.is_server_live(url) and await client.is_server_ready(url)
    assert await client.is_model_ready(url, "census")
    inputs = []
    for name, values in columns.items():
        kind = "BYTES" if isinstance(values[0], str) else "FP32"
        inputs.append(InferInput(name=name, shape=[len(values)], datatype=kind, data=values))
    request = InferRequest(model_name="census", infer_inputs=inputs)
    by_tensor = await client.infer(url, request, model_name="census")
    found = {output.name: output.data for output in by_tensor.outputs}
    print(json.dumps([[row["probability"] for row in by_row["predictions"]], found["probability"]]))

asyncio.run(ask(sys.argv[1], *json.loads(sys.argv[2])))
"""
_KSERVE = ROOT / ".cache" / "servers" / "kserve" / "bin" / "python"


@pytest.mark.skipif(not _KSERVE.exists(), reason="make bench-servers has made no environment with KServe")
def test_kserve_client(server: Served, answers: list[float]) -> None:
    url = f"http://localhost:{server.port}"
    program = [str(_KSERVE), "-c", _KSERVE_PROGRAM, url, json.dumps([columns(*ROWS), ROWS])]
    ran = subprocess.run(program, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    by_row, by_tensor = json.loads(ran.stdout.splitlines()[-1])
    assert by_row == by_tensor == answers
