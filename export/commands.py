"""The command lines of `export`: each parses, calls one function and prints."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tfwd.command_line import guarded, say
from tfwd.console import load_tensorflow
from tfwd.errors import ConfigError, ExportError

if TYPE_CHECKING:
    from tfwd.model import WideDeep
    from tfwd.run import Run

Baseline = Annotated[
    str | None,
    typer.Option(
        metavar="OLD",
        help="The model that this one replaces: a run, a .keras file, a SavedModel or an .onnx file. Both score the "
        "same rows, and a worse model is refused.",
    ),
]
Data = Annotated[
    str | None, typer.Option("--data", help="The rows of that. [default: the run's test rows, or validation rows]")
]
Tolerance = Annotated[
    float | None,
    typer.Option(help="How much larger a loss, as a share, and how much smaller the AUC may be. [default: 0.005]"),
]
MaxChange = Annotated[
    float | None,
    typer.Option(
        help="How far scores may have moved on average. [default: 0.1; of a regression 0.25 standard deviations]"
    ),
]
MaxPsi = Annotated[float | None, typer.Option(help="The largest population stability index. [default: 0.25]")]
Force = Annotated[bool, typer.Option("--force", help="Export all the same, and say what speaks against it.")]
Source = Annotated[Path, typer.Argument(help="A run directory or a .keras file.")]


@guarded
def savedmodel(
    run: Source,
    output: Annotated[Path | None, typer.Option(help="The folder of all models. [default: RUN/export]")] = None,
    name: Annotated[str | None, typer.Option(help="The model's name. [default: export.name of the run]")] = None,
    version: Annotated[int | None, typer.Option(help="The version. [default: the next one]")] = None,
    baseline: Baseline = None,
    data: Data = None,
    tolerance: Tolerance = None,
    max_change: MaxChange = None,
    max_psi: MaxPsi = None,
    force: Force = False,
) -> None:
    """Writes OUTPUT/NAME/VERSION for TF Serving, compared with the model."""
    from export.pipeline import client_lines, recommended
    from export.savedmodel import save

    model, default_name, folder, rows, opened = _load(run)
    _compare(run, model, baseline, data, tolerance, max_change, max_psi, force)
    # The lists are of the very model that is saved: opened once more, the run would load another.
    ranked = recommended(opened) if opened is not None else {}
    written = save(model, output or folder, name=name or default_name, rows=rows, version=version, **ranked)
    say(f"SavedModel in {written}, equal to the model on {_compared(rows)} and hostile rows.")
    for line in client_lines(model, opened):
        say(line)
    say(f"Serve it: python -m export.serving {written.parent.parent}")


@guarded
def onnx(
    run: Source,
    output: Annotated[Path | None, typer.Option(help="The file. [default: RUN/export/NAME.onnx]")] = None,
    fingerprint_inputs: Annotated[
        bool, typer.Option("--fingerprint-inputs", help="Let hashed features enter as their 64-bit fingerprints.")
    ] = False,
    sparse_wide: Annotated[
        bool | None,
        typer.Option(
            "--sparse-wide/--dense-wide",
            help="Store of the wide table only what is not zero, or all of it. [default: sparse from 1 MiB on, if at "
            "most a quarter is not zero]",
        ),
    ] = None,
    half_tables: Annotated[
        bool, typer.Option("--half-tables", help="Store the tables in half precision; says what that loses.")
    ] = False,
    baseline: Baseline = None,
    data: Data = None,
    tolerance: Tolerance = None,
    max_change: MaxChange = None,
    max_psi: MaxPsi = None,
    force: Force = False,
) -> None:
    """Writes one ONNX file from raw features to probabilities, compared with the model."""
    from export.onnx import write
    from export.pipeline import client_lines, measured

    model, name, folder, rows, opened = _load(run)
    _compare(run, model, baseline, data, tolerance, max_change, max_psi, force)
    written = write(
        model,
        output or folder / f"{name}.onnx",
        fingerprint_inputs=fingerprint_inputs,
        sparse_wide=sparse_wide,
        half_tables=half_tables,
        rows=rows,
    )
    with_rounded = " with its tables rounded to half precision" if half_tables else ""
    say(f"ONNX in {written.file}, equal to the model{with_rounded} on {_compared(rows)} and hostile rows.")
    for line in written.report():
        say(line)
    if half_tables and opened is not None:
        say(measured(opened, written.file))
    for line in client_lines(model, opened):
        say(line)
    say(f"Score a file with it: python -m tfwd.predict {written.file} --data FILE --output FILE")


@guarded
def serving(
    output: Annotated[Path, typer.Argument(help="The folder of all models, as of `python -m export.savedmodel`.")],
) -> None:
    """Writes models.config and a one-page how-to for TF Serving beside the models."""
    from export.serving.kit import write

    written = write(output)
    say(f"models.config and README.md in {written}.")
    say(f"Start the server as {written / 'README.md'} says.")


def _compared(rows: Mapping[str, Any] | None) -> str:
    return "made-up" if rows is None else f"{len(next(iter(rows.values()))):,} real"


def _compare(
    run: Path,
    model: WideDeep,
    baseline: str | None,
    data: str | None,
    tolerance: float | None,
    change: float | None,
    psi: float | None,
    force: bool,
) -> None:
    """Refuses a model that is worse than its baseline.

    Raises:
        ExportError: it is, or cannot be compared.
    """
    if baseline is None:
        if force or any(option is not None for option in (data, tolerance, change, psi)):
            raise ConfigError("--data, --tolerance, --max-change, --max-psi and --force go with --baseline OLD.")
        return
    from export.baseline import Limits, compare, comparison_rows
    from export.learnt_rows import told_apart
    from tfwd.scoring import keras_scorer, load_scorer

    given = {"tolerance": tolerance, "change": change, "psi": psi}
    limits = Limits(**{key: value for key, value in given.items() if value is not None})
    old, rows = load_scorer(baseline), comparison_rows(run, model.schema, data, model.reading)
    told = (told_apart("this model", run, model.schema, rows), told_apart("the baseline", baseline, old.schema, rows))
    comparison = compare(keras_scorer(model), old, rows, limits)
    for line in comparison.lines():
        say(line)
    for note in (each.note for each in told if each.note):
        say(note)
    faults = [*(each.fault for each in told if each.fault), *comparison.faults()]
    if faults and not force:
        raise ExportError(
            f"{run} is not exported, since it should not replace {baseline}: {'; '.join(faults)}. "
            "Export it all the same with --force, or allow more with --tolerance, --max-change or --max-psi."
        )
    say(f"Exported all the same: {'; '.join(faults)}." if faults else f"It may replace {baseline}.")


def _load(source: Path) -> tuple[WideDeep, str, Path, Mapping[str, Any] | None, Run | None]:
    """The model, its name, where its exports go, rows of its data if there are any, and the run if it is one."""
    load_tensorflow()
    from export.pipeline import real_rows
    from tfwd.run import Run, load_model

    if source.suffix == ".keras":
        return load_model(source), "wide_deep", source.parent / "export", None, None
    run = Run.open(source)
    return run.model, run.config.export.name, run.path / "export", real_rows(run), run
