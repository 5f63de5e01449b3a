"""Synthetic clicks: reproducible, true to their rule, and not to be learned without crosses."""

from __future__ import annotations

import hashlib
import pathlib
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import OneHotEncoder

from tfwd.datasets import clicks
from tfwd.datasets.click_rule import BLOCK_ROWS, Rule
from tfwd.errors import ConfigError, DataError


def test_a_seed_gives_the_same_bytes_and_another_does_not(tmp_path: pathlib.Path) -> None:
    digests = []
    for number, seed in enumerate([3, 3, 4]):
        file = tmp_path / f"{number}.parquet"
        clicks.write(file, 500, seed=seed, with_probability=True)
        digests.append(hashlib.sha256(file.read_bytes()).digest())
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize("rows_per_file", [BLOCK_ROWS, 60_000, 150_000])
def test_a_folder_holds_the_rows_of_one_file(tmp_path: pathlib.Path, rows_per_file: int) -> None:
    rows = 2 * BLOCK_ROWS + 17
    options: dict[str, Any] = {"categorical": 2, "numeric": 2, "with_probability": True}
    clicks.write(tmp_path / "one.parquet", rows, **options)
    clicks.write(tmp_path / "many", rows, rows_per_file=rows_per_file, **options)
    files = sorted((tmp_path / "many").iterdir())
    parts = [pq.read_table(file) for file in files]
    assert [part.num_rows for part in parts[:-1]] == [rows_per_file] * (len(parts) - 1)
    assert sum(part.num_rows for part in parts) == rows
    assert pa.concat_tables(parts).equals(pq.read_table(tmp_path / "one.parquet"))
    assert {entry.name for entry in tmp_path.iterdir()} == {"one.parquet", "many"}


def test_fewer_rows_are_the_first_of_more(tmp_path: pathlib.Path) -> None:
    clicks.write(tmp_path / "few.parquet", 1_000)
    clicks.write(tmp_path / "more.parquet", BLOCK_ROWS + 1_000)
    more = pq.read_table(tmp_path / "more.parquet")
    assert pq.read_table(tmp_path / "few.parquet").equals(more.slice(0, 1_000))
    assert not more.slice(BLOCK_ROWS, 1_000).equals(more.slice(0, 1_000))


def test_columns_and_types(tmp_path: pathlib.Path) -> None:
    clicks.write(tmp_path / "c.parquet", 10, categorical=3, numeric=2, with_probability=True)
    schema = pq.read_schema(tmp_path / "c.parquet")
    assert dict(zip(schema.names, map(str, schema.types), strict=True)) == {
        "c1": "string",
        "c2": "string",
        "c3": "string",
        "x1": "float",
        "x2": "float",
        "clicked": "int32",
        "probability": "double",
    }


def test_labels_follow_the_stored_probability(tmp_path: pathlib.Path) -> None:
    rule = clicks.write(tmp_path / "c.parquet", 200_000, seed=1, with_probability=True)
    table = pq.read_table(tmp_path / "c.parquet")
    truth, label = table["probability"].to_numpy(), table["clicked"].to_numpy()
    np.testing.assert_array_equal(clicks.probability(table, rule), truth)
    assert label.mean() == pytest.approx(0.07, abs=0.005)
    # In every tenth of the rows, ordered by the truth, clicks are within five standard errors.
    for part in np.array_split(np.argsort(truth), 10):
        error = np.sqrt((truth[part] * (1 - truth[part])).sum()) / len(part)
        assert abs(label[part].mean() - truth[part].mean()) < 5 * error
    with_crosses = roc_auc_score(label, truth)
    without = roc_auc_score(label, clicks.probability(table, rule, crosses=False))
    assert with_crosses > without + 0.03


