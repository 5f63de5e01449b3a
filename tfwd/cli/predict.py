"""`tfwd predict`: scores rows and writes one answer per row."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tfwd.cli.options import DataPath, Delimiter, RunPath, scorer_of
from tfwd.utils.command_line import guarded, say


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
    scorer = scorer_of(run, data, output)
    from tfwd.inference.prediction import default_key
    from tfwd.inference.prediction import predict as predict_rows
    from tfwd.utils.console import progress

    source = scorer.source(data, labelled=False, key=tuple(key) if key else None, delimiter=delimiter)
    keys = tuple(key) if key else default_key(scorer, source)
    with progress() as bar:
        task = bar.add_task("Predicting", total=None)
        rows = predict_rows(scorer, source, output, key=keys, advance=lambda count: bar.advance(task, count))
    say(f"{rows:,} rows in {output}")
