"""The command `tfwd` and its subcommands: the one place that knows both training and export.

A command reads its arguments, calls one function, and reports the result and what to do next.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from tfwd.cli.evaluate import evaluate
from tfwd.cli.exporting import export_module
from tfwd.cli.predict import predict
from tfwd.cli.prepare import prepare
from tfwd.cli.rank import rank
from tfwd.cli.serve import serve
from tfwd.cli.train import train
from tfwd.errors import ExportError
from tfwd.utils.command_line import CONTEXT, guarded, say
from tfwd.version import __version__


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
    context_settings=CONTEXT,
)


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=_say_version)
    ] = False,
) -> None:
    pass


for _command in (train, prepare, evaluate, predict, rank, serve):
    app.command()(_command)
export_app = typer.Typer(help="Export a run for serving.", no_args_is_help=True, context_settings=CONTEXT)
app.add_typer(export_app, name="export")


def main() -> None:
    """Runs the console command `tfwd`."""
    for name in ("savedmodel", "onnx", "mlflow", "serving", "baseline"):
        try:
            export_app.command(name)(getattr(export_module("commands"), name))
        except ExportError as error:
            export_app.command(name, context_settings={"ignore_unknown_options": True})(_without_export(error))
    app()


def _without_export(reason: ExportError) -> Callable[..., None]:
    @guarded
    def refuse(arguments: Annotated[list[str] | None, typer.Argument(hidden=True)] = None) -> None:
        """Is unavailable: another package is found in its place."""
        raise reason

    return refuse
