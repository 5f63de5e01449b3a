"""The features of a model: what was declared, and what was learned from the training rows.

This is where to ask how many ids a feature has, how many values it has per row, or what an id is called, whatever
kind of feature it is. What only one room has to know about a kind, such as its place in the layout or the type of its
column, is in that room; CONTRIBUTING.md lists the rooms.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable

import numpy as np

from tfwd.analysis.statistics import FeatureStatistics
from tfwd.config.features.any import expanded
from tfwd.config.features.base import MAX_ROWS, Embedding, Feature, Placed
from tfwd.config.features.bucketized import Bucketized
from tfwd.config.features.categorical import Categorical, root
from tfwd.config.features.cross import Cross
from tfwd.config.features.numeric import Numeric
from tfwd.errors import ConfigError


class FeatureSpace:
    """Declarations and statistics.

    Args:
        features: as declared.
        statistics: of the training rows.

    Attributes:
        features: in order, a datetime replaced by its parts and numbers.
        statistics: of the training rows.
        by_name: the features by name.
    """

    def __init__(self, features: Iterable[Feature], statistics: FeatureStatistics) -> None:
        self.features = expanded(features)
        self.statistics = statistics
        self.by_name: dict[str, Feature] = {feature.name: feature for feature in self.features}

    def __getitem__(self, name: str) -> Feature:
        return self.by_name[name]

    def rows(self, name: str) -> int:
        """The number of local ids `0 .. rows - 1` of a feature.

        Categorical with a vocabulary: OOV, missing, then the vocabulary. Hashed: the bins, then missing.
        Identity: the integers, OOV, missing. Bucketized: the buckets, missing, and OOV if asked for.
        Cross: its bins.

        Raises:
            ConfigError: an exact cross has more combinations than an id can name.
            TypeError: the feature is a number, which has no ids.
        """
        feature = self.by_name[name]
        if isinstance(feature, Numeric):
            raise TypeError(f"Only features with ids have rows. Received: {feature!r}")
        if isinstance(feature, Bucketized):
            return len(self.statistics.numerics[name].boundaries) + 2 + feature.oov
        if isinstance(feature, Cross) and feature.bins == "exact":
            rows = math.prod(map(self.rows, feature.keys))
            if rows > MAX_ROWS:
                raise ConfigError(
                    f"The cross {name!r} has {rows:,} combinations, too many for bins: exact. Give a number of bins."
                )
            return rows
        words = self.vocabulary(name)
        return feature.known_rows(self.by_name) if words is None else len(words) + 2

    def length(self, name: str) -> int | None:
        """The largest number of values per row of a multivalent feature; None for a feature with one value per row."""
        return self.by_name[name].length(self.by_name)

    def root(self, name: str) -> Feature:
        """The feature whose vocabulary, bins or integers a feature uses: its owner, or itself."""
        feature = self.by_name[name]
        return root(feature, self.by_name) if isinstance(feature, Categorical) else feature

    def embedded_as(self, name: str) -> Feature:
        """The feature that owns the rows of a feature's embedding: the one that it shares, or itself."""
        feature = self.by_name[name]
        shares = isinstance(feature, Categorical) and feature.embedding_of
        return self.root(name) if shares else feature

    def width(self, name: str) -> int:
        """The width of the embedding of a feature that has one."""
        owner = self.embedded_as(name)
        assert isinstance(owner, Placed)
        return embedding_width(owner.embedding, self.rows(name))

    def vocabulary(self, name: str) -> tuple[str, ...] | None:
        """The vocabulary of a feature, None where it has none."""
        owner = self.root(name)
        found = self.statistics.vocabularies.get(owner.name) if isinstance(owner, Categorical) else None
        return None if found is None else found.values

    def is_hashed(self, name: str) -> bool:
        """Whether a feature's values are hashed, so that an id stands for no single value."""
        owner = self.root(name)
        return isinstance(owner, Categorical) and owner.hash_bins is not None

    def value_names(self, name: str) -> Callable[[int], str]:
        """What the ids of a feature stand for, to follow the column's name: `=Sales`, ` in [30, 40)`, ` missing`.

        No list is made for bins. The ids of a cross have no names without its layer.
        """
        owner = self.root(name)
        if isinstance(owner, Categorical) and owner.hash_bins is not None:
            bins = owner.hash_bins
            return lambda i: " missing" if i == bins else f" in bin {i}"
        if isinstance(owner, Categorical) and owner.identity is not None:
            special = {owner.identity: "=[OOV]", owner.identity + 1: " missing"}
            return lambda i: special.get(i, f"={i}")
        words = self.vocabulary(name)
        if words is not None:
            return ["=[OOV]", " missing", *(f"={word}" for word in words)].__getitem__
        assert isinstance(owner, Bucketized)
        return _bucket_names(owner, self.statistics.numerics[name].boundaries).__getitem__

    def number_owners(self) -> dict[str, str]:
        """The name of each column of the numeric matrix -> the feature that computes it."""
        return number_owners(self.features)


def number_owners(features: Iterable[Feature]) -> dict[str, str]:
    """The name of each column of the numeric matrix -> the feature that computes it."""
    return {number: f.name for f in features if isinstance(f, Numeric) for number in f.numbers}


def shortest(number: float) -> str:
    """The shortest decimal that only this float32 rounds to, so that two boundaries never look alike."""
    value = np.float32(number)
    if value != 0 and not 1e-4 <= abs(value) < 1e16:
        return np.format_float_scientific(value, trim="-")
    return np.format_float_positional(value, trim="-")


def _bucket_names(feature: Bucketized, boundaries: Iterable[float]) -> list[str]:
    edges = [shortest(edge) for edge in boundaries]
    if not edges:
        return [" is any number", " missing", *["=[OOV]"] * feature.oov]
    between = [
        f"={low}" if feature.exact and feature.oov else f" in [{low}, {high})"
        for low, high in itertools.pairwise(edges)
    ]
    top = f"={edges[-1]}" if feature.exact and feature.oov else f" >= {edges[-1]}"
    return [f" < {edges[0]}", *between, top, " missing", *["=[OOV]"] * feature.oov]


AUTO_WIDTHS = (4, 8, 16, 32, 64)


def embedding_width(embedding: Embedding, rows: int) -> int:
    """Returns a given width, or for `auto` 1.6 * rows^0.56 rounded up to 4, 8, 16, 32 or 64.

    The rule is fastai's (`emb_sz_rule`); the rounding lets features share a table.
    """
    if embedding != "auto":
        assert embedding is not None
        return embedding
    wanted = 1.6 * rows**0.56
    return next((width for width in AUTO_WIDTHS if width >= wanted), AUTO_WIDTHS[-1])
