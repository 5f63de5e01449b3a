"""What a training run exports when it is done."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from export import onnx, savedmodel
from export.conversion import HashedFeatureError
from tfwd.console import console
from tfwd.data.reading import Reading
from tfwd.data.rows import Rows
from tfwd.errors import DataError
from tfwd.metrics import metrics_of
from tfwd.model import WideDeep
from tfwd.run import Run
from tfwd.scoring import keras_scorer, load_scorer

# Rows of a run's own data on which its exports are compared with its model, beside made-up ones.
REAL_ROWS = 20_000
_SHOWN = ("auc", "log_loss", "rmse", "mae")


def real_rows(run: Run) -> Mapping[str, Any] | None:
    """Raw rows of a run's data by input, at most `REAL_ROWS`; None where there are none, which is said."""
    try:
        return run.sample(REAL_ROWS)
    except DataError as error:
        # A run may outlive the data that it was trained on.
        console.print(f"Compared on made-up rows only: {error}", markup=False)
        return None


def recommended(run: Run) -> dict[str, Any]:
    """What a SavedModel of a run that ranks items takes beside: its catalogue, and the length of a list."""
    from tfwd.recommend.recommender import Recommender, has_catalogue

    if run.config.ranking is None or not has_catalogue(run):
        return {}
    return {"lists": Recommender(run).lists, "k": run.config.ranking.k}


def measured(run: Run, file: Path) -> str:
    """The metrics of a run's model and of a file of it, on the first labelled rows of its data, as a sentence."""
    schema = run.model.schema
    try:
        source = run.source()
        if source is None:
            raise DataError("the run was trained on frames")
        batch = next(Rows(source, schema).batches(REAL_ROWS), None)
        if batch is None or batch.label is None:
            raise DataError(f"{source.name} has none")
    except DataError as error:
        return f"No labelled rows to measure that on: {error}"
    found = []
    for scorer in (keras_scorer(run.model), load_scorer(file)):
        answers = scorer.score(batch.inputs)["prediction" if schema.task == "regression" else "probability"]
        metrics = metrics_of(schema.measures, answers.shape[-1])
        metrics.add(batch.label[:, 0], answers, batch.weight)
        found.append(metrics.result())
    changes = [f"{name} {found[0][name]:.6f} -> {found[1][name]:.6f}" for name in _SHOWN if name in found[0]]
    return f"On {len(batch.label):,} labelled rows: {', '.join(changes)}."


def client_lines(model: WideDeep, run: Run | None) -> list[str]:
    """What is computed before the graph, so that a client has to send it, for a person to read; of most models nothing.

    Args:
        model: what was exported.
        run: that it is of, if it is known: a model of version 0.3.0 does not say what is computed.
    """
    reading = model.reading if run is None else Reading.of(run.config)
    found = [] if reading is None else reading.outside(model.schema)
    return ["Computed before the model, so that a client sends it:", *(f"  {line}" for line in found)] if found else []


def export_run(run: Run) -> list[Path]:
    """Exports a run in the formats of its configuration, to `RUN/export`.

    A model that ONNX can take only with fingerprints for inputs is left out there, with a message.

    Args:
        run: a finished run.

    Returns:
        What was written.
    """
    with run.writing():
        folder, config, rows = run.path / "export", run.config.export, real_rows(run)
        written: list[Path] = []
        if "savedmodel" in config.formats:
            written.append(_savedmodel(run, folder, rows))
        if "onnx" in config.formats:
            try:
                written.append(onnx.save(run.model, folder / f"{config.name}.onnx", rows=rows))
            except HashedFeatureError as error:
                console.print(f"No ONNX file: {error}", markup=False)
        return written


def _savedmodel(run: Run, folder: Path, rows: Mapping[str, Any] | None) -> Path:
    """Writes the run's version, once: which one it is, is decided and written down before it is made.

    A version appears only when it is whole. So one that is there although the export was broken off need not be made
    again, under the next number.
    """
    name, made = run.config.export.name, run.head.exported.get("savedmodel", "")
    if re.fullmatch(rf"{re.escape(name)}/[0-9]+", made) and (folder / made).is_dir():
        return folder / made
    version = savedmodel.next_version(folder / name)
    run.set_exported("savedmodel", f"{name}/{version}")
    return savedmodel.save(run.model, folder, name=name, rows=rows, version=version, **recommended(run))
