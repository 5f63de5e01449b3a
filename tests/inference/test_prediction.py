"""Batch prediction: a row out for a row in, in order."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from census_cases import files, frame, trained
from command_line import tfwd

from tfwd.data.chunk import Chunk
from tfwd.data.source import Source
from tfwd.errors import DataError
from tfwd.inference.answers import Answer
from tfwd.inference.prediction import answer_table, default_key, predict
from tfwd.inference.scorer import Scorer
from tfwd.inference.tensorflow_scorer import keras_scorer
from tfwd.schema import Schema


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    return keras_scorer(trained().model)


def read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)


@pytest.mark.parametrize("name", ["test.csv", "test.parquet"])
@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_every_row_in_order_with_its_key(name: str, ending: str, scorer: Scorer, tmp_path: Path) -> None:
    output = tmp_path / f"answers{ending}"
    counted: list[int] = []
    rows = predict(scorer, Source.open(files()[name]), output, key=("id", "sex"), advance=counted.append)
    table = read(output)
    assert rows == len(table) == sum(counted) == 700
    assert list(table.columns) == ["id", "sex", "probability", "logit", "predicted"]
    assert table["id"].astype(int).tolist() == list(range(700))
    assert table["sex"].tolist() == frame("test", 700)["sex"].tolist()
    assert set(table["predicted"]) == {"<=50K", ">50K"}
    assert ((table["probability"] >= 0.5) == (table["predicted"] == ">50K")).all()
    np.testing.assert_allclose(table["probability"], 1 / (1 + np.exp(-table["logit"])), atol=1e-6)
    assert [path.name for path in tmp_path.iterdir()] == [output.name]


def test_a_row_alone_answers_as_among_others(scorer: Scorer, tmp_path: Path) -> None:
    answers = []
    for name, rows in (("one", 1), ("many", 40)):
        predict(scorer, Source.open(frame("test", 700).head(rows)), tmp_path / f"{name}.csv")
        answers.append(read(tmp_path / f"{name}.csv")["probability"][0])
    assert answers[0] == pytest.approx(answers[1], abs=1e-6)


def test_label_and_weight_need_not_be_there(scorer: Scorer, tmp_path: Path) -> None:
    bare = frame("test", 700).drop(columns=["income", "weight", "id"]).head(30)
    assert predict(scorer, Source.open(bare), tmp_path / "answers.csv") == 30
    assert list(read(tmp_path / "answers.csv").columns) == ["probability", "logit", "predicted"]
    assert default_key(scorer, Source.open(bare)) == ()
    assert default_key(scorer, Source.open(frame("test", 700))) == ("id",)


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_no_rows_are_a_file_with_no_rows(ending: str, scorer: Scorer, tmp_path: Path) -> None:
    output = tmp_path / f"answers{ending}"
    assert predict(scorer, Source.open(frame("test", 700).head(0)), output, key=("id",)) == 0
    assert list(read(output).columns) == ["id", "probability", "logit", "predicted"]
    assert len(read(output)) == 0


@pytest.mark.parametrize(
    ("output", "key", "message"),
    [
        ("answers.txt", (), r"written as \.parquet or \.csv. Received: '\.txt'"),
        ("absent/answers.csv", (), "the folder .*absent does not exist"),
        ("answers.csv", ("idd",), "no column 'idd', which data.key reads. Did you mean 'id'"),
        ("answers.csv", ("probability",), "The key 'probability' has the name of an answer's column"),
    ],
)
def test_refused_before_scoring(
    output: str, key: tuple[str, ...], message: str, scorer: Scorer, tmp_path: Path
) -> None:
    table = frame("test", 700).assign(probability=1.0)
    with pytest.raises(DataError, match=message):
        predict(scorer, Source.open(table), tmp_path / output, key=key)
    assert list(tmp_path.iterdir()) == []


def test_a_bad_value_late_in_the_file_leaves_nothing(scorer: Scorer, tmp_path: Path) -> None:
    table = frame("test", 700).astype({"age": object})
    table.loc[650, "age"] = "old"
    table.to_csv(tmp_path / "bad.csv", index=False)
    with pytest.raises(DataError, match=r"row 651, column 'age': expected a number, found 'old'"):
        predict(scorer, Source.open(tmp_path / "bad.csv"), tmp_path / "answers.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["bad.csv"]


def test_a_key_that_csv_has_no_form_for(scorer: Scorer, tmp_path: Path) -> None:
    table = frame("test", 700).head(5).assign(tags=[["a", "b"]] * 5)
    with pytest.raises(DataError, match=r"answers\.csv cannot be written: .*list"):
        predict(scorer, Source.open(table), tmp_path / "answers.csv", key=("tags",))
    assert list(tmp_path.iterdir()) == []
    assert predict(scorer, Source.open(table), tmp_path / "answers.parquet", key=("tags",)) == 5


def test_an_earlier_output_stays_until_the_new_one_is_whole(scorer: Scorer, tmp_path: Path) -> None:
    output = tmp_path / "answers.csv"
    output.write_text("earlier")
    with pytest.raises(DataError):
        predict(scorer, Source.open(frame("test", 700).drop(columns="age")), output)
    assert output.read_text() == "earlier"
    predict(scorer, Source.open(frame("test", 700)), output)
    assert len(read(output)) == 700


def test_columns_of_the_other_tasks() -> None:
    schema = Schema(inputs=(), task="multiclass", label="y", classes=("a", "b b", "ç"))
    probability = np.array([[0.2, 0.5, 0.3], [0.1, 0.2, 0.7]], np.float32)
    table = answer_table(schema, {"probability": probability, "logit": probability})
    assert table.column_names == ["probability_a", "probability_b b", "probability_ç", "predicted"]
    assert table["predicted"].to_pylist() == ["b b", "ç"]
    number = answer_table(Schema(inputs=(), task="regression", label="y"), {"prediction": np.array([1.5], np.float32)})
    assert number.to_pydict() == {"prediction": [1.5]}


def _answering(scorer: Scorer, sizes: list[int], last: int) -> Scorer:
    """A scorer that notes the sizes of its chunks, gives zeros, and is interrupted at the chunk `last`."""

    def score_chunk(chunk: Chunk) -> Answer:
        sizes.append(chunk.rows)
        if len(sizes) == last:
            raise KeyboardInterrupt
        zeros = np.zeros(chunk.rows, np.float32)
        return {"probability": zeros, "logit": zeros}

    return dataclasses.replace(scorer, score_chunk=score_chunk)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Source:
    path = tmp_path_factory.mktemp("many") / "rows.parquet"
    few = frame("test", 700).drop(columns="id")
    pd.concat([few] * 600).assign(id=np.arange(420_000)).to_parquet(path, index=False)
    return Source.open(path)


def test_memory_is_bounded_by_the_chunk(scorer: Scorer, many: Source, tmp_path: Path) -> None:
    """Chunks are written as they are scored: a row group a chunk, none of them held."""
    sizes: list[int] = []
    output = tmp_path / "answers.parquet"
    assert predict(_answering(scorer, sizes, last=-1), many, output, key=("id",)) == sum(sizes) == 420_000
    assert len(sizes) == pq.read_metadata(output).num_row_groups >= 4
    assert max(sizes) <= 131_072
    assert pq.read_table(output)["id"].to_pylist() == list(range(420_000))


def test_an_interruption_leaves_nothing(scorer: Scorer, many: Source, tmp_path: Path) -> None:
    sizes: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        predict(_answering(scorer, sizes, last=3), many, tmp_path / "answers.parquet")
    assert len(sizes) == 3
    assert list(tmp_path.iterdir()) == []


def test_what_is_read_is_not_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Not in a folder either, whose files are read one by one."""
    shutil.copy(files()["test.csv"], tmp_path / "a.csv")
    before = (tmp_path / "a.csv").read_bytes()
    for command in ("predict", "evaluate"):
        for data in (tmp_path / "a.csv", tmp_path, f"{tmp_path}/*.csv"):
            assert tfwd(command, trained().path, "--data", data, "--output", tmp_path / "a.csv") == 2
            assert "is what is read" in capsys.readouterr().err
    assert (tmp_path / "a.csv").read_bytes() == before
