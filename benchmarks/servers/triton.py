"""Triton 2.51 (from nvidia-pytriton) with its Python backend, which is the only one it has: batches of up to 0.5 ms.

The stub that runs the model is copied to where the server looks for it, and needs the shared library of Python 3.11.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
import tempfile
from pathlib import Path

from benchmarks.servers.session import Session, arguments

_MODEL = """\
from pathlib import Path

import numpy as np
import triton_python_backend_utils as triton

from benchmarks.servers.session import Session


class TritonPythonModel:
    def initialize(self, args):
        self.session = Session(Path({file!r}))

    def execute(self, requests):
        arrays = {{}}
        for name, dtype in self.session.dtypes.items():
            parts = [triton.get_input_tensor_by_name(each, name).as_numpy() for each in requests]
            whole = np.concatenate(parts)
            arrays[name] = np.array([text.decode() for text in whole], object) if dtype is object else whole
        ends = np.cumsum([len(part) for part in parts])[:-1]
        split = [np.split(values, ends) for values in self.session.run(arrays)]
        return [
            triton.InferenceResponse([triton.Tensor(name, some) for name, some in zip(self.session.outputs, found)])
            for found in zip(*split)
        ]
"""
_TYPES = {"object": "TYPE_STRING", "float32": "TYPE_FP32", "int64": "TYPE_INT64"}


def _tensor(name: str, kind: str) -> str:
    # A scalar per row.
    return f'{{ name: "{name}" data_type: {kind} dims: [ 1 ] reshape {{ shape: [ ] }} }}'


def _repository(folder: Path, file: Path) -> Path:
    """Writes a repository of the one model into a folder."""
    dtypes = Session(file).dtypes
    inputs = ",\n".join(_tensor(name, _TYPES[dtype.__name__]) for name, dtype in dtypes.items())
    outputs = ",\n".join(_tensor(name, "TYPE_FP32") for name in Session.outputs)
    version = folder / "income" / "1"
    version.mkdir(parents=True)
    (version / "model.py").write_text(_MODEL.format(file=str(file)))
    (version.parent / "config.pbtxt").write_text(
        'backend: "python"\nmax_batch_size: 256\ndynamic_batching { max_queue_delay_microseconds: 500 }\n'
        f"instance_group [ {{ count: 1 kind: KIND_CPU }} ]\ninput [\n{inputs}\n]\noutput [\n{outputs}\n]\n"
    )
    return folder


def main() -> None:
    """Serves until it is stopped."""
    given = arguments()
    folder = Path(tempfile.mkdtemp(prefix="triton-"))
    packages = Path(sysconfig.get_path("purelib"))
    server = packages / "pytriton" / "tritonserver"
    shutil.copytree(server / "backends", folder / "backends")
    shutil.copy(server / "python_backend_stubs" / "3.11" / "triton_python_backend_stub", folder / "backends" / "python")
    models = _repository(folder / "models", given.folder / "income.onnx")
    # The stub runs the `python3` that it finds first.
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    os.environ["LD_LIBRARY_PATH"] = f"{packages / 'nvidia_pytriton.libs'}:{sysconfig.get_config_var('LIBDIR')}"
    options = {
        "model-repository": models,
        "backend-directory": folder / "backends",
        "http-address": "127.0.0.1",
        "http-port": given.port,
        "allow-grpc": "false",
        "allow-metrics": "false",
        "log-info": "false",
    }
    program = server / "bin" / "tritonserver"
    os.execv(program, [str(program), *(f"--{name}={value}" for name, value in options.items())])


if __name__ == "__main__":
    main()
