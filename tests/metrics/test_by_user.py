"""Metrics by user equal plain Python over all orders of ties, and scikit-learn, whatever the order and the batches."""

from __future__ import annotations

import itertools
import math
import statistics
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score, roc_auc_score

from tfwd.config.ranking import RankingConfig
from tfwd.metrics.by_user import UserMetrics

RANKING = RankingConfig(user="who", item="what", k=3)
Row = tuple[str, int, float, float]  # user, item, label, score


def found(rows: list[Row], k: int = 3, binary: bool = True, batch: int = 10_000, waiting: int = 2**19) -> Any:
    metrics = UserMetrics(RANKING.model_copy(update={"k": k}), binary, waiting)
    for start in range(0, len(rows), batch):
        who, what, labels, scores = zip(*rows[start : start + batch], strict=True)
        metrics.add(pa.table({"who": who, "what": what}), np.array(labels), np.array(scores, np.float32))
    return metrics.result()


def orders(rows: list[Row]) -> list[list[Row]]:
    """All orders of a user's rows by falling score."""
    return [
        list(order) for order in itertools.permutations(rows) if all(a[3] >= b[3] for a, b in itertools.pairwise(order))
    ]


def plain(rows: list[Row], k: int) -> dict[str, float]:
    """Every metric as its definition has it, the mean over all orders of ties."""
    users = {user: [row for row in rows if row[0] == user] for user in {row[0] for row in rows}}
    ndcg, recall, hit, mrr, areas, weights = [], [], [], [], [], []
    unseen = dict.fromkeys({row[1] for row in rows}, 1.0)
    for own in users.values():
        lists = orders(own)
        for item in unseen:
            unseen[item] *= 1 - statistics.mean(float(any(row[1] == item for row in order[:k])) for order in lists)
        positives = [row for row in own if row[2]]
        negatives = [row for row in own if not row[2]]
        if positives and negatives:
            pairs = [(p[3] > n[3]) + 0.5 * (p[3] == n[3]) for p in positives for n in negatives]
            areas.append(statistics.mean(pairs) * len(own))
            weights.append(len(own))
        if positives:
            ideal = sum(1 / math.log2(place + 2) for place in range(min(k, len(positives))))
            gains = [sum(row[2] / math.log2(place + 2) for place, row in enumerate(order[:k])) for order in lists]
            ndcg.append(statistics.mean(gains) / ideal)
            recall.append(statistics.mean(sum(row[2] for row in order[:k]) for order in lists) / len(positives))
            hit.append(statistics.mean(float(any(row[2] for row in order[:k])) for order in lists))
            mrr.append(statistics.mean(1 / (1 + [row[2] for row in order].index(1.0)) for order in lists))
    mean = lambda values: statistics.mean(values) if values else math.nan  # noqa: E731
    return {
        "users": len(users),
        "gauc": sum(areas) / sum(weights) if weights else math.nan,
        f"ndcg_at_{k}": mean(ndcg),
        f"recall_at_{k}": mean(recall),
        f"hit_rate_at_{k}": mean(hit),
        "mrr": mean(mrr),
        f"coverage_at_{k}": 1 - mean(list(unseen.values())),
    }


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from("abc"),
            st.integers(0, 30),
            st.sampled_from([0.0, 1.0]),
            st.sampled_from([0.125, 0.5, 0.75]),
        ),
        min_size=1,
        max_size=14,
        unique_by=lambda row: (row[0], row[1]),
    ).filter(lambda rows: all(sum(row[0] == user for row in rows) <= 6 for user in "abc")),
    k=st.integers(1, 7),
    batch=st.integers(1, 14),
)
def test_equal_to_the_definitions_over_all_orders_of_ties(rows: list[Row], k: int, batch: int) -> None:
    expected = plain(rows, k)
    assert found(rows, k, batch=batch) == pytest.approx(expected, abs=1e-9, nan_ok=True)


def many(users: int, distinct: int, seed: int = 0) -> list[Row]:
    """Rows of users in no order, with as many different scores."""
    generator = np.random.default_rng(seed)
    rows = []
    for user in range(users):
        for item in generator.choice(200, generator.integers(2, 40), replace=False).tolist():
            score = generator.integers(distinct) / distinct
            rows.append((f"u{user}", item, float(generator.random() < 0.1 + 0.5 * score), float(score)))
    generator.shuffle(rows)
    return [(str(who), int(what), float(label), float(score)) for who, what, label, score in rows]


