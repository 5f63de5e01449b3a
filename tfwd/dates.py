"""The calendar of moments: the proleptic Gregorian one, years 1 to 9999, UTC."""

from __future__ import annotations

import datetime

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


def seconds_of(text: str) -> int | None:
    """Seconds since 1970 of an ISO 8601 day or moment, rounded down; None where the string is invalid."""
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        return None
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=datetime.UTC)
    return (moment - _EPOCH) // datetime.timedelta(seconds=1)
