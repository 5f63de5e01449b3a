"""The exports where they are served: in other versions of TensorFlow, in node and in the standard's own reference.

`python tests/hostile/runtimes.py [--rows 2000] [--folder FOLDER] [--form ONNX]`

Exports the census, a model of lists, weights and shared tables, one of every other kind of feature with several
classes, and one of moments, and asks each runtime for the answers to hostile rows. Makes an environment a TensorFlow
and a folder of npm (some 5 GB, ten minutes), none of which has tfwd in it. Prints a table with the largest difference
of a probability from the Keras model's; ends with 1 if one is beyond 1e-6.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "export"), str(HERE.parent.parent)]

TENSORFLOWS = ("2.19.1", "2.20.0", "2.21.0")
PACKAGES = ("onnxruntime-web", "onnxruntime-node")
TOLERANCE = 1e-6
MODELS = ("census", "bags", "kinds", "moments")
# The file from raw rows to answers, its two halves one after the other, and what TensorFlow reads.
FORMS = ("SavedModel", "ONNX", "ONNX halves")

Rows = dict[str, np.ndarray]


def main() -> int:
    """Prints the table; 1 if an answer differs."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rows", type=int, default=2000, help="hostile rows a model")
    options.add_argument(
        "--folder", type=Path, help="where to keep environments and exports; a temporary one if not given"
    )
    options.add_argument("--form", choices=FORMS, nargs="+", default=FORMS, help="the forms to read")
    given = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="runtimes-") as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        exported = {name: export(folder, name, given.rows) for name in MODELS}
        lines, worst = [], 0.0
        for what, ask in runtimes(folder, given.form):
            for name, (rows, expected) in exported.items():
                found, asked, said = ask(folder / name, rows)
                difference = float(np.abs(found.reshape(expected[asked].shape) - expected[asked]).max())
                worst = max(worst, difference if np.isfinite(difference) else np.inf)
                lines.append(f"| {said} | {what} | {name} | {asked.sum():,} | {difference:.1e} |")
                print(lines[-1], flush=True)
    print("\n| runtime | export | model | rows | largest difference |\n|---|---|---|---|---|")
    print("\n".join(lines))
    return int(worst > TOLERANCE)


def export(folder: Path, name: str, count: int) -> tuple[Rows, np.ndarray]:
    """Writes a model as a SavedModel and an ONNX file; hostile rows, and the Keras model's answers to them."""
    import bag_cases
    import datetime_cases
    import export_models

    from export.onnx import writer as onnx
    from export.parity.hostile import hostile_rows
    from export.parity.known_values import known_values
    from export.savedmodel import writer as savedmodel
    from tfwd.inference.tensorflow_scorer import keras_scorer

    makers: dict[str, Callable[[], Any]] = {
        "census": lambda: export_models.census_model()[0],
        "bags": bag_cases.model,
        "kinds": lambda: export_models.everything("multiclass"),
        "moments": lambda: datetime_cases.trained().model,
    }
    model = makers[name]()
    place = folder / name
    shutil.rmtree(place, ignore_errors=True)
    savedmodel.save(model, place, name="model")
    onnx.save(model, place / "model.onnx", split=True)
    rows = hostile_rows(model.schema, known_values(model), count, seed=11)
    return rows, keras_scorer(model).score(rows)["probability"]


def write_rows(file: Path, rows: Rows, answer: str = "probability") -> None:
    """Rows as JSON that programs without NumPy read: strings as they are, numbers as their little-endian bytes."""
    inputs: dict[str, Any] = {}
    for name, values in rows.items():
        kind = {"O": "string", "i": "integer", "f": "float"}[values.dtype.kind]
        flat = values.ravel()
        packed = flat.tolist() if kind == "string" else base64.b64encode(flat.tobytes()).decode()
        inputs[name] = {"kind": kind, "shape": list(values.shape), "values": packed}
    file.write_text(json.dumps({"answer": answer, "inputs": inputs}), encoding="utf-8")


def without_nul(rows: Rows) -> np.ndarray:
    """Which rows have no string with a NUL, at which JavaScript's bindings cut it."""
    kept = np.ones(len(next(iter(rows.values()))), bool)
    for values in rows.values():
        if values.dtype == object:
            has = np.array(["\x00" in value for value in values.ravel()]).reshape(values.shape)
            kept &= ~has.reshape(len(values), -1).any(axis=1)
    return kept


Asked = tuple[np.ndarray, np.ndarray, str]


def runtimes(folder: Path, forms: Sequence[str]) -> list[tuple[str, Callable[[Path, Rows], Asked]]]:
    """Each runtime, as a form that it reads and a function of an export's folder and rows."""

    def asked(command: Callable[[Path], list[str]], cwd: Path | None = None, nul: bool = True) -> Any:
        def ask(place: Path, rows: Rows) -> Asked:
            kept = np.ones(len(next(iter(rows.values()))), bool) if nul else without_nul(rows)
            write_rows(place / "rows.json", {name: values[kept] for name, values in rows.items()})
            files = [str(place / "rows.json"), str(place / "answers.bin")]
            # Neither a path to tfwd nor a note of TensorFlow's start.
            environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
            shown = subprocess.run(
                [*command(place), *files],
                cwd=cwd or folder,
                env=environment | {"TF_CPP_MIN_LOG_LEVEL": "3"},
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
            return np.fromfile(place / "answers.bin", "<f4"), kept, shown.stdout.splitlines()[-1]

        return ask

    found: list[tuple[str, Callable[[Path, Rows], Asked]]] = []
    if "SavedModel" in forms:
        program = str(HERE / "answers" / "savedmodel.py")
        for version in TENSORFLOWS:
            python = environment_of(folder / f"tensorflow-{version}", f"tensorflow=={version}")
            found.append(("SavedModel", asked(lambda place, p=python: [p, program, str(place / "model" / "1")])))
    files = {"ONNX": ["model.onnx"], "ONNX halves": ["model.transform.onnx", "model.ranker.onnx"]}
    reference, node = (str(HERE / "answers" / name) for name in ("reference.py", "onnxruntime.mjs"))
    npm = packages_of(folder / "npm") if any(form in files for form in forms) else folder
    for form, names in files.items():
        if form in forms:
            programs = [([sys.executable, reference], None, True)]
            programs += [(["node", node, package], npm, False) for package in PACKAGES]
            for start, cwd, nul in programs:

                def command(place: Path, start: list[str] = start, names: list[str] = names) -> list[str]:
                    return [*start, *(str(place / name) for name in names)]

                found.append((form, asked(command, cwd, nul)))
    return found


def environment_of(folder: Path, requirement: str) -> str:
    """The Python of an environment with one package."""
    python = folder / "bin" / "python"
    if not (folder / "installed").is_file():
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", requirement], check=True)
        (folder / "installed").touch()
    return str(python)


def packages_of(folder: Path) -> Path:
    """A folder with ONNX Runtime's packages of npm."""
    if not (folder / "installed").is_file():
        folder.mkdir(exist_ok=True)
        (folder / "package.json").write_text('{"private": true}')
        # Without the libraries for GPUs, which a script of the package would download.
        skip = {**os.environ, "ONNXRUNTIME_NODE_INSTALL": "skip"}
        command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", *PACKAGES]
        subprocess.run(command, cwd=folder, env=skip, check=True, stdout=sys.stderr)
        (folder / "installed").touch()
    return folder


if __name__ == "__main__":
    sys.exit(main())
