"""The command lines and the TF Serving kit."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import typer
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2
from typer.testing import CliRunner

from export import commands
from export.serving import kit
from tfwd.model import WideDeep

app = typer.Typer()
app.command()(commands.savedmodel)
app.command()(commands.onnx)
app.command()(commands.serving)


@pytest.fixture(scope="module")
def keras_file(models: dict[str, WideDeep], tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("run") / "model.keras"
    models["wide"].save(file)
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
    result = CliRunner().invoke(app, ["onnx", str(keras_file)])
    assert result.exit_code == 0, result.output
    assert (home / "wide_deep.onnx").is_file()


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
    assert {entry.name for entry in parsed.model_config_list.config} == set(models)
    page = (folder / "README.md").read_text(encoding="utf-8")
    assert "$" not in page
    row = json.loads(re.search(r"\{\"instances\": \[(.*)\]\}'", page).group(1).replace("'\\''", "'"))
    assert set(row) == {entry.name for entry in models["binary"].schema.inputs}
    for entry in models["binary"].schema.inputs:
        assert isinstance(row[entry.name], {"string": str, "integer": int, "float": float}[entry.kind])
