"""Which of a pair, the user or the item, a feature depends on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tfwd.config_sections import RankingConfig
from tfwd.errors import ConfigError
from tfwd.features.columns import Column, Cross
from tfwd.schema import Input, Schema

if TYPE_CHECKING:
    from tfwd.config import Config

Side = Literal["user", "item", "both"]


def ranking_of(config: Config, run: Path) -> RankingConfig:
    """The ranking section of a run's configuration.

    Raises:
        ConfigError: there is none; says what to add.
    """
    if config.ranking is None:
        raise ConfigError(
            f"{run} ranks nothing: its configuration has no section ranking. Name the columns that tell users and "
            "items apart, as in ranking: {user: user_id, item: movie_id}, the item's being one that a feature reads, "
            "and train again."
        )
    return config.ranking


def item_inputs(schema: Schema, ranking: RankingConfig) -> tuple[Input, ...]:
    """The inputs that an item brings; the others come with the request."""
    columns = {ranking.item, *ranking.item_columns}
    return tuple(entry for entry in schema.inputs if entry.column in columns)


def user_inputs(schema: Schema, ranking: RankingConfig) -> tuple[Input, ...]:
    """The inputs that come with a request."""
    of_item = item_inputs(schema, ranking)
    return tuple(entry for entry in schema.inputs if entry not in of_item)


def sides(features: tuple[Column, ...], ranking: RankingConfig) -> dict[str, Side]:
    """The side of every feature; `both` for crosses over both.

    Raises:
        ConfigError: a feature has its values from one side and its weights from the other.
    """
    of_item = {ranking.item, *ranking.item_columns}
    found: dict[str, Side] = {}
    for feature in features:
        if isinstance(feature, Cross):
            continue
        own = {column in of_item for column in feature.columns}
        if len(own) == 2:
            raise ConfigError(
                f"ranking: the feature {feature.name!r} reads {' and '.join(map(repr, feature.columns))}, one of which "
                "belongs to the item and one to the user. Name both in ranking.item_columns, or none."
            )
        found[feature.name] = "item" if own.pop() else "user"
    for feature in features:
        if isinstance(feature, Cross):
            keys = {found[key] for key in feature.keys}
            found[feature.name] = keys.pop() if len(keys) == 1 else "both"
    return found
