"""Nothing in tfwd asks a host that the user did not name: a training, both exports and predictions, offline.

The process that shows it is a fresh one, so that what its first command says is looked at too.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from small_run_cases import trained

ROOT = Path(__file__).parent.parent
# Prints what Python asks the system for, and does what a user does: it exports a run by the command, whose own words
# end with a line `END`, then trains, exports and predicts.
PROGRAM = """
import runpy, sys
from pathlib import Path

asked = []
sys.addaudithook(
    lambda event, given: asked.append((event, str(given)))
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "urllib.Request")
    else None
)
run, folder = sys.argv[1], Path(sys.argv[2])
file = folder / "small.onnx"
sys.argv = ["export.onnx", run, "--output", str(file)]
try:
    runpy.run_module("export.onnx", run_name="__main__", alter_sys=True)
except SystemExit as end:
    assert not end.code
for stream in (sys.stdout, sys.stderr):
    print("END", file=stream, flush=True)

import tfwd
from export.parity import compare
from tfwd.datasets import census
from tfwd.inference.prediction import predict

compare.HOSTILE_ROWS = 10
config = tfwd.Config(
    data=tfwd.DataConfig(label=tfwd.LabelConfig(column="income", positive=">50K")),
    features=[tfwd.Numeric("age"), tfwd.Categorical("education", vocabulary=["HS-grad", "Bachelors"], embedding=4)],
    model=tfwd.ModelConfig(hidden_units=[4]),
    train=tfwd.TrainConfig(epochs=1),
)
run = tfwd.fit(config, folder / "run", train=census.load("train").head(300), test=census.load("test").head(100))
rows = tfwd.Source.open(census.load("test").head(100))
for path in (run.path, tfwd.export_savedmodel(run), file):
    predict(tfwd.load_scorer(path), rows, folder / "answers.csv")
print(asked)
"""


class Watched(NamedTuple):
    """What the program said, the folder of its temporary files, and what `strace` saw if there is one."""

    out: str
    err: str
    folder: Path
    trace: str | None


def usable(*command: str) -> bool:
    return shutil.which(command[0]) is not None and subprocess.run(command, capture_output=True).returncode == 0


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Watched:
    """The program in a process of its own, offline where that can be."""
    folder = tmp_path_factory.mktemp("watched")
    temporary = folder / "tmp"
    temporary.mkdir()
    decided = {"ORT_DISABLE_TELEMETRY", "TF_CPP_MIN_LOG_LEVEL"}
    kept = {key: value for key, value in os.environ.items() if key not in decided}
    environment = kept | {"TMPDIR": str(temporary), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", PROGRAM, str(trained().path), str(folder)]
    trace = folder / "trace"
    if usable("strace", "-f", "--seccomp-bpf", "-e", "trace=connect", "true"):
        options = ["-e", "trace=connect,sendto,sendmsg", "-o", str(trace)]
        command = ["strace", "-f", "--seccomp-bpf", "-qq", *options, *command]
    if usable("unshare", "-rn", "true"):
        command = ["unshare", "-rn", *command]
    shown = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert shown.returncode == 0, shown.stderr
    return Watched(shown.stdout, shown.stderr, folder, trace.read_text() if trace.exists() else None)


def test_exports_a_training_and_predictions(watched: Watched) -> None:
    assert watched.out.splitlines()[-1] == "[]"
    assert [path for path in (watched.folder / "tmp").rglob("*") if path.name == ".ses"] == []
    if watched.trace is not None:
        # What is no file of this machine: an address, or the port of a name server.
        assert re.findall(r".*AF_INET.*", watched.trace) == []


def test_an_export_says_its_own_words_alone(watched: Watched) -> None:
    """In a fresh process, where TensorFlow has not yet said what it says at its start."""
    assert watched.err.startswith("END\n")
    said = watched.out.partition("END\n")[0]
    assert said.startswith(f"ONNX in {watched.folder / 'small.onnx'}, verified against the model on ")


def test_onnx_runtime_is_imported_in_one_place() -> None:
    importing = set()
    for package in ("tfwd", "export"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                names = [entry.name for entry in node.names] if isinstance(node, ast.Import) else []
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                if any(name.split(".")[0] == "onnxruntime" for name in names):
                    importing.add(path.relative_to(ROOT).as_posix())
    # The second is copied into models that are served without tfwd, and switches the telemetry off by itself.
    assert importing == {"tfwd/inference/onnx_session.py", "export/mlflow/predictor.py"}
    assert 'os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")' in (ROOT / "export/mlflow/predictor.py").read_text()


@pytest.mark.parametrize(("given", "expected"), [(None, "1"), ("0", "0")])
def test_who_decided_otherwise_is_heard(given: str | None, expected: str) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "ORT_DISABLE_TELEMETRY"}
    environment |= {"PYTHONPATH": str(ROOT)} | ({} if given is None else {"ORT_DISABLE_TELEMETRY": given})
    program = "import os, tfwd.inference.onnx_session; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
    assert shown.stdout == f"{expected}\n"
