"""The command lines of `export`: each parses, calls one function and prints."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from export.serving.settings import Kit, Settings
from tfwd.errors import ConfigError, ExportError
from tfwd.utils.command_line import guarded, say
from tfwd.utils.console import load_tensorflow

if TYPE_CHECKING:
    from export.pipeline import Opened
    from tfwd.inference.scorer import Scorer
    from tfwd.model.wide_deep import WideDeep


Baseline = Annotated[
    str | None,
    typer.Option(
        metavar="OLD",
        help="The model that this one replaces: a run, a .keras file, a SavedModel or an .onnx file. Both score the "
        "same rows, and a worse model is refused.",
    ),
]
Data = Annotated[
    str | None,
    typer.Option("--data", help="Labelled rows to compare on. [default: the run's test rows, or its validation rows]"),
]
Tolerance = Annotated[
    float | None,
    typer.Option(help="How much the loss may grow, as a fraction of it, and the AUC may fall. [default: 0.005]"),
]
MaxChange = Annotated[
    float | None,
    typer.Option(
        help="How far the scores may move on average. [default: 0.1; for a regression 0.25 standard deviations]"
    ),
]
MaxPsi = Annotated[float | None, typer.Option(help="The largest population stability index. [default: 0.25]")]
Force = Annotated[bool, typer.Option("--force", help="Export anyway, and report what is worse.")]
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
    limits = _limits(baseline, data, tolerance, max_change, max_psi, force)
    found, rows = _load(run)
    from export.pipeline import client_lines, recommended
    from export.savedmodel.writer import save

    _compare(run, found.model, baseline, data, limits, force)
    # The lists must be of the very model that is saved: opened once more, the run would load another.
    ranked = recommended(found.run) if found.run is not None else {}
    written = save(found.model, output or found.place, name=name or found.name, rows=rows, version=version, **ranked)
    say(f"SavedModel in {written}, verified against the model on {_compared(rows)} and hostile rows.")
    for line in client_lines(found.model, found.run):
        say(line)
    say(f"Serve it: python -m export.serving {written.parent.parent}")


@guarded
def onnx(
    run: Source,
    output: Annotated[Path | None, typer.Option(help="The file. [default: RUN/export/NAME.onnx]")] = None,
    fingerprint_inputs: Annotated[
        bool, typer.Option("--fingerprint-inputs", help="Take hashed features as their 64-bit fingerprints.")
    ] = False,
    sparse_wide: Annotated[
        bool | None,
        typer.Option(
            "--sparse-wide/--dense-wide",
            help="Store only the nonzero weights of the wide table, or all of them. [default: sparse from 1 MiB "
            "on, if at most a quarter is nonzero]",
        ),
    ] = None,
    half_tables: Annotated[
        bool, typer.Option("--half-tables", help="Store the tables in half precision, and report what that loses.")
    ] = False,
    split: Annotated[
        bool,
        typer.Option(
            "--split", help="Also write the two halves, NAME.transform.onnx for a CPU and NAME.ranker.onnx for a GPU."
        ),
    ] = False,
    lists: Annotated[
        bool,
        typer.Option(
            "--lists/--no-lists",
            help="Also write NAME.recommend.onnx, which answers users with lists, if the run has a catalogue.",
        ),
    ] = True,
    baseline: Baseline = None,
    data: Data = None,
    tolerance: Tolerance = None,
    max_change: MaxChange = None,
    max_psi: MaxPsi = None,
    force: Force = False,
) -> None:
    """Writes one ONNX file from raw features to probabilities, compared with the model."""
    limits = _limits(baseline, data, tolerance, max_change, max_psi, force)
    found, rows = _load(run)
    from export.onnx.writer import write
    from export.pipeline import client_lines, measured, recommended, training_ranges

    _compare(run, found.model, baseline, data, limits, force)
    written = write(
        found.model,
        output or found.place / f"{found.name}.onnx",
        fingerprint_inputs=fingerprint_inputs,
        sparse_wide=sparse_wide,
        half_tables=half_tables,
        split=split,
        ranges=training_ranges(found.run),
        rows=rows,
        **(recommended(found.run) if lists and found.run is not None else {}),
    )
    with_rounded = " with its tables rounded to half precision" if half_tables else ""
    say(f"ONNX in {written.file}, verified against the model{with_rounded} on {_compared(rows)} and hostile rows.")
    for line in written.report():
        say(line)
    if half_tables and found.run is not None:
        say(measured(found.run, written.file))
    for line in client_lines(found.model, found.run):
        say(line)
    say(f"Score a file with it: python -m tfwd.predict {written.file} --data FILE --output FILE")


@guarded
def mlflow(
    run: Source,
    output: Annotated[Path | None, typer.Option(help="The folder to make. [default: RUN/export/NAME-mlflow]")] = None,
    fingerprint_inputs: Annotated[
        bool, typer.Option("--fingerprint-inputs", help="Take hashed features as their 64-bit fingerprints.")
    ] = False,
    half_tables: Annotated[bool, typer.Option("--half-tables", help="Store the tables in half precision.")] = False,
    log: Annotated[
        bool, typer.Option("--log", help="Log it to MLflow's tracking server instead, as MLFLOW_TRACKING_URI says.")
    ] = False,
    register: Annotated[
        str | None, typer.Option(metavar="NAME", help="Log it, as a new version of the registered model NAME.")
    ] = None,
) -> None:
    """Writes or logs a model for MLflow, which answers rows of a DataFrame without TensorFlow."""
    logged = log or register is not None
    if logged and output is not None:
        raise ConfigError("--log and --register write no folder. Leave --output out, or them.")
    from export.mlflow import writer

    writer.import_mlflow()
    found, rows = _load(run)
    source = run if found.run is None else found.run
    if logged:
        info = writer.log(
            source,
            found.name,
            registered_model_name=register,
            fingerprint_inputs=fingerprint_inputs,
            half_tables=half_tables,
            rows=rows,
        )
        uri = info.model_uri
        say(f"Logged as {uri}, compared with the model on {_compared(rows)} and hostile rows.")
    else:
        uri = writer.save(source, output, fingerprint_inputs=fingerprint_inputs, half_tables=half_tables, rows=rows)
        say(f"MLflow model in {uri}, compared with the model on {_compared(rows)} and hostile rows.")
    from export.pipeline import client_lines

    for line in client_lines(found.model, found.run):
        say(line)
    say(f"Serve it: mlflow models serve --model-uri {uri} --env-manager local")


@guarded
def serving(
    output: Annotated[
        Path,
        typer.Argument(help="The folder of all models: NAME/VERSION/ with a SavedModel, a model.onnx, or both."),
    ],
    kits: Annotated[
        list[Kit], typer.Option("--for", help="The server, or `all`: those for which there are models. Repeatable.")
    ] = [Kit.TF_SERVING],  # noqa: B006
    cores: Annotated[
        int | None, typer.Option(help="Cores of the machine that serves. [default: those of this machine]")
    ] = None,
    tf_serving_image: Annotated[
        str | None, typer.Option(help=f"TF Serving's image. [default: {Settings.tf_serving_image}]")
    ] = None,
    triton_image: Annotated[
        str | None, typer.Option(help=f"Triton's image. [default: {Settings.triton_image}]")
    ] = None,
    server_image: Annotated[
        str | None,
        typer.Option(help="The name and tag for the image of `--for docker`. [default: tfwd-serve:VERSION]"),
    ] = None,
    tfwd_version: Annotated[
        str | None, typer.Option(help="The version of tfwd in that image. [default: this one]")
    ] = None,
    storage_uri: Annotated[
        str | None, typer.Option(help=f"Where KServe finds the folder. [default: {Settings.storage_uri}]")
    ] = None,
    claim: Annotated[
        str | None,
        typer.Option(help=f"The PersistentVolumeClaim with the folder, for Kubernetes. [default: {Settings.claim}]"),
    ] = None,
    rewrite_models_config: Annotated[
        bool,
        typer.Option(
            "--rewrite-models-config",
            help="Serve the newest version of each model with TF Serving, also where models.config has other versions "
            "or labels, as in a canary.",
        ),
    ] = False,
) -> None:
    """Writes what a server of the models needs into OUTPUT/serving: configuration, deployment, monitoring, clients."""
    given: dict[str, Any] = {
        "cores": cores,
        "tf_serving_image": tf_serving_image,
        "triton_image": triton_image,
        "server_image": server_image,
        "tfwd_version": tfwd_version,
        "storage_uri": storage_uri,
        "claim": claim,
        "rewrite_models_config": rewrite_models_config,
    }
    settings = Settings(**{key: value for key, value in given.items() if value is not None})
    from export.serving.kits import write

    for line in write(output, kits, settings):
        say(line)


@guarded
def baseline(
    new: Annotated[Path, typer.Argument(help="A run, a .keras file, a SavedModel or an .onnx file.")],
    old: Annotated[str, typer.Argument(help="The model that it would replace: any of these too.")],
    data: Annotated[
        str | None,
        typer.Option("--data", help="Labelled rows. [default: the test rows of NEW's run, or its validation rows]"),
    ] = None,
    tolerance: Tolerance = None,
    max_change: MaxChange = None,
    max_psi: MaxPsi = None,
) -> None:
    """Compares a model with the one that it is to replace, on the same rows, and exports nothing.

    Exits with 0 if it may replace it, and with 2 and the reasons if it should not.
    """
    limits = _limits(old, data, tolerance, max_change, max_psi)
    from tfwd.inference.load import existing, load_scorer

    existing(new)
    load_tensorflow()
    faults = _faults(new, load_scorer(new), old, data, limits)
    if faults:
        raise ExportError(
            f"{new} should not replace {old}: {'; '.join(faults)}. Allow more with --tolerance, --max-change or "
            "--max-psi."
        )
    say(f"It can replace {old}.")


def _compared(rows: Mapping[str, Any] | None) -> str:
    return "made-up" if rows is None else f"{len(next(iter(rows.values()))):,} real"


def _limits(
    baseline: str | None,
    data: str | None,
    tolerance: float | None,
    change: float | None,
    psi: float | None,
    force: bool = False,
) -> dict[str, float]:
    """Returns the given limits, by name; a baseline that is not given, or does not exist, is refused early."""
    given = {"tolerance": tolerance, "change": change, "psi": psi}
    limits = {key: value for key, value in given.items() if value is not None}
    if baseline is None and (force or data is not None or limits):
        raise ConfigError("--data, --tolerance, --max-change, --max-psi and --force need --baseline OLD.")
    if baseline is not None:
        from tfwd.inference.load import existing

        existing(baseline)
    return limits


def _compare(run: Path, model: WideDeep, baseline: str | None, data: str | None, limits: Any, force: bool) -> None:
    """Refuses a model that is worse than its baseline.

    Raises:
        ExportError: it is worse, or cannot be compared.
    """
    if baseline is None:
        return
    from tfwd.inference.tensorflow_scorer import keras_scorer

    faults = _faults(run, keras_scorer(model), baseline, data, limits)
    if faults and not force:
        raise ExportError(
            f"{run} is not exported, since it should not replace {baseline}: {'; '.join(faults)}. "
            "Export it anyway with --force, or allow more with --tolerance, --max-change or --max-psi."
        )
    say(f"Exported anyway: {'; '.join(faults)}." if faults else f"It can replace {baseline}.")


def _faults(new: Path, scorer: Scorer, old: str, data: str | None, limits: Any) -> list[str]:
    """Prints the figures of two models; returns why one should not replace the other."""
    from export.baseline.comparison import Limits, compare, comparison_rows
    from export.baseline.learned_rows import told_apart
    from tfwd.inference.load import load_scorer

    before, rows = load_scorer(old), comparison_rows(new, scorer.schema, data, scorer.reading)
    told = (told_apart("this model", new, scorer.schema, rows), told_apart("the baseline", old, before.schema, rows))
    comparison = compare(scorer, before, rows, Limits(**limits))
    for line in comparison.lines():
        say(line)
    for note in (each.note for each in told if each.note):
        say(note)
    return [*(each.fault for each in told if each.fault), *comparison.faults()]


def _load(source: Path) -> tuple[Opened, Mapping[str, Any] | None]:
    """Returns what to export, and rows of its data if any; missing paths are refused before TensorFlow's import."""
    from tfwd.inference.load import existing
    from tfwd.run import Run

    run = existing(source) if source.suffix == ".keras" else Run.open(source)
    load_tensorflow()
    from export.pipeline import opened, real_rows

    found = opened(run)
    return found, None if found.run is None else real_rows(found.run)
