"""What a training run exports when it finishes; `tfwd.export_savedmodel` and `tfwd.export_onnx`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from export.onnx import writer as onnx
from export.onnx.conversion import HashedFeatureError
from export.savedmodel import writer as savedmodel
from tfwd.data.reading import Reading
from tfwd.data.rows import Rows
from tfwd.errors import DataError, ExportError, RunError
from tfwd.features.ranges import input_ranges
from tfwd.inference.load import existing, load_scorer
from tfwd.inference.tensorflow_scorer import keras_scorer
from tfwd.metrics.tasks import metrics_of
from tfwd.model.saving import load_model
from tfwd.model.wide_deep import WideDeep
from tfwd.run import Run
from tfwd.utils.console import console

# Rows of a run's own data on which its exports are compared with its model, besides made-up ones.
REAL_ROWS = 20_000
_NAME = "wide_deep"
_SHOWN = ("auc", "log_loss", "rmse", "mae")


class Opened(NamedTuple):
    """A model to export.

    Attributes:
        model: the model.
        name: the name of the exports by default.
        folder: where the exports go by default; None for a model in memory.
        run: the run of the model, if any.
    """

    model: WideDeep
    name: str
    folder: Path | None
    run: Run | None

    @property
    def place(self) -> Path:
        """Where its exports go by default.

        Raises:
            ExportError: it is a model in memory.
        """
        if self.folder is None:
            raise ExportError("A model in memory has no folder for its export: give a path.")
        return self.folder


def opened(source: WideDeep | Run | str | Path) -> Opened:
    """Opens a run, a run directory, a `.keras` file or a model in memory for export.

    Raises:
        RunError: a path holds neither a run nor a model.
    """
    if isinstance(source, WideDeep):
        return Opened(source, _NAME, None, None)
    if not isinstance(source, Run) and Path(source).suffix == ".keras":
        path = existing(source)
        return Opened(load_model(path), _NAME, path.parent / "export", None)
    run = source if isinstance(source, Run) else Run.open(source)
    return Opened(run.model, run.config.export.name, run.path / "export", run)


def export_savedmodel(
    source: WideDeep | Run | str | Path,
    output: str | Path | None = None,
    *,
    name: str | None = None,
    version: int | None = None,
    rows: Mapping[str, Any] | None = None,
) -> Path:
    """Writes `OUTPUT/<name>/<version>/`, compared with the model row by row before it appears.

    The model of a run is compared on rows of its data too, and gets `recommend` if the run has a catalogue. See
    `export.savedmodel.save` for the signatures and errors.

    Args:
        source: a run, a run directory, a `.keras` file or a model.
        output: the folder of all models; `RUN/export`, or `export` next to the file, if not given.
        name: the model's name; `export.name` of the run, or `wide_deep`, if not given.
        version: the version; the next one if not given.
        rows: real raw rows by input for the comparison, in place of the run's.

    Returns:
        The folder of the version.
    """
    found = opened(source)
    folder = output if output is not None else found.place
    given, ranked = rows, {}
    if found.run is not None:
        given, ranked = real_rows(found.run) if rows is None else rows, recommended(found.run)
    return savedmodel.save(found.model, folder, name=name or found.name, rows=given, version=version, **ranked)


def export_onnx(
    source: WideDeep | Run | str | Path,
    output_file: str | Path | None = None,
    *,
    fingerprint_inputs: bool = False,
    sparse_wide: bool | None = None,
    half_tables: bool = False,
    split: bool = False,
    lists: bool = True,
    rows: Mapping[str, Any] | None = None,
) -> Path:
    """Writes an ONNX file, compared with the model row by row before it appears: on a run's own rows too.

    Beside it, `NAME.recommend.onnx` answers users with lists if the run has a catalogue. See `export.onnx.save` for the
    files, the options and the errors.

    Args:
        source: a run, a run directory, a `.keras` file or a model.
        output_file: the file; `RUN/export/NAME.onnx`, or `export/wide_deep.onnx` next to the file, if not given.
        fingerprint_inputs: whether features with hash_bins enter as int64 `<input>_fingerprint`.
        sparse_wide: whether to store only the nonzero numbers of the wide table; None decides.
        half_tables: whether to store the tables in half precision.
        split: whether to write the two halves of the model too, the second of which runs on a GPU.
        lists: whether to write the file of lists of a run that has a catalogue.
        rows: real raw rows by input for the comparison, in place of the run's.

    Returns:
        The file.
    """
    found = opened(source)
    file = output_file if output_file is not None else found.place / f"{found.name}.onnx"
    given = real_rows(found.run) if rows is None and found.run is not None else rows
    written = onnx.write(
        found.model,
        file,
        fingerprint_inputs=fingerprint_inputs,
        sparse_wide=sparse_wide,
        half_tables=half_tables,
        split=split,
        ranges=training_ranges(found.run),
        rows=given,
        **(recommended(found.run) if lists and found.run is not None else {}),
    )
    _say_no_lists(written)
    return written.file


def real_rows(run: Run) -> Mapping[str, Any] | None:
    """Returns raw rows of a run's data by input, at most `REAL_ROWS`; None, with a message, if there are none."""
    try:
        return run.sample(REAL_ROWS)
    except DataError as error:
        # A run may outlive the data that it was trained on.
        console.print(f"Compared on synthetic rows only: {error}", markup=False)
        return None


