"""`tfwd rank`: a list of items for a user, or for all users of a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tfwd.cli.options import refuse_own_input
from tfwd.errors import ConfigError
from tfwd.utils.command_line import guarded, say
from tfwd.utils.console import load_tensorflow


@guarded
def rank(
    run: Annotated[Path, typer.Argument(help="A run directory whose configuration has a section ranking.")],
    user: Annotated[str | None, typer.Option(help="The user to recommend to.", show_default=False)] = None,
    k: Annotated[int | None, typer.Option(help="The length of a list.", show_default="ranking.k")] = None,
    data: Annotated[
        str | None, typer.Option("--data", help="One row per user.", show_default="the users of the training")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="The .csv or .parquet file for the lists of all users.")] = None,
    items: Annotated[str | None, typer.Option(help="A catalogue in place of the run's own.")] = None,
    candidates: Annotated[str | None, typer.Option(help="A file of the items to choose from, one per line.")] = None,
    include_seen: Annotated[bool, typer.Option("--include-seen", help="List what the user has seen too.")] = False,
    why: Annotated[bool, typer.Option(help="Explain what contributed to each item.")] = True,
) -> None:
    """Lists the best items of the catalogue for a user, and says why; or for all users of a file.

    For one user: --user 42. For all: --output lists.parquet, with --data users.parquet for users other than those of
    the training.
    """
    if (user is None) == (output is None):
        raise ConfigError("Give --user for a list to read, or --output for the lists of all users in a file.")
    from tfwd.recommend.inputs import ranking_of
    from tfwd.run import Run

    opened = Run.open(run)
    ranking = ranking_of(opened.config, opened.path)
    from tfwd.data.source import Source

    source = None if data is None else Source.open(data)
    load_tensorflow()
    from tfwd.cli.table import lines
    from tfwd.recommend.recommender import USERS, Recommender, file_of
    from tfwd.recommend.requests import find_user, read_candidates
    from tfwd.utils.console import progress

    users = data if data is not None else str(file_of(opened, USERS))
    if output is not None:
        refuse_own_input(output, [users])
    # What is wrong with a request is said before the model is loaded.
    source = source or Source.open(users)
    chosen = None if candidates is None else read_candidates(candidates)
    request = None if user is None else find_user(source, ranking.user, user)
    recommender = Recommender(opened, items)
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
    found = recommender.recommend(request, k=k, candidates=chosen, include_seen=include_seen)
    reasons = recommender.reasons(request, found[ranking.item].tolist()) if why else None
    for line in lines(found, ranking, reasons):
        say(line)
