"""Training, evaluation and prediction on TFRecord are those on Parquet."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from command_line import tfwd

from tfwd.data import write_tfrecord

# What is traced soonest.
PLAIN_STEPS = {"deep_optimizer": {"name": "sgd", "learning_rate": 0.1}}
GENRES = ("Comedy", "Crime", "Città", "電影")


def table(rows: int, seed: int) -> pa.Table:
    """Rows whose label depends on their lists; every column may be missing."""
    draw = random.Random(seed)
    found: dict[str, list[Any]] = {name: [] for name in ("id", "user", "genres", "shares", "age", "y")}
    for row in range(rows):
        genres = draw.sample(GENRES, draw.randrange(4)) if draw.random() > 0.1 else None
        age = float(np.float32(draw.gauss(40, 9))) if draw.random() > 0.1 else None
        found["id"].append(row)
        found["user"].append(draw.choice(["Ann", "Bo", "Çem", None]))
        found["genres"].append(genres)
        found["shares"].append(None if genres is None or draw.random() < 0.1 else [0.5] * len(genres))
        found["age"].append(age)
        found["y"].append(int(draw.random() < (0.8 if "Crime" in (genres or []) else 0.2)))
    types = {"genres": pa.list_(pa.string()), "shares": pa.list_(pa.float32()), "age": pa.float32()}
    return pa.table({name: pa.array(values, types.get(name)) for name, values in found.items()})


def train(folder: Path, form: str, **options: Any) -> Path:
    """A run on the files of a format in a folder."""
    values: dict[str, Any] = {
        "data": {"train": str(folder / f"train.{form}*"), "test": str(folder / f"test.{form}"), "label": "y"},
        "features": [
            {"type": "categorical", "column": "user", "embedding": 2},
            {"type": "categorical", "column": "genres", "max_length": 2, "weights": "shares", "embedding": 4},
            {"type": "numeric", "column": "age"},
        ],
        "model": {"heads": ["deep"], "hidden_units": [8]},
        "train": {"epochs": 1, "batch_size": 32, "shuffle_rows": 300, "tensorboard": False, **PLAIN_STEPS, **options},
        "export": {"formats": []},
    }
    values["data"]["validation_fraction"] = 0.2
    values["data"]["key"] = ["id"]
    (folder / f"{form}.yaml").write_text(yaml.safe_dump(values))
    run = folder / f"run-{form}"
    assert tfwd("train", "--config", folder / f"{form}.yaml", "--output", run) == 0
    return run


def test_commands_on_tfrecord_do_what_they_do_on_parquet(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    rows, held_out = table(600, 1), table(150, 2)
    write_tfrecord(rows, tmp_path / "train.tfrecord", shards=2, compression="gzip")
    write_tfrecord(held_out, tmp_path / "test.tfrecord")
    for part in range(2):
        pq.write_table(rows.slice(part * 300, 300), tmp_path / f"train.parquet-{part}.parquet")
    pq.write_table(held_out, tmp_path / "test.parquet")
    runs = {form: train(tmp_path, form, cache="none") for form in ("tfrecord", "parquet")}
    histories = {form: (run / "history.csv").read_text() for form, run in runs.items()}
    assert histories["tfrecord"] == histories["parquet"]
    assert len(histories["parquet"].splitlines()) == 2
    metrics = {form: json.loads((run / "metrics.json").read_text()) for form, run in runs.items()}
    assert metrics["tfrecord"] == metrics["parquet"]
    assert metrics["parquet"]["test"]["rows"] == 150
    capfd.readouterr()
    assert tfwd("evaluate", runs["parquet"], "--data", tmp_path / "test.tfrecord") == 0
    assert json.loads(capfd.readouterr().out) == metrics["parquet"]["test"]
    for form in runs:
        output = tmp_path / f"answers-{form}.parquet"
        assert tfwd("predict", runs["parquet"], "--data", tmp_path / f"test.{form}", "--output", output) == 0
        capfd.readouterr()
    found = {form: pq.read_table(tmp_path / f"answers-{form}.parquet") for form in runs}
    assert found["tfrecord"].equals(found["parquet"])
    assert found["parquet"]["id"].to_pylist() == list(range(150))


def test_damage_is_said_by_the_command(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write_tfrecord(table(50, 1), tmp_path / "train.tfrecord")
    content = bytearray((tmp_path / "train.tfrecord").read_bytes())
    length = int.from_bytes(content[:8], "little")
    content[length + 16 + 12] ^= 1
    (tmp_path / "train.tfrecord").write_bytes(content)
    config = {
        "data": {"train": str(tmp_path / "train.tfrecord"), "label": "y"},
        "features": [{"type": "categorical", "column": "user"}],
        "model": {"heads": ["wide"]},
    }
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(config))
    assert tfwd("train", "--config", tmp_path / "a.yaml", "--output", tmp_path / "run") == 2
    said = capfd.readouterr().err
    assert f"Error: {tmp_path}/train.tfrecord, record 2 at byte {length + 16}: the checksum of its" in said
    assert not (tmp_path / "run").exists()
