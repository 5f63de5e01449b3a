"""Nothing in tfwd asks a host that the user did not name: a training, both exports and predictions, offline."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# Prints what Python asks the system for, and does what a user does.
PROGRAM = """
import sys
from pathlib import Path

asked = []
sys.addaudithook(
    lambda event, given: asked.append((event, str(given)))
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "urllib.Request")
    else None
)
import tfwd
from export import parity
from tfwd.datasets import census
from tfwd.prediction import predict

parity.HOSTILE_ROWS = 10
folder = Path(sys.argv[1])
config = tfwd.Config(
    data=tfwd.DataConfig(label=tfwd.LabelConfig(column="income", positive=">50K")),
    features=[tfwd.Numeric("age"), tfwd.Categorical("education", vocabulary=["HS-grad", "Bachelors"], embedding=4)],
    train=tfwd.TrainConfig(epochs=1),
)
run = tfwd.fit(config, folder / "run", train=census.load("train").head(300), test=census.load("test").head(100))
rows = tfwd.Source.open(census.load("test").head(100))
for path in (run.path, tfwd.export_savedmodel(run), tfwd.export_onnx(run)):
    predict(tfwd.load_scorer(path), rows, folder / "answers.csv")
print(asked)
"""


def usable(*command: str) -> bool:
    return shutil.which(command[0]) is not None and subprocess.run(command, capture_output=True).returncode == 0


def test_a_training_with_exports_and_predictions(tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    kept = {key: value for key, value in os.environ.items() if key != "ORT_DISABLE_TELEMETRY"}
    environment = kept | {"TMPDIR": str(temporary), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    trace = tmp_path / "trace"
    if usable("strace", "-f", "--seccomp-bpf", "-e", "trace=connect", "true"):
        watched = ["-e", "trace=connect,sendto,sendmsg", "-o", str(trace)]
        command = ["strace", "-f", "--seccomp-bpf", "-qq", *watched, *command]
    if usable("unshare", "-rn", "true"):
        command = ["unshare", "-rn", *command]
    shown = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.splitlines()[-1] == "[]"
    assert [path for path in temporary.rglob("*") if path.name == ".ses"] == []
    if trace.exists():
        # What is no file of this machine: an address, or the port of a name server.
        assert re.findall(r".*AF_INET.*", trace.read_text()) == []


def test_onnx_runtime_is_imported_in_one_place() -> None:
    importing = set()
    for package in ("tfwd", "export"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                names = [entry.name for entry in node.names] if isinstance(node, ast.Import) else []
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                if any(name.split(".")[0] == "onnxruntime" for name in names):
                    importing.add(path.relative_to(ROOT).as_posix())
    assert importing == {"tfwd/inference/onnx_runtime.py"}


@pytest.mark.parametrize(("given", "expected"), [(None, "1"), ("0", "0")])
def test_who_decided_otherwise_is_heard(given: str | None, expected: str) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "ORT_DISABLE_TELEMETRY"}
    environment |= {"PYTHONPATH": str(ROOT)} | ({} if given is None else {"ORT_DISABLE_TELEMETRY": given})
    program = "import os, tfwd.inference.onnx_runtime; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
    assert shown.stdout == f"{expected}\n"
