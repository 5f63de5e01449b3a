"""The command `tfwd` and its subcommands: the one place that knows both training and export.

A command reads its arguments, calls one function, and says what came of it and what to do next.
"""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tfwd.command_line import guarded, resumable, say
from tfwd.config import Config, presets
from tfwd.console import console, load_tensorflow
from tfwd.errors import ConfigError, ExportError, TfwdError
from tfwd.exporting import export_module, refuse_other_export
from tfwd.preflight import preflight
from tfwd.version import __version__

if TYPE_CHECKING:
    from tfwd.scoring import Scorer

_HELP = {"help_option_names": ["-h", "--help"]}


def _say_version(asked: bool) -> None:
    if asked:
        say(f"tfwd {__version__}")
        raise typer.Exit


app = typer.Typer(
    help="Wide & Deep Learning for TensorFlow and Keras 3: train, evaluate, predict, export.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings=_HELP,
)


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=_say_version)
    ] = False,
) -> None:
    pass


RunPath = Annotated[str, typer.Argument(help="A run directory, a .keras file, a SavedModel or an .onnx file.")]
DataPath = Annotated[str, typer.Option("--data", help="A CSV or Parquet file, a folder, a glob, or census:test.")]
Delimiter = Annotated[str | None, typer.Option(help="The delimiter of CSV data; by default as in training.")]


@app.command()
@guarded
def train(
    config: Annotated[
        str | None,
        typer.Option(
            metavar="PRESET|FILE", help=f"A preset ({', '.join(presets())}) or a YAML file.", show_default="census"
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="The run directory to make.", show_default="runs/NAME, numbered"),
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Overrides a key, as train.epochs=3.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --output.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a run that is there, once the new one's data was read.")
    ] = False,
    warm_start_from: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="Carry over what a finished run has learnt.", show_default="a cold start"),
    ] = None,
    from_: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="Train on rows of this time and later: data.since.")
    ] = None,
    to: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="Train on rows before this time: data.until.")
    ] = None,
) -> None:
    """Trains, evaluates and exports as a YAML file says.

    Without a configuration it is the census, which comes with tfwd. What export.formats names is compared with the
    model before it is written. Any key of the file can be given here: --set train.epochs=3 --set data.train=rows.csv
    """
    started = time.monotonic()
    if resume:
        if output is None:
            raise ConfigError("--resume needs the run to go on with: --output RUN.")
        if config is not None or set_ or overwrite or any(x is not None for x in (warm_start_from, from_, to)):
            raise ConfigError("--resume goes on with the run's own configuration: leave all other options out.")
    else:
        source = config or "census"
        short = {"data.since": from_, "data.until": to}
        changes = [f"{key}={value}" for key, value in short.items() if value is not None]
        if warm_start_from is not None:
            changes.append(f"train.warm_start_from={json.dumps(str(warm_start_from))}")
        chosen = Config.load(source, [*(set_ or []), *changes])
        usual = Path("runs") / Path(source).stem
        output = output or (usual if overwrite else _free(usual))
        if chosen.export.formats:
            # Now, and not when the training is done.
            refuse_other_export()
        preflight(chosen)
    load_tensorflow()
    from tfwd import training

    with resumable(output):
        run = training.resume(output) if resume else training.fit(chosen, output, overwrite=overwrite)
    _print_metrics(run.metrics)
    try:
        exported = _export(run)
    except (TfwdError, OSError, KeyboardInterrupt):
        console.print(
            f"The training is whole, its export is not. Go on with: python -m tfwd.train --output "
            f"{shlex.quote(str(run.path))} --resume",
            markup=False,
        )
        raise
    say(f"Done in {time.monotonic() - started:.0f} s. The run is in {run.path}")
    for path in exported:
        say(f"Exported, equal to the model: {path}")
    for line in _client_lines(run) if exported else ():
        say(line)
    say("Next:")
    # Of rows that were learnt from, metrics say nothing.
    tested = run.rows("test")
    data = shlex.quote(tested) if isinstance(tested, str) else "FILE"
    folder = shlex.quote(str(run.path))
    say(f"  python -m tfwd.evaluate {folder} --data {data}")
    say(f"  python -m tfwd.predict {folder} --data {data} --output predictions.csv")
    if run.config.ranking is not None:
        _say_how_to_rank(run)
    if run.config.train.tensorboard:
        say(f"  tensorboard --logdir {folder}/logs")


