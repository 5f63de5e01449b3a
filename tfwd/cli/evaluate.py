"""`tfwd evaluate`: the exact metrics of a model on labelled rows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tfwd.cli.options import DataPath, Delimiter, RunPath, scorer_of
from tfwd.utils.command_line import guarded, say
from tfwd.utils.console import console


@guarded
def evaluate(
    run: RunPath,
    data: DataPath,
    delimiter: Delimiter = None,
    output: Annotated[Path | None, typer.Option(help="Also write the metrics to this JSON file.")] = None,
) -> None:
    """Computes the exact metrics of a model on labelled rows."""
    scorer = scorer_of(run, data, output)
    from tfwd.data.rows import Rows
    from tfwd.inference.evaluation import evaluate as evaluate_rows
    from tfwd.utils.console import progress
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
