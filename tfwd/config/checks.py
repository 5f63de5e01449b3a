"""What must hold between features: names that differ, crosses of keys that exist."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tfwd.config.features.base import MAX_ROWS, Feature
from tfwd.config.features.categorical import Categorical, root
from tfwd.config.features.cross import Cross
from tfwd.config.features.datetime import Datetime
from tfwd.config.features.numeric import Numeric
from tfwd.errors import ConfigError
from tfwd.utils.naming import nearest, refuse_case_twins

# The most combinations of values per row that a cross may have: all of them are computed, including padding.
MAX_COMBINATIONS = 10_000


def check_features(declared: Sequence[Feature]) -> None:
    """Checks what holds between features: names that differ, crosses of keys that exist.

    Raises:
        ConfigError: names the feature, the key and what would be right.
    """
    places = [(index, feature) for index, whole in enumerate(declared) for feature in whole.expanded()]
    features = [feature for _, feature in places]
    taken: set[str] = set()
    for index, given in enumerate(declared):
        # The heads read no feature of a datetime's own name, but by that name one changes it.
        for name in dict.fromkeys((given.name, *(made.name for made in given.expanded()))):
            if name in taken:
                raise ConfigError(
                    f"features[{index}]: the name {name!r} is taken by another feature. Give one of them a `name`."
                )
            taken.add(name)
    by_name = {feature.name: feature for feature in features}
    refuse_case_twins(by_name, "Features")
    columns: dict[str, str] = {}
    for index, feature in places:
        for column in feature.numbers if isinstance(feature, Numeric) else ():
            twin = columns.setdefault(column, feature.name)
            if twin != feature.name:
                raise ConfigError(
                    f"features[{index}]: {feature.name!r} and {twin!r} both produce the number {column!r}. Give one of "
                    "them another `name`."
                )
    for index, feature in places:
        if isinstance(feature, Categorical) and feature.owner is not None:
            _check_owner(f"features[{index}]: {feature.name!r}", feature, by_name)
    _check_datetimes(declared)
    _check_tables(places, by_name)
    candidates = [f.name for f in features if not isinstance(f, Cross | Numeric)]
    for index, feature in places:
        if not isinstance(feature, Cross):
            continue
        for key in feature.keys:
            if key not in by_name:
                whole = next((f for f in declared if f.name == key), None)
                if whole is not None:
                    parts = ", ".join(part.name for part in whole.expanded() if not isinstance(part, Numeric))
                    raise ConfigError(
                        f"features[{index}]: the cross {feature.name!r} has the key {key!r}, a datetime, which is "
                        f"crossed by its parts. Name one of them: {parts or 'it has none yet, give it parts'}."
                    )
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
                f"features[{index}]: the cross {feature.name!r} has up to {length:,} combinations per row, of which "
                f"{MAX_COMBINATIONS:,} are allowed. Lower the max_length of its keys."
            )
        hashed = [k for k in keys if isinstance(k, Categorical) and root(k, by_name).hash_bins is not None]
        if feature.bins == "exact" and hashed:
            raise ConfigError(
                f"features[{index}]: bins: exact needs keys with a vocabulary or buckets, and a key of "
                f"{feature.name!r} is hashed. Give a number of bins."
            )


def _check_datetimes(declared: Sequence[Feature]) -> None:
    """Refuses an age relative to a column that no datetime feature reads: nothing would say how to read it."""
    columns = [feature.column for feature in declared if isinstance(feature, Datetime)]
    for index, feature in enumerate(declared):
        if isinstance(feature, Datetime) and feature.reference_column not in (None, *columns):
            assert feature.reference_column is not None
            raise ConfigError(
                f"features[{index}]: age_in_days of {feature.name!r} is counted to {feature.reference_column!r}, which "
                "is neither a day or moment, such as 2024-06-30, nor a column that a datetime feature reads."
                f"{nearest(feature.reference_column, [c for c in columns if c != feature.column])}"
            )


def _check_tables(places: Iterable[tuple[int, Feature]], by_name: dict[str, Feature]) -> None:
    """Refuses tables with more rows than int32 ids can address, as far as the features declare their size."""
    tables: dict[str, int] = {}
    for index, feature in places:
        if isinstance(feature, Numeric):
            continue
        rows, width = feature.known_rows(by_name), getattr(feature, "embedding", None)
        own = isinstance(width, int)
        for table in ["wide head"] * feature.in_wide + [f"embeddings of width {width}"] * own:
            tables[table] = tables.get(table, 1) + rows
            if tables[table] > MAX_ROWS:
                raise ConfigError(
                    f"features[{index}]: with {feature.name!r} the {table} would have {tables[table]:,} rows; ids are "
                    f"int32, so {MAX_ROWS:,} at most. Lower some bins."
                )


def _check_owner(where: str, feature: Categorical, by_name: dict[str, Feature]) -> None:
    """Refuses sharing a vocabulary or embedding that does not exist."""
    assert feature.owner is not None
    key = "embedding" if feature.embedding_of else "vocabulary_of"
    owner = by_name.get(feature.owner)
    if owner is None or owner is feature:
        owners = [f.name for f in by_name.values() if isinstance(f, Categorical) and f.owner is None]
        others = [name for name in owners if name != feature.name]
        wanted = "a width, auto or a categorical feature" if key == "embedding" else "another categorical feature"
        raise ConfigError(f"{where} has {key}: {feature.owner}; expected {wanted}.{nearest(feature.owner, others)}")
    if not isinstance(owner, Categorical):
        kind = getattr(owner, "type", "")
        raise ConfigError(f"{where} has {key}: {feature.owner}, a {kind} feature; only categorical ones share.")
    if owner.owner is not None:
        raise ConfigError(
            f"{where} has {key}: {owner.name}, which itself has the vocabulary of {owner.owner!r}. Name that one."
        )
    if feature.embedding_of and not owner.embedding:
        raise ConfigError(
            f"{where} shares the embedding of {owner.name!r}, which has none. Give that one a width, or auto."
        )
