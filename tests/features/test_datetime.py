"""Datetime features from the data to the answer: what is learned of them is what the graph computes of them."""

from __future__ import annotations

import functools
import re
import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from datetime_cases import broken_off, exported, file, frame, trained, values

import tfwd
from tfwd.analysis.analyze import analyze
from tfwd.analysis.workspace import open_workspace
from tfwd.config.config import Config
from tfwd.config.features.base import OnColumn
from tfwd.data import Rows, Source, resolve_schema
from tfwd.dates import FIRST_SECOND, LAST_SECOND, PARTS
from tfwd.errors import DataError
from tfwd.features.layout import build_layout
from tfwd.features.space import FeatureSpace
from tfwd.features.transform import build_transform
from tfwd.inference.load import load_scorer
from tfwd.inspection.wide_weights import wide_weights
from tfwd.run import Run
from tfwd.schema import MISSING_INTEGER

ALL = ["year", *PARTS]
DAY = 86_400
EVERY: list[dict[str, Any]] = [
    {
        "type": "datetime",
        "column": "when",
        "parts": ALL,
        "age_in_days": "2024-02-29T12:00:00",
        "cyclic": ["hour", "weekday", "month"],
        "normalization": "none",
    },
    {"type": "datetime", "column": "other", "parts": ["month"], "age_in_days": "when", "normalization": "none"},
    {"type": "numeric", "column": "row", "normalization": "none"},
]
CITIES = {"city": np.array(["Bern", "Oslo", "never seen"])}


def moments(count: int = 4000) -> np.ndarray:
    """Seconds of all years, the borders of leap days and of years, and missing ones at places."""
    generator = np.random.default_rng(7)
    seconds = generator.integers(FIRST_SECOND, LAST_SECOND + 1, count)
    years = generator.integers(2, 9999, 400)
    days = [np.datetime64(f"{year:04}-{day}", "s").astype(np.int64) for year in years for day in ("03-01", "01-01")]
    borders = np.array([*(int(day) + shift for day in days for shift in (-1, 0, -DAY)), FIRST_SECOND, LAST_SECOND])
    found = np.concatenate([seconds, borders])
    found[generator.random(len(found)) < 0.02] = MISSING_INTEGER
    return found


def table() -> pd.DataFrame:
    when = moments()
    other = np.random.default_rng(8).permutation(when)
    made = pd.DataFrame({"when": pd.array(when, "Int64"), "other": pd.array(other, "Int64")})
    made = made.mask(made == MISSING_INTEGER)
    return made.assign(row=np.arange(len(when)), y=np.arange(len(when)) % 2)


@functools.cache
def in_sql() -> pd.DataFrame:
    """What analysis learns of, a column a feature, in the order of the rows."""
    config = Config.of({"data": {"label": "y"}, "features": EVERY})
    source = Source.open(table())
    rows = Rows(source, resolve_schema(config, source))
    features = [feature for feature in config.model_features if isinstance(feature, OnColumn)]
    with open_workspace(rows, features) as workspace:
        columns = {feature.name: workspace.table[workspace.column(feature)] for feature in features}
        answer = workspace.arrow(workspace.table.select(**columns))
    return pd.DataFrame({name: answer.column(name).to_numpy(zero_copy_only=False) for name in answer.column_names})


