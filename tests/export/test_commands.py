"""The command lines and the TF Serving kit."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import small_run_cases
import typer
from export_models import FEATURES, everything, random_rows
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2
from typer.testing import CliRunner

import tfwd
from export import commands
from export.serving import tf_serving as kit
from tfwd.model.wide_deep import WideDeep

app = typer.Typer()
app.command()(commands.savedmodel)
app.command()(commands.onnx)
app.command()(commands.serving)


@pytest.fixture(scope="module")
def keras_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of a category, a whole number and their cross."""
    features = [feature for feature in FEATURES if feature.get("column") in ("class", "level")]
    file = tmp_path_factory.mktemp("run") / "model.keras"
    everything(features=[*features, {"type": "cross", "keys": ["class_", "level"], "bins": 1000}]).save(file)
    return file


def test_the_commands_say_what_to_do_next(keras_file: Path) -> None:
    home = keras_file.parent / "export"
    result = CliRunner().invoke(app, ["savedmodel", str(keras_file), "--name", "clicks"])
    assert result.exit_code == 0, result.output
    assert (home / "clicks" / "1" / "saved_model.pb").is_file()
    assert result.output.splitlines()[-1].endswith(f"python -m export.serving {home}")
    result = CliRunner().invoke(app, ["serving", str(home)])
    assert result.exit_code == 0, result.output
    assert (home / "serving" / "models.config").is_file()
    result = CliRunner().invoke(app, ["onnx", str(keras_file), "--split"])
    assert result.exit_code == 0, result.output
    said = "".join(result.output.split())
    halves = [f"{home}/wide_deep.{part}.onnx" for part in ("transform", "ranker")]
    assert f"verifiedalike:{halves[0]}foraCPU,{halves[1]}foraGPU." in said
    assert all(Path(file).is_file() for file in (home / "wide_deep.onnx", *halves))


def test_the_forms_of_the_tables_are_said(keras_file: Path, tmp_path: Path) -> None:
    file = tmp_path / "small.onnx"
    arguments = ["onnx", str(keras_file), "--output", str(file), "--half-tables", "--sparse-wide"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    said = " ".join(result.output.split())
    assert "verified against the model with its tables rounded to half precision" in said
    assert re.search(r"stored sparsely, \d+ kB instead of 2: 1,022 of 1,023 numbers", said)
    changed = float(re.search(r"changes the answers on these rows by (\S+) at most", said).group(1))
    assert 1e-6 < changed < 1e-2
    rows = random_rows(200)
    expected, found = (tfwd.load_scorer(source).score(rows)["probability"] for source in (keras_file, file))
    # The command compared on made-up rows, and rounds what it says.
    assert 0 < np.abs(expected - found).max() < 2 * changed
    result = CliRunner().invoke(app, ["onnx", str(keras_file), "--output", str(file), "--dense-wide"])
    assert "sparsely" not in result.output
    np.testing.assert_allclose(tfwd.load_scorer(file).score(rows)["probability"], expected, rtol=0, atol=1e-6)


def test_what_half_precision_costs_a_run_is_measured(tmp_path: Path) -> None:
    run = small_run_cases.trained().path
    file = tmp_path / "half.onnx"
    result = CliRunner().invoke(app, ["onnx", str(run), "--output", str(file), "--half-tables"])
    assert result.exit_code == 0, result.output
    said = " ".join(result.output.split())
    before, after = re.search(r"On 700 labelled rows: auc (\S+) -> (\S+), log_loss", said).groups()
    metrics = json.loads((run / "metrics.json").read_text())["test"]
    assert float(before) == pytest.approx(metrics["auc"], abs=1e-6)
    assert float(after) == pytest.approx(metrics["auc"], abs=1e-3)


def test_an_error_is_one_message_and_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["savedmodel", str(tmp_path / "no")], ["onnx", str(tmp_path)], ["serving", str(tmp_path)]):
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 2
        assert "Traceback" not in result.output


def test_models_config_is_what_tf_serving_parses() -> None:
    text = kit.models_config(["clicks", "movies"])
    parsed = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    assert [(entry.name, entry.base_path) for entry in parsed.model_config_list.config] == [
        ("clicks", "/models/clicks"),
        ("movies", "/models/movies"),
    ]


def test_the_page_has_a_row_that_the_model_takes(
    exports: dict[str, tuple[Path, Path]], models: dict[str, WideDeep]
) -> None:
    home = exports["binary"][0].parent.parent
    folder = kit.write(home)
    parsed = text_format.Parse((folder / "models.config").read_text(), model_server_config_pb2.ModelServerConfig())
    assert {entry.name for entry in parsed.model_config_list.config} == {"binary", "multiclass", "regression"}
    page = (folder / "README.md").read_text(encoding="utf-8")
    assert "$" not in page
    row = json.loads(re.search(r"\{\"instances\": \[(.*)\]\}'", page).group(1).replace("'\\''", "'"))
    assert set(row) == {entry.name for entry in models["binary"].schema.inputs}
    for entry in models["binary"].schema.inputs:
        assert isinstance(row[entry.name], {"string": str, "integer": int, "float": float}[entry.kind])
