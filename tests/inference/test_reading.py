"""One model and one file give the same numbers, whatever holds the model: what the reading needs goes with it."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import reading_cases as cases
from command_line import tfwd

from tfwd.data.reading import Reading
from tfwd.errors import DataError
from tfwd.inference.load import load_scorer
from tfwd.inference.prediction import predict
from tfwd.inference.scorer import Scorer
from tfwd.schema import Input, Schema

KINDS = ("run", "keras", "onnx", "savedmodel")


@functools.cache
def loaded(kind: str) -> Scorer:
    return load_scorer(cases.kinds()[kind])


@pytest.fixture(scope="module", params=KINDS)
def scorer(request: pytest.FixtureRequest) -> Scorer:
    return loaded(request.param)


def raw() -> pd.DataFrame:
    """The test rows before they were written."""
    return cases.table(1, 300)


def by_hand() -> dict[str, np.ndarray]:
    """The model's inputs of the test rows, computed in pandas."""
    frame = raw()
    price = (frame["price"] * 100).astype(np.float32)
    return {
        "movie": frame["movie"].to_numpy(object),
        "city": frame["city"].where(frame["city"].notna(), "").to_numpy(object),
        "year": frame["title"].str[-5:-1].to_numpy(object),
        "dear": np.where(price > 500, "yes", "no").astype(object),
        "price": price.to_numpy(),
    }


def test_a_file_has_the_metrics_that_training_found(scorer: Scorer) -> None:
    found = scorer.evaluate(cases.trained().config.data.test)
    assert found == pytest.approx(cases.trained().metrics["test"], abs=1e-6, nan_ok=True)
    frame = raw()
    assert found["rows"] == ((frame["rating"] != 3) & (frame["price"] * 100 > 500)).sum()
    assert found["users"] == 15


def test_prepared_rows_are_not_computed_twice(scorer: Scorer) -> None:
    run = cases.trained()
    prepared = run.path / "data" / "test.parquet"
    assert scorer.evaluate(prepared) == pytest.approx(run.metrics["test"], abs=1e-6, nan_ok=True)
    table = pd.read_parquet(prepared)
    received = scorer.predict(prepared)
    np.testing.assert_array_equal(received["user"], table["user"])
    kept = ((raw()["rating"] != 3) & (raw()["price"] * 100 > 500)).to_numpy()
    expected = scorer.predict(run.config.data.test)
    assert list(expected.columns) == ["user", "year", "probability", "logit", "predicted"]
    pd.testing.assert_frame_equal(received, expected[kept].reset_index(drop=True), check_exact=False, atol=1e-6)


def test_every_row_is_answered_as_its_inputs_are(scorer: Scorer, tmp_path: Path) -> None:
    expected = scorer.score(by_hand())
    assert predict(scorer, scorer.source(cases.trained().config.data.test, labelled=False), tmp_path / "a.csv") == 300
    for found in (pd.read_csv(tmp_path / "a.csv"), scorer.predict(raw())):
        np.testing.assert_allclose(found["probability"], expected["probability"], rtol=0, atol=1e-6)