@functools.cache
def in_graph() -> dict[str, np.ndarray]:
    """What the transform computes, by the names of the features: a missing part is `MISSING_INTEGER`."""
    config = Config.of({"data": {"label": "y"}, "features": EVERY})
    source = Source.open(table())
    rows = Rows(source, resolve_schema(config, source))
    space = FeatureSpace(config.features, analyze(rows, config))
    transform = build_transform(space, rows.schema, build_layout(space, config.model.heads, 1))
    layers = {layer.name: layer for layer in transform.layers}

    def again(name: str) -> Any:
        """What a layer gives, in the form in which it does: Keras itself remembers a list of it."""
        return layers[name](layers[name].input)

    outputs = {f"when_{part}": tensor for part, tensor in again("when.parts").items()}
    outputs["other_month"] = again("other.parts")["month"]
    outputs |= {f"{name}_age_in_days": again(f"{name}_age_in_days.age") for name in ("when", "other")}
    for cycle in ("hour", "weekday", "month"):
        sine, cosine = again(f"when.{cycle}_angle")
        outputs |= {f"when_{cycle}_sin": sine, f"when_{cycle}_cos": cosine}
    model = keras.Model(transform.inputs, outputs)
    given = {name: tf.constant(table()[name].fillna(MISSING_INTEGER).to_numpy(np.int64)) for name in ("when", "other")}
    found = model([given.get(tensor.name, tf.range(float(len(table())))) for tensor in transform.inputs])
    return {name: tensor.numpy() for name, tensor in found.items()}


def test_what_analysis_learns_of_is_what_the_graph_computes() -> None:
    sql = in_sql().sort_values("row").reset_index(drop=True)
    graph = in_graph()
    assert {*graph, "row"} == {*sql.columns}
    for name, computed in graph.items():
        if computed.dtype == np.int64:
            np.testing.assert_array_equal(sql[name].fillna(MISSING_INTEGER).to_numpy(np.int64), computed, name)
            continue
        learned = sql[name].to_numpy(np.float32)
        np.testing.assert_array_equal(np.isnan(learned), np.isnan(computed), name)
        # One unit in the last place: the graph multiplies where SQL divides. Its points of the circle are exact at 0.
        near = np.abs(learned - computed) <= np.maximum(np.spacing(np.abs(computed)), 1e-12)
        assert (near | np.isnan(learned)).all(), name


def test_both_are_what_pandas_says() -> None:
    when = pd.DatetimeIndex(table()["when"].fillna(0).to_numpy(np.int64).astype("datetime64[s]"))
    known = table()["when"].notna().to_numpy()
    iso = when.isocalendar()
    expected = {
        "year": when.year,
        "quarter": when.quarter,
        "month": when.month,
        "week": iso["week"],
        "day": when.day,
        "weekday": iso["day"],
        "weekend": when.weekday >= 5,
        "hour": when.hour,
        "minute": when.minute,
    }
    for part, of in expected.items():
        found = in_graph()[f"when_{part}"]
        np.testing.assert_array_equal(found, np.where(known, np.asarray(of, np.int64), MISSING_INTEGER), part)
    # Days as Python counts them, of the first rows.
    reference = pd.Timestamp("2024-02-29T12:00:00").to_pydatetime()
    ages = [(reference - moment) / pd.Timedelta(days=1).to_pytimedelta() for moment in when.to_pydatetime()[:500]]
    found = in_graph()["when_age_in_days"][:500]
    np.testing.assert_allclose(found[known[:500]], np.array(ages)[known[:500]], rtol=2**-23)
    assert np.isnan(found[~known[:500]]).all()


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"parts": ["year"]}, "The feature 'when_year' has no vocabulary: 'when' is missing in all 3 rows."),
        ({"age_in_days": "2024-01-01"}, "The number 'when_age_in_days' of 'when' has no finite number in any of the 3"),
        ({"age_in_days": "other"}, "The number 'when_age_in_days' of 'when' and 'other' has no finite number"),
    ],
)
def test_a_column_without_a_moment_is_named(asked: dict[str, Any], message: str) -> None:
    features = [
        {"type": "datetime", "column": "when", **asked},
        {"type": "datetime", "column": "other", "parts": ["day"]},
    ]
    config = Config.of({"data": {"label": "y"}, "features": features, "model": {"heads": ["wide"]}})
    source = Source.open(
        pd.DataFrame({"when": [pd.NaT] * 3, "other": pd.to_datetime(["2024-02-29"] * 3), "y": [0, 1, 0]})
    )
    rows = Rows(source, resolve_schema(config, source))
    with pytest.raises(DataError, match=re.escape(message)):
        analyze(rows, config)


