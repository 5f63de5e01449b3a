"""The model repositories of the Triton kit, in a real Triton: loaded, asked, compared with ONNX Runtime.

`python -m tests.hostile.triton --server VENV [--models OUT]`

VENV is an environment of Python 3.11 with a Triton server, ONNX Runtime and the NumPy that they want:

    python3.11 -m venv VENV
    VENV/bin/pip install nvidia-pytriton==0.7.0 'numpy<2' onnxruntime

That server has the Python backend only. So the form `python` runs, and answers as ONNX Runtime does; so does the
ensemble, with the Python backend in the place of the other. The configurations as they are must get as far as the
backend that is not there, and spoilt ones must not.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import numpy as np
import onnx
import onnxruntime
import tritonclient.grpc as triton_client

from export.serving import triton, triton_config
from export.serving.settings import Settings
from tests.hostile.tally import Tally

TOLERANCE = 1e-6
ABSENT = r"unable to find backend library for backend 'onnxruntime'"
_RUNTIME = {"STRING": object, "INT64": np.int64, "INT32": np.int32, "FP32": np.float32}
_NAMES = {"STRING": "BYTES"}


class Server(NamedTuple):
    """A running server, or one that has refused its repository.

    Attributes:
        client: asks it; None if it has not started.
        log: what it has said.
    """

    client: triton_client.InferenceServerClient | None
    log: Path


def packages(environment: Path) -> Path:
    return next(environment.glob("lib/python3.11/site-packages"))


@contextlib.contextmanager
def backends(environment: Path) -> Iterator[Path]:
    """The backends of the server, with the stub for Python 3.11 where it looks for one."""
    found = packages(environment) / "pytriton" / "tritonserver"
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(found / "backends", Path(folder) / "backends")
        stub = found / "python_backend_stubs" / "3.11" / "triton_python_backend_stub"
        shutil.copy(stub, Path(folder) / "backends" / "python")
        yield Path(folder) / "backends"


@contextlib.contextmanager
def serving(environment: Path, backend: Path, repository: Path, seconds: float = 120) -> Iterator[Server]:
    """A server of a repository, from when it is ready, or has ended, until the end of the block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    libraries = packages(environment) / "nvidia_pytriton.libs"
    # The stub takes the environment whose `python3` it finds first.
    settings = {
        **os.environ,
        "PATH": f"{environment / 'bin'}:{os.environ['PATH']}",
        "LD_LIBRARY_PATH": f"{libraries}:{sysconfig.get_config_var('LIBDIR')}",
    }
    command = [
        str(packages(environment) / "pytriton" / "tritonserver" / "bin" / "tritonserver"),
        f"--model-repository={repository}",
        f"--backend-directory={backend}",
        "--allow-http=false",
        "--allow-metrics=false",
        "--grpc-address=127.0.0.1",
        f"--grpc-port={port}",
    ]
    log = repository.with_name(f"{repository.name}.log")
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=settings, start_new_session=True)
    client = triton_client.InferenceServerClient(f"127.0.0.1:{port}")
    try:
        until = time.monotonic() + seconds
        while process.poll() is None and time.monotonic() < until:
            with contextlib.suppress(triton_client.InferenceServerException):
                if client.is_server_ready():
                    break
            time.sleep(0.2)
        yield Server(client if process.poll() is None else None, log)
    finally:
        client.close()
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(40)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def rows(file: Path, count: int, width: int, seed: int) -> dict[str, np.ndarray]:
    """Rows for the inputs of a file: words that its look-ups know, others, nothing, numbers of all sizes and NaN."""
    random = np.random.default_rng(seed)
    words = ["", "no such word", "日本語", "a\x00b", *known(file)]
    found = {}
    for tensor in triton_config.signature(file).inputs:
        shape = (count, *(width if dim == -1 else dim for dim in tensor.dims))
        if tensor.kind == "STRING":
            found[tensor.name] = random.choice(np.array(words, object), shape)
        elif tensor.kind == "FP32":
            values = random.normal(0, 50, shape).astype(np.float32)
            values[random.random(shape) < 0.1] = np.nan
            found[tensor.name] = values
        else:
            found[tensor.name] = random.choice([-(2**63), -1, 0, 1, 3, 7, 2**62], shape).astype(np.int64)
    return found


