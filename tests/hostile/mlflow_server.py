"""MLflow models behind `mlflow models serve`, in an environment that has what they ask for and no tfwd.

`python -m tests.hostile.mlflow_server [--rows 500] [--folder FOLDER] [--python PYTHON]`

Exports a run, a model of lists and weights, one of moments and one of several classes, and serves each. Every format of
MLflow's own requests carries hostile rows, whose answers are compared with those of the ONNX file; requests that are
wrong must be answered with a message and a status of 400 to 499. Prints a line a model; ends with 1 if one differs.
Needs MLflow where it runs; makes an environment (1 GB) from the first model's requirements.txt unless one is given.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "export"), str(HERE.parent.parent)]

TOLERANCE = 1e-6
START_SECONDS = 120
JSON, PARQUET = "application/json", "application/vnd.apache.parquet"


def main() -> int:
    """Prints a line a model; 1 if one is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=500, help="hostile rows a model")
    parser.add_argument("--folder", type=Path, help="where to keep models and environment; a temporary one by default")
    parser.add_argument("--python", type=Path, help="of an environment with MLflow and ONNX Runtime")
    options = parser.parse_args()
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="mlflow-") as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        python = options.python
        for name in ("census", "bags", "rides", "classes"):
            model, expected, frame = written(folder / name, name, options.rows)
            python = python or environment(folder / "environment", model / "requirements.txt")
            with served(python, model, folder / f"{name}.log") as url:
                worst = {form: compare(url, kind, body, expected[asked]) for form, kind, body, asked in requests(frame)}
                faults = list(refused(url, frame))
            print(f"{name}: {len(expected):,} rows, largest difference {worst}", *faults, sep="\n  ", flush=True)
            wrong += sum(not difference <= TOLERANCE for difference in worst.values()) + len(faults)
    return int(wrong > 0)


def written(folder: Path, name: str, count: int) -> tuple[Path, np.ndarray, pd.DataFrame]:
    """A model, the ONNX file's answers to hostile rows, and the rows as a client has them."""
    import bag_cases
    import datetime_cases
    import export_models
    import small_run_cases

    import tfwd
    from export.mlflow import save
    from export.parity.hostile import hostile_rows
    from export.parity.known_values import known_values
    from tfwd.run import Run

    source: Any = {
        "census": small_run_cases.trained,
        "bags": bag_cases.model,
        "rides": datetime_cases.trained,
        "classes": lambda: export_models.everything("multiclass"),
    }[name]()
    model = source.model if isinstance(source, Run) else source
    if not (folder / "MLmodel").exists():
        save(source, folder)
    rows = hostile_rows(model.schema, known_values(model), count, seed=3)
    scorer = tfwd.load_scorer(next(folder.glob("artifacts/onnx/*.onnx")))
    answer = scorer.score(rows)["probability"].reshape(count, -1)
    frame = pd.DataFrame({entry.column: client_values(entry, rows[entry.name]) for entry in model.schema.inputs})
    return folder, answer, frame


def client_values(entry: Any, values: np.ndarray) -> Any:
    """Values as a client writes them: None for a missing string or number; lists with their gaps."""
    if entry.length:
        return pd.Series([row.tolist() for row in values], dtype=object)
    if values.dtype.kind == "i":
        # Beside None, pandas makes floats of whole numbers, whatever they lose.
        return values
    return pd.Series([None if value == "" or value != value else value for value in values.tolist()], dtype=object)


def requests(frame: pd.DataFrame) -> Iterator[tuple[str, str, bytes, np.ndarray]]:
    """The rows in every format: its name, its Content-Type, the body, and which rows it holds.

    `instances` become NumPy's fixed-width strings in MLflow, which end at a NUL and are all as long as the longest. CSV
    is for signatures with types only.
    """
    every, columns = np.ones(len(frame), bool), list(frame.columns)
    lists = {name: frame[name].tolist() for name in columns}
    records = [dict(zip(columns, row, strict=True)) for row in zip(*lists.values(), strict=True)]
    other = [{"extra": 1, **dict(reversed(row.items()))} for row in records]
    split = {"columns": columns, "data": [list(row.values()) for row in records]}
    yield "dataframe_split", JSON, _json({"dataframe_split": split}), every
    yield "dataframe_records", JSON, _json({"dataframe_records": other}), every
    short = np.array([len(text) < 10_000 and "\\u0000" not in text for text in map(json.dumps, records)])
    some = [row for row, kept in zip(records, short, strict=True) if kept]
    yield "instances", JSON, _json({"instances": some}), short
    yield "inputs", JSON, _json({"inputs": lists}), every
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    yield "parquet", PARQUET, buffer.getvalue(), every


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def compare(url: str, kind: str, body: bytes, expected: np.ndarray) -> float:
    """The largest difference of a probability."""
    status, answer = post(url, kind, body)
    if status != 200:
        print(answer[:500])
        return float("inf")
    predictions = json.loads(answer)["predictions"]
    names = [name for name in predictions[0] if name.startswith("probability")]
    found = np.array([[row[name] for name in names] for row in predictions])
    return float(np.abs(found - expected).max()) if found.shape == expected.shape else float("inf")


def refused(url: str, frame: pd.DataFrame) -> Iterator[str]:
    """What is not answered with 400 to 499 and a message."""
    records = json.loads(frame.head(2).to_json(orient="records"))
    column = str(frame.columns[0])
    bodies = {
        "nothing": b"",
        "no JSON": b"{",
        "no format": b"{}",
        "a number": b"1",
        "a column less": _json(
            {"dataframe_records": [{k: v for k, v in row.items() if k != column} for row in records]}
        ),
        "an object": _json({"dataframe_records": [{**row, column: {"a": 1}} for row in records]}),
        "not UTF-8": b'{"dataframe_records": [{"\xff": 1}]}',
    }
    for name, body in bodies.items():
        status, answer = post(url, JSON, body)
        if not 400 <= status < 500 or not answer.strip():
            yield f"{name}: {status} {answer[:200]}"
    status, answer = post(url, JSON, _json({"dataframe_records": records}))
    if status != 200:
        yield f"a good request after them: {status} {answer[:200]}"


def post(url: str, kind: str, body: bytes) -> tuple[int, str]:
    """The status and the text of an answer."""
    request = urllib.request.Request(f"{url}/invocations", body, {"Content-Type": kind})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(errors="replace")


def environment(folder: Path, requirements: Path) -> Path:
    """An environment with what a model asks for, and nothing else."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", requirements], check=True)
    return python


@contextlib.contextmanager
def served(python: Path, model: Path, log: Path) -> Iterator[str]:
    """`mlflow models serve`, until the end; its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [python, "-m", "mlflow", "models", "serve", "--model-uri", model, "--env-manager", "local"]
    # Its workers are started by name.
    path = f"{python.parent}:{os.environ['PATH']}"
    with log.open("w") as out:
        process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)],
            cwd=model.parent,
            env={"PATH": path, "HOME": os.environ["HOME"], "MLFLOW_DISABLE_TELEMETRY": "true"},
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(START_SECONDS * 5):
            with contextlib.suppress(urllib.error.URLError, ConnectionError):
                urllib.request.urlopen(f"{url}/ping", timeout=5).close()
                break
            if process.poll() is not None:
                raise SystemExit(f"mlflow models serve ended:\n{log.read_text()}")
            time.sleep(0.2)
        else:
            raise SystemExit(f"mlflow models serve does not answer:\n{log.read_text()}")
        yield url
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 15)
        process.wait(30)


if __name__ == "__main__":
    raise SystemExit(main())
