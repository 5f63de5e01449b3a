"""Training and serving on a GPU, beside the CPU: `python -m benchmarks.gpu`.

The work is that of `benchmarks.throughput`. Training counts the rows a second of epochs whose ids are cached. Serving
counts the milliseconds a call takes with NumPy arrays: the SavedModel in TensorFlow; in ONNX Runtime the whole file,
its halves (`export.onnx`, split=True), of which the first stays on the CPU, and the second half alone on ids that are
there already. Every answer is compared with that of ONNX Runtime on the CPU.

A device is a process of its own, as TensorFlow's devices are set once a process. A GPU needs an NVIDIA driver and
`pip install 'tensorflow[and-cuda]'` for TensorFlow, `pip install onnxruntime-gpu` in place of onnxruntime. Where there
is none, only the CPU is measured, which tries the benchmark, and the output says so.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.latency import measure, rows_of
from benchmarks.timing import markdown, side_by_side

BATCHES = (1, 16, 256, 4096, 65_536)
TRAINING_BATCHES = (1024, 8192, 65_536)
_CUDA = "CUDAExecutionProvider"
_PACKAGES = ("tensorflow", "keras", "onnxruntime", "onnxruntime-gpu", "numpy")
Rows = dict[str, np.ndarray]
Answers = Callable[[Rows], np.ndarray]
# What is done with rows before the clock starts, and what is timed.
Way = tuple[Callable[[Rows], Rows], Answers]


def cards() -> list[str]:
    """The name and the driver of each card."""
    try:
        query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
        return subprocess.run(query, capture_output=True, text=True, check=True).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        return []


def train(folder: Path, device: str, rounds: int) -> list[dict[str, Any]]:
    """The seconds of an epoch by batch size, and the loss of a first epoch from the same weights."""
    import keras

    from benchmarks import throughput
    from tfwd.training.stream import CachedIds

    if not _sees(device):
        return []
    found = []
    for batch in TRAINING_BATCHES:
        keras.utils.set_random_seed(0)
        work = throughput.prepare(str(folder / "clicks.parquet"))
        cached = CachedIds(work.model, work.rows, batch, 0, None)
        epoch = partial(_epoch, work.model, cached)
        loss = epoch()
        (timing,) = side_by_side({"epoch": epoch}, rounds).values()
        found.append({"batch": batch, "rows": cached.count, "seconds": timing.seconds, "loss": loss})
    return found


def _epoch(model: Any, cached: Any) -> float:
    history = model.fit(cached.steps(0, cached.steps_per_epoch), verbose=0)
    return float(history.history["loss"][-1])


def _sees(device: str) -> bool:
    """Whether TensorFlow has the device, whose memory it then shares with ONNX Runtime."""
    import tensorflow as tf

    found = tf.config.list_physical_devices("GPU")
    for each in found:
        tf.config.experimental.set_memory_growth(each, True)
    return device == "cpu" or bool(found)


def serve(folder: Path, device: str, calls: int) -> list[dict[str, Any]]:
    """The milliseconds a call by batch size and way, and how far the answers are from those on the CPU."""
    import tfwd

    schema = tfwd.load_scorer(folder / "model.onnx").schema
    source = tfwd.Source.open(folder / "clicks.parquet")
    rows = next(tfwd.Rows(source, schema, labelled=False).batches(max(BATCHES))).inputs
    expected = _session(folder / "model.onnx")
    ways = ways_of(folder, device)
    found = []
    for size in BATCHES:
        some = rows_of(rows, 0, size)
        right = expected(some)
        contenders = {name: partial(answer, before(some)) for name, (before, answer) in ways.items()}
        differences = {name: float(np.abs(call() - right).max()) for name, call in contenders.items()}
        timed = measure(contenders, max(calls // (1 + size // 256), 10))
        found += [
            {"batch": size, "way": name, "milliseconds": timed[name], "difference": differences[name]} for name in ways
        ]
    return found


def ways_of(folder: Path, device: str) -> dict[str, Way]:
    """What is measured on a device, as far as the packages can."""
    import onnxruntime

    whole, first, second = (folder / f"model{part}.onnx" for part in ("", ".transform", ".ranker"))
    ways: dict[str, Way] = {}
    if device == "cpu" or _CUDA in onnxruntime.get_available_providers():
        transform, ranker = _outputs(first), _session(second, device)
        ways["ONNX Runtime, whole file"] = (_same, _session(whole, device, strict=False))
        ways["ONNX Runtime, halves"] = (_same, lambda rows: ranker(transform(rows)))
        ways["ONNX Runtime, second half alone"] = (transform, ranker)
    if _sees(device):
        ways["SavedModel in TensorFlow"] = (_same, _saved_model(folder / "saved"))
    return ways


def _same(rows: Rows) -> Rows:
    return rows


def _outputs(path: Path) -> Callable[[Rows], Rows]:
    """The outputs of a file by name, on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_outputs()]
    return lambda rows: dict(zip(names, session.run(names, rows), strict=True))


