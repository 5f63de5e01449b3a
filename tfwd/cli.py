"""The command `tfwd` and its subcommands: the one place that knows both training and export.

A command reads its arguments, calls one function, and says what came of it and what to do next.
"""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from tfwd.config import Config, presets
from tfwd.console import console
from tfwd.errors import ConfigError, RunError, TfwdError

app = typer.Typer(
    help="Wide & Deep Learning for TensorFlow and Keras 3: train, evaluate, predict, export.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

RunPath = Annotated[str, typer.Argument(help="A run directory, a .keras file, a SavedModel or an .onnx file.")]
DataPath = Annotated[str, typer.Option("--data", help="A CSV or Parquet file, a folder, a glob, or census:test.")]
Delimiter = Annotated[str | None, typer.Option(help="The delimiter of CSV data; by default as in training.")]


def guarded(command: Callable[..., Any]) -> Callable[..., Any]:
    """Turns what the user can mend into one message and exit code 2, and Ctrl-C into exit code 130."""

    @functools.wraps(command)
    def wrapped(*arguments: Any, **options: Any) -> Any:
        try:
            return command(*arguments, **options)
        except TfwdError as error:
            console.print(f"Error: {error}", markup=False)
            raise typer.Exit(2) from None
        except OSError as error:
            from tfwd.run import reason

            if reason(error) != "the disk is full":
                raise
            console.print(
                "Error: the disk is full. What was written whole is kept; free some space, and go on with --resume."
            )
            raise typer.Exit(2) from None
        except KeyboardInterrupt:
            console.print("Interrupted. A run goes on with: python -m tfwd.train --output RUN --resume")
            raise typer.Exit(130) from None

    return wrapped


@app.command()
@guarded
def train(
    config: Annotated[
        str | None, typer.Option(help=f"A preset ({', '.join(presets())}) or a YAML file.", show_default="census")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="The run directory to make.", show_default="runs/<name>, numbered")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Overrides a key, as train.epochs=3.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --output.")] = False,
) -> None:
    """Trains as a configuration says, evaluates, exports what export.formats names, and checks the exports."""
    started = time.monotonic()
    if resume:
        if output is None:
            raise ConfigError("--resume needs the run to go on with: --output RUN.")
        if config is not None or set_:
            raise ConfigError("--resume goes on with the run's own configuration: leave --config and --set out.")
    else:
        source = config or "census"
        chosen = Config.load(source, set_ or [])
        output = output or _free(Path("runs") / Path(source).stem)
    from tfwd import training

    run = training.resume(output) if resume else training.fit(chosen, output)
    _print_metrics(run.metrics)
    exported = _export(run)
    say(f"Trained in {time.monotonic() - started:.0f} s. The run is in {run.path}")
    for path in exported:
        say(f"Exported and checked against the model: {path}")
    say("Next:")
    data = run.config.data.test or run.config.data.train or "FILE"
    say(f"  python -m tfwd.evaluate {run.path} --data {data}")
    say(f"  python -m tfwd.predict {run.path} --data {data} --output predictions.csv")
    say(f"  tensorboard --logdir {run.path / 'logs'}")


@app.command()
@guarded
def evaluate(
    run: RunPath,
    data: DataPath,
    delimiter: Delimiter = None,
    output: Annotated[Path | None, typer.Option(help="Also write the metrics to this JSON file.")] = None,
) -> None:
    """Computes the exact metrics of a model on labelled rows."""
    import json

    from tfwd.callbacks import progress
    from tfwd.data.rows import Rows
    from tfwd.evaluation import evaluate as evaluate_rows
    from tfwd.run import write_text
    from tfwd.scoring import load_scorer

    scorer = load_scorer(run)
    rows = Rows(_source(run, data, delimiter, filtered=True), scorer.schema)
    with progress() as bar:
        task = bar.add_task("Evaluating", total=rows.count())
        metrics = evaluate_rows(scorer, rows, advance=lambda count: bar.advance(task, count))
    print(json.dumps(metrics, indent=1))
    if output is not None:
        write_text(output, json.dumps(metrics, indent=1) + "\n")


@app.command()
@guarded
def predict(
    run: RunPath,
    data: DataPath,
    output: Annotated[Path, typer.Option(help="The .csv or .parquet file to write.")],
    key: Annotated[
        list[str] | None, typer.Option(help="A column to pass through; may be repeated.", show_default="data.key")
    ] = None,
    delimiter: Delimiter = None,
) -> None:
    """Scores rows and writes a row for each, in the same order."""
    from tfwd.callbacks import progress
    from tfwd.prediction import key_columns
    from tfwd.prediction import predict as predict_rows
    from tfwd.scoring import load_scorer

    scorer = load_scorer(run)
    source = _source(run, data, delimiter, filtered=False)
    trained = _config(run)
    keys = tuple(key) if key else tuple(key_columns(source, trained.data.key if trained else ()))
    with progress() as bar:
        task = bar.add_task("Predicting", total=None)
        rows = predict_rows(scorer, source, output, key=keys, advance=lambda count: bar.advance(task, count))
    say(f"{rows:,} rows in {output}")


export_app = typer.Typer(help="Export a run for serving.", no_args_is_help=True)
app.add_typer(export_app, name="export")


def say(text: str) -> None:
    """A result, to standard output, whatever signs it holds."""
    print(text, flush=True)


def run_single(command: Callable[..., Any]) -> None:
    """Runs one command as a program: `python -m tfwd.train`."""
    single = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    single.command()(command)
    single()


def main() -> None:
    """The console command `tfwd`."""
    app()


def _free(path: Path) -> Path:
    """The path, or with the first number that makes it new."""
    numbered = (path.with_name(f"{path.name}-{number}") for number in range(2, sys.maxsize))
    return path if not path.exists() else next(candidate for candidate in numbered if not candidate.exists())


def _config(run: str) -> Config | None:
    path = Path(run) / "config.yaml"
    return Config.load(path) if path.is_file() else None


def _source(run: str, data: str, delimiter: str | None, filtered: bool) -> Any:
    from tfwd.config import CsvConfig
    from tfwd.data.source import Source

    trained = _config(run)
    csv = trained.data.csv if trained else CsvConfig()
    if delimiter is not None:
        csv = csv.model_copy(update={"delimiter": delimiter})
    condition = trained.data.filter if trained and filtered else None
    return Source.open(data, csv=csv, filter=condition)


def _print_metrics(metrics: dict[str, dict[str, float]]) -> None:
    for part, values in metrics.items():
        shown = "  ".join(
            f"{name} {value:,}" if name == "rows" else f"{name} {value:.4f}"
            for name, value in values.items()
            if value is not None
        )
        say(f"{part:<10}  {shown}")


def _export(run: Any) -> list[Path]:
    try:
        from export.pipeline import export_run
    except ModuleNotFoundError as error:
        if error.name and error.name.startswith("export"):
            raise RunError(f"The export package is not installed: {error}. Set export.formats=[] to go without.") from None
        raise
    exported: list[Path] = export_run(run) if run.config.export.formats else []
    return exported


if __name__ == "__main__":
    main()