def test_a_linear_model_with_crosses_beats_one_without(tmp_path: pathlib.Path) -> None:
    rule = clicks.write(tmp_path / "c.parquet", 120_000, seed=5, categorical=4, cardinality=30)
    frame = pq.read_table(tmp_path / "c.parquet").to_pandas()
    names = ["c1", "c2", "c3", "c4"]
    frame["c1c2"] = frame["c1"] + frame["c2"]
    frame["c3c4"] = frame["c3"] + frame["c4"]
    train, test = frame.iloc[:100_000], frame.iloc[100_000:]
    scores = {}
    for title, columns in {"plain": names, "crossed": [*names, "c1c2", "c3c4"]}.items():
        encoder = OneHotEncoder(handle_unknown="ignore").fit(train[columns])
        model = LogisticRegression(max_iter=200).fit(encoder.transform(train[columns]), train["clicked"])
        predicted = model.predict_proba(encoder.transform(test[columns]))[:, 1]
        scores[title] = roc_auc_score(test["clicked"], predicted)
    best = roc_auc_score(test["clicked"], clicks.probability(pa.Table.from_pandas(test), rule))
    assert scores["plain"] + 0.03 < scores["crossed"] < best


@pytest.mark.parametrize("exponent", [0.0, 1.0, 1.1, 2.0])
def test_categories_follow_the_power_law(exponent: float) -> None:
    cardinality = 50
    ids, _, _ = Rule((cardinality, 2), exponent=exponent).draw(0)
    edges = np.arange(1.0, cardinality + 2)
    mass = np.log(edges) if exponent == 1 else edges ** (1 - exponent) / (1 - exponent)
    expected = np.diff(mass) / (mass[-1] - mass[0])
    observed = np.bincount(ids[:, 0], minlength=cardinality) / BLOCK_ROWS
    assert observed.size == cardinality
    np.testing.assert_allclose(observed, expected, atol=5 * np.sqrt(expected.max() / BLOCK_ROWS), rtol=0)


def test_cardinalities_positive_rate_and_no_numbers(tmp_path: pathlib.Path) -> None:
    clicks.write(
        tmp_path / "c.parquet",
        BLOCK_ROWS,
        categorical=2,
        numeric=0,
        cardinality=[3, 40],
        exponent=0,
        positive_rate=0.3,
    )
    table = pq.read_table(tmp_path / "c.parquet")
    assert table.column_names == ["c1", "c2", "clicked"]
    assert set(table["c1"].to_pylist()) == {f"v{i}" for i in range(3)}
    assert set(table["c2"].to_pylist()) == {f"v{i}" for i in range(40)}
    assert np.mean(table["clicked"].to_numpy()) == pytest.approx(0.3, abs=0.01)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rows": 0}, "rows of 1 or more. Received: 0"),
        ({"rows_per_file": 0}, "rows_per_file of 1 or more"),
        ({"categorical": 1}, "two categorical columns"),
        ({"cardinality": [10, 20]}, "one cardinality, or 8 of them"),
        ({"cardinality": 0}, "cardinalities of 1 or more"),
        ({"numeric": -1}, "numeric of 0 or more"),
        ({"seed": -1}, "seed of 0 or more"),
        ({"exponent": -0.5}, "exponent of 0 or more"),
        ({"positive_rate": 1.0}, "positive_rate between 0 and 1"),
    ],
)
def test_what_is_out_of_range_is_refused(tmp_path: pathlib.Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        clicks.write(tmp_path / "c.parquet", **{"rows": 5, **options})
    assert not list(tmp_path.iterdir())


def test_an_existing_output_is_left_alone(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "c.parquet"
    file.write_text("mine")
    with pytest.raises(DataError, match="exists"):
        clicks.write(file, 5)
    assert file.read_text() == "mine"


def test_command_line(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "clicks"
    command = f"--rows 90 --output {output} --seed 2 --cardinality 5 --rows-per-file 40"
    clicks.main(command.split())
    clicks.write(tmp_path / "same", 90, seed=2, cardinality=5, rows_per_file=40)
    assert [file.name for file in sorted(output.iterdir())] == [f"part-{i:05d}.parquet" for i in range(3)]
    assert pq.read_table(output).equals(pq.read_table(tmp_path / "same"))
    capsys.readouterr()
    with pytest.raises(SystemExit) as stopped:
        clicks.main(command.split())
    assert stopped.value.code == 2
    assert capsys.readouterr().err == f"{output} exists. Remove it, or write to another path.\n"
