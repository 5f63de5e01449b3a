"""Milliseconds a call, as a server waits for them: `python -m benchmarks.latency`.

The model is that of `benchmarks.throughput`. ONNX Runtime takes NumPy arrays; the SavedModel's `serving_default` takes
them through `tf.constant`; `model.predict` takes tensors. TensorFlow's threads are set once a process, so each number
of them is a process of its own, with ONNX Runtime on one thread beside it in turn. A request of the paper (Cheng et
al. 2016, section 4.3) scores 200 candidates, in one batch or split over threads.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

BATCHES = (1, 64, 256, 1024)
CANDIDATES = 200
# Milliseconds a request in the paper's table 2, by threads: batches of 200, 100 and 50 on the threads.
PAPER = {1: 31, 2: 17, 4: 14}
Calls = Mapping[str, Callable[[], object]]


def measure(contenders: Calls, calls: int) -> dict[str, tuple[float, float]]:
    """Calls the contenders in turn: p50 and p99 in milliseconds.

    In rounds of a tenth of the calls, after one that is not counted, so that a change in the machine's speed meets all.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(11):
        for name, call in contenders.items():
            for _ in range(max(calls // 10, 1)):
                started = time.perf_counter()
                call()
                if number:
                    seconds[name].append(time.perf_counter() - started)
    return {name: tuple(np.percentile(values, [50, 99]) * 1e3) for name, values in seconds.items()}


def onnx_session(path: Path) -> Any:
    """The file on one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def rows_of(rows: dict[str, np.ndarray], start: int, stop: int) -> dict[str, np.ndarray]:
    """Rows `start` to `stop - 1`."""
    return {name: values[start:stop] for name, values in rows.items()}


def one_process(folder: Path, threads: int, calls: int) -> dict[str, Any]:
    """What one process measures: every batch size, and with one thread also the candidates and `model.predict`."""
    import tensorflow as tf

    import tfwd

    if threads:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    session = onnx_session(folder / "model.onnx")
    saved = tf.saved_model.load(str(next((folder / "saved").iterdir())))
    signature = saved.signatures["serving_default"]
    schema = tfwd.load_scorer(folder / "model.onnx").schema
    source = tfwd.Source.open(folder / "clicks.parquet")
    rows = next(tfwd.Rows(source, schema, labelled=False).batches(max(*BATCHES, CANDIDATES))).inputs
    model = tfwd.load_model(folder / "model.keras") if threads == 1 else None

    def from_onnx(some: dict[str, np.ndarray]) -> Any:
        return session.run(["probability"], some)[0]

    def from_saved(some: dict[str, np.ndarray]) -> Any:
        return signature(**{name: tf.constant(values) for name, values in some.items()})["probability"].numpy()

    found: dict[str, Any] = {}
    for size in BATCHES:
        some = rows_of(rows, 0, size)
        difference = float(np.abs(from_onnx(some) - from_saved(some)).max())
        contenders = {"onnx": partial(from_onnx, some), "saved": partial(from_saved, some)}
        found[str(size)] = {"difference": difference, **measure(contenders, max(calls // (1 + size // 256), 10))}
        if model is not None:
            tensors = {name: tf.constant(values.tolist()) for name, values in some.items()}
            found[str(size)] |= measure({"predict": partial(model.predict, tensors, verbose=0)}, 50)
    if threads == 1:
        found["candidates"] = measure(_candidates(session, rows_of(rows, 0, CANDIDATES)), calls)
    return found


def _candidates(session: Any, rows: dict[str, np.ndarray]) -> Calls:
    """A request's candidates as 1 x 200, 2 x 100 and 4 x 50, each part on a thread of its own."""
    pool = ThreadPoolExecutor(max(PAPER))

    def request(threads: int) -> Callable[[], object]:
        size = CANDIDATES // threads
        parts = [rows_of(rows, start, start + size) for start in range(0, CANDIDATES, size)]
        if threads == 1:
            return lambda: session.run(["probability"], parts[0])
        return lambda: list(pool.map(lambda some: session.run(["probability"], some), parts))

    return {str(threads): request(threads) for threads in PAPER}


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--calls", type=int, default=2_000)
    parser.add_argument("--process", nargs=2, metavar=("FOLDER", "THREADS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.process:
        folder, threads = options.process
        print(json.dumps(one_process(Path(folder), int(threads), options.calls)))
        return
    from benchmarks.scored import prepare
    from benchmarks.timing import markdown

    with tempfile.TemporaryDirectory() as name:
        prepare(Path(name), options.rows)
        found = {}
        for threads in (1, 0):
            command = [sys.executable, "-m", "benchmarks.latency", "--calls", str(options.calls)]
            done = subprocess.run([*command, "--process", name, str(threads)], check=True, stdout=subprocess.PIPE)
            found[threads] = json.loads(done.stdout.splitlines()[-1])

    def shown(values: list[float]) -> str:
        return f"{values[0]:.3f} / {values[1]:.3f}"

    table = []
    for size in map(str, BATCHES):
        one, free = found[1][size], found[0][size]
        table.append(
            [
                size,
                *(shown(values) for values in (one["onnx"], one["saved"], free["saved"], one["predict"])),
                f"{one['saved'][0] / one['onnx'][0]:.1f}",
                f"{free['saved'][0] / free['onnx'][0]:.1f}",
                f"{one['difference']:.0e}",
            ]
        )
    header = ["batch", "ONNX Runtime, 1 thread", "SavedModel, 1 thread", "SavedModel, its default", "`model.predict`"]
    print("Milliseconds a call, p50 / p99:\n")
    print(markdown([*header, "ratio, 1 thread", "ratio, its default", "largest difference"], table))
    print(f"\nA request of {CANDIDATES} candidates, ONNX Runtime, milliseconds, p50 / p99:\n")
    requests = [
        [str(threads), f"{threads} x {CANDIDATES // threads}", shown(found[1]["candidates"][str(threads)]), str(paper)]
        for threads, paper in PAPER.items()
    ]
    print(markdown(["threads", "batches", "here", "in the paper"], requests))


if __name__ == "__main__":
    main()
