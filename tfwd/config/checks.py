"""What must hold between features: names that differ, crosses of keys that exist."""

from __future__ import annotations

from tfwd.config.features.any import AnyFeature
from tfwd.config.features.base import MAX_ROWS
from tfwd.config.features.categorical import Categorical, root
from tfwd.config.features.cross import Cross
from tfwd.config.features.numeric import Numeric
from tfwd.errors import ConfigError
from tfwd.utils.naming import nearest, refuse_case_twins

# Combinations of the values of a row that a cross may have at the most: all of them are computed, padding too.
MAX_COMBINATIONS = 10_000


def check_features(features: tuple[AnyFeature, ...]) -> None:
    """Checks what holds between features: names that differ, crosses of keys that exist.

    Raises:
        ConfigError: names the feature, the key and what would be right.
    """
    by_name: dict[str, AnyFeature] = {}
    for index, feature in enumerate(features):
        if feature.name in by_name:
            raise ConfigError(
                f"features[{index}]: the name {feature.name!r} is taken by another feature. Give one of them a `name`."
            )
        by_name[feature.name] = feature
    refuse_case_twins(by_name, "Features")
    columns: dict[str, str] = {}
    for index, feature in enumerate(features):
        for column in feature.numbers if isinstance(feature, Numeric) else ():
            twin = columns.setdefault(column, feature.name)
            if twin != feature.name:
                raise ConfigError(
                    f"features[{index}]: {feature.name!r} and {twin!r} both make the number {column!r}. "
                    "Give one of them another `name`."
                )
    for index, feature in enumerate(features):
        if isinstance(feature, Categorical) and feature.owner is not None:
            _check_owner(f"features[{index}]: {feature.name!r}", feature, by_name)
    _check_tables(features, by_name)
    candidates = [f.name for f in features if not isinstance(f, Cross | Numeric)]
    for index, feature in enumerate(features):
        if not isinstance(feature, Cross):
            continue
        for key in feature.keys:
            if key not in by_name:
                raise ConfigError(
                    f"features[{index}]: the cross {feature.name!r} has an unknown key {key!r}."
                    f"{nearest(key, candidates)}"
                )
            if isinstance(by_name[key], Numeric):
                raise ConfigError(
                    f"features[{index}]: the cross {feature.name!r} has the numeric key {key!r}; "
                    "a number is crossed as buckets. Declare a bucketized feature of it and name that."
                )
            if isinstance(by_name[key], Cross):
                raise ConfigError(
                    f"features[{index}]: the cross {feature.name!r} has the cross {key!r} as a key. Name its keys "
                    "instead: a cross may have any number of keys."
                )
        keys = [by_name[key] for key in feature.keys]
        length = feature.length(by_name)
        if length is not None and length > MAX_COMBINATIONS:
            raise ConfigError(
                f"features[{index}]: the cross {feature.name!r} has up to {length:,} combinations a row, of which "
                f"{MAX_COMBINATIONS:,} are allowed. Lower the max_length of its keys."
            )
        hashed = [k for k in keys if isinstance(k, Categorical) and root(k, by_name).hash_bins is not None]
        if feature.bins == "exact" and hashed:
            raise ConfigError(
                f"features[{index}]: bins: exact needs keys with a vocabulary or buckets, and a key of "
                f"{feature.name!r} is hashed. Give a number of bins."
            )


def _check_tables(features: tuple[AnyFeature, ...], by_name: dict[str, AnyFeature]) -> None:
    """Refuses tables of more rows than an int32 id can name, as far as the features say how many they have."""
    tables: dict[str, int] = {}
    for index, feature in enumerate(features):
        if isinstance(feature, Numeric):
            continue
        rows = feature.known_rows(by_name)
        own = isinstance(feature.embedding, int)
        for table in ["wide head"] * feature.wide + [f"embeddings of width {feature.embedding}"] * own:
            tables[table] = tables.get(table, 1) + rows
            if tables[table] > MAX_ROWS:
                raise ConfigError(
                    f"features[{index}]: with {feature.name!r} the {table} would have {tables[table]:,} rows; ids are "
                    f"int32, so {MAX_ROWS:,} at most. Lower some bins."
                )


def _check_owner(where: str, feature: Categorical, by_name: dict[str, AnyFeature]) -> None:
    """Refuses a shared vocabulary or embedding that is not there to be shared."""
    assert feature.owner is not None
    key = "embedding" if feature.embedding_of else "vocabulary_of"
    owner = by_name.get(feature.owner)
    if owner is None or owner is feature:
        owners = [f.name for f in by_name.values() if isinstance(f, Categorical) and f.owner is None]
        others = [name for name in owners if name != feature.name]
        wanted = "a width, auto or a categorical feature" if key == "embedding" else "another categorical feature"
        raise ConfigError(f"{where} has {key}: {feature.owner}; expected {wanted}.{nearest(feature.owner, others)}")
    if not isinstance(owner, Categorical):
        raise ConfigError(f"{where} has {key}: {feature.owner}, a {owner.type} feature; only categorical ones share.")
    if owner.owner is not None:
        raise ConfigError(
            f"{where} has {key}: {owner.name}, which has the vocabulary of {owner.owner!r} itself. Name that one."
        )
    if feature.embedding_of and not owner.embedding:
        raise ConfigError(
            f"{where} shares the embedding of {owner.name!r}, which has none. Give that one a width, or auto."
        )