@app.command()
@guarded
def prepare(
    config: Annotated[str, typer.Option(metavar="PRESET|FILE", help="A preset or a YAML file.")],
    output: Annotated[Path, typer.Option(metavar="FOLDER", help="The folder to make.")],
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Overrides a key, as data.path=ml-1m.")
    ] = None,
) -> None:
    """Writes the rows that a training would read, joined, computed and split, as Parquet files.

    Training does this itself and keeps the files in its run: this is for looking at them, or for using them elsewhere.
    """
    chosen = Config.load(config, set_ or [])
    from tfwd.preparation.prepare import prepare as prepare_rows
    from tfwd.utils.files import folder_beside, left_folders, refuse_existing, remove

    refuse_existing(output, "Choose another --output.")
    output.parent.mkdir(parents=True, exist_ok=True)
    for left in left_folders(output, {f"{part}.parquet" for part in ("train", "validation", "test", "users", "items")}):
        remove(left)
    with folder_beside(output) as folder:
        counts = prepare_rows(chosen, folder)
    for part, rows in counts.items():
        say(f"{rows:>12,} rows in {output / part}.parquet")
    say("Next:")
    options = "".join(f" --set {shlex.quote(change)}" for change in set_ or [])
    say(f"  python -m tfwd.train --config {shlex.quote(config)}{options}")


@app.command()
@guarded
def evaluate(
    run: RunPath,
    data: DataPath,
    delimiter: Delimiter = None,
    output: Annotated[Path | None, typer.Option(help="Also write the metrics to this JSON file.")] = None,
) -> None:
    """Computes the exact metrics of a model on labelled rows."""
    scorer = _scorer(run, data, output)
    from tfwd.callbacks import progress
    from tfwd.data.rows import Rows
    from tfwd.evaluation import evaluate as evaluate_rows
    from tfwd.utils.files import as_json, write_text

    rows = Rows(scorer.source(data, labelled=True, delimiter=delimiter), scorer.schema)
    reading = scorer.reading
    ranking = reading.metrics_by_user(rows.source) if reading is not None else None
    if reading is not None and reading.ranking is not None and ranking is None:
        console.print(f"No metrics by user: {data} has no column {reading.ranking.user!r}.", markup=False)
    with progress() as bar:
        task = bar.add_task("Evaluating", total=rows.count() if console.is_terminal else None)
        metrics = evaluate_rows(scorer, rows, advance=lambda count: bar.advance(task, count), ranking=ranking)
    say(as_json(metrics).rstrip())
    if output is not None:
        write_text(output, as_json(metrics))


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
    scorer = _scorer(run, data, output)
    from tfwd.callbacks import progress
    from tfwd.prediction import default_key
    from tfwd.prediction import predict as predict_rows

    source = scorer.source(data, labelled=False, key=tuple(key) if key else None, delimiter=delimiter)
    keys = tuple(key) if key else default_key(scorer, source)
    with progress() as bar:
        task = bar.add_task("Predicting", total=None)
        rows = predict_rows(scorer, source, output, key=keys, advance=lambda count: bar.advance(task, count))
    say(f"{rows:,} rows in {output}")