def test_the_commands_take_each(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    data = cases.trained().config.data.test
    said = []
    for kind in ("onnx", "keras"):
        assert tfwd("evaluate", cases.kinds()[kind], "--data", data) == 0
        said.append(json.loads(capsys.readouterr().out))
        output = tmp_path / f"{kind}.csv"
        assert tfwd("predict", cases.kinds()[kind], "--data", data, "--output", output) == 0
        assert list(pd.read_csv(output).columns)[:2] == ["user", "year"]
        capsys.readouterr()
    assert said[0] == pytest.approx(said[1], abs=1e-6, nan_ok=True)
    assert said[0]["rows"] == cases.trained().metrics["test"]["rows"]


def test_a_row_may_come_with_what_is_computed() -> None:
    """Without the title there is no year to compute, so one that is there is taken as it is."""
    scorer = loaded("run")
    frame = raw().drop(columns=["title", "rating"]).assign(year=by_hand()["year"])
    expected = scorer.score(by_hand())
    np.testing.assert_allclose(scorer.predict(frame)["probability"], expected["probability"], rtol=0, atol=1e-6)


def test_what_is_neither_there_nor_computed_is_said_at_once() -> None:
    scorer = loaded("onnx")
    for data in (raw().drop(columns=["title"]), cases.table(1, 3).drop(columns=["title"]).head(0)):
        with pytest.raises(DataError, match=r"'year': data\.columns\.year computes it as regexp_extract.*no 'title'"):
            scorer.predict(data)
    with pytest.raises(DataError, match=r"DataFrame has no column 'movie', which the input 'movie' reads"):
        scorer.predict(raw().drop(columns="movie"))
    with pytest.raises(
        DataError, match="'good': data.columns.good computes it as rating >= 4, and there is no 'rating'"
    ):
        scorer.evaluate(raw().drop(columns="rating"))


def test_a_value_that_cannot_be_computed_names_the_column(tmp_path: Path) -> None:
    scorer = loaded("run")
    wrong = raw().astype({"price": object})
    wrong.loc[7, "price"] = "dear"
    path = cases.write(wrong, tmp_path / "wrong.data")
    with pytest.raises(
        DataError, match=r"data\.columns\.price cannot be computed for the rows of .*wrong\.data.*'dear'"
    ):
        scorer.predict(path)


def test_rows_prepared_otherwise_are_refused(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    from tfwd.data.scans import COMPUTED

    source = cases.trained().path / "data" / "test.parquet"
    table = pq.read_table(source)
    assert json.loads(table.schema.metadata[COMPUTED.encode()]) == cases.COLUMNS
    other = json.dumps({**cases.COLUMNS, "price": "cast(price as double) * 10"})
    pq.write_table(table.replace_schema_metadata({COMPUTED: other}), tmp_path / "other.parquet")
    with pytest.raises(DataError, match=r"was prepared with data\.columns\.price = .*\* 10, and the model reads"):
        loaded("run").predict(tmp_path / "other.parquet")
    # A run of a version that left no mark: what lies in it is prepared all the same.
    old = tmp_path / "old"
    (old / "data").mkdir(parents=True)
    (old / "run.json").write_text("{}")
    pq.write_table(table.replace_schema_metadata(None), old / "data" / "test.parquet")
    scorer = loaded("run")
    assert scorer.predict(old / "data" / "test.parquet").equals(scorer.predict(source))


def test_the_hour_of_a_moment_is_that_of_utc() -> None:
    """Where the machine stands is asked once a process, so in one of its own."""
    program = """
import pyarrow as pa
from tfwd.data.reading import Reading
from tfwd.data.source import Source
table = pa.table({"at": pa.array([0, 3600], pa.timestamp("s", tz="UTC"))})
filtered = Source.open(table, filter="extract(hour from at) < 1")
source = Source.open(table).computing({"hour": "extract(hour from at)"})
print(source.connect().sql(source.select("hour")).fetchall(), filtered.first("at", "true").row)
"""
    environment = {**os.environ, "TZ": "Asia/Tokyo"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[(0,), (1,)] 1"


def test_an_export_says_at_its_end_what_a_client_computes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from export.commands import onnx
    from export.parity import compare as parity
    from export.serving import tf_serving as kit

    monkeypatch.setattr(parity, "HOSTILE_ROWS", 200)
    expected = [
        "Computed before the model, so that a client sends it:",
        f"  year: {cases.COLUMNS['year']}",
        f"  dear: {cases.COLUMNS['dear']}",
        f"  price: {cases.COLUMNS['price']}",
    ]
    onnx(cases.trained().path, output=tmp_path / "films.onnx")
    lines = capsys.readouterr().out.splitlines()
    assert lines[-5:-1] == expected
    kit.write(cases.kinds()["savedmodel"].parent.parent)
    page = (cases.kinds()["savedmodel"].parent.parent / "serving" / "README.md").read_text(encoding="utf-8")
    assert all(f"- {line.strip()}\n" in page for line in expected[1:])


def test_histories_and_joins_are_the_clients_too() -> None:
    inputs = (Input("liked", "liked", "string", 5), Input("genre", "genre", "string"), Input("city", "city", "string"))
    schema = Schema(inputs, "regression", "y")
    reading = Reading(histories=("liked",), joins=("movie",), columns={"genre": "lower(kind)"})
    assert reading.outside(schema) == [
        "liked: the user's earlier events, as data.history.liked lists them",
        "genre: lower(kind)",
        "what data.join adds from other tables by movie, where a feature reads it",
    ]
    with pytest.raises(DataError) as found:
        reading.open(pa.table({"x": [1]}), schema, labelled=True)
    assert str(found.value).splitlines() == [
        "DataFrame lacks columns that the model reads:",
        "  'liked': data.history makes it from a user's earlier events, which no single row has",
        "  'genre': data.columns.genre computes it as lower(kind), and there is no 'kind'",
        "  'city': neither there nor computed; data.join adds columns from other tables by 'movie'",
        "  'y': neither there nor computed; data.join adds columns from other tables by 'movie'",
        "Add these columns to the rows, or give prepared rows, such as those in RUN/data or from python -m "
        "tfwd.prepare.",
    ]


def test_moments_are_the_clients_to_convert() -> None:
    inputs = (Input("day", "the day", "integer", moment="%d/%m/%Y"), Input("at", "at", "integer", moment=""))
    schema = Schema((*inputs, Input("n", "n", "integer")), "regression", "y")
    assert Reading(columns={"at": "floor(ms / 1000)"}).outside(schema) == [
        "day: 'the day' in seconds since 1970-01-01 UTC",
        "at: floor(ms / 1000), in seconds since 1970-01-01 UTC",
    ]


@pytest.mark.parametrize("kind", ["run", "keras"])
def test_a_comparison_reads_a_file_as_an_evaluation_does(kind: str) -> None:
    from export.baseline.comparison import comparison_rows

    run = cases.trained()
    rows = comparison_rows(cases.kinds()[kind], run.model.schema, run.config.data.test, run.model.reading)
    assert rows.count() == run.metrics["test"]["rows"]