def known(file: Path) -> list[str]:
    """Words of the look-ups of a file."""
    graph = onnx.load(str(file), load_external_data=False).graph
    words = {
        text.decode()
        for node in graph.node
        for attribute in node.attribute
        if attribute.name in ("keys_strings", "classes_strings")
        for text in attribute.strings[:50]
    }
    return sorted(words)


def infer(client: Any, name: str, inputs: dict[str, np.ndarray], kinds: dict[str, str]) -> dict[str, np.ndarray]:
    """The answers of a server; a scalar per row is sent as a list of one, as the server wants it."""
    tensors = []
    for key, values in inputs.items():
        sent = values[:, None] if values.ndim == 1 else values
        tensors.append(triton_client.InferInput(key, list(sent.shape), _NAMES.get(kinds[key], kinds[key])))
        tensors[-1].set_data_from_numpy(sent)
    answer = client.infer(name, tensors)
    return {entry.name: answer.as_numpy(entry.name) for entry in answer.get_response().outputs}


def difference(got: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> float:
    """The largest difference of two answers, relative to numbers beyond 1; texts must be equal."""
    assert set(got) == set(expected), f"{sorted(got)}, expected {sorted(expected)}"
    largest = 0.0
    for name, values in expected.items():
        own = got[name].reshape(values.shape)
        if values.dtype == object:
            assert [text.decode() for text in own.ravel()] == values.ravel().tolist(), name
        else:
            largest = max(largest, float((np.abs(own - values) / np.maximum(1, np.abs(values))).max(initial=0)))
    return largest


def compared(client: Any, name: str, file: Path, tally: Tally) -> float:
    """Compares a model of a server with its file: alone, in batches, and many requests of all sizes at once."""
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    kinds = {tensor.name: tensor.kind for tensor in triton_config.signature(file).inputs}
    outputs = [entry.name for entry in session.get_outputs()]

    def once(case: tuple[int, int, int]) -> float:
        given = rows(file, *case)
        return difference(
            infer(client, name, given, kinds), dict(zip(outputs, session.run(outputs, given), strict=True))
        )

    cases = [(count, 1 + seed % 4, seed) for seed, count in enumerate([1, 2, 7, 64, 256] * 12)]
    largest = 0.0
    with ThreadPoolExecutor(8) as pool:
        for case, found in zip(cases, pool.map(lambda case: _caught(once, case), cases), strict=True):
            tally.attempt(f"{name} {case}", lambda found=found: _raised(found))
            largest = max(largest, found if isinstance(found, float) else 0.0)
    if largest > TOLERANCE:
        tally.fault(name, f"differs from ONNX Runtime by {largest}")
    return largest


def _caught(function: Any, case: Any) -> Any:
    try:
        return function(case)
    except Exception as error:
        return error


def _raised(found: Any) -> None:
    if isinstance(found, Exception):
        raise found


def bad_neighbour(client: Any, name: str, file: Path, tally: Tally) -> None:
    """Requests with bytes that are no text, among good ones: only they get an error."""
    kinds = {tensor.name: tensor.kind for tensor in triton_config.signature(file).inputs}
    texts = [key for key, kind in kinds.items() if kind == "STRING"]
    if not texts:
        return

    def once(index: int) -> Any:
        given = rows(file, 3, 2, index)
        if index % 4 == 0:
            values = np.full(given[texts[0]].shape, b"\xff\xfe", object)
            given = {**given, texts[0]: values}
        return _caught(lambda _: infer(client, name, given, kinds), None)

    with ThreadPoolExecutor(8) as pool:
        for index, found in enumerate(pool.map(once, range(40))):
            refused = isinstance(found, triton_client.InferenceServerException)
            if refused != (index % 4 == 0):
                tally.fault(name, f"request {index} of bad and good ones: {found}")
            tally.done["done"] += 1


def twin_of_ensemble(folder: Path, version: Any) -> dict[str, Path]:
    """An ensemble of the Python backend, with the configuration of the ensemble as the kit writes it."""
    triton.FORMS[1].fill(folder, version, Settings(cores=1))
    for file, half in zip(version.halves, ("transform", "ranker"), strict=True):
        name = f"{version.name}_{half}"
        shutil.rmtree(folder / name)
        triton.python_model(folder, name, version.number, file, triton_config.signature(file), 1)
    return {version.name: version.folder / "model.onnx"}


def spoilt(config: str) -> Iterator[tuple[str, str]]:
    """Configurations with one mistake each, and what it is."""
    yield "an unknown key", config.replace("max_batch_size", "max_batch_sizes", 1)
    yield "an unknown type", config.replace("TYPE_FP32", "TYPE_FLOAT", 1)
    yield "a brace too few", config.rstrip().rstrip("}")
    yield "a reshape to more values", config.replace("reshape { shape: [ ] }", "reshape { shape: [ 2 ] }", 1)
    yield "an input without a shape", re.sub(r"dims: \[ 1 \]", "dims: [ ]", config, count=1)
    yield "a warm-up of an input that is not there", config.replace('inputs { key: "', 'inputs { key: "no_', 1)
    yield (
        "a wait that is no number",
        config.replace("max_queue_delay_microseconds: 5", "max_queue_delay_microseconds: x", 1),
    )


def run(environment: Path, output: Path) -> Tally:
    """Does all of it.

    Args:
        environment: with the server.
        output: a folder of models with ONNX files.
    """
    tally = Tally("Triton", 60)
    from export.serving.found import newest, versions

    kit = triton.write(output, Settings(cores=2))
    models = versions(output)
    whole, halves = newest(models, lambda v: v.onnx), newest(models, lambda v: v.halves)
    with backends(environment) as backend, tempfile.TemporaryDirectory() as scratch:
        with serving(environment, backend, kit / "python") as server:
            if server.client is None:
                tally.fault("python", server.log.read_text(errors="replace")[-3000:])
            for name, version in whole.items() if server.client else ():
                print(f"python {name}: {compared(server.client, name, version.onnx, tally):.1e} from ONNX Runtime")
                bad_neighbour(server.client, name, version.onnx, tally)
        for name, version in halves.items():
            folder = Path(scratch) / f"ensemble-{name}"
            folder.mkdir()
            twin_of_ensemble(folder, version)
            with serving(environment, backend, folder) as server:
                if server.client is None:
                    tally.fault("ensemble", server.log.read_text(errors="replace")[-3000:])
                else:
                    found = compared(server.client, name, version.onnx, tally)
                    print(f"ensemble {name}: {found:.1e} from ONNX Runtime")
        for form in ("onnxruntime", "ensemble"):
            if (kit / form).is_dir():
                refused_for_the_backend(environment, backend, kit / form, tally)
        # Of the form that the server has a backend for: of the others it reads no further than the backend's name.
        name = min(whole)
        good = (kit / "python" / name / "config.pbtxt").read_text()
        for what, text in spoilt(good):
            folder = Path(scratch) / re.sub(r"\W", "-", what)
            shutil.copytree(kit / "python" / name, folder / name)
            (folder / name / "config.pbtxt").write_text(text)
            with serving(environment, backend, folder) as server:
                if server.client is not None or text == good:
                    tally.fault(name, f"{what} was not noticed")
            tally.done["done"] += 1
    for log in kit.glob("*.log"):
        log.unlink()
    return tally


def refused_for_the_backend(environment: Path, backend: Path, repository: Path, tally: Tally) -> None:
    """Starts a server whose models all miss their backend, and nothing else."""
    with serving(environment, backend, repository) as server:
        said = server.log.read_text(errors="replace")
    names = [folder.name for folder in repository.iterdir() if "backend:" in (folder / "config.pbtxt").read_text()]
    for name in names:
        if not re.search(rf"failed to load '{name}'.*{ABSENT}|{name}.*{ABSENT}", said):
            tally.fault(name, f"stops elsewhere than at the backend: {said[-3000:]}")
        tally.done["done"] += 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", type=Path, required=True, metavar="VENV")
    parser.add_argument("--models", type=Path, metavar="OUT", help="a folder of models [default: models of the tests]")
    given = parser.parse_args()
    # The server ends with this program, also when that is told to end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    if given.models is not None:
        return run(given.server.resolve(), given.models).close()
    sys.path[:0] = [str(Path(__file__).parent.parent), str(Path(__file__).parent.parent / "export")]
    from kit_cases import onnx_models

    with tempfile.TemporaryDirectory() as folder:
        onnx_models(Path(folder))
        return run(given.server.resolve(), Path(folder)).close()


if __name__ == "__main__":
    sys.exit(main())
