"""Dates: the calendar, the proleptic Gregorian one of the years 1 to 9999 in UTC, and how text says a moment."""

from __future__ import annotations

import datetime
import re

# The parts of fixed size: the first value, and how many there are. Week and weekday are those of ISO 8601: 1 is Monday.
PARTS = {
    "quarter": (1, 4),
    "month": (1, 12),
    "week": (1, 53),
    "day": (1, 31),
    "weekday": (1, 7),
    "weekend": (0, 2),
    "hour": (0, 24),
    "minute": (0, 60),
}
# The first second of the year 1 and the last of the year 9999, counted from 1970-01-01 00:00 UTC.
FIRST_SECOND = -62_135_596_800
LAST_SECOND = 253_402_300_799
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
# What a moment is for people.
SINCE_1970 = "seconds since 1970-01-01 UTC"
# The values of `tfwd.schema.Input.moment` that are no format: text of whole seconds since 1970, and text of ISO 8601.
SECONDS, ISO = "seconds", ""
LONGEST_FORMAT = 100
# What a format may hold: directives of DuckDB's strptime, of which some may have a -. Between them they must tell a
# day. Of a week it is told by its number, as DuckDB does not read its name there.
_DIRECTIVE = re.compile(r"%(-?.|$)", re.DOTALL)
_LETTERS, _WITH_DASH = "aAbBdfgGHIjmMnpSuVwyYzZ%", "dHIjmMS"
_DIRECTIVES = frozenset(_LETTERS) | {f"-{letter}" for letter in _WITH_DASH}
_DAYS = (({"Y", "y"}, {"m", "b", "B"}, {"d"}), ({"Y", "y"}, {"j"}), ({"G"}, {"V"}, {"u"}))


def seconds_of(text: str) -> int | None:
    """Returns seconds since 1970 of an ISO 8601 day or moment, rounded down; None where the string is invalid."""
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        return None
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=datetime.UTC)
    return (moment - _EPOCH) // datetime.timedelta(seconds=1)


def format_fault(format: str) -> str | None:
    """Returns what is wrong with the format of dates as text, to follow it in a message; None if nothing is."""
    found = _DIRECTIVE.findall(format)
    unknown = [directive for directive in found if directive not in _DIRECTIVES]
    if unknown:
        return (
            f"holds {'%' + unknown[0]!a}, and these are the directives: {_listed(_LETTERS)}, of which "
            f"{_listed(_WITH_DASH)} may have a -, as in %-d"
        )
    plain = {directive.removeprefix("-") for directive in found}
    if not any(all(plain & choice for choice in day) for day in _DAYS):
        return (
            "does not determine a day: it needs %Y (or %y), %m (or %b) and %d, or %Y and %j, or %G, %V and %u. For "
            f"whole seconds since 1970 say {SECONDS}"
        )
    return None


def _listed(letters: str) -> str:
    return " ".join(f"%{letter}" for letter in letters)