def training_ranges(run: Run | None) -> dict[str, tuple[float, float]]:
    """Returns the training range of a run's numeric inputs; nothing, with a message, if its statistics are damaged."""
    if run is None:
        return {}
    try:
        run.refuse_changed()
    except RunError as error:
        console.print(f"Written without the training range of each number: {error}", markup=False)
        return {}
    return input_ranges(run.config.features, run.statistics, run.model.schema)


def recommended(run: Run) -> dict[str, Any]:
    """Returns what an export of a run that ranks items also takes: its lists and their length; nothing for others."""
    from tfwd.recommend.inputs import user_inputs
    from tfwd.recommend.recommender import Recommender, has_catalogue

    if run.config.ranking is None or not has_catalogue(run):
        return {}
    if not user_inputs(run.model.schema, run.config.ranking):
        console.print("No lists: no feature reads a column of the user.", markup=False)
        return {}
    return {"lists": Recommender(run).lists, "k": run.config.ranking.k}


def measured(run: Run, file: Path) -> str:
    """Returns a sentence with the metrics of a run's model and its file on the first labelled rows of its data."""
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
        answers = scorer.score(batch.inputs)[schema.answer]
        metrics = metrics_of(schema.measures, answers.shape[-1])
        metrics.add(batch.label[:, 0], answers, batch.weight)
        found.append(metrics.result())
    changes = [f"{name} {found[0][name]:.6f} -> {found[1][name]:.6f}" for name in _SHOWN if name in found[0]]
    return f"On {len(batch.label):,} labelled rows: {', '.join(changes)}."


def client_lines(model: WideDeep, run: Run | None) -> list[str]:
    """Returns lines on what is computed before the graph, so that a client has to send it; for most models none.

    Args:
        model: the exported model.
        run: its run, if known: a model of version 0.3.0 does not record what is computed.
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
        ranked = recommended(run) if config.formats else {}
        if "savedmodel" in config.formats:
            written.append(_savedmodel(run, folder, rows, ranked))
        if "onnx" in config.formats:
            file = folder / f"{config.name}.onnx"
            try:
                made = onnx.write(run.model, file, ranges=training_ranges(run), rows=rows, **ranked)
                _say_no_lists(made)
                written += [made.file, *([made.lists] if made.lists is not None else [])]
            except HashedFeatureError as error:
                console.print(f"No ONNX file: {error}", markup=False)
        return written


def _say_no_lists(written: onnx.Written) -> None:
    if written.no_lists:
        console.print(f"No file of lists: {written.no_lists}", markup=False)


def _savedmodel(run: Run, folder: Path, rows: Mapping[str, Any] | None, ranked: dict[str, Any]) -> Path:
    """Writes the run's version, once: its number is decided and recorded before it is made.

    A version appears only when it is complete. So one that exists although the export was interrupted need not be made
    again under the next number.
    """
    name, made = run.config.export.name, run.head.exported.get("savedmodel", "")
    if re.fullmatch(rf"{re.escape(name)}/[0-9]+", made) and (folder / made).is_dir():
        return folder / made
    version = savedmodel.next_version(folder / name)
    run.set_exported("savedmodel", f"{name}/{version}")
    return savedmodel.save(run.model, folder, name=name, rows=rows, version=version, **ranked)
