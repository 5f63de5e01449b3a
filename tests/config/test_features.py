"""Features as they are declared in Python, and what they refuse by themselves."""

from __future__ import annotations

from typing import Any

import pytest

from tfwd.config.features.bucketized import Bucketized
from tfwd.config.features.categorical import Categorical
from tfwd.config.features.cross import Cross
from tfwd.config.features.numeric import Numeric
from tfwd.errors import ConfigError


@pytest.mark.parametrize(
    ("feature", "name", "columns"),
    [
        (Numeric("user age"), "user_age", ("user age",)),
        (Bucketized("user age", exact=True), "user_age_buckets", ("user age",)),
        (Categorical("class"), "class_", ("class",)),
        (Categorical("年", name="year"), "year", ("年",)),
        (Cross(["a", "b", "c"], 10), "a_x_b_x_c", ()),
        (Cross(["a", "b"], "exact", name="both"), "both", ()),
    ],
)
def test_names_and_columns(feature: Any, name: str, columns: tuple[str, ...]) -> None:
    assert (feature.name, feature.columns) == (name, columns)


REFUSED: list[tuple[Any, str]] = [
    (lambda: Numeric("x", normalization=()), "^Numeric 'x': normalization: expected at least one form, each of them"),
    (lambda: Numeric("x", normalization=("log", "log")), "at least one form, each of them once"),
    (lambda: Numeric("x", wide=False, deep=False), "must go to wide, to deep, or to both"),
    (lambda: Numeric("x", fill=float("nan")), "finite number"),
    (lambda: Numeric("x", name="2x"), "made of letters, digits and _"),
    (lambda: Numeric(""), "at least 1 character"),
    (
        lambda: Numeric("x", bins=3),
        "^Numeric 'x': bins: unknown key. Did you mean quantiles or boundaries",
    ),
    (lambda: Bucketized("x"), "exactly one of boundaries, quantiles and exact"),
    (lambda: Bucketized("x", exact=True, quantiles=3), "exactly one of boundaries, quantiles and exact"),
    (lambda: Bucketized("x", boundaries=(2.0, 1.0)), "boundaries must rise"),
    (lambda: Bucketized("x", boundaries=(1.0, 1.0)), "boundaries must rise"),
    (lambda: Bucketized("x", boundaries=()), "boundaries must rise"),
    (lambda: Bucketized("x", boundaries=(1.0, float("inf"))), "finite number"),
    (lambda: Bucketized("x", quantiles=4, oov=True), "belong to exact: true"),
    (lambda: Categorical("x", hash_bins=3, identity=4), "at most one of vocabulary, vocabulary_file"),
    (lambda: Categorical("x", hash_bins=3, min_count=2), "belong to a learned vocabulary"),
    (lambda: Categorical("x", identity=3, dtype="string"), "identity needs integers"),
    (lambda: Categorical("x", vocabulary=(1, "1")), "vocabulary: '1' is listed twice"),
    (lambda: Categorical("x", vocabulary=("a", "")), "the empty string is the missing value"),
    (lambda: Categorical("x", embedding=0), "at least 1"),
    (lambda: Cross(["a"], 10), "a list of at least 2"),
    (lambda: Cross(["a", "a"], 10), "keys: 'a' is listed twice"),
    (lambda: Cross(["a", "b"], 10, wide=False), "a cross must go somewhere"),
    (lambda: Cross(["a", "b"], 2**31), "at most 2147483647"),
]


@pytest.mark.parametrize(("make", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_refuses(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


def test_a_column_without_a_usable_letter_needs_a_name() -> None:
    with pytest.raises(ConfigError, match="'年齢' has no letter or digit that a graph input may carry"):
        Categorical("年齢")


def test_truth_values_of_a_vocabulary_are_texts() -> None:
    assert Categorical("x", vocabulary=[True, 1, "a"]).vocabulary == ("true", 1, "a")


def test_only_a_vocabulary_that_is_not_given_is_learned() -> None:
    assert Categorical("x", min_count=3).learned
    for given in ({"vocabulary": ("a",)}, {"vocabulary_file": "f"}, {"hash_bins": 3}, {"identity": 3}):
        assert not Categorical("x", **given).learned


def test_features_are_frozen() -> None:
    with pytest.raises(ConfigError, match="Numeric is frozen"):
        Numeric("x").wide = True
