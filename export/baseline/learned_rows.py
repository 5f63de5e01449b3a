"""Detects whether one of two models has learned from the rows on which they are compared."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from tfwd.data.rows import Rows
from tfwd.errors import DataError
from tfwd.run import Run
from tfwd.schema import Schema


class Told(NamedTuple):
    """What is known about some rows and a model.

    Attributes:
        fault: a description of what is wrong with the rows, or None.
        note: a description of why it cannot be told, or None.
    """

    fault: str | None = None
    note: str | None = None


def told_apart(who: str, path: str | Path, schema: Schema, rows: Rows) -> Told:
    """Looks for rows among those that a model has learned from.

    A run keeps a fingerprint of its training rows: see `tfwd.data.fingerprint`. Rows that occur among them no more
    often than training rows occur there twice are unrelated to them.

    Args:
        who: the model, in words.
        path: a run directory, or a file or folder in one.
        schema: the schema of the model.
        rows: labelled rows.
    """
    run = run_of(path)
    provenance = run.provenance if run else None
    if run is None or provenance is None:
        return Told(note=f"Which rows {who} has learned from is not recorded: these may be among them.")
    known = provenance.learned(run.config.train.refit)
    try:
        found = known.seen(Rows(rows.source, schema, split=rows.split, fraction=rows.fraction).hashes())
    except DataError as error:
        return Told(note=f"Whether {who} has learned from these rows cannot be told: {error}")
    if not found.told:
        return Told(note=f"Whether {who} has learned from these rows cannot be told: there are too few of them.")
    if not found.too_many:
        return Told()
    usual = f", {found.chance:.0%} of which would be by chance" if found.chance >= 0.005 else ""
    return Told(
        fault=f"{who} has learned from about {found.share:.0%} of the rows of {rows.source.name}{usual}, so they "
        "say nothing about it: give rows that neither model has learned from, with --data FILE"
    )


def run_of(path: str | Path) -> Run | None:
    """Returns the run at a path, or the run whose model or export is at the path."""
    path = Path(path).absolute()
    places = [path, *([path.parent] if path.name == "model.keras" else [])]
    places += [folder.parent for folder in path.parents if folder.name == "export"]
    return next((Run.open(place) for place in places if (place / "run.json").is_file()), None)
