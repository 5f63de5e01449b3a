"""The section `ranking`, and which of a pair, the user or the item, a feature depends on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from pydantic import Field, model_validator

from tfwd.config.features.any import expanded
from tfwd.config.features.base import Feature
from tfwd.config.features.categorical import Categorical
from tfwd.config.features.cross import Cross
from tfwd.config.features.datetime import DatetimePart
from tfwd.config.section import Section, refuse_twice
from tfwd.errors import ConfigError
from tfwd.utils.naming import nearest


class RankingConfig(Section):
    """What is ranked for whom: each row has a user and an item, and the answer for a user is a list of items.

    Args:
        user: the column that identifies users: a request names one, and the metrics by user are grouped by it.
        item: the column that identifies items, which a feature must read.
        title: a column with an item's title, for people to read.
        item_columns: the other columns, read by features, that describe the item alone, such as its genres.
            All columns other than these and `item` come with the request.
        k: the length of a list.
    """

    user: str = Field(min_length=1)
    item: str = Field(min_length=1)
    title: str | None = Field(default=None, min_length=1)
    item_columns: tuple[str, ...] = ()
    k: int = Field(default=10, ge=1, le=2**31 - 1)

    @model_validator(mode="after")
    def _check(self) -> RankingConfig:
        if self.user == self.item:
            raise ValueError(f"user and item are two columns. Received {self.item!r} for both")
        if self.title in (self.user, self.item):
            raise ValueError(f"title is a column of its own, and {self.title!r} is not: leave it out")
        refuse_twice("item_columns", self.item_columns)
        if self.user in self.item_columns or self.item in self.item_columns:
            wrong = self.user if self.user in self.item_columns else self.item
            raise ValueError(f"item_columns are columns of the item beside `item`: remove {wrong!r}")
        return self


Side = Literal["user", "item", "both"]


def sides(features: Iterable[Feature], ranking: RankingConfig) -> dict[str, Side]:
    """The side of every feature that the heads read; `both` for crosses over both sides.

    Args:
        features: as declared, or with each datetime replaced by its parts and numbers.
        ranking: says what belongs to the item.

    Raises:
        ConfigError: a feature takes its values from one side and its weights from the other.
    """
    of_item = {ranking.item, *ranking.item_columns}
    found: dict[str, Side] = {}
    features = expanded(features)
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


def check_ranking(ranking: RankingConfig, features: tuple[Feature, ...], read: Mapping[str, str], label: str) -> None:
    """Checks the section against the features of its configuration.

    Args:
        ranking: the section.
        features: those that the heads read.
        read: data column -> graph input name.
        label: the label's column.

    Raises:
        ConfigError: a column that no feature reads or that is the label's, an item that is not a category, or a feature
            of both sides.
    """
    for key, columns in (("item", (ranking.item,)), ("item_columns", ranking.item_columns)):
        for column in columns:
            if column not in read:
                raise ConfigError(f"ranking.{key}: no feature reads the column {column!r}.{nearest(column, read)}")
    for key, given in (("user", ranking.user), ("title", ranking.title)):
        if given == label:
            raise ConfigError(f"ranking.{key}: {given!r} is the label's column.")
    for feature in features:
        one_category = isinstance(feature, Categorical) and feature.max_length is None
        if ranking.item in feature.columns and (not one_category or isinstance(feature, DatetimePart)):
            raise ConfigError(
                f"ranking.item: the feature {feature.name!r} reads {ranking.item!r}, but not as one category. An "
                "item is told by a categorical feature without max_length."
            )
    sides(features, ranking)


# What a request for a list holds besides the user: inputs of a SavedModel's signature, and a column in Python.
REQUEST_INPUTS = ("k", "candidates", "exclude")
SEEN = "seen"


def refuse_names_of_requests(ranking: RankingConfig, read: Mapping[str, str], made: Iterable[str]) -> None:
    """Refuses columns of the user whose name means something else in a request for a list.

    Args:
        ranking: the section.
        read: data column -> graph input name.
        made: the columns that histories make.

    Raises:
        ConfigError: names the column, and what would be right.
    """
    of_user = {column: name for column, name in read.items() if column not in (ranking.item, *ranking.item_columns)}
    taken = set(REQUEST_INPUTS) & set(of_user.values())
    if taken:
        name = min(taken)
        column = next(column for column in read if read[column] == name)
        raise ConfigError(
            f"Column {column!r} becomes the input {name!r}, which says in a request for a list what is listed. "
            f"Rename it in data.names, for example {{{column!r}: {name}_2}}."
        )
    for column in (*of_user, *made, ranking.user):
        if column.lower() == SEEN:
            raise ConfigError(
                f"ranking: the column {column!r} of a request would stand beside `{SEEN}`, the list of what a user "
                "has seen. Give it another name, for example in data.columns or data.history."
            )
