"""The command `tfwd serve`."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from tfwd.errors import ConfigError
from tfwd.utils.command_line import guarded

# What the server imports and an installation may lack.
NEEDED = ("httptools", "onnxruntime", "orjson", "uvicorn", *(("uvloop",) if sys.platform != "win32" else ()))
NEEDED_FOR_GRPC = ("grpc", "tensorflow", "tensorflow_serving")


@guarded
def serve(
    model: Annotated[
        str, typer.Argument(help="A run directory, an .onnx file, or a folder of NAME/VERSION as TF Serving polls it.")
    ],
    host: Annotated[str, typer.Option(help="The address to listen on; 0.0.0.0 for all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 takes a free one.")] = 8501,
    name: Annotated[str | None, typer.Option(help="The model's name. [default: that of the file or folder]")] = None,
    workers: Annotated[int, typer.Option(min=1, max=256, help="The number of processes.")] = 1,
    backend: Annotated[str, typer.Option(help="onnx, tensorflow, or auto: ONNX where there is an ONNX file.")] = "auto",
    batch_rows: Annotated[
        int, typer.Option(min=0, help="The most rows of several requests in one call of the model; 0: no batching.")
    ] = 64,
    batch_microseconds: Annotated[
        int, typer.Option(min=0, max=1_000_000, help="How long a request waits for others to be answered with.")
    ] = 0,
    queue_rows: Annotated[
        int, typer.Option(min=1, help="The most rows that wait; more are refused with 503.")
    ] = 10_000,
    max_body_mb: Annotated[float, typer.Option(min=0.001, help="The largest body of a request, in MiB.")] = 16.0,
    max_rows: Annotated[int, typer.Option(min=1, help="The most rows of one request.")] = 10_000,
    max_list: Annotated[int, typer.Option(min=1, help="The most values of one list.")] = 10_000,
    timeout: Annotated[
        float, typer.Option(min=0.1, help="The seconds for a body to arrive, and for its answer.")
    ] = 30.0,
    poll_seconds: Annotated[
        float, typer.Option(min=0.05, help="How often a folder is checked for new versions.")
    ] = 1.0,
    keep_versions: Annotated[
        int, typer.Option(min=1, help="How many of the newest versions are served, beside labelled ones.")
    ] = 1,
    label: Annotated[
        list[str] | None, typer.Option(metavar="NAME/LABEL=VERSION", help="A version's label; may be repeated.")
    ] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="The certificate for HTTPS and gRPC, a PEM file.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="The certificate's key, a PEM file.")] = None,
    token_file: Annotated[
        Path | None, typer.Option(help="A file with the token that every request must carry.")
    ] = None,
    access_log: Annotated[
        bool, typer.Option("--access-log", help="Log each request to standard output, as JSON.")
    ] = False,
    ui: Annotated[
        bool, typer.Option("--ui", help="Also serve a page at /ui, on which a person asks the model of a run.")
    ] = False,
    grpc_port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Also answer TF Serving's gRPC, in each process; needs TensorFlow."),
    ] = None,
    drain_seconds: Annotated[
        int, typer.Option(min=0, help="How long requests in progress may go on when the server is stopped.")
    ] = 30,
) -> None:
    """Serves models over HTTP, in the dialects of TF Serving and of the Open Inference Protocol.

    New versions in a folder are loaded while it runs, and no request fails for that. It needs no TensorFlow where there
    is an ONNX file. Try it with: curl http://localhost:8501/v1/models/NAME/metadata
    """
    if backend not in ("auto", "onnx", "tensorflow"):
        raise ConfigError(f"--backend must be auto, onnx or tensorflow. Received: {backend}")
    if (tls_cert is None) != (tls_key is None):
        raise ConfigError("--tls-cert and --tls-key go together: give both, or neither.")
    refuse_missing(grpc=grpc_port is not None)
    if ui and workers > 1:
        raise ConfigError("--ui needs one process, as the page loads TensorFlow there. Leave out --workers.")
    if grpc_port == port:
        raise ConfigError(f"--grpc-port must be another than --port. Received: {port} for both")
    from tfwd.server.authorization import token_of
    from tfwd.server.launch import serve
    from tfwd.server.model_files import find
    from tfwd.server.settings import Batching, Limits, Listening, Settings

    settings = Settings(
        model=model,
        name=name,
        backend=backend,  # type: ignore[arg-type]
        limits=Limits(int(max_body_mb * 2**20), max_rows, max_list, timeout),
        batching=Batching(batch_rows, batch_microseconds, queue_rows),
        poll_seconds=poll_seconds,
        keep_versions=keep_versions,
        labels=_labels(label or []),
        token=None if token_file is None else token_of(token_file),
        access_log=access_log,
        page=ui,
    )
    find(model, name, settings.backend)
    listening = Listening(host, port, workers, tls_cert, tls_key, grpc_port, drain_seconds)
    serve(settings, listening)


def refuse_missing(grpc: bool) -> None:
    """Refuses to start without a package that the server imports.

    Args:
        grpc: whether it answers gRPC too.

    Raises:
        ConfigError: one is not installed.
    """
    for what, extra, packages in (("The server", "serve", NEEDED), ("--grpc-port", "grpc", NEEDED_FOR_GRPC)):
        missing = next((package for package in packages if find_spec(package) is None), None)
        if missing is not None and (grpc or extra == "serve"):
            raise ConfigError(f"{what} needs the package {missing}. Install it with: pip install 'tfwd[{extra}]'")


def _labels(given: list[str]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for entry in given:
        name, _, rest = entry.partition("/")
        label, _, version = rest.partition("=")
        if not (name and label and version.isdecimal() and len(version) < 19):
            raise ConfigError(f"--label takes NAME/LABEL=VERSION, as in income/stable=3. Received: {entry}")
        if label in found.setdefault(name, {}):
            raise ConfigError(f"--label: {name}/{label} is given twice.")
        found[name][label] = int(version)
    return found
