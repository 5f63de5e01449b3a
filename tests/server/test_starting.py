"""What a server says that cannot start as it is told to: its options, ports that are taken, packages that it lacks."""

from __future__ import annotations

import asyncio
import sys

import grpc
import pytest
import typer
from serving import ROOT, census_version, free_port, models, port_in_use
from tensorflow_serving.apis import get_model_status_pb2, model_service_pb2_grpc
from typer.testing import CliRunner

from tfwd.cli import serve as command
from tfwd.errors import ConfigError
from tfwd.server import grpc_service, launch
from tfwd.server.app import Server
from tfwd.server.settings import Listening, Settings

SETUP = str(ROOT / "setup.py")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["/nowhere"], "/nowhere does not exist. Give a run directory"),
        ([SETUP], "is not an .onnx file, a run directory or a folder of models"),
        (["MODELS", "--label", "x"], "--label takes NAME/LABEL=VERSION"),
        (["MODELS", "--label", "a/b=1", "--label", "a/b=2"], "a/b is given twice"),
        (["MODELS", "--tls-cert", "x.pem"], "--tls-cert and --tls-key go together"),
        (["MODELS", "--backend", "torch"], "--backend must be auto, onnx or tensorflow"),
        (
            ["FILE", "--backend", "tensorflow"],
            "is an ONNX file, which --backend tensorflow cannot",
        ),
        (["MODELS", "--token-file", "/nowhere"], "/nowhere cannot be read as a token"),
        (
            ["MODELS", "--tls-cert", SETUP, "--tls-key", SETUP, "--workers", "2"],
            f"--tls-cert: {SETUP} holds no certificate",
        ),
        (["MODELS", "--port", "9000", "--grpc-port", "9000"], "--grpc-port must be another than --port"),
        (["MODELS", "--host", "203.0.113.7"], "203.0.113.7:8501 cannot be listened on"),
    ],
)
def test_says_what_is_wrong_before_it_starts(arguments: list[str], message: str) -> None:
    app = typer.Typer()
    app.command()(command.serve)
    paths = {"MODELS": str(models()), "FILE": str(census_version() / "model.onnx")}
    result = CliRunner().invoke(app, [paths.get(argument, argument) for argument in arguments])
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())


def test_a_port_in_use_is_named_for_grpc_too() -> None:
    with (
        port_in_use() as port,
        pytest.raises(ConfigError, match=f"127.0.0.1:{port} cannot be listened on: .* Choose another --grpc-port"),
    ):
        launch.serve(Settings(str(census_version() / "model.onnx")), Listening(port=0, workers=2, grpc_port=port))


def test_workers_share_a_port_of_grpc_and_one_alone_does_not() -> None:
    """What each of several processes does; the second answers when the first has ended."""
    port = free_port()

    async def run() -> int:
        server = Server(Settings(str(census_version() / "model.onnx"), "census"))
        await server.start()
        try:
            first, second = [await grpc_service.start(server, Listening(workers=2, grpc_port=port)) for _ in range(2)]
            with pytest.raises(ConfigError, match="Choose another --grpc-port"):
                await grpc_service.start(server, Listening(workers=1, grpc_port=port))
            await first.stop(None)
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                asked = get_model_status_pb2.GetModelStatusRequest()
                asked.model_spec.name = "census"
                status = await model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus(asked, timeout=60)
            await second.stop(None)
            return int(status.model_version_status[0].state)
        finally:
            await server.stop()

    assert asyncio.run(run()) == 30


@pytest.mark.parametrize("package", [*command.NEEDED, *command.NEEDED_FOR_GRPC])
def test_a_missing_package_is_named(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigError, match=rf"needs the package {package}\. Install it with: pip install 'tfwd\[\w+\]'"):
        command.refuse_missing(grpc=True)


def test_what_may_be_missing_is_what_is_installed_for_the_server() -> None:
    lines = (ROOT / "requirements-serve.txt").read_text().splitlines()
    installed = {line.partition(">=")[0] for line in lines if not line.startswith("#")}
    # Without these no command runs.
    assert installed == {*command.NEEDED, "numpy", "rich", "typer"}
