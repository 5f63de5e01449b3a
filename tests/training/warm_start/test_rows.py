"""Which ids are the same, against the names of all ids."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfwd.analysis.statistics import FeatureStatistics, LabelStatistics, NumericStatistics, VocabularyStatistics
from tfwd.config.features.base import Feature
from tfwd.config.features.bucketized import Bucketized
from tfwd.config.features.categorical import Categorical
from tfwd.config.features.cross import Cross
from tfwd.config.features.datetime import Datetime, DatetimeNumber
from tfwd.config.features.numeric import Numeric
from tfwd.features.space import FeatureSpace
from tfwd.training.warm_start.rows import match_rows, same_definition

WORDS = st.lists(st.sampled_from([f"w{n}" for n in range(9)]), min_size=1, max_size=6, unique=True)


def numbers(*boundaries: float) -> NumericStatistics:
    return NumericStatistics(1, 0, 0.0, 1.0, 0.5, 1.0, 0.5, boundaries=boundaries)


def side(
    features: list[Feature], words: dict[str, list[str]], edges: dict[str, NumericStatistics] | None = None
) -> FeatureSpace:
    vocabularies = {name: VocabularyStatistics(tuple(w), (1,) * len(w)) for name, w in words.items()}
    return FeatureSpace(tuple(features), FeatureStatistics(10, LabelStatistics(0.5), vocabularies, edges or {}))


def pairs(name: str, new: FeatureSpace, old: FeatureSpace) -> list[tuple[int, int]]:
    match = match_rows(name, new, old)
    assert match.reason is None
    assert (match.rows, match.old_rows) == (new.rows(name), old.rows(name))
    assert list(match.new) == sorted(match.new)
    return list(zip(match.new.tolist(), match.old.tolist(), strict=True))


def by_name(new: list[Any], old: list[Any]) -> list[tuple[int, int]]:
    return [(place, old.index(name)) for place, name in enumerate(new) if name in old]


@given(WORDS, WORDS, WORDS, WORDS, st.integers(1, 5), st.integers(1, 5))
def test_values_integers_and_their_combinations(
    a: list[str], b: list[str], old_a: list[str], old_b: list[str], size: int, old_size: int
) -> None:
    def made(first: list[str], second: list[str], integers: int) -> tuple[FeatureSpace, dict[str, list[str]]]:
        features = [
            Categorical("a"),
            Categorical("b", max_length=2, vocabulary_of="c"),
            Categorical("c"),
            Categorical("n", identity=integers),
            Cross(["a", "b", "n"], "exact"),
        ]
        names = {key: ["OOV", "missing", *words] for key, words in (("a", first), ("b", second))}
        names["n"] = [*map(str, range(integers)), "OOV", "missing"]
        return side(features, {"a": first, "c": second}), names

    new, names = made(a, b, size)
    old, old_names = made(old_a, old_b, old_size)
    for key in names:
        assert sorted(pairs(key, new, old)) == by_name(names[key], old_names[key])
    combined, before = ([*itertools.product(*found.values())] for found in (names, old_names))
    assert pairs("a_x_b_x_n", new, old) == by_name(combined, before)


def test_hashed_ones_stay_where_there_are_as_many_bins() -> None:
    def made(words: list[str], bins: int = 5, identity: int = 3, edge: float = 0.5) -> FeatureSpace:
        features = [
            Categorical("a"),
            Categorical("h", hash_bins=bins),
            Categorical("n", identity=identity),
            Bucketized("x", boundaries=(edge,), name="x"),
            Cross(["a", "h"], 7),
            Cross(["a", "n"], 7),
            Cross(["a", "x"], 7),
        ]
        return side(features, {"a": words}, {"x": numbers(edge)})

    old = made(["u", "v"])
    everything = [(n, n) for n in range(7)]
    # The values of a hashed key are crossed, not its bins.
    for new in (made(["v", "w", "u"]), made(["w"], bins=6)):
        assert pairs("a_x_h", new, old) == everything
    assert pairs("a_x_n", made(["w"]), old) == pairs("a_x_x", made(["w"]), old) == everything
    assert match_rows("h", made(["u"], bins=6), old).reason == "had 5 bins, has 6"
    assert match_rows("a_x_n", made(["u"], identity=4), old).reason == "n: other integers than before"
    assert match_rows("a_x_x", made(["u"], edge=0.6), old).reason == "x: other buckets than before"


@pytest.mark.parametrize(
    ("now", "before", "reason"),
    [
        (Categorical("a"), Numeric("a"), "was numeric, is categorical"),
        (Categorical("a", hash_bins=3), Categorical("a"), "was a vocabulary, is hashed"),
        (Categorical("a", identity=3), Categorical("a", hash_bins=3), "was hashed, is integers"),
        (Categorical("a"), Categorical("z"), "a new feature"),
    ],
)
def test_what_has_become_something_else(now: Feature, before: Feature, reason: str) -> None:
    match = match_rows("a", side([now], {"a": ["u"]}), side([before], {"a": ["u"], "z": ["u"]}))
    assert match.reason == reason
    assert len(match.new) == 0


def _every_kind() -> dict[str, Feature]:
    """A feature `d_month` of every kind that heads read."""
    (part,) = Datetime("d", parts=["month"]).expanded()
    age = Datetime("d", age_in_days="2024-06-30").expanded()[0].model_copy(update={"name": "d_month"})
    made = [
        Numeric("d_month"),
        Bucketized("x", boundaries=[0.5], name="d_month"),
        Categorical("d_month"),
        Cross(["a", "b"], "exact", name="d_month"),
        part,
        age,
    ]
    return {type(feature).__name__: feature for feature in made}


KINDS = _every_kind()


def _kinds(of: type[Feature]) -> set[type[Feature]]:
    below = of.__subclasses__()
    own = {of} if "type" in of.model_fields else set()
    return own.union(*(_kinds(one) for one in below))


def test_every_kind_has_a_word() -> None:
    found = _kinds(Feature)
    assert {Datetime, *map(type, KINDS.values())} == found, "add a new kind to _every_kind"
    words = [vars(one).get("kind") for one in found]
    assert None not in words
    assert len(set(words)) == len(words)


@pytest.mark.parametrize(("now", "before"), itertools.product(KINDS, KINDS))
def test_a_feature_of_any_kind_may_become_one_of_any_other(now: str, before: str) -> None:
    """Also as the key of an exact cross, where the kind can be one."""

    def made(kind: str) -> FeatureSpace:
        feature = KINDS[kind]
        others: list[Feature] = [Categorical("a"), Categorical("b")]
        if not isinstance(feature, Numeric | Cross):
            others.append(Cross(["a", "d_month"], "exact", name="x"))
        words = {"a": ["u"], "b": ["u"], "d_month": ["1", "2"]}
        return side([feature, *others], words, {"d_month": numbers(0.5)})

    new, old = made(now), made(before)
    assert same_definition(new["d_month"], old["d_month"]) == (now == before)
    expected = None if now == before else f"was {KINDS[before].kind}, is {KINDS[now].kind}"
    if not isinstance(KINDS[now], Numeric):
        match = match_rows("d_month", new, old)
        assert match.reason == expected
        assert (len(match.new) > 0) == (now == before)
    if "x" in new.by_name and "x" in old.by_name:
        assert match_rows("x", new, old).reason == (expected and f"d_month: {expected}")


def test_a_cross_of_other_keys_or_bins() -> None:
    def made(**options: Any) -> FeatureSpace:
        features = [Categorical(name) for name in "abc"]
        return side(
            [*features, Cross(**{"name": "x", "keys": ("a", "b"), "bins": 5, **options})], {key: ["u"] for key in "abc"}
        )

    assert match_rows("x", made(), made(keys=("b", "a"))).reason == "crossed b x a, crosses a x b"
    assert match_rows("x", made(bins="exact"), made()).reason == "had bins: 5, has exact"


def test_where_a_number_goes_is_no_part_of_what_it_means() -> None:
    assert same_definition(Numeric("x", wide=True, missing_indicator=True, quantiles=7), Numeric("x"))
    assert same_definition(Bucketized("x", quantiles=4, embedding=3), Bucketized("x", quantiles=4, one_hot=True))
    assert not same_definition(Numeric("x", normalization="log"), Numeric("x"))
    assert not same_definition(Numeric("x", fill=0), Numeric("x"))
    assert not same_definition(Bucketized("x", quantiles=4), Bucketized("x", quantiles=5))
    assert not same_definition(Numeric("x"), None)


def test_the_columns_of_an_age_are_no_part_of_what_it_means() -> None:
    def age(column: str, **options: Any) -> Feature:
        (made,) = Datetime(column, name="d", **options).expanded()
        assert isinstance(made, DatetimeNumber)
        return made

    assert same_definition(age("d", age_in_days="2024-06-30"), age("day", age_in_days="2024-06-30"))
    assert same_definition(age("d", age_in_days="e"), age("day", age_in_days="event"))
    assert not same_definition(age("d", age_in_days="2024-06-30"), age("d", age_in_days="2024-07-01"))
    assert not same_definition(age("d", age_in_days="2024-06-30"), age("d", age_in_days="e"))
    assert not same_definition(age("d", age_in_days="e"), age("d", age_in_days="2024-06-30"))
