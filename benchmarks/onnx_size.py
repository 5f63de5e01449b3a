"""What an export costs as the wide table grows: `python -m benchmarks.onnx_size`.

Every table is exported in a process of its own, whose memory is read before and while the export runs. The time and
the memory include the comparison with the model on made-up and hostile rows, without which no export is called
done.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
import threading
import time
from pathlib import Path

import psutil

from benchmarks.timing import markdown


def measure(kind: str, rows: int, dim: int) -> dict[str, float]:
    """Seconds, additional peak memory in MB and megabytes on disk of one export.

    Args:
        kind: `onnx` or `savedmodel`.
        rows: of the wide table.
        dim: the width of an embedding of as many rows, or 0 for none.
    """
    import keras

    import tfwd
    from benchmarks.table_size import model_of
    from export import onnx, savedmodel

    model = model_of(rows, dim)
    keras.utils.set_random_seed(0)
    for variable in model.trainable_variables:
        if variable.path.startswith("wide"):
            variable.assign(keras.random.normal(variable.shape, stddev=0.1))
    process, peak, done = psutil.Process(), [0], threading.Event()
    before = process.memory_info().rss

    def watch() -> None:
        while not done.wait(0.01):
            peak[0] = max(peak[0], process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    with tempfile.TemporaryDirectory() as folder:
        watcher.start()
        started = time.perf_counter()
        if kind == "onnx":
            onnx.save(model, Path(folder) / "model.onnx")
        else:
            savedmodel.save(model, folder, name="model")
        seconds = time.perf_counter() - started
        done.set()
        watcher.join()
        size = sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
        external = any(file.suffix == ".data" for file in Path(folder).rglob("*"))
        if kind == "onnx" and external:
            tfwd.load_scorer(Path(folder) / "model.onnx")
    return {
        "seconds": seconds,
        "memory": (peak[0] - before) / 1e6,
        "size": size / 1e6,
        "external": float(external),
    }


def _child(kind: str, rows: int, dim: int, results: multiprocessing.Queue[str]) -> None:
    results.put(json.dumps(measure(kind, rows, dim)))


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 1_000_000, 10_000_000])
    parser.add_argument("--large", action="store_true", help="also a model over 2 GB")
    options = parser.parse_args()
    cases = [(kind, rows, 0) for rows in options.rows for kind in ("onnx", "savedmodel")]
    if options.large:
        cases.append(("onnx", 10_000_000, 64))
    lines = []
    context = multiprocessing.get_context("spawn")
    for kind, rows, dim in cases:
        results = context.Queue()
        child = context.Process(target=_child, args=(kind, rows, dim, results))
        child.start()
        figures = json.loads(results.get())
        child.join()
        what = {"onnx": "ONNX", "savedmodel": "SavedModel"}[kind]
        lines.append(
            [
                what + (", external data" if figures["external"] else ""),
                f"{rows:,}" + (f", and an embedding of {dim}" if dim else ""),
                f"{figures['seconds']:.1f}",
                f"{figures['memory']:,.0f}",
                f"{figures['size']:,.1f}",
            ]
        )
    print(markdown(["export", "rows of the wide table", "seconds", "more memory, MB", "on disk, MB"], lines))


if __name__ == "__main__":
    main()
