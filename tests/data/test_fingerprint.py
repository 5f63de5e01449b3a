"""A fingerprint tells rows from others, whatever they were read from, and how many of some rows were among others."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tfwd.data import fingerprint as module
from tfwd.data.fingerprint import Fingerprint, fingerprint, together
from tfwd.data.provenance import Provenance, SplitMark
from tfwd.data.rows import Rows
from tfwd.data.source import Source
from tfwd.errors import RunError
from tfwd.schema import Input, Schema

SCHEMA = Schema(
    (Input("x", "x", "float"), Input("n", "n", "integer"), Input("t", "t", "string")), "binary", "y", classes=("0", "1")
)


def table(rows: int = 200, seed: int = 0) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "x": generator.integers(0, 1000, rows) / 4,
            "n": generator.integers(-(2**40), 2**40, rows),
            "t": [f"città {value}" for value in generator.integers(0, 50, rows)],
            "y": generator.integers(0, 2, rows),
        }
    )


def rows_of(data: object, **options: object) -> Rows:
    return Rows(Source.open(data), SCHEMA, **options)  # type: ignore[arg-type]


def test_it_is_the_sum_of_the_md5_of_the_rows_as_python_computes_it() -> None:
    frame = table(50)
    texts = [f"{row.x}\x1f{row.n}\x1f{row.t}\x1f{row.y}" for row in frame.itertuples()]
    hashes = [int.from_bytes(hashlib.md5(text.encode()).digest()[8:], "little") for text in texts]
    found = fingerprint(rows_of(frame))
    assert found.content == sum(hashes) % 2**64
    assert found.order == sum((2 * index + 1) * value for index, value in enumerate(hashes)) % 2**64
    assert found.sample.tolist() == sorted(set(hashes))
    assert found.rows == 50


def test_a_frame_and_files_of_the_same_values_have_one_fingerprint(tmp_path: Path) -> None:
    frame = table()
    frame.to_csv(tmp_path / "rows.csv", index=False)
    frame.assign(x=frame["x"].astype("float32"), more=1).to_parquet(tmp_path / "rows.parquet")
    found = [fingerprint(rows_of(data)) for data in (frame, tmp_path / "rows.csv", tmp_path / "rows.parquet")]
    assert found[0] == found[1] == found[2]


def test_other_rows_another_order_and_a_value_are_told() -> None:
    frame = table()
    found, shuffled = fingerprint(rows_of(frame)), fingerprint(rows_of(frame[::-1].reset_index(drop=True)))
    assert shuffled.same_rows(found)
    assert shuffled != found
    for change in ({"x": 7.5}, {"t": "other"}, {"y": 1 - frame.loc[3, "y"]}):
        changed = frame.copy()
        changed.loc[3, list(change)] = list(change.values())
        assert not fingerprint(rows_of(changed)).same_rows(found)
    twice = pd.concat([frame, frame])
    assert fingerprint(rows_of(twice)).repeated == 1.0
    assert not fingerprint(rows_of(twice)).same_rows(found)


def test_training_and_validation_rows_together_are_all_rows() -> None:
    frame = table()
    parts = [fingerprint(rows_of(frame, split=split, fraction=0.3)) for split in ("train", "validation")]
    whole = fingerprint(rows_of(frame))
    assert 20 < parts[1].rows < 100
    assert together(*parts).same_rows(whole)
    assert together(*parts).sample.tolist() == whole.sample.tolist()


@pytest.mark.parametrize("kept", [64, 10_000])
def test_how_many_rows_were_among_others(kept: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all rows where all hashes are kept, of the near ones else."""
    monkeypatch.setattr(module, "_SAMPLE", kept)
    frame, fresh = table(4000), table(4000, seed=1)
    known = fingerprint(rows_of(frame))
    half = known.seen(rows_of(pd.concat([frame.head(2000), fresh.head(2000)])).hashes())
    assert half.too_many
    assert half.share == pytest.approx(0.5, abs=1e-9 if kept > 4000 else 0.2)
    none = known.seen(rows_of(fresh).hashes())
    assert not none.too_many
    assert none.found == 0
    assert half.told == (4000 if kept > 4000 else pytest.approx(64, abs=40))


def test_rows_of_few_values_repeat_by_chance() -> None:
    few = pd.DataFrame(np.random.default_rng(0).integers(0, 3, (3000, 3)), columns=["x", "n", "t"]).assign(y=0)
    known = fingerprint(rows_of(few.head(2000)))
    assert known.repeated == 1.0
    overlap = known.seen(rows_of(few.tail(1000)).hashes())
    assert overlap.share == 1.0
    assert not overlap.too_many


def test_saved_and_read_again(tmp_path: Path) -> None:
    frame = table()
    frame.to_csv(tmp_path / "rows.csv", index=False)
    made = Provenance({"train": SplitMark.of(rows_of(tmp_path / "rows.csv")), "test": SplitMark.of(rows_of(frame))})
    made.save(tmp_path / "rows.json")
    again = Provenance.load(tmp_path / "rows.json")
    assert again is not None
    for name, split in made.splits.items():
        assert again.splits[name].files == split.files
        assert again.splits[name].fingerprint == split.fingerprint
        assert again.splits[name].fingerprint.sample.tolist() == split.fingerprint.sample.tolist()
    assert again.splits["train"].untouched(rows_of(tmp_path / "rows.csv"))
    assert again.splits["train"].difference(rows_of(frame)) is None
    assert again.splits["test"].difference(rows_of(frame.head(150))) == "150 rows, where the training began with 200"
    assert again.splits["test"].difference(rows_of(frame[::-1])) == "the same rows in another order"
    assert again.splits["test"].difference(rows_of(table(seed=1))) == "other rows, though as many as then (200)"
    assert Provenance.load(tmp_path / "none.json") is None


@pytest.mark.parametrize(
    ("key", "value"),
    [("rows", -1), ("rows", True), ("rows", "9"), ("content", 3), ("content", "xyz"), ("sample", "***"), ("files", 3),
     ("files", [["a", 1]]), ("files", [["a", "b", "c"]]), ("repeated", 7), ("repeated", None), ("order", None)],
)  # fmt: skip
def test_a_damaged_record_is_refused(key: str, value: object) -> None:
    values = {"files": [], **fingerprint(rows_of(table(5))).to_dict()}
    assert Fingerprint.from_dict(values).rows == 5
    import json
    import tempfile

    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump({"train": {**values, key: value}}, file)
        file.flush()
        with pytest.raises(RunError, match="is damaged"):
            Provenance.load(Path(file.name))