@pytest.mark.parametrize("distinct", [2, 7, 10_000])
def test_equal_to_scikit_learn(distinct: int) -> None:
    rows = many(80, distinct)
    frame = pd.DataFrame(rows, columns=["who", "what", "label", "score"])
    frame["score"] = frame["score"].astype("float32")
    aucs, weights, ndcgs = [], [], []
    for _, own in frame.groupby("who"):
        if own["label"].nunique() == 2:
            aucs.append(roc_auc_score(own["label"], own["score"]))
            weights.append(len(own))
        if own["label"].any():
            ndcgs.append(ndcg_score([own["label"]], [own["score"]], k=10))
    result = found(rows, 10)
    assert result["gauc"] == pytest.approx(np.average(aucs, weights=weights), abs=1e-9)
    assert result["ndcg_at_10"] == pytest.approx(np.mean(ndcgs), abs=1e-9)
    assert len(aucs) > 50


def test_labels_that_are_numbers_are_gains() -> None:
    generator = np.random.default_rng(1)
    rows = [(f"u{n % 9}", n, float(generator.integers(0, 6)), float(generator.integers(8))) for n in range(150)]
    frame = pd.DataFrame(rows, columns=["who", "what", "label", "score"])
    expected = np.mean([ndcg_score([own["label"]], [own["score"]], k=5) for _, own in frame.groupby("who")])
    result = found(rows, 5, binary=False)
    assert set(result) == {"users", "ndcg_at_5", "coverage_at_5"}
    assert result["ndcg_at_5"] == pytest.approx(expected, abs=1e-9)
    assert math.isnan(found([("u", 1, -1.0, 0.5), ("u", 2, 2.0, 0.25)], 5, binary=False)["ndcg_at_5"])


def test_neither_order_nor_batches_nor_the_disk_show() -> None:
    rows = many(60, 7)
    expected = found(rows)
    assert found(rows[::-1], batch=7, waiting=50) == expected
    assert found(sorted(rows), batch=111, waiting=1) == expected


def test_a_user_longer_than_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [(str(n % 2), n, float(n % 3 == 0), float(n % 11)) for n in range(12_000)]
    expected = found(rows)
    monkeypatch.setattr("tfwd.metrics.by_user._BLOCK", 2048)
    assert found(rows) == pytest.approx(expected, abs=1e-12)


def test_a_thousand_rows_of_one_score() -> None:
    """A model that knows nothing of the items: the expected values are those of drawing at random."""
    rows = [("u", n, float(n < 50), 0.5) for n in range(1000)]
    result = found(rows, 10)
    none = math.comb(950, 10) / math.comb(1000, 10)
    first = sum(math.comb(999 - place, 49) / math.comb(1000, 50) / (place + 1) for place in range(951))
    expected = {"gauc": 0.5, "recall_at_10": 0.01, "hit_rate_at_10": 1 - none, "mrr": first, "coverage_at_10": 0.01}
    assert {name: result[name] for name in expected} == pytest.approx(expected, abs=1e-9)


def test_rows_without_user_or_item_are_in_nobodys_list() -> None:
    rows = many(20, 7)
    strange: list[Any] = [(None, 1, 1.0, 0.9), ("u1", None, 1.0, 0.9), (None, None, 0.0, 0.1)]
    assert found(rows[:30] + strange + rows[30:]) == found(rows)


def test_users_of_one_class_count_for_what_they_have() -> None:
    result = found([("a", 1, 1.0, 0.9), ("a", 2, 1.0, 0.1), ("b", 3, 0.0, 0.5)], 1)
    assert math.isnan(result["gauc"])
    assert result["recall_at_1"] == 0.5
    assert result["mrr"] == result["hit_rate_at_1"] == result["ndcg_at_1"] == 1.0
    assert result["coverage_at_1"] == pytest.approx(2 / 3)
    assert result["users"] == 2


def test_no_rows() -> None:
    result = UserMetrics(RANKING, True).result()
    assert result["users"] == 0
    assert all(math.isnan(value) for name, value in result.items() if name != "users")
