"""Peak memory as the data gets longer, streaming: `python -m benchmarks.memory`.

Every stage runs in a process of its own, over clicks that another process wrote, and reports the high-water mark of
its resident memory as Linux keeps it. The work is that of `benchmarks.throughput`, one row in ten for validation, and
nothing cached. The limited run trains an epoch over a file that is larger than what the process may allocate.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.timing import markdown

STAGES = ("start", "analysis", "training", "evaluation", "prediction")
NAMES = {"start": "libraries alone", "prediction": "prediction to Parquet"}


def high_water() -> float:
    """The most resident memory that this process has had, in MB."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) * 1024 / 1e6


def run_stage(stage: str, data: str, run: str, limit: int) -> None:
    """Does one stage's work in this process and prints what it took as JSON.

    Args:
        stage: one of `STAGES`; `start` only loads the libraries and opens the data.
        data: the Parquet file.
        run: of training: the run directory to make; of evaluation and prediction: the one to load.
        limit: MB of private writable memory (`RLIMIT_DATA`, `ulimit -d`) that the process may have, or 0.
    """
    if limit:
        resource.setrlimit(resource.RLIMIT_DATA, (limit * 1_000_000,) * 2)
    import tfwd
    from benchmarks.throughput import configuration
    from tfwd.inference.evaluation import evaluate
    from tfwd.inference.prediction import predict

    source = tfwd.Source.open(data)
    config = configuration(data)
    # The limited run's data has more numbers.
    numbers = [tfwd.Numeric(name) for name in source.columns if name.startswith("x") and int(name[1:]) > 5]
    config = config.model_copy(
        update={
            "data": config.data.model_copy(update={"validation_fraction": 0.1}),
            "features": (*config.features, *numbers),
            "train": config.train.model_copy(update={"cache": "none", "tensorboard": False}),
        }
    )
    schema = tfwd.resolve_schema(config, source)
    started = time.perf_counter()
    if stage == "analysis":
        tfwd.analyze(tfwd.Rows(source, schema, split="train", fraction=0.1), config)
    elif stage == "training":
        tfwd.fit(config, run)
    elif stage == "evaluation":
        scorer = tfwd.load_scorer(run)
        evaluate(scorer, tfwd.Rows(source, scorer.schema))
    elif stage == "prediction":
        with tempfile.TemporaryDirectory(dir=Path(data).parent) as folder:
            predict(tfwd.load_scorer(run), source, Path(folder) / "predicted.parquet")
    seconds = time.perf_counter() - started
    print(json.dumps({"resident": high_water(), "seconds": seconds}))


def measured(stage: str, data: Path, run: Path, limit: int = 0) -> dict[str, float]:
    """What a stage took in a fresh process: `resident` MB and `seconds`.

    Raises:
        RuntimeError: the process failed, as it does where a limit is too tight.
    """
    command = [sys.executable, "-m", "benchmarks.memory", "--stage", stage, "--data", str(data), "--run", str(run)]
    environment = {"TF_CPP_MIN_LOG_LEVEL": "2", **os.environ}
    if limit:
        # The limit counts what is claimed, used or not: Arrow's own allocator claims a gigabyte in advance.
        environment |= {"ARROW_DEFAULT_MEMORY_POOL": "system", "MALLOC_ARENA_MAX": "4"}
    done = subprocess.run([*command, "--limit", str(limit)], capture_output=True, env=environment, text=True)
    if done.returncode:
        raise RuntimeError(f"{stage} of {data.name} failed with {done.returncode}:\n{done.stderr[-2000:]}")
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def written(folder: Path, rows: int, numeric: int) -> Path:
    """The clicks of so many rows, which a process of their own writes."""
    path = folder / f"clicks-{rows}-{numeric}.parquet"
    if not path.exists():
        command = [sys.executable, "-m", "tfwd.datasets.clicks", "--rows", str(rows), "--numeric", str(numeric)]
        subprocess.run([*command, "--output", str(path)], check=True, stdout=subprocess.DEVNULL)
    return path


def compare(folder: Path, rows: Sequence[int], stages: Sequence[str]) -> str:
    """The stages over data of several lengths, as a table; evaluation and prediction score the model of training."""
    files = {count: written(folder, count, 5) for count in rows}
    table = []
    for stage in stages:
        peaks = []
        for count, file in files.items():
            figures = measured(stage, file, folder / f"run-{count}")
            print(f"{stage}, {count:,} rows: {figures['resident']:,.0f} MB, {figures['seconds']:.0f} s", flush=True)
            peaks.append(figures["resident"])
        grown = peaks[-1] / peaks[0]
        table.append([NAMES.get(stage, stage), *(f"{peak:,.0f}" for peak in peaks), f"{grown:.2f}"])
    return markdown(["peak memory, MB", *(f"{count:,} rows" for count in rows), "ratio"], table)


def limited(folder: Path, rows: int, numeric: int, limit: int) -> str:
    """An epoch over a file larger than the limit, as a sentence.

    Raises:
        ValueError: the file is not larger.
    """
    file = written(folder, rows, numeric)
    size = file.stat().st_size / 1e6
    if size <= limit:
        raise ValueError(f"A file larger than {limit} MB was expected, and {file} has {size:.0f}: give more rows.")
    figures = measured("training", file, folder / "run-limited", limit)
    return (
        f"An epoch over {rows:,} rows in a file of {size:,.0f} MB, with at most {limit:,} MB to allocate, finished in "
        f"{figures['seconds']:.0f} s; peak resident memory, the libraries included: {figures['resident']:,.0f} MB."
    )


def main() -> None:
    """Prints the table and the sentence."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="*", default=[1_000_000, 10_000_000])
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES)
    parser.add_argument("--limit", type=int, default=3_000, help="MB of the limited run; 0: none")
    parser.add_argument("--limited-rows", type=int, default=8_500_000)
    parser.add_argument("--limited-numeric", type=int, default=100, help="numbers a row: what makes the file large")
    parser.add_argument("--folder", type=Path, help="keep the data and the runs here; there must be no runs yet")
    parser.add_argument("--stage", help=argparse.SUPPRESS)
    parser.add_argument("--data", help=argparse.SUPPRESS)
    parser.add_argument("--run", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.stage:
        run_stage(options.stage, options.data, options.run, options.limit)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(exist_ok=True, parents=True)
        if options.rows:
            print(compare(folder, options.rows, options.stages))
        if options.limit:
            print(limited(folder, options.limited_rows, options.limited_numeric, options.limit))


if __name__ == "__main__":
    main()
