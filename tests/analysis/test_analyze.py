"""Statistics against Python's Counter and NumPy, the same from every format, order and number of threads."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tfwd.analysis.analyze import analyze
from tfwd.analysis.statistics import FeatureStatistics, LabelStatistics, NumericStatistics, VocabularyStatistics
from tfwd.config.config import Config
from tfwd.data import Rows, Source, resolve_schema
from tfwd.errors import DataError

_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=6)
_WORDS = st.one_of(
    st.none(), st.sampled_from(["a", "b", "città", "年齢", "", 'q"q', "x,y", "two\nlines", "007"]), _TEXT
)
_FLOATS = st.one_of(
    st.sampled_from([0.0, -0.0, 1.0, math.nan, math.inf, -math.inf, 1e300]),
    st.floats(width=32, min_value=-1e6, max_value=1e6),
    st.floats(width=32, allow_nan=False),
)


def configured(features: list[dict[str, Any]], task: str = "binary", **data: Any) -> Config:
    heads = sorted({"wide" if f["type"] != "numeric" else "deep" for f in features}, reverse=True)
    return Config.of({"task": task, "data": {"label": "y"} | data, "features": features, "model": {"heads": heads}})


def learn(data: Any, config: Config, **options: Any) -> FeatureStatistics:
    source = Source.open(data, filter=config.data.filter)
    return analyze(Rows(source, resolve_schema(config, source), **options), config)


def ranked(values: list[Any], min_count: int = 1, max_size: int | None = None) -> list[tuple[Any, int]]:
    counts = [(value, n) for value, n in Counter(values).items() if n >= min_count]
    return sorted(counts, key=lambda pair: (-pair[1], pair[0]))[:max_size]


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    words=st.lists(_WORDS, min_size=2, max_size=40),
    min_count=st.integers(1, 2),
    max_size=st.one_of(st.none(), st.integers(1, 5)),
)
def test_vocabulary_is_counted(words: list[str | None], min_count: int, max_size: int | None) -> None:
    words = [*words, "always", "always"]
    frame = pd.DataFrame({"word": words, "y": [index % 2 for index in range(len(words))]})
    feature = {"type": "categorical", "column": "word", "min_count": min_count, "max_size": max_size}
    found = learn(frame, configured([feature])).vocabularies["word"]
    present = [word for word in words if word]
    expected = ranked(present, min_count, max_size)
    assert list(zip(found.values, found.counts, strict=True)) == expected
    assert found.missing == len(words) - len(present)
    assert found.unlisted == len(present) - sum(n for _, n in expected)


@settings(max_examples=6, deadline=None)
@given(
    st.lists(st.one_of(st.none(), st.integers(-(2**63) + 1, 2**63 - 1), st.integers(-3, 3)), min_size=1, max_size=30)
)
def test_vocabulary_of_integers(values: list[int | None]) -> None:
    values = [*values, 5, 5]
    frame = pd.DataFrame({"n": pd.array(values, dtype="Int64"), "y": [index % 2 for index in range(len(values))]})
    found = learn(frame, configured([{"type": "categorical", "column": "n"}])).vocabularies["n"]
    expected = ranked([value for value in values if value is not None])
    assert list(zip(map(int, found.values), found.counts, strict=True)) == expected
    assert all(text == str(int(text)) for text in found.values)


def test_given_vocabulary_keeps_its_order(tmp_path: Path) -> None:
    frame = pd.DataFrame({"word": ["b", "a", "b", "z", None], "n": [1, 2, 2, 3, 2], "y": [0, 1, 0, 1, 1]})
    (tmp_path / "n.txt").write_text("2\r\n-7\n1")
    features = [
        {"type": "categorical", "column": "word", "vocabulary": ["a", "never", "b"]},
        {"type": "categorical", "column": "n", "vocabulary_file": str(tmp_path / "n.txt")},
        {"type": "categorical", "column": "word", "hash_bins": 5, "name": "hashed"},
        {"type": "categorical", "column": "n", "identity": 4, "name": "identified"},
    ]
    found = learn(frame, configured(features)).vocabularies
    assert set(found) == {"word", "n"}
    assert (found["word"].values, found["word"].counts) == (("a", "never", "b"), (1, 0, 2))
    assert (found["word"].missing, found["word"].unlisted) == (1, 1)
    assert (found["n"].values, found["n"].counts) == (("2", "-7", "1"), (3, 0, 1))
    assert (found["n"].missing, found["n"].unlisted) == (0, 1)


def reference(column: list[float | None]) -> np.ndarray:
    with np.errstate(over="ignore"):
        values = np.array([math.nan if value is None else value for value in column], np.float32)
    return values[np.isfinite(values)].astype(np.float64) + 0.0


def quantile(values: np.ndarray, part: int, parts: int) -> float:
    return float(np.sort(values)[max(-(-part * len(values) // parts), 1) - 1])


@settings(max_examples=8, deadline=None)
@given(
    column=st.lists(st.one_of(st.none(), _FLOATS), min_size=1, max_size=60),
    parts=st.integers(2, 12),
    min_count=st.integers(1, 2),
    max_size=st.one_of(st.none(), st.integers(1, 5)),
)
def test_numbers_are_numpy_s(column: list[float | None], parts: int, min_count: int, max_size: int | None) -> None:
    column = [*column, 2.0, 2.0, 0.0, -0.0]
    frame = pd.DataFrame({"n": np.array([math.nan if v is None else v for v in column]), "y": 0})
    frame.loc[0, "y"] = 1
    features = [
        {"type": "numeric", "column": "n", "normalization": ["zscore", "quantile"], "quantiles": parts},
        {"type": "bucketized", "column": "n", "quantiles": parts},
        {"type": "bucketized", "column": "n", "exact": True, "name": "e", "min_count": min_count, "max_size": max_size},
        {"type": "bucketized", "column": "n", "boundaries": [-1.5, 3.0], "name": "g"},
    ]
    found = learn(frame, configured(features)).numerics
    values = reference(column)
    n = found["n"]
    assert (n.count, n.missing) == (len(values), len(column) - len(values))
    assert (n.minimum, n.maximum) == (values.min(), values.max())
    scale = np.abs(values).max()
    assert n.mean == pytest.approx(math.fsum(values) / len(values), rel=1e-12, abs=1e-15 * scale)
    assert n.stddev == pytest.approx(values.std(), rel=1e-9, abs=1e-8 * scale)
    logs = np.log1p(values - values.min())
    assert n.log_mean == pytest.approx(logs.mean(), rel=1e-12, abs=1e-15)
    assert n.log_stddev == pytest.approx(logs.std(), rel=1e-9, abs=1e-7)
    assert n.median == quantile(values, 1, 2)
    inner = tuple(sorted({quantile(values, part, parts) for part in range(1, parts)}))
    assert n.quantiles == found["n_buckets"].boundaries == inner
    assert found["n_buckets"].quantiles == n.boundaries == ()
    assert found["e"].boundaries == tuple(sorted(value for value, _ in ranked(values.tolist(), min_count, max_size)))
    assert found["g"].boundaries == (-1.5, 3.0)
    assert all(math.copysign(1, value) == 1 for value in (n.minimum, n.median, *found["e"].boundaries) if value == 0)


def test_a_constant_column() -> None:
    frame = pd.DataFrame({"n": [0.1, 0.1, None], "y": [0, 1, 1]})
    value = float(np.float32(0.1))
    found = learn(frame, configured([{"type": "numeric", "column": "n"}])).numerics["n"]
    assert found == NumericStatistics(2, 1, value, value, value, 0.0, value, 0.0, 0.0)


@pytest.fixture
def frame() -> pd.DataFrame:
    random = np.random.default_rng(1)
    count = 20_000
    words = np.array(["a", "b,c", 'd"e', "città", "年齢", "two\nlines", None, "00701"], object)
    return pd.DataFrame(
        {
            "word": words[random.integers(0, len(words), count)],
            "user": [f"u{index}" for index in random.zipf(1.5, count) % 3000],
            "n": np.where(random.random(count) < 0.1, np.nan, (random.normal(size=count) * 1e3).round(4)),
            "w": random.random(count).round(5),
            "y": random.integers(0, 2, count),
        }
    )


@pytest.fixture
def config() -> Config:
    return configured(
        [
            {"type": "categorical", "column": "word"},
            {"type": "categorical", "column": "user", "min_count": 3, "max_size": 500},
            {"type": "numeric", "column": "n", "normalization": ["zscore", "log", "quantile"]},
            {"type": "bucketized", "column": "n", "quantiles": 7},
        ],
        weight="w",
    )


# Without a split Parquet and frames are asked directly, what has a split or is CSV is read once and kept.
@pytest.mark.parametrize(
    ("options", "places"),
    [
        ({}, ("a.csv.gz", "a.parquet", "parts")),
        ({"split": "train", "fraction": 0.2}, ("a.csv", "a.parquet", "parts/*.parquet")),
    ],
    ids=["all rows", "split"],
)
def test_every_format_order_and_cut_gives_equal_statistics(
    frame: pd.DataFrame, config: Config, tmp_path: Path, options: dict[str, Any], places: tuple[str, ...]
) -> None:
    expected = learn(frame, config, **options)
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_csv(tmp_path / "a.csv.gz", index=False)
    frame.to_parquet(tmp_path / "a.parquet")
    turned = frame.iloc[::-1].reset_index(drop=True)[frame.columns[::-1]]
    (tmp_path / "parts").mkdir()
    for part in range(5):
        turned.iloc[part::5].to_parquet(tmp_path / "parts" / f"{part}.parquet", row_group_size=1000)
    for data in places:
        assert learn(tmp_path / data, config, **options) == expected, data
    assert learn(turned, config, **options) == expected


def test_a_filter_and_numbers_as_text_change_no_statistics(frame: pd.DataFrame, config: Config, tmp_path: Path) -> None:
    expected = learn(frame, config)
    data = {"data": config.data.model_copy(update={"filter": "y IN (0, 1)"})}
    assert learn(pd.concat([frame, frame.assign(y=2)]), config.model_copy(update=data)) == expected
    frame["n"] = frame["n"].astype(str).replace("nan", None)
    frame.to_parquet(tmp_path / "text.parquet")
    assert learn(tmp_path / "text.parquet", config) == expected


@pytest.mark.parametrize("column", ["n", "label"])
def test_a_value_that_does_not_fit_is_named_whichever_question_meets_it(tmp_path: Path, column: str) -> None:
    frame = pd.DataFrame({"n": ["1", "2", "3"], "label": ["4", "5", "6"], "x": [1.0, 2.0, 3.0]})
    frame.loc[1, column] = "2.5x"
    frame.to_parquet(tmp_path / "a.parquet")
    features = [{"type": "numeric", "column": "x"}, {"type": "categorical", "column": "n", "dtype": "integer"}]
    config = configured(features, task="regression", label="label")
    with pytest.raises(DataError, match=rf"a.parquet, row 2, column '{column}': expected a.*found '2.5x'"):
        learn(tmp_path / "a.parquet", config)


def test_statistics_see_the_training_split_alone(frame: pd.DataFrame, config: Config) -> None:
    source = Source.open(frame)
    schema = resolve_schema(config, source)
    rows = Rows(source, schema, split="train", fraction=0.3, key=("user", "n", "word", "y", "w"))
    kept = pd.concat([batch.key.to_pandas() for batch in rows.with_classes(("0", "1")).batches(5000)])  # type: ignore[union-attr]
    assert learn(frame, config, split="train", fraction=0.3) == learn(kept[frame.columns], config)


def test_save_and_load(frame: pd.DataFrame, config: Config, tmp_path: Path) -> None:
    statistics = learn(frame, config)
    statistics.save(tmp_path)
    assert FeatureStatistics.load(tmp_path) == statistics


def test_save_and_load_of_odd_categories(tmp_path: Path) -> None:
    words = ("x" * 200_000, 'say "yes"', "a,b", "a\nb", "a\r\nb", "\r", "\x00", " ", "é", "NULL", "0")
    vocabulary = VocabularyStatistics(words, tuple(range(len(words))))
    statistics = FeatureStatistics(1, LabelStatistics(0.5), {"word": vocabulary})
    statistics.save(tmp_path)
    assert FeatureStatistics.load(tmp_path) == statistics


def test_label_of_classes(frame: pd.DataFrame) -> None:
    word = [{"type": "categorical", "column": "word"}]
    frame["y"] = np.where(frame["y"] == 1, "yes", "no")
    label = learn(frame, configured(word, label={"column": "y", "positive": "yes"}, weight="w")).label
    assert label.classes == ("no", "yes")
    share = math.fsum(np.float32(frame["w"][frame["y"] == "yes"])) / math.fsum(np.float32(frame["w"]))
    assert label.mean == label.shares[1] == pytest.approx(share, rel=1e-12)
    assert sum(label.shares) == pytest.approx(1, abs=1e-12)
    label = learn(frame, configured(word, label={"column": "y", "positive": "no"})).label
    assert label.classes == ("yes", "no")
    assert label.mean == (frame["y"] == "no").mean()


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        ([10, 9, -1, 10], ("-1", "9", "10")),
        ([10.0, 9.0, -1.0, 10.0], ("-1", "9", "10")),
        (["10", "9", "b", "10"], ("10", "9", "b")),
        (["b", "a", "c", "b"], ("a", "b", "c")),
        ([True, False, False, True], ("false", "true")),
        ([1.5, 2.0, 1.5, 3.0], ("1.5", "2", "3")),
    ],
)
def test_learned_classes_are_in_order(values: list[Any], classes: tuple[str, ...]) -> None:
    frame = pd.DataFrame({"word": list("abcd"), "y": values})
    config = configured([{"type": "categorical", "column": "word"}], task="multiclass")
    label = learn(frame, config).label
    assert label.classes == classes
    assert label.mean == 0
    texts = [str(value).lower().removesuffix(".0") for value in values]
    assert label.shares == tuple(texts.count(value) / 4 for value in classes)


def test_given_classes_may_be_absent() -> None:
    frame = pd.DataFrame({"word": list("abcd"), "y": [1, 2, 2, 1]})
    config = configured(
        [{"type": "categorical", "column": "word"}], task="multiclass", label={"column": "y", "classes": [2, 3, 1]}
    )
    label = learn(frame, config).label
    assert (label.classes, label.shares) == (("2", "3", "1"), (0.5, 0.0, 0.5))


@pytest.mark.parametrize("weight", [None, "w"])
def test_label_of_a_regression(frame: pd.DataFrame, weight: str | None) -> None:
    frame["y"] = (frame["w"] * 7 - 100).round(3)
    label = learn(
        frame, configured([{"type": "categorical", "column": "word"}], task="regression", weight=weight)
    ).label
    y = frame["y"].to_numpy(np.float32).astype(float)
    w = frame["w"].to_numpy(np.float32).astype(float) if weight else None
    mean = np.average(y, weights=w)
    assert label.mean == pytest.approx(mean, rel=1e-12)
    assert label.stddev == pytest.approx(math.sqrt(np.average((y - mean) ** 2, weights=w)), rel=1e-9)
    assert label.classes == label.shares == ()
