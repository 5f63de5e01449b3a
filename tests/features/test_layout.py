"""Every feature has rows of its own in the tables, and no two share one."""

from __future__ import annotations

import dataclasses
import json

import bag_cases
import numpy as np
import pytest
import tensorflow as tf
from feature_cases import kitchen_sink, raw_columns, statistics_of

from tfwd.analysis.statistics import VocabularyStatistics
from tfwd.config.config import Config
from tfwd.errors import ConfigError
from tfwd.features.layout import Layout, bag_columns, build_layout, columns_of, weights_name
from tfwd.features.space import AUTO_WIDTHS, FeatureSpace, embedding_width
from tfwd.model.ranker import Heads, build_ranker

CONFIG = kitchen_sink()
STATISTICS = statistics_of(CONFIG, raw_columns(2000))
BY_NAME = {feature.name: feature for feature in CONFIG.features}


def layout(heads: tuple[str, ...] = ("wide", "deep"), outputs: int = 1) -> Layout:
    return build_layout(FeatureSpace(CONFIG.features, STATISTICS), heads, outputs)


def test_ranges_are_disjoint_and_cover_all_rows_from_one() -> None:
    for table in layout().tables:
        rows = [row for entry in table.ranges for row in range(entry.start, entry.start + entry.rows)]
        assert rows == list(range(1, table.rows))
        assert len({entry.feature for entry in table.ranges}) == len(table.ranges)


def test_one_hot_ranges_are_disjoint_and_cover_all_inputs_from_zero() -> None:
    rows = [row for entry in layout().one_hot for row in range(entry.start, entry.start + entry.rows)]
    assert rows == list(range(len(rows)))
    assert [entry.feature for entry in layout().one_hot] == ["job_title", "store", "store_x_exact_age"]


def test_rows_of_every_kind_of_feature() -> None:
    rows = {
        name: FeatureSpace(CONFIG.features, STATISTICS).rows(name) for name, f in BY_NAME.items() if f.type != "numeric"
    }
    assert rows["city"] == 2 + 6
    assert rows["zip"] == 50 + 1
    assert rows["store"] == 5 + 2
    assert rows["level"] == 2 + 2
    assert rows["age_buckets"] == 4 + 1
    assert rows["exact_age"] == 20 + 1 + 1 + 1
    assert rows["income_buckets"] == 6 + 1
    assert rows["city_x_job_title"] == 97
    assert rows["income_buckets_x_level_x_city"] == 7 * 4 * 8


def test_features_are_where_they_were_declared() -> None:
    found = layout()
    wide = [entry.feature for entry in found.wide.ranges]
    assert wide == [f.name for f in CONFIG.features if f.type != "numeric" and f.wide]
    embedded = {entry.feature: table.dim for table in found.embeddings for entry in table.ranges}
    assert {name: width for name, width in embedded.items() if BY_NAME[name].embedding != "auto"} == {
        f.name: f.embedding for f in CONFIG.features if f.type != "numeric" and isinstance(f.embedding, int)
    }
    assert [table.dim for table in found.embeddings] == sorted(table.dim for table in found.embeddings)
    assert found.numeric == ("age_zscore", "age_quantile", "age_missing", "income")
    assert (found.wide_numeric, found.deep_numeric) == ((0, 1, 2), (0, 1, 2, 3))


def test_a_bag_combines_in_each_head_as_it_says() -> None:
    bag = {"type": "categorical", "column": "tags", "vocabulary": ["a"], "max_length": 3, "embedding": 4}
    features = [bag, {**bag, "name": "others", "combiner": "sum", "wide_combiner": "sqrtn"}]
    features.append({"type": "cross", "keys": ["tags", "others"], "bins": 9, "wide_combiner": "mean"})
    config = Config.of({"data": {"label": "y"}, "features": features})
    words = {name: VocabularyStatistics(("a",), (1,)) for name in ("tags", "others")}
    found = build_layout(
        FeatureSpace(config.features, dataclasses.replace(STATISTICS, vocabularies=words)), ("wide", "deep"), 1
    )
    assert [slot.combiner for slot in found.wide.slots] == ["sum", "sqrtn", "mean"]
    assert [slot.combiner for slot in found.embeddings[0].slots] == ["mean", "sum"]


