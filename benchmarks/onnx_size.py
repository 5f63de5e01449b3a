"""What an export costs as the wide table grows, and what its forms are worth: `python -m benchmarks.onnx_size`.

Every table is exported in a process of its own, whose memory is read before and while the export runs. The time and
the memory of tfwd's exports include the comparison with the model on made-up and hostile rows, without which no
export is called done. Plain tf2onnx converts the same Keras model as a whole and compares nothing.
"""

from __future__ import annotations

import argparse
import importlib
import json
import multiprocessing
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import onnxruntime
import psutil

from benchmarks.timing import markdown

Kind = Literal["onnx", "sparse", "half", "sparse half", "savedmodel", "tf2onnx"]
NAMES: dict[Kind, str] = {
    "onnx": "ONNX",
    "sparse": "ONNX, sparse wide table",
    "half": "ONNX, half-precision tables",
    "sparse half": "ONNX, sparse and half-precision",
    "savedmodel": "SavedModel",
    "tf2onnx": "plain tf2onnx",
}
LATENCY_RUNS = 20_000
# Of the wide weights, what L1 may leave.
SHARE = 0.02


def measure(kind: Kind, rows: int, dim: int, share: float) -> dict[str, Any]:
    """Seconds, additional peak memory in MB, megabytes on disk and the median latency in microseconds of one export.

    Args:
        kind: what is exported.
        rows: of the wide table.
        dim: the width of an embedding of as many rows, or 0 for none.
        share: of the wide weights that are not zero.
    """
    import keras

    from benchmarks.table_size import model_of

    model = model_of(rows, dim)
    keras.utils.set_random_seed(0)
    generator = np.random.default_rng(0)
    for variable in model.trainable_variables:
        if variable.path.startswith("wide"):
            values = generator.normal(scale=0.1, size=variable.shape).astype(np.float32)
            values[generator.random(variable.shape) >= share] = 0.0
            values[0] = 0.0
            variable.assign(values)
            del values
    export = exporter(kind, model)
    # What is imported stays out of the figures, here with what tf2onnx imports when it is first used.
    importlib.import_module("tf2onnx.convert")
    process, peak, done = psutil.Process(), [0], threading.Event()
    before = process.memory_info().rss

    def watch() -> None:
        while not done.wait(0.005):
            peak[0] = max(peak[0], process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    with tempfile.TemporaryDirectory() as folder:
        watcher.start()
        started = time.perf_counter()
        cpu = time.process_time()
        export(Path(folder))
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
        done.set()
        watcher.join()
        files = [file for file in Path(folder).rglob("*") if file.is_file()]
        found = [file for file in files if file.suffix == ".onnx"]
        return {
            "seconds": seconds,
            "cpu": cpu,
            "memory": (peak[0] - before) / 1e6,
            "size": sum(file.stat().st_size for file in files) / 1e6,
            "external": any(file.suffix == ".data" for file in files),
            "latency": latency(found[0]) if found else None,
            "table": wide_size(found[0]) / 1e6 if found else None,
        }


def exporter(kind: Kind, model: Any) -> Callable[[Path], object]:
    """Writes an export of a model into a folder."""
    if kind == "savedmodel":
        from export.savedmodel import writer as savedmodel

        return lambda folder: savedmodel.save(model, folder, name="model")
    if kind == "tf2onnx":
        return plain(model)

    from export.onnx.writer import save

    sparse, half = "sparse" in kind, "half" in kind
    return lambda folder: save(model, folder / "model.onnx", sparse_wide=sparse, half_tables=half)


def plain(model: Any) -> Callable[[Path], object]:
    """tf2onnx on the whole model, as its documentation shows."""
    import keras
    import tf2onnx

    inputs = [keras.Input((), dtype=tensor.dtype, name=tensor.name) for tensor in model.transform.inputs]
    prepared = model.transform({tensor.name: tensor for tensor in inputs})
    whole = keras.Model(inputs, keras.ops.sigmoid(model.ranker(prepared)))
    return lambda folder: tf2onnx.convert.from_keras(whole, opset=18, output_path=str(folder / "model.onnx"))


def latency(file: Path) -> float:
    """Microseconds a row, batch 1, one thread, median over rows with uniform ids."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    generator = np.random.default_rng(0)
    feeds = [
        {
            entry.name: generator.integers(0, 2**20, 1)
            if entry.type == "tensor(int64)"
            else generator.normal(size=1).astype(np.float32)
            for entry in session.get_inputs()
        }
        for _ in range(1000)
    ]
    names = [entry.name for entry in session.get_outputs()]
    seconds = []
    for run in range(LATENCY_RUNS):
        feed = feeds[run % len(feeds)]
        started = time.perf_counter()
        session.run(names, feed)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds) * 1e6


def wide_size(file: Path) -> int:
    """Bytes that the wide table takes in an ONNX file: the largest initializer or constant of one column."""
    graph = onnx.load(str(file), load_external_data=False).graph
    tensors = [(t, t.dims) for t in graph.initializer]
    sparse = [a.sparse_tensor for node in graph.node for a in node.attribute if a.name == "sparse_value"]
    tensors += [(t, t.dims) for t in sparse]
    sizes = [t.ByteSize() for t, dims in tensors if len(dims) == 2 and dims[1] == 1]
    return max(sizes)


def _child(kind: Kind, rows: int, dim: int, share: float, results: multiprocessing.Queue[str]) -> None:
    results.put(json.dumps(measure(kind, rows, dim, share)))


def isolated(kind: Kind, rows: int, dim: int = 0, share: float = 1.0) -> dict[str, Any]:
    """`measure` in a process of its own."""
    context = multiprocessing.get_context("spawn")
    results: multiprocessing.Queue[str] = context.Queue()
    child = context.Process(target=_child, args=(kind, rows, dim, share, results))
    child.start()
    figures: dict[str, Any] = json.loads(results.get())
    child.join()
    return figures


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 10_000_000])
    parser.add_argument("--rounds", type=int, default=3, help="medians of so many, interleaved")
    parser.add_argument("--plain-rounds", type=int, default=1, help="of plain tf2onnx, which takes 55 tables of memory")
    parser.add_argument("--large", action="store_true", help="also a model over 2 GB")
    options = parser.parse_args()
    cases: list[tuple[Kind, int, int, float]] = []
    for rows in options.rows:
        cases += [("tf2onnx", rows, 0, 1.0), ("onnx", rows, 0, 1.0), ("savedmodel", rows, 0, 1.0)]
    forms: list[Kind] = ["onnx", "half", "sparse", "sparse half"]
    cases += [(kind, max(options.rows), 0, SHARE) for kind in forms]
    if options.large:
        cases.append(("onnx", 10_000_000, 64, 1.0))
    found: dict[tuple[Kind, int, int, float], list[dict[str, Any]]] = {case: [] for case in cases}
    for number in range(options.rounds):
        for case in cases:
            if case[0] != "tf2onnx" or number < options.plain_rounds:
                found[case].append(isolated(*case))
    lines = []
    for (kind, rows, dim, share), figures in found.items():
        seconds, cpu, memory, size = (
            statistics.median(entry[key] for entry in figures) for key in ("seconds", "cpu", "memory", "size")
        )
        latencies, tables = (
            [entry[key] for entry in figures if entry[key] is not None] for key in ("latency", "table")
        )
        lines.append(
            [
                NAMES[kind] + (", external data" if figures[0]["external"] else ""),
                f"{rows:,}" + (f", and an embedding of {dim}" if dim else ""),
                f"{share:.0%}",
                f"{seconds:.1f}",
                f"{cpu:.1f}",
                f"{memory:,.0f}",
                f"{size:,.2f}",
                f"{statistics.median(tables):,.2f}" if tables else "",
                f"{statistics.median(latencies):.1f}" if latencies else "",
            ]
        )
    columns = [
        "rows of the wide table",
        "not zero",
        "seconds",
        "CPU seconds",
        "more memory, MB",
        "on disk, MB",
        "of it the table",
    ]
    print(markdown(["export", *columns, "batch 1, p50 µs"], lines))


if __name__ == "__main__":
    main()
