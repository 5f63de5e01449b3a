"""A server starts without TensorFlow and all that training needs, small and soon."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from serving import ROOT, models

HEAVY = (
    "tensorflow",
    "keras",
    "duckdb",
    "ibis",
    "pandas",
    "pyarrow",
    "onnx",
    "sqlglot",
    "pydantic",
    "sklearn",
    "scipy",
)
PROGRAM = """
import json, sys
import tfwd.server
import tfwd.cli.serve, tfwd.server.launch, tfwd.server.repository
from pathlib import Path
from tfwd.server.onnx_model import OnnxModel
model = OnnxModel(Path(sys.argv[1]))
resident = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmRSS"))
print(json.dumps([sorted(sys.modules), resident]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_loads_nothing_that_it_does_not_need() -> None:
    file = models() / "census" / "1" / "model.onnx"
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(file)], capture_output=True, text=True, check=True, cwd=ROOT
    )
    modules, resident = json.loads(ran.stdout)
    assert not {name.partition(".")[0] for name in modules} & set(HEAVY)
    assert resident < 150 * 1024, f"{resident / 1024:.0f} MB"