def _session(path: Path, device: str = "cpu", strict: bool = True) -> Answers:
    """The probabilities of a file; `strict` refuses one that needs the CPU too when the device is a GPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    providers = ["CPUExecutionProvider"]
    if device == "gpu":
        providers.insert(0, _CUDA)
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1" if strict else "0")
        providers = providers[:1] if strict else providers
    session = onnxruntime.InferenceSession(str(path), options, providers=providers)
    if device == "gpu" and _CUDA not in session.get_providers():
        raise RuntimeError(f"ONNX Runtime cannot use the GPU: {session.get_providers()}")
    names = [entry.name for entry in session.get_inputs()]
    return lambda rows: session.run(["probability"], {name: rows[name] for name in names})[0]


def _saved_model(folder: Path) -> Answers:
    import tensorflow as tf

    signature = tf.saved_model.load(str(next(folder.iterdir()))).signatures["serving_default"]

    def answer(rows: Rows) -> np.ndarray:
        given = {name: tf.constant(values) for name, values in rows.items()}
        return np.asarray(signature(**given)["probability"].numpy())

    return answer


def process(folder: Path, what: str, device: str, number: int) -> Any:
    """Runs a part of the work in a process that sees the device, and returns what it printed."""
    command = [sys.executable, "-m", "benchmarks.gpu", "--process", str(folder), what, device, str(number)]
    environment = os.environ | ({"CUDA_VISIBLE_DEVICES": "-1"} if device == "cpu" else {})
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment)
    return json.loads(done.stdout.splitlines()[-1])


def _part(folder: Path, what: str, device: str, number: int) -> Any:
    if what == "prepare":
        from benchmarks.scored import prepare

        prepare(folder, number, split=True)
        return None
    return train(folder, device, number) if what == "train" else serve(folder, device, number)


def _versions() -> str:
    found = [f"Python {platform.python_version()}"]
    for package in _PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000, help=f"rows of clicks, at least {max(BATCHES):,}")
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--process", nargs=4, metavar=("FOLDER", "WHAT", "DEVICE", "NUMBER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.process:
        folder, what, device, number = options.process
        print(json.dumps(_part(Path(folder), what, device, int(number))))
        return
    if options.rows < max(BATCHES):
        parser.error(f"--rows must be at least {max(BATCHES)}, the largest batch")
    found = cards()
    devices = ["cpu", *(["gpu"] if found else [])]
    with tempfile.TemporaryDirectory() as name:
        process(Path(name), "prepare", "cpu", options.rows)
        trained = {device: process(Path(name), "train", device, options.rounds) for device in devices}
        served = {device: process(Path(name), "serve", device, options.calls) for device in devices}
    print(f"{'; '.join(found) or 'No GPU: nvidia-smi lists none, so that only the CPU was measured'}.")
    print(f"{os.cpu_count()} CPU cores. {_versions()}.\n\nTraining, ids cached:\n")
    lines = [
        [
            f"{line['batch']:,}",
            device,
            f"{line['rows'] / float(np.median(line['seconds'])):,.0f}",
            f"{line['loss']:.4f}",
        ]
        for device, part in trained.items()
        for line in part
    ]
    print(markdown(["rows a batch", "device", "rows/s", "loss of the first epoch"], lines))
    print("\nServing, milliseconds a call, p50 / p99:\n")
    lines = [
        [
            f"{line['batch']:,}",
            device,
            line["way"],
            " / ".join(f"{value:.3f}" for value in line["milliseconds"]),
            f"{line['batch'] / line['milliseconds'][0] * 1e3:,.0f}",
            f"{line['difference']:.0e}",
        ]
        for device, part in served.items()
        for line in part
    ]
    print(markdown(["rows", "device", "way", "ms a call", "rows/s", "largest difference"], lines))
    for measured, what in (
        (trained, "train on the GPU: TensorFlow does not see it"),
        (served, "serve on the GPU: neither TensorFlow nor ONNX Runtime sees it"),
    ):
        if not measured.get("gpu", True):
            print(f"\nNothing could {what}.")


if __name__ == "__main__":
    main()