@app.command()
@guarded
def rank(
    run: Annotated[Path, typer.Argument(help="A run directory whose configuration has a section ranking.")],
    user: Annotated[str | None, typer.Option(help="The user to answer.", show_default=False)] = None,
    k: Annotated[int | None, typer.Option(help="The length of a list.", show_default="ranking.k")] = None,
    data: Annotated[
        str | None, typer.Option("--data", help="A row a user.", show_default="the users of the training")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="The .csv or .parquet file for the lists of all users.")] = None,
    items: Annotated[str | None, typer.Option(help="A catalogue in place of the run's own.")] = None,
    candidates: Annotated[str | None, typer.Option(help="A file of the items to choose from, one a line.")] = None,
    include_seen: Annotated[bool, typer.Option("--include-seen", help="List what the user has seen too.")] = False,
    why: Annotated[bool, typer.Option(help="Say what carried each item.")] = True,
) -> None:
    """Answers a user with the best items of the catalogue, and says why; or all users of a file.

    For one user: --user 42. For all: --output lists.parquet, with --data users.parquet for others than the training's.
    """
    if (user is None) == (output is None):
        raise ConfigError("Give --user for a list to read, or --output for the lists of all users in a file.")
    from tfwd.recommend.sides import ranking_of
    from tfwd.run import Run

    opened = Run.open(run)
    ranking_of(opened.config, opened.path)
    from tfwd.data.source import Source

    source = None if data is None else Source.open(data)
    load_tensorflow()
    from tfwd.callbacks import progress
    from tfwd.recommend.recommender import USERS, Recommender, file_of
    from tfwd.recommend.requests import find_user, read_candidates
    from tfwd.recommend.table import lines

    users = data if data is not None else str(file_of(opened, USERS))
    if output is not None:
        _refuse_own_input(output, [users])
    recommender = Recommender(opened, items)
    source = source or Source.open(users)
    chosen = None if candidates is None else read_candidates(candidates)
    if output is not None:
        with progress() as bar:
            task = bar.add_task("Ranking", total=None)
            rows = recommender.recommend_file(
                source,
                output,
                k=k,
                candidates=chosen,
                include_seen=include_seen,
                advance=lambda count: bar.advance(task, count),
            )
        say(f"{rows:,} rows in {output}")
        return
    assert user is not None
    request = find_user(source, recommender.ranking.user, user)
    found = recommender.recommend(request, k=k, candidates=chosen, include_seen=include_seen)
    reasons = recommender.reasons(request, found[recommender.ranking.item].tolist()) if why else None
    for line in lines(found, recommender.ranking, reasons):
        say(line)


export_app = typer.Typer(help="Export a run for serving.", no_args_is_help=True, context_settings=_HELP)
app.add_typer(export_app, name="export")


def run_single(command: Callable[..., Any]) -> None:
    """Runs one command as a program: `python -m tfwd.train`."""
    single = typer.Typer(
        add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None, context_settings=_HELP
    )
    single.command()(command)
    single()


def main() -> None:
    """The console command `tfwd`."""
    for name in ("savedmodel", "onnx", "serving", "baseline"):
        try:
            export_app.command(name)(getattr(export_module("commands"), name))
        except ExportError as error:
            export_app.command(name, context_settings={"ignore_unknown_options": True})(_without_export(error))
    app()


def _without_export(reason: ExportError) -> Callable[..., None]:
    @guarded
    def refuse(arguments: Annotated[list[str] | None, typer.Argument(hidden=True)] = None) -> None:
        """Is not there: another package is found in its place."""
        raise reason

    return refuse


def _free(path: Path) -> Path:
    """The path, or with the first number that makes it new."""
    numbered = (path.with_name(f"{path.name}-{number}") for number in range(2, sys.maxsize))
    return path if not path.exists() else next(candidate for candidate in numbered if not candidate.exists())


def _refuse_own_input(output: Path, read: Iterable[str | Path]) -> None:
    if output.exists() and any(Path(file).exists() and output.samefile(file) for file in read):
        raise ConfigError(f"{output} is what is read: choose another --output.")


def _scorer(run: str, data: str, output: Path | None) -> Scorer:
    """The scorer, with what isn't there, or would be written over, said before the seconds that TensorFlow takes."""
    from tfwd.data.source import find_files
    from tfwd.scoring import existing, load_scorer

    path = existing(run)
    read = find_files(data)
    if output is not None:
        _refuse_own_input(output, read)
    load_tensorflow()
    return load_scorer(path)


def _say_how_to_rank(run: Any) -> None:
    from tfwd.data.source import Source
    from tfwd.recommend.recommender import USERS
    from tfwd.recommend.requests import a_user

    users = run.path / "data" / USERS
    user = a_user(Source.open(users), run.config.ranking.user) if users.is_file() else None
    if user is not None:
        say(f"  python -m tfwd.rank {shlex.quote(str(run.path))} --user {shlex.quote(user)}")


def _print_metrics(metrics: dict[str, dict[str, float]]) -> None:
    for part, values in metrics.items():
        shown = "  ".join(
            f"{name} {value:,}" if name in ("rows", "users") else f"{name} {value:.4f}"
            for name, value in values.items()
            if value is not None
        )
        say(f"{part:<10}  {shown}")


def _client_lines(run: Any) -> list[str]:
    lines: list[str] = export_module("pipeline").client_lines(run.model, run)
    return lines


def _export(run: Any) -> list[Path]:
    if not run.config.export.formats:
        return []
    exported: list[Path] = export_module("pipeline").export_run(run)
    return exported


if __name__ == "__main__":
    main()
