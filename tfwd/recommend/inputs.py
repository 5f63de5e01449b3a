"""Which side of a pair, the user or the item, a feature depends on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tfwd.config.ranking import RankingConfig
from tfwd.errors import ConfigError
from tfwd.schema import Input, Schema

if TYPE_CHECKING:
    from tfwd.config.config import Config


def ranking_of(config: Config, run: Path) -> RankingConfig:
    """Returns the ranking section of a run's configuration.

    Raises:
        ConfigError: it is missing; says what to add.
    """
    if config.ranking is None:
        raise ConfigError(
            f"{run} cannot rank: its configuration has no section ranking. Name the columns of users and items, "
            "for example ranking: {user: user_id, item: movie_id} (a feature must read the item's), and train "
            "again."
        )
    return config.ranking


def item_inputs(schema: Schema, ranking: RankingConfig) -> tuple[Input, ...]:
    """Returns the inputs that come with an item; the others come with the request."""
    columns = {ranking.item, *ranking.item_columns}
    return tuple(entry for entry in schema.inputs if entry.column in columns)


def user_inputs(schema: Schema, ranking: RankingConfig) -> tuple[Input, ...]:
    """Returns the inputs that come with a request."""
    of_item = item_inputs(schema, ranking)
    return tuple(entry for entry in schema.inputs if entry not in of_item)