def seconds_of(data: pd.DataFrame) -> dict[str, np.ndarray]:
    """Rides as a request: int64 seconds since 1970."""
    pickup = data["pickup"].to_numpy("datetime64[s]")
    booked = pd.to_datetime(data["booked on"], format="%d/%m/%Y").to_numpy("datetime64[s]")
    whole = {"pickup": pickup, "booked_on": booked}
    found = {
        name: np.where(np.isnat(values), MISSING_INTEGER, values.astype(np.int64)) for name, values in whole.items()
    }
    return {**found, "city": data["city"].to_numpy(object)}


@functools.cache
def scorer(kind: str) -> Any:
    return load_scorer(exported()[kind])


@pytest.mark.parametrize("kind", ["keras", "savedmodel", "onnx"])
def test_every_form_answers_as_the_run_whatever_holds_the_rows(kind: str) -> None:
    """Files and frames of rides that training has not seen, of years that it has not seen among them."""
    data = frame(2021, 2023)
    expected = trained().predict(data)
    assert expected["probability"].nunique() > 100
    answers = [scorer(kind).predict(given) for given in (data, str(file("new.csv")), str(file("new.parquet")))]
    for answer in answers:
        # Of a CSV file the key is text.
        assert answer["row"].astype(int).tolist() == data["row"].tolist()
        np.testing.assert_allclose(answer["probability"], expected["probability"], rtol=0, atol=1e-6)
    for given in (seconds_of(data), {**seconds_of(data), "pickup": data["pickup"]}):
        scored = scorer(kind).score(given)
        np.testing.assert_allclose(scored["probability"], expected["probability"], rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", ["keras", "savedmodel", "onnx"])
def test_a_request_out_of_range_is_missing_and_answers_finitely(kind: str) -> None:
    outside = [MISSING_INTEGER, MISSING_INTEGER + 1, FIRST_SECOND - 1, LAST_SECOND + 1, 2**62, 2**63 - 1]
    inside = [FIRST_SECOND, LAST_SECOND, 0, -1]
    pickup = np.array([*outside, *inside])
    given = {
        "pickup": pickup,
        "booked_on": np.full(len(pickup), 1_600_000_000),
        "city": np.array(["Bern"] * len(pickup)),
    }
    for other in (given["booked_on"], pickup):
        found = scorer(kind).score({**given, "booked_on": other})
        assert np.isfinite(found["logit"]).all()
        assert np.isfinite(found["probability"]).all()
        # All that are no moments are one thing.
        np.testing.assert_array_equal(found["logit"][: len(outside)], found["logit"][0])


def test_the_page_of_a_kit_says_what_a_moment_is(tmp_path: Path) -> None:
    from export.serving import tf_serving as kit

    shutil.copytree(exported()["savedmodel"], tmp_path / "models" / "rides" / "1")
    page = (kit.write(tmp_path / "models") / "README.md").read_text(encoding="utf-8")
    for name, column in (("pickup", "pickup"), ("booked_on", "booked on")):
        assert f"| `{name}` | integer, seconds since 1970-01-01 UTC | `{MISSING_INTEGER}` |" in page
        assert f"- {name}: {column!r} in seconds since 1970-01-01 UTC\n" in page


def test_moments_in_any_form_beside_a_tensor() -> None:
    model = trained().model
    moments = np.array(["2020-06-01T12:00", "1969-12-31T23:59:59", "NaT"], "datetime64[s]")
    expected = model({"pickup": tf.constant(moments.astype(np.int64)), "booked_on": tf.zeros(3, tf.int64), **CITIES})
    for pickup in (moments, moments.astype("datetime64[ms]"), pd.Series(moments), moments.tolist()):
        found = model({"pickup": pickup, "booked_on": tf.zeros(3, tf.int64), **CITIES})
        np.testing.assert_array_equal(found, expected)
    with pytest.raises(DataError, match="The input 'pickup' takes moments, int64 seconds since 1970"):
        model({"pickup": ["2020-06-01"] * 3, "booked_on": tf.zeros(3, tf.int64), **CITIES})


def test_an_unseen_year_is_none_of_those_learned() -> None:
    noon = [int(np.datetime64(f"{year}-06-01T12:00:00", "s").astype(np.int64)) for year in (1500, 2018, 2022, 2020)]
    ids = (
        trained()
        .model.transform(
            {
                "pickup": tf.constant([*noon, MISSING_INTEGER]),
                "booked_on": tf.constant([0] * 5, tf.int64),
                "city": tf.constant(["Bern"] * 5),
            }
        )["wide_ids"]
        .numpy()
    )
    (years,) = [entry for entry in trained().model.layout.wide.ranges if entry.feature == "pickup_year"]  # type: ignore[union-attr]
    # OOV, missing, then the years, the most frequent first.
    column = ids[:, 0] - years.start
    assert years.rows == 5
    assert column.tolist()[:3] == [0, 0, 0]
    assert column[3] >= 2
    assert column[4] == 1


def test_weights_are_named_by_part_and_value() -> None:
    weights = trained().wide_weights(nonzero=False)
    names = weights.groupby("feature")["name"].agg(set).to_dict()
    known = {"pickup_weekday": range(1, 8), "pickup_hour": range(24), "pickup_year": (2019, 2020, 2021)}
    for feature, shown in known.items():
        assert names[feature] == {
            *(f"{feature}={value}" for value in shown),
            f"{feature}=[OOV]",
            f"{feature} missing",
        }
    assert "pickup_weekday=6 x city=Köln" in names["pickup_weekday_x_city"]


def by_name(weights: pd.DataFrame, feature: str) -> dict[str, float]:
    return dict(weights.loc[weights["feature"] == feature, ["name", "weight"]].itertuples(index=False))


class Begins(keras.callbacks.Callback):
    """Breaks a training off before its first step."""

    def on_train_begin(self, logs: Any = None) -> None:
        raise KeyboardInterrupt


def test_a_warm_start_carries_parts_and_years_by_value(tmp_path: Path) -> None:
    """The years are counted anew, so that those of both runs stand at other places."""
    options = {"warm_start_from": str(trained().path), "warm_start_vocabulary": "grow"}
    begins = Begins()
    with pytest.raises(KeyboardInterrupt):
        tfwd.fit(Config.of(values(str(file("new.csv")), **options)), tmp_path / "run", callbacks=[begins])
    run = Run.open(tmp_path / "run")
    old, new = (made.statistics.vocabularies["pickup_year"].values for made in (trained(), run))
    assert {int(year) for year in new} == {*range(2019, 2024)}
    # The year that is in both is the most frequent.
    assert new[0] == "2021"
    assert [year for year in new if year in old] != list(old)
    carried = wide_weights(begins.model, run.config.features, run.statistics, nonzero=False)
    for feature in ("pickup_year", "pickup_weekday", "pickup_hour", "pickup_weekday_x_city"):
        before, after = by_name(trained().wide_weights(nonzero=False), feature), by_name(carried, feature)
        assert before.keys() <= after.keys()
        assert any(before.values())
        assert {name: after[name] for name in before} == before


@pytest.mark.long
def test_a_training_that_was_broken_off_goes_on(tmp_path: Path) -> None:
    path = shutil.copytree(broken_off(), tmp_path / "run")
    assert Run.open(path).status == "training"
    run = tfwd.resume(path, callbacks=[])
    assert run.status == "finished"
    found, whole = (given.wide_weights(nonzero=False) for given in (run, trained()))
    for name in ("pickup_hour", "pickup_year"):
        assert by_name(found, name) == pytest.approx(by_name(whole, name), abs=1e-6)
