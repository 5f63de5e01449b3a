"""What was carried over, looked up by name in the files of both runs, without the code that carried it."""

from __future__ import annotations

import csv
import functools
import io
import itertools
import json
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from warm_start_cases import CITIES, FEATURES, GENRES, frame, start_of, trained

from tfwd.data.rows import Rows
from tfwd.data.source import Source
from tfwd.inference.evaluation import evaluate
from tfwd.inference.scorer import Scorer
from tfwd.inference.tensorflow_scorer import keras_scorer
from tfwd.model.saving import load_model
from tfwd.model.wide_deep import WideDeep
from tfwd.run import Run

# Where Keras puts the tables and their slots: FTRL's accumulator and linear, Adam's two moments.
RANKER = "layers/functional_1/layers"
ARRAYS = {
    "wide": (f"{RANKER}/wide_head/table/vars/0", *(f"optimizer/optimizers/sparse_ftrl/vars/{n}" for n in (4, 5))),
    "embedding_2": (
        f"{RANKER}/deep_head/embeddings/shared_table/vars/0",
        *(f"optimizer/deep/vars/{n}" for n in (10, 11)),
    ),
    "embedding_4": (
        f"{RANKER}/deep_head/embeddings/shared_table_1/vars/0",
        *(f"optimizer/deep/vars/{n}" for n in (12, 13)),
    ),
    "embedding_8": (
        f"{RANKER}/deep_head/embeddings/shared_table_2/vars/0",
        *(f"optimizer/deep/vars/{n}" for n in (14, 15)),
    ),
}
OWNERS = {"liked": "item"}


def arrays(path: Path, table: str) -> list[np.ndarray]:
    with zipfile.ZipFile(path) as archive, h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:
        return [file[name][()] for name in ARRAYS[table]]


def names(run: Run, feature: str) -> list[str]:
    """The name of each row of a feature, from its vocabulary's file."""
    declared = {entry.get("name") or entry.get("column") or "_x_".join(entry["keys"]): entry for entry in FEATURES}
    declared["price_buckets"] = FEATURES[1]
    entry = declared[feature]
    if entry["type"] == "cross" and entry["bins"] == "exact":
        return [" x ".join(parts) for parts in itertools.product(*(names(run, key) for key in entry["keys"]))]
    for key in ("bins", "hash_bins"):
        if key in entry:
            return [f"bin {n}" for n in range(entry[key])] + ["missing"] * (key == "hash_bins")
    if "identity" in entry:
        return [*map(str, range(entry["identity"])), "[OOV]", "missing"]
    if entry["type"] == "bucketized":
        return [f"bucket {n}" for n in range(entry["quantiles"])] + ["missing"]
    with (run.path / "statistics" / "vocabulary" / f"{OWNERS.get(feature, feature)}.csv").open(newline="") as lines:
        return ["[OOV]", "missing", *(row[0] for row in list(csv.reader(lines))[1:])]


def placed(run: Run, table: str) -> dict[str, int]:
    """Row by `feature=name`."""
    entry = next(entry for entry in run.model.layout.tables if entry.name == table)
    found = {
        f"{part.feature}={name}": part.start + place
        for part in entry.ranges
        for place, name in enumerate(names(run, part.feature))
    }
    assert len(found) == entry.rows - 1
    return found


@functools.cache
def start(name: str) -> WideDeep:
    """The model of a run before its first step."""
    return load_model(start_of(name))


@functools.cache
def scorer(name: str, begun: bool) -> Scorer:
    """Answers as a run's model does: before its first step, or as the run keeps it."""
    return keras_scorer(start(name) if begun else trained(name).model)


@pytest.mark.parametrize("table", ARRAYS)
def test_rows_and_their_slots_are_equal_by_name_and_new_ones_are_as_in_a_cold_start(table: str) -> None:
    old, warm, cold = (
        arrays(path, table) for path in (trained("old").path / "model.keras", start_of("warm"), start_of("cold"))
    )
    before, now = placed(trained("old"), table), placed(trained("warm"), table)
    common, new = [name for name in now if name in before], [name for name in now if name not in before]
    moved = sum(before[name] != now[name] for name in common)
    if table in ("wide", "embedding_4"):
        assert len(new) > 50
        assert moved > 100, "the vocabularies have another order"
    # In both runs the cold one's vocabulary is the warm one's: what is new begins alike.
    assert placed(trained("cold"), table) == now
    for mine, theirs, fresh in zip(warm, old, cold, strict=True):
        assert np.abs(theirs).max() > 0
        np.testing.assert_array_equal(mine[[now[n] for n in common]], theirs[[before[n] for n in common]])
        np.testing.assert_array_equal(mine[[now[n] for n in new]], fresh[[now[n] for n in new]])
        np.testing.assert_array_equal(mine[0], theirs[0])
    report = json.loads((trained("warm").path / "warm_start.json").read_text())["tables"][table]
    assert sum(part["carried"] for part in report.values()) == len(common)
    assert sum(part["new"] for part in report.values()) == len(new)
    assert sum(part["gone"] for part in report.values()) == len(before) - len(common)


