"""Matches the ids of a feature with those of an older one: by value, by bucket, by bin, by combination."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tfwd.config.features.base import Feature
from tfwd.config.features.bucketized import Bucketized
from tfwd.config.features.categorical import Categorical, root
from tfwd.config.features.cross import Cross
from tfwd.config.features.numeric import Numeric
from tfwd.features.space import FeatureSpace

Ids = NDArray[np.int64]
# Which heads a feature goes to, what its columns are called, and inputs unrelated to the others: none of these changes
# what an id or a number means.
_PLACES = {
    *("column", "source", "reference_column", "delimiter", "wide", "deep", "embedding", "one_hot", "missing_indicator"),
    *("embedding_initializer", "embedding_scale", "embedding_trainable"),
}


@dataclass(frozen=True)
class Match:
    """The ids of a feature that an older one had, and where.

    Attributes:
        new: ids, rising, int64 `(N,)`.
        old: the older ids of the same values, int64 `(N,)`.
        rows: the number of rows of the new feature.
        old_rows: the number of rows of the older one.
        reason: why nothing is carried, None where something may be.
    """

    new: Ids
    old: Ids
    rows: int
    old_rows: int
    reason: str | None = None

    @classmethod
    def none(cls, rows: int, old_rows: int, reason: str) -> Match:
        """Returns a match with nothing in common."""
        return cls(np.zeros(0, np.int64), np.zeros(0, np.int64), rows, old_rows, reason)

    @classmethod
    def same(cls, rows: int) -> Match:
        """Returns a match with everything in common."""
        return cls(np.arange(rows), np.arange(rows), rows, rows)


def match_rows(name: str, new: FeatureSpace, old: FeatureSpace) -> Match:
    """Matches the ids of a categorical, bucketized or crossed feature with those of the older one of its name.

    Categories match by value, as do OOV and missing; buckets match if the boundaries are the same; hashed features and
    crosses match by bin if the number of bins is the same, since a cross is over fingerprints of values, which do not
    depend on a vocabulary; exact crosses match by the combination of values.
    """
    feature, rows = new[name], new.rows(name)
    before = old.by_name.get(name)
    if before is None:
        return Match.none(rows, 0, "a new feature")
    old_rows = 0 if isinstance(before, Numeric) else old.rows(name)
    if type(feature) is not type(before):
        return Match.none(rows, old_rows, f"was {before.kind}, is {feature.kind}")
    if isinstance(feature, Bucketized):
        reason = _other_buckets(name, new, old)
        return Match.none(rows, old_rows, reason) if reason else Match.same(rows)
    if isinstance(feature, Categorical):
        assert isinstance(before, Categorical)
        return _match_categories(root(feature, new.by_name), root(before, old.by_name), new, old, rows, old_rows)
    assert isinstance(feature, Cross)
    assert isinstance(before, Cross)
    return _match_cross(feature, before, new, old)


def same_definition(feature: Feature, before: Feature | None) -> bool:
    """Returns whether a numeric or bucketized feature is declared as before, apart from its heads and columns."""
    return type(feature) is type(before) and before is not None and _meaning(feature) == _meaning(before)


def _meaning(feature: Feature) -> dict[str, object]:
    found = feature.model_dump(exclude=_PLACES)
    if isinstance(feature, Numeric):
        found["normalization"] = feature.normalizations
        if "quantile" not in feature.normalizations:
            del found["quantiles"]
    return found


def _other_buckets(name: str, new: FeatureSpace, old: FeatureSpace) -> str | None:
    feature, before = new.by_name[name], old.by_name[name]
    assert isinstance(feature, Bucketized)
    assert isinstance(before, Bucketized)
    edges, old_edges = (np.array(space.statistics.numerics[name].boundaries, np.float32) for space in (new, old))
    if not np.array_equal(edges, old_edges) or (feature.oov, feature.exact) != (before.oov, before.exact):
        return "other buckets than before"
    return None


def _match_categories(
    feature: Categorical, before: Categorical, new: FeatureSpace, old: FeatureSpace, rows: int, old_rows: int
) -> Match:
    ways = [
        "hashed" if owner.hash_bins is not None else "integers" if owner.identity is not None else "a vocabulary"
        for owner in (feature, before)
    ]
    if ways[0] != ways[1]:
        return Match.none(rows, old_rows, f"was {ways[1]}, is {ways[0]}")
    if feature.hash_bins is not None:
        if rows != old_rows:
            return Match.none(rows, old_rows, f"had {before.hash_bins:,} bins, has {feature.hash_bins:,}")
        return Match.same(rows)
    if feature.identity is not None:
        assert before.identity is not None
        common = np.arange(min(feature.identity, before.identity))
        # After the integers: OOV, then missing.
        ends = [np.arange(owner.identity, owner.identity + 2) for owner in (feature, before) if owner.identity]
        return Match(np.concatenate([common, ends[0]]), np.concatenate([common, ends[1]]), rows, old_rows)
    words = new.statistics.vocabularies[feature.name].values
    known = {word: place for place, word in enumerate(old.statistics.vocabularies[before.name].values)}
    places = np.fromiter((known.get(word, -1) for word in words), np.int64, len(words))
    found = np.flatnonzero(places >= 0)
    # Before the vocabulary: OOV, then missing.
    ends = [np.arange(2)]
    return Match(np.concatenate([*ends, found + 2]), np.concatenate([*ends, places[found] + 2]), rows, old_rows)


def _match_cross(feature: Cross, before: Cross, new: FeatureSpace, old: FeatureSpace) -> Match:
    rows, old_rows = new.rows(feature.name), old.rows(before.name)

    def nothing(reason: str) -> Match:
        return Match.none(rows, old_rows, reason)

    if feature.keys != before.keys:
        return nothing(f"crossed {' x '.join(before.keys)}, crosses {' x '.join(feature.keys)}")
    if feature.bins != before.bins:
        shown = [bins if bins == "exact" else f"{bins:,}" for bins in (before.bins, feature.bins)]
        return nothing(f"had bins: {shown[0]}, has {shown[1]}")
    keys = [match_rows(key, new, old) for key in feature.keys]
    for key, match in zip(feature.keys, keys, strict=True):
        if feature.bins != "exact" and _crossed_by_value(key, new) and _crossed_by_value(key, old):
            continue
        if match.reason is not None:
            return nothing(f"{key}: {match.reason}")
        if feature.bins != "exact" and len(match.new) < max(match.rows, match.old_rows):
            return nothing(f"{key}: other integers than before")
    if feature.bins != "exact":
        return Match.same(rows)
    # Mixed radix, the last key varying fastest: the ids of a combination on either side.
    ids, olds = np.zeros(1, np.int64), np.zeros(1, np.int64)
    for match in keys:
        ids = np.add.outer(ids * match.rows, match.new).ravel()
        olds = np.add.outer(olds * match.old_rows, match.old).ravel()
    order = np.argsort(ids, kind="stable")
    return Match(ids[order], olds[order], rows, old_rows)


def _crossed_by_value(key: str, space: FeatureSpace) -> bool:
    """Returns whether a key enters a cross as fingerprints of its values, not as ids."""
    owner = space.root(key)
    return isinstance(owner, Categorical) and owner.identity is None