def test_only_the_heads_that_there_are_get_rows() -> None:
    wide, deep = layout(("wide",)), layout(("deep",))
    assert wide.embeddings == wide.one_hot == wide.deep_numeric == ()
    # Nobody reads income then.
    assert wide.numeric == ("age_zscore", "age_quantile", "age_missing")
    assert deep.wide is None
    assert deep.wide_numeric == ()
    assert deep.embeddings == layout().embeddings


def test_classes_are_the_width_of_the_wide_table_only() -> None:
    assert layout(outputs=3).wide.dim == 3
    assert layout(outputs=3).embeddings == layout().embeddings


@pytest.mark.parametrize("rows", [1, 3, 5, 6, 17, 60, 200, 720, 721, 10_000, 10**9])
def test_automatic_widths_are_rounded_up(rows: int) -> None:
    width = embedding_width("auto", rows)
    wanted = 1.6 * rows**0.56
    assert width in AUTO_WIDTHS
    assert width >= wanted or width == AUTO_WIDTHS[-1]
    assert width == AUTO_WIDTHS[0] or AUTO_WIDTHS[AUTO_WIDTHS.index(width) - 1] < wanted
    assert embedding_width(10, rows) == 10


def test_survives_json() -> None:
    for heads in (("wide", "deep"), ("wide",), ("deep",)):
        found = layout(heads, 3)
        assert Layout.from_dict(json.loads(json.dumps(found.to_dict()))) == found


def config_of(*features: dict) -> Config:
    return Config.of({"data": {"label": "y"}, "features": list(features), "model": {"heads": ["wide"]}})


def test_refuses_more_rows_than_an_id_can_name() -> None:
    hashed = [{"type": "categorical", "column": f"c{index}", "hash_bins": 2**30} for index in range(2)]
    with pytest.raises(
        ConfigError, match=r"features\[1\]: .*'c1' the wide head would have 2,147,483,651 rows.* Lower some"
    ):
        config_of(*hashed)
    # Where learned vocabularies make the table too large, the configuration alone cannot tell.
    alone = [config_of(feature).features[0] for feature in hashed]
    with pytest.raises(ConfigError, match=r"'wide' would have 2,147,483,651 rows.* Lower some bins"):
        build_layout(FeatureSpace(tuple(alone), STATISTICS), ("wide",), 1)


def test_refuses_an_exact_cross_of_too_many_combinations() -> None:
    identities = [{"type": "categorical", "column": f"c{index}", "identity": 50_000} for index in range(2)]
    config = config_of(*identities, {"type": "cross", "keys": ["c0", "c1"], "bins": "exact"})
    with pytest.raises(ConfigError, match=r"'c0_x_c1' has 2,500,200,004 combinations, too many for bins: exact"):
        build_layout(FeatureSpace(config.features, dataclasses.replace(STATISTICS, vocabularies={})), ("wide",), 1)


@pytest.mark.parametrize("cases", ["of one value", "of bags"])
def test_the_tower_reads_its_blocks_in_their_order(cases: str) -> None:
    config, found = (CONFIG, layout()) if cases == "of one value" else (bag_cases.CONFIG, bag_cases.LAYOUT)
    deep = Heads.of(build_ranker(found, config.model)).deep
    assert deep is not None
    inputs = {name: np.array([[slot.start for slot in columns_of(slots)]]) for name, slots in found.matrices.items()}
    weighted = {name: slots for name, slots in found.matrices.items() if any(slot.weighted for slot in slots)}
    inputs |= {weights_name(name): np.ones((1, bag_columns(slots)), np.float32) for name, slots in weighted.items()}
    inputs["numeric"] = np.zeros((1, len(found.numeric)), np.float32)

    def read(**changed: np.ndarray) -> np.ndarray:
        return deep.tower_inputs({name: tf.constant(array) for name, array in {**inputs, **changed}.items()}).numpy()[0]

    usual, stop = read(), 0
    for block in found.tower_blocks():
        # Another first id, or another number, of this block alone.
        matrix = {"number": "numeric", "one_hot": "one_hot_ids"}.get(block.kind) or block.table.ids
        changed = inputs[matrix].copy()
        if block.kind == "number":
            changed[:, found.numeric.index(block.name)] = 1
        else:
            changed[:, [slot.feature for slot in columns_of(found.matrices[matrix])].index(block.name)] += 1
        columns = np.flatnonzero(read(**{matrix: changed}) != usual)
        assert len(columns), block
        assert block.start == stop <= columns.min(), block
        stop = block.start + block.size
        assert columns.max() < stop, block
        assert block.kind != "embedding" or len(columns) == block.size == block.table.dim
    assert stop == len(usual)