def test_the_wide_weights_of_both_runs_have_the_same_names_and_values(tmp_path: Path) -> None:
    old, warm = trained("old"), trained("warm")
    from tfwd.inspection.wide_weights import wide_weights

    found = wide_weights(start("warm"), warm.config.features, warm.statistics, nonzero=False)
    before = old.wide_weights(nonzero=False)
    # A bin of a hashed cross is called by the first of its combinations, which are others with another vocabulary.
    own = before[~before["feature"].isin(["liked_x_item", "price_buckets_x_hour"])].set_index(["feature", "name"])
    both = own.join(found.set_index(["feature", "name"]), rsuffix="_new", how="inner")
    assert len(both) > 400
    assert (both["weight"] == both["weight_new"]).all()
    assert (both["weight"] != 0).sum() > 200


def test_known_rows_are_scored_as_before() -> None:
    """Tower, one-hot places, buckets, scales, crosses and bias mean what they meant: rows of known values tell."""
    vocabularies = [trained(name).statistics.vocabularies for name in ("old", "warm")]
    known = {column: set.intersection(*(set(v[column].values) for v in vocabularies)) for column in ("item", "user")}
    rows = frame("new")
    rows = rows[rows["item"].isin(known["item"]) & rows["user"].isin(known["user"])]
    rows = rows[rows["liked"].map(lambda values: set(values) <= known["item"])]
    assert len(rows) > 1000
    answers = [
        given.score(next(Rows(Source.open(rows), given.schema).batches(5000)).inputs)["logit"]
        for given in (scorer("old", begun=False), scorer("warm", begun=True))
    ]
    assert np.abs(answers[0]).std() > 0.3
    np.testing.assert_allclose(*answers, rtol=0, atol=1e-5)


def log_loss(given: Scorer) -> float:
    """Of the validation rows of the new period."""
    rows = Rows(Source.open(frame("new")), given.schema, split="validation", fraction=0.2)
    return evaluate(given, rows)["log_loss"]


def test_the_start_is_near_to_the_old_end() -> None:
    for column in ("item", "user"):
        before, now = set(frame("old")[column]), set(frame("new")[column])
        assert len(now - before) >= 0.3 * len(now)
        assert len(before - now) >= 0.1 * len(before)
    old, cold, warm = trained("old"), trained("cold"), trained("warm")
    end = old.metrics["validation"]["log_loss"]
    history = {run: pd.read_csv(run.path / "history.csv")["val_log_loss"].tolist() for run in (cold, warm)}
    # After the first steps, against the old run's own validation rows.
    assert (history[cold][0] - history[warm][0]) / (history[cold][0] - end) >= 0.8
    # Before the first step, on the same rows.
    same = log_loss(scorer("old", begun=False))
    first = {name: log_loss(scorer(name, begun=True)) for name in ("cold", "warm")}
    assert first["cold"] - same > 0.05
    assert (first["cold"] - first["warm"]) / (first["cold"] - same) >= 0.8
    # And after the same steps it is at least as good.
    assert len(history[cold]) == len(history[warm])
    assert history[warm][-1] <= history[cold][-1]


def test_scales_are_those_of_the_old_run() -> None:
    old, warm, cold = (trained(name).statistics for name in ("old", "warm", "cold"))
    assert warm.numerics == old.numerics != cold.numerics
    assert warm.vocabularies == cold.vocabularies
    report = json.loads((trained("warm").path / "warm_start.json").read_text())
    assert report["frozen"] == ["price", "price_buckets"]
    assert {entry["carried"] for entry in report["tower"]} == {"yes"}
    assert report["optimizers"]["deep"]["steps"] == int(trained("old").model.optimizer.deep.iterations)
    assert set(GENRES) <= set(warm.vocabularies["genre"].values)
    assert set(CITIES) == set(warm.vocabularies["city"].values)
