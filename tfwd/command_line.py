"""How every command speaks and fails, those of tfwd and those of the exports alike."""

from __future__ import annotations

import contextlib
import functools
import shlex
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import typer

from tfwd.console import console
from tfwd.errors import TfwdError


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
            console.print(f"Error: {reason_of(error)}.", markup=False)
            raise typer.Exit(2) from None
        except KeyboardInterrupt:
            console.print("Interrupted.")
            raise typer.Exit(130) from None

    return wrapped


class _Command(types.ModuleType):
    """The module of a command, which a caller takes for a function of its name."""

    def __call__(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError(f"{self.__name__} is a module and no function. {self.__doc__}")


def refuse_calls(module: str) -> None:
    """Lets a command's module say, where it is called, what there is in Python for it."""
    sys.modules[module].__class__ = _Command


def say(text: str) -> None:
    """A result, to standard output, whatever signs it holds."""
    print(text, flush=True)


def reason_of(error: OSError) -> str:
    """What the system refused, with the file if it names one."""
    from tfwd.utils.files import reason

    return f"{error.filename}: {reason(error)}" if error.filename else reason(error)


@contextlib.contextmanager
def resumable(output: Path) -> Iterator[None]:
    """Says how a training goes on that was broken off after its run had been made."""
    try:
        yield
    except (KeyboardInterrupt, OSError) as error:
        if isinstance(error, OSError):
            console.print(f"Error: {reason_of(error)}.", markup=False)
        else:
            console.print("Interrupted.")
        if (output / "run.json").is_file():
            console.print(
                f"What was written whole is kept. Go on with: python -m tfwd.train --output {shlex.quote(str(output))} "
                "--resume",
                markup=False,
            )
        raise typer.Exit(2 if isinstance(error, OSError) else 130) from None
