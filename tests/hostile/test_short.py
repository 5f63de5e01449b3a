"""The attacks of this folder in short, some seeds of each. Each has a long form, as `python -m tests.hostile.files`."""

from __future__ import annotations

import sys
from pathlib import Path

import bag_cases
import pandas as pd
import pytest

# The attacks are modules of a package, as commands are.
sys.path.insert(0, str(Path(__file__).parent.parent.parent))

from tests.hostile import documents, files, metadata, rows, trainings


def test_awkward_files() -> None:
    assert files.run(30).faults == []


def test_hostile_rows(bag_exports: dict[str, Path]) -> None:
    """Of the model with lists. tests/export/onnx/test_writer.py has more for the census."""
    assert rows.run(300, names=("bags",), made={"bags": bag_exports}).faults == []


def test_random_trainings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two seeds: one whose learning rate is refused, and a small model of a list and of truths."""
    monkeypatch.setattr(trainings, "HOSTILE", 100)
    tally = trainings.run(2, first=219)
    assert tally.faults == []
    assert tally.done == {"done": 1, "ConfigError": 1}


def test_tampered_metadata(bag_exports: dict[str, Path], tmp_path: Path) -> None:
    """Of a run of the census and of the exports of the model with lists."""
    # A file has no value that stands for a missing one.
    given = [{**row, "store": [value for value in row["store"] if value >= -1]} for row in bag_cases.rows(50)]
    labelled = pd.DataFrame(given).assign(**{bag_cases.SCHEMA.label: [0, 1] * 25})
    labelled.to_parquet(tmp_path / "rows.parquet")
    made = {**bag_exports, "rows": tmp_path / "rows.parquet"}
    for form in ("savedmodel", "onnx"):
        metadata.use(bag_exports[form], made["rows"])
    assert metadata.run(1, made=made).faults == []


PAGE = """
```bash
sleep 100 > /dev/null &
echo "$((6 * 7))"
```

```text
42
```

```console
$ false
```

```python
value = 6
print("first")
```

```python
print(value * 7)
```

```text
...
42
```
"""


def test_blocks_of_a_page(tmp_path: Path) -> None:
    found = documents.blocks(PAGE)
    assert [(block.language, block.prints) for block in found] == [
        ("bash", "42\n"),
        ("python", None),
        ("python", "...\n42\n"),
    ]
    found.append(documents.Block("bash", "kill %1\n", ""))
    printed = documents.run(found, tmp_path)
    assert printed == ["42\n", "first\n", "42\n", ""]
    said = [
        documents.agrees(output, block.prints) for output, block in zip(printed, found, strict=True) if block.prints
    ]
    assert said == [True, True]
    assert not documents.agrees("41\n", "42\n")
    assert documents.agrees('{"no": "newline"}', '{"no": "newline"}\n')
