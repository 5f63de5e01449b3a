"""What a request on the command line names: a user, and candidates from a file."""

from __future__ import annotations

import difflib
from pathlib import Path

import pyarrow as pa

from tfwd.data.failures import reading
from tfwd.data.source import Source
from tfwd.data.sql import as_text, literal
from tfwd.errors import DataError
from tfwd.utils.files import what_it_is

# How many users are searched for names close to an unknown one, and how many are shown.
_LOOKED_AT, _SHOWN = 100_000, 3
HINT = (
    " For a user whom the training did not see, give --data a file with a row of the user: the column {0!r} and those "
    "that the features read of a request."
)


def a_user(source: Source, column: str) -> str | None:
    """Returns the first user of a file as a string, if it names one.

    Args:
        source: one row per user.
        column: the column that identifies users.
    """
    return next(iter(names_of(source, column, 1)), None)


def find_user(source: Source, column: str, user: str, hint: str = HINT) -> pa.Table:
    """Returns the row of a user.

    Args:
        source: one row per user.
        column: the column that identifies users.
        user: the requested user, as a string.
        hint: what to do about an unknown user.

    Raises:
        DataError: there is no such user, or several rows of it; names close matches and what to give instead.
    """
    text = as_text(column, source.require(column, "ranking.user"))
    with reading(source.name):
        found = source.connect().sql(source.select("*", where=f"{text} = {literal(user)}")).to_arrow_table()
    if found.num_rows == 1:
        return found
    if found.num_rows:
        raise DataError(f"{source.name} has {found.num_rows} rows of the user {user!r}. Expected: one.")
    known = names_of(source, column, _LOOKED_AT)
    near = difflib.get_close_matches(user, known, n=_SHOWN, cutoff=0.5) or known[:_SHOWN]
    raise DataError(
        f"{source.name} has no user {user!r}. There is, among others: {', '.join(near)}.{hint.format(column)}"
    )


def names_of(source: Source, column: str, most: int) -> list[str]:
    """Returns the first users of a file, as strings."""
    text = as_text(column, source.require(column, "ranking.user"))
    query = f"{source.select(f'{text} AS name', where=f'{text} IS NOT NULL')} LIMIT {most}"
    with reading(source.name):
        return [name for (name,) in source.connect().sql(query).fetchall()]


def read_candidates(path: str) -> list[str]:
    """Returns the items of a text file, one per line; empty lines are skipped.

    Raises:
        DataError: it cannot be read, or has no items.
    """
    kind = what_it_is(path)
    if kind != "a file":
        raise DataError(f"{path} is {kind or 'not there'}: expected a file, with one item per line.")
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise DataError(f"{path} is not UTF-8 text, with one item per line.") from None
    found = [line.strip() for line in lines if line.strip()]
    if not found:
        raise DataError(f"{path} has no items. Expected: one per line.")
    return found
