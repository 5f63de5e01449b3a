"""`columns`: one entry for several columns, each of which becomes a feature of its own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from pydantic_core import PydanticCustomError

from tfwd.config.section import refuse_twice
from tfwd.config.tree import shown
from tfwd.errors import ConfigError


class Written(NamedTuple):
    """Where features stand in a configuration as it was written.

    Attributes:
        features: the features.
        places: of each the number of its entry and, if the entry has `columns`, which of them it reads.
    """

    features: list[Any]
    places: list[tuple[int, str | None]]

    def message(self, text: str, features: Sequence[Any]) -> str:
        """Returns a message whose `features[N]` count entries, not features.

        Args:
            text: the message about the features.
            features: those that it counts, of which some may have been added or left out meanwhile.
        """

        def entry(found: re.Match[str]) -> str:
            number = int(found[1])
            if number >= len(features):
                return found[0]
            # Where nothing was added or left out it is the one with this number: two entries may be the same object.
            for index in (min(number, len(self.features) - 1), *range(len(self.features))):
                if self.features[index] is features[number]:
                    place, column = self.places[index]
                    return f"features[{place}]" + (f" (column {shown(column)})" if column is not None else "")
            return found[0]

        return re.sub(r"features\[([0-9]{1,9})\]", entry, text)


def spread(features: Any) -> Written | None:
    """Writes an entry with `columns` out as one entry a column.

    Args:
        features: the features of a configuration, not changed. What the entries of a `columns` share stays shared.

    Returns:
        The features without `columns`, and where they were; None if there is no `columns`.

    Raises:
        ConfigError: `columns` is no list of different strings, or stands beside `column` or `name`.
    """
    if not isinstance(features, list | tuple) or not any(map(_has_columns, features)):
        return None
    written = Written([], [])
    for index, feature in enumerate(features):
        if not _has_columns(feature):
            written.features.append(feature)
            written.places.append((index, None))
            continue
        alike = {key: value for key, value in feature.items() if key != "columns"}
        for column in _columns(feature, f"features[{index}]"):
            written.features.append({**alike, "column": column})
            written.places.append((index, column))
    return written


def _has_columns(feature: Any) -> bool:
    # A cross has keys: to it `columns` is an unknown key like any other.
    return isinstance(feature, dict) and "columns" in feature and feature.get("type") != "cross"


def _columns(feature: dict[str, Any], where: str) -> list[str]:
    columns = feature["columns"]
    if (
        not isinstance(columns, list | tuple)
        or not columns
        or not all(isinstance(column, str) and column for column in columns)
    ):
        raise ConfigError(
            f"{where}.columns: expected a list of columns, each of which becomes a feature of its own. "
            f"Received: {shown(columns)}."
        )
    for key, advice in (
        ("column", "Give one of them."),
        ("name", "Each feature is named by its column; one that needs another name gets an entry of its own."),
    ):
        if feature.get(key):
            raise ConfigError(f"{where}: columns stands beside {key}: {shown(feature[key])}. {advice}")
    try:
        refuse_twice("columns", columns)
    except PydanticCustomError as error:
        raise ConfigError(f"{where}.columns: {error.message()}") from None
    return list(columns)
