"""How all commands, of tfwd and of the exports, print their results and fail."""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Callable
from typing import Any, NoReturn

import typer

from tfwd.errors import TfwdError
from tfwd.utils.console import console

# Of every command line.
CONTEXT = {"help_option_names": ["-h", "--help"]}


def guarded(command: Callable[..., Any]) -> Callable[..., Any]:
    """Turns errors that the user can fix into one message and exit code 2, and Ctrl-C into exit code 130."""

    @functools.wraps(command)
    def wrapped(*arguments: Any, **options: Any) -> Any:
        try:
            return command(*arguments, **options)
        except TfwdError as error:
            console.print(f"Error: {error}", markup=False)
            raise typer.Exit(2) from None
        except OSError as error:
            console.print(f"Error: {reason_of(error)}.", markup=False)
            raise typer.Exit(2) from None
        except KeyboardInterrupt:
            console.print("Interrupted.")
            raise typer.Exit(130) from None

    return wrapped


class _Command(types.ModuleType):
    """The module of a command, which a caller may mistake for a function of its name."""

    def __call__(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError(f"{self.__name__} is a module, not a function. {self.__doc__}")


def refuse_calls(module: str) -> None:
    """Makes a command's module, when it is called, name its equivalent in Python."""
    sys.modules[module].__class__ = _Command


def say(text: str) -> None:
    """Prints a result to standard output, whatever characters it holds."""
    print(text, flush=True)


def reason_of(error: OSError) -> str:
    """Returns why the system refused, with the file if the error names one."""
    from tfwd.utils.files import reason

    return f"{error.filename}: {reason(error)}" if error.filename else reason(error)


def run_single(command: Callable[..., Any], name: str | None = None, arguments: list[str] | None = None) -> None:
    """Runs one command as a program: `python -m tfwd.train`.

    Args:
        command: the command.
        name: how the help calls the program; by default as it was started.
        arguments: its arguments; by default those of the process.
    """
    single = typer.Typer(
        add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None, context_settings=CONTEXT
    )
    single.command()(command)
    single(arguments, prog_name=name)
