"""What is held in memory does not grow with the rows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score

from tfwd.data.rows import Rows
from tfwd.data.source import Source
from tfwd.inference.evaluation import evaluate
from tfwd.metrics.auc import WAITING
from tfwd.schema import Input, Schema


def test_evaluation_of_more_rows_than_stay_in_memory_is_exact() -> None:
    # Enough for two runs on the disk, and rows that are still in memory.
    rows = 2 * WAITING + 100_000
    random = np.random.default_rng(0)
    scores = (random.random(rows) ** 3).astype(np.float32)
    labels = (random.random(rows) < scores).astype(np.int64)
    weights = random.choice(np.array([0.5, 1.0, 3.0], np.float32), rows)
    table = pa.table({"x": scores, "clicked": labels, "weight": weights})
    schema = Schema((Input("x", "x", "float"),), "binary", "clicked", classes=("0", "1"), weight="weight")
    scorer: Any = SimpleNamespace(schema=schema, score=lambda inputs: {"probability": inputs["x"]})
    found = evaluate(scorer, Rows(Source.open(table), schema), batch_size=50_000)
    assert found["rows"] == rows
    assert found["auc"] == pytest.approx(roc_auc_score(labels, scores, sample_weight=weights), abs=1e-12)
    assert found["auc_pr"] == pytest.approx(average_precision_score(labels, scores, sample_weight=weights), abs=1e-12)
    clipped = np.clip(scores.astype(np.float64), 1e-7, 1 - 1e-7)
    assert found["log_loss"] == pytest.approx(log_loss(labels, clipped, sample_weight=weights), abs=1e-12)


# Reads a file in the order of an epoch and prints the high-water mark of the process in kB after each.
READ = """
import re, sys
from pathlib import Path
from tfwd.data.rows import Rows
from tfwd.data.source import Source
from tfwd.schema import Input, Schema

names = sys.argv[1].split(",")
schema = Schema(tuple(Input(name, name, "string") for name in names), "binary", "clicked", classes=("0", "1"))
for path in sys.argv[2:]:
    rows = Rows(Source.open(path), schema, split="train", fraction=0.1)
    read = sum(len(batch.label) for batch in rows.batches(1024, order=(0, 0), shuffle_rows=50_000))
    assert read == rows.count() > 0
    print(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1])
"""


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the high-water mark is read as Linux keeps it")
def test_reading_a_long_file_takes_no_more_than_reading_a_short_one(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    words = pa.array([f"a category of some length {number}" for number in range(1000)])
    names = [f"c{index}" for index in range(10)]
    block = pa.table({name: words.take(pa.array(random.integers(0, 1000, 65_536))) for name in names})
    block = block.append_column("clicked", pa.array(random.integers(0, 2, 65_536)))
    for name, blocks in (("short", 4), ("long", 24)):
        with pq.ParquetWriter(tmp_path / f"{name}.parquet", block.schema) as writer:
            for _ in range(blocks):
                writer.write_table(block)
    files = [str(tmp_path / "short.parquet"), str(tmp_path / "long.parquet")]
    done = subprocess.run([sys.executable, "-c", READ, ",".join(names), *files], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    short, long = (int(line) * 1000 for line in done.stdout.split())
    assert long - short < 20 * block.nbytes / 4
