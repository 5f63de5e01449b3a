"""`tfwd prepare`: writes the rows that a training would read."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from tfwd.config.config import Config
from tfwd.utils.command_line import guarded, say


@guarded
def prepare(
    config: Annotated[str, typer.Option(metavar="PRESET|FILE", help="A preset or a YAML file.")],
    output: Annotated[Path, typer.Option(metavar="FOLDER", help="The folder to make.")],
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key, such as data.path=ml-1m.")
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
    names = {f"{name}.parquet" for name in ("train", "validation", "test", "users", "items")}
    for left in left_folders(output, names):
        remove(left)
    with folder_beside(output) as folder:
        counts = prepare_rows(chosen, folder)
    for name, rows in counts.items():
        say(f"{rows:>12,} rows in {output / name}.parquet")
    say("Next:")
    options = "".join(f" --set {shlex.quote(change)}" for change in set_ or [])
    say(f"  python -m tfwd.train --config {shlex.quote(config)}{options}")
