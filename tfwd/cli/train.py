"""`tfwd train`: trains, evaluates and exports as a YAML file says."""

from __future__ import annotations

import contextlib
import json
import shlex
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from tfwd.cli.exporting import export_module, refuse_other_export
from tfwd.config.config import Config, presets
from tfwd.errors import ConfigError, TfwdError
from tfwd.utils.command_line import guarded, reason_of, say
from tfwd.utils.console import console, load_tensorflow


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
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key, such as train.epochs=3.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Resume the run in --output.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing run, once the new one's data has been read.")
    ] = False,
    warm_start_from: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="Carry over what a finished run has learned.", show_default="a cold start"),
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
            raise ConfigError("--resume needs the run to resume: --output RUN.")
        if config is not None or set_ or overwrite or any(x is not None for x in (warm_start_from, from_, to)):
            raise ConfigError("--resume uses the run's own configuration: leave all other options out.")
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
            # Now, not after the training.
            refuse_other_export()
        # Here, as it brings NumPy, which nobody waits for who asks for help.
        from tfwd.training.preflight import preflight

        preflight(chosen)
    load_tensorflow()
    from tfwd.training import fit as training

    with resumable(output):
        run = training.resume(output) if resume else training.fit(chosen, output, overwrite=overwrite)
    _print_metrics(run.metrics)
    try:
        exported = _export(run)
    except (TfwdError, OSError, KeyboardInterrupt):
        console.print(
            f"Training finished but the export failed. Retry the export with: python -m tfwd.train --output "
            f"{shlex.quote(str(run.path))} --resume",
            markup=False,
        )
        raise
    say(f"Done in {time.monotonic() - started:.0f} s. The run is in {run.path}")
    for path in exported:
        say(f"Exported and verified against the model: {path}")
    for line in _client_lines(run) if exported else ():
        say(line)
    say("Next:")
    # Metrics on rows that were learned from are meaningless.
    tested = run.rows("test")
    data = shlex.quote(tested) if isinstance(tested, str) else "FILE"
    folder = shlex.quote(str(run.path))
    say(f"  python -m tfwd.evaluate {folder} --data {data}")
    say(f"  python -m tfwd.predict {folder} --data {data} --output predictions.csv")
    if run.config.ranking is not None:
        _say_how_to_rank(run)
    if run.config.train.tensorboard:
        say(f"  tensorboard --logdir {folder}/logs")


def _free(path: Path) -> Path:
    """Returns the path, with the first number that makes it new if it exists."""
    numbered = (path.with_name(f"{path.name}-{number}") for number in range(2, sys.maxsize))
    return path if not path.exists() else next(candidate for candidate in numbered if not candidate.exists())


def _say_how_to_rank(run: Any) -> None:
    from tfwd.data.source import Source
    from tfwd.recommend.recommender import USERS
    from tfwd.recommend.requests import a_user

    users = run.path / "data" / USERS
    user = a_user(Source.open(users), run.config.ranking.user) if users.is_file() else None
    if user is not None:
        say(f"  python -m tfwd.rank {shlex.quote(str(run.path))} --user {shlex.quote(user)}")


def _print_metrics(metrics: dict[str, dict[str, float]]) -> None:
    for split, values in metrics.items():
        shown = "  ".join(
            f"{name} {value:,}" if name in ("rows", "users") else f"{name} {value:.4f}"
            for name, value in values.items()
            if value is not None
        )
        say(f"{split:<10}  {shown}")


def _client_lines(run: Any) -> list[str]:
    lines: list[str] = export_module("pipeline").client_lines(run.model, run)
    return lines


def _export(run: Any) -> list[Path]:
    if not run.config.export.formats:
        return []
    exported: list[Path] = export_module("pipeline").export_run(run)
    return exported


@contextlib.contextmanager
def resumable(output: Path) -> Iterator[None]:
    """Says how to resume a training that was interrupted after its run had been created."""
    try:
        yield
    except (KeyboardInterrupt, OSError) as error:
        if isinstance(error, OSError):
            console.print(f"Error: {reason_of(error)}.", markup=False)
        else:
            console.print("Interrupted.")
        if (output / "run.json").is_file():
            console.print(
                "Completed checkpoints are kept. Resume with: python -m tfwd.train --output "
                f"{shlex.quote(str(output))} "
                "--resume",
                markup=False,
            )
        raise typer.Exit(2 if isinstance(error, OSError) else 130) from None
