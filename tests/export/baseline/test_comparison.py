"""A model is exported in the place of another only if it is no worse on the same rows."""

from __future__ import annotations

import dataclasses
import functools
import json
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import typer
from sklearn.metrics import log_loss, roc_auc_score
from typer.testing import CliRunner

from export import commands
from export.baseline.comparison import Limits, compare, comparison_rows, psi
from export.baseline.learned_rows import run_of, told_apart
from export.parity import compare as parity
from tfwd.analysis.analyze import analyze
from tfwd.config.config import Config
from tfwd.data.provenance import Provenance, SplitMark
from tfwd.data.rows import Rows
from tfwd.data.schema import resolve_schema
from tfwd.data.source import Source
from tfwd.errors import DataError, ExportError
from tfwd.inference.scorer import Scorer
from tfwd.inference.tensorflow_scorer import keras_scorer
from tfwd.model.build import build_model
from tfwd.model.saving import load_model
from tfwd.run import Run
from tfwd.schema import Input, Schema

sys.path.insert(0, str(Path(__file__).parents[2]))
import census_cases
import small_run_cases as small

app = typer.Typer()
app.command()(commands.savedmodel)
app.command()(commands.onnx)
app.command()(commands.baseline)


def spoilt(path: Path, how: str) -> Path:
    """A copy of the small run whose model is worse."""
    small.copy_of_trained(path)
    (path / "model.keras").write_bytes(worse_model(how))
    return path


@functools.cache
def worse_model(how: str) -> bytes:
    """The file of the small run's model, spoilt."""
    model = load_model(small.trained().path / "model.keras")
    logit, tables = model.ranker.get_layer("logit"), [v for v in model.trainable_variables if v.path.endswith("table")]
    generator = np.random.default_rng(0)
    if how == "negated":
        for name in ("wide", "deep"):
            head = model.ranker.get_layer(name)
            for variable in [head.table.table, head.kernel] if name == "wide" else head.logits.trainable_variables:
                variable.assign(-variable.numpy())
    elif how == "shuffled":
        for variable in tables:
            variable.assign(generator.permutation(variable.numpy()))
    elif how == "moved":
        # The order of the rows stays, so that the AUC is the same.
        logit.set_base((logit.base.numpy() + 1.0).tolist())
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.keras"
        model.save(file)
        return file.read_bytes()


def exported(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.parametrize(
    ("how", "figures"),
    [
        ("negated", ("its log_loss is", "its auc is", "its scores moved by")),
        ("moved", ("its log_loss is", "its scores moved by", "the PSI of its scores is")),
    ],
)
def test_a_spoilt_model_is_refused_with_the_figures(how: str, figures: tuple[str, ...], tmp_path: Path) -> None:
    run = spoilt(tmp_path / "run", how)
    result = exported("savedmodel", run, "--baseline", small.trained().path)
    assert result.exit_code == 2
    assert not (run / "export").exists()
    said = " ".join(result.output.split())
    assert "is not exported" in said
    for figure in figures:
        assert figure in said
    assert ("its auc is" in said) == (how != "moved")


def test_an_equal_model_is_exported_and_a_worse_one_by_force(
    tmp_path: Path, started: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parity, "HOSTILE_ROWS", 200)
    run = small.copy_of_trained(tmp_path / "run")
    result = exported("savedmodel", run, "--baseline", small.trained().path)
    assert result.exit_code == 0, result.output
    assert (run / "export" / "wide_deep" / "1").is_dir()
    assert "On 700 rows of" in result.output
    assert f"It can replace {small.trained().path}." in result.output
    # What was exported is a baseline too.
    worse = spoilt(tmp_path / "worse", "moved")
    result = exported("onnx", worse, "--baseline", run / "export" / "wide_deep", "--force")
    assert result.exit_code == 0, result.output
    assert "Exported anyway: its log_loss" in result.output
    assert (worse / "export" / "wide_deep.onnx").is_file()


def test_the_figures_are_those_of_scikit_learn(tmp_path: Path) -> None:
    old, new = small.trained().model, load_model(spoilt(tmp_path / "run", "shuffled") / "model.keras")
    rows = comparison_rows(tmp_path / "run", new.schema)
    found = compare(keras_scorer(new), keras_scorer(old), rows)
    batch = next(rows.batches(1000))
    truth, weights = batch.label[:, 0], batch.weight
    scores = [keras_scorer(model).score(batch.inputs)["probability"].astype(np.float64) for model in (new, old)]
    for figures, given in zip((found.new, found.old), scores, strict=True):
        assert figures["log_loss"] == pytest.approx(log_loss(truth, given, sample_weight=weights), abs=1e-6)
        assert figures["auc"] == pytest.approx(roc_auc_score(truth, given, sample_weight=weights), abs=1e-9)
    assert found.rows == 700
    assert found.change == pytest.approx(np.abs(scores[0] - scores[1]).mean(), abs=1e-9)
    edges = np.quantile(scores[1], np.linspace(0, 1, 11))
    edges[0], edges[-1] = -1, 2
    shares = [np.maximum(np.histogram(given, edges)[0], 0.5) / 700 for given in scores]
    assert found.psi == pytest.approx(((shares[0] - shares[1]) * np.log(shares[0] / shares[1])).sum(), rel=1e-6)
    assert psi(scores[1], scores[1]) == 0
    assert psi(scores[1] ** 2, scores[1]) > 0.25


def test_rows_of_a_file_and_those_of_validation(tmp_path: Path) -> None:
    run = small.copy_of_trained(tmp_path / "run")
    config = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(config.replace(f"test: {census_cases.files()['test.csv']}", "test: null"))
    schema = small.trained().model.schema
    found = comparison_rows(run, schema)
    assert (found.split, found.fraction) == ("validation", 0.2)
    assert found.source.name == str(census_cases.files()["train.csv"])
    assert 300 < found.count() < 500
    given = comparison_rows(run, schema, str(census_cases.files()["test.parquet"]))
    assert given.count() == 700
    text = (run / "config.yaml").read_text()
    assert "refit: false" in text
    (run / "config.yaml").write_text(text.replace("refit: false", "refit: true"))
    with pytest.raises(ExportError, match=r"has learned from its validation rows too \(train.refit\).* --data FILE"):
        comparison_rows(run, schema)
    with pytest.raises(ExportError, match="has neither test nor validation rows .* --data FILE"):
        comparison_rows(tmp_path / "model.keras", schema)


def test_a_baseline_that_cannot_be_compared_is_said(tmp_path: Path) -> None:
    run = small.trained()
    features = [{"type": "categorical", "column": "schooling"}]
    config = Config.of(census_cases.values() | {"features": features, "model": {"heads": ["wide"]}})
    source = Source.open(census_cases.frame().rename(columns={"education": "schooling"}))
    rows = Rows(source, resolve_schema(config, source))
    statistics = analyze(rows, config)
    schema = rows.with_classes(statistics.label.classes).schema
    old = tmp_path / "old.keras"
    build_model(config, statistics, schema).save(old)
    result = exported("savedmodel", run.path, "--output", tmp_path / "out", "--baseline", old)
    said = " ".join(result.output.split())
    assert result.exit_code == 2
    assert "The baseline cannot score the rows of" in said
    assert "no column 'schooling'" in said
    for arguments, message in (
        (["--baseline", tmp_path / "nowhere"], "nowhere does not exist"),
        (["--tolerance", "0.1"], "need --baseline OLD"),
        (["--baseline", old, "--data", tmp_path / "none.csv"], "There is no file"),
    ):
        result = exported("savedmodel", run.path, "--output", tmp_path / "out", *arguments)
        assert result.exit_code == 2
        assert message in " ".join(result.output.split())
    assert not (tmp_path / "out").exists()


def made_up(task: str, classes: tuple[str, ...], answers: Any) -> Scorer:
    """A scorer whose answer is a function of the column `x`."""
    schema = Schema((Input("x", "x", "float"),), task, "label", classes=classes)
    name = "prediction" if task == "regression" else "probability"
    return Scorer(schema, lambda raw: {name: answers(raw["x"]).astype(np.float32)}, None, "keras")  # type: ignore


def test_regressions_are_compared_in_the_spread_of_their_predictions() -> None:
    x = np.random.default_rng(0).normal(size=500)
    table = pd.DataFrame({"x": x, "label": 100 * x + 5 * np.random.default_rng(1).normal(size=500)})
    old = made_up("regression", (), lambda x: 100 * x)
    rows = Rows(Source.open(table), old.schema)
    equal = compare(made_up("regression", (), lambda x: 100 * x + 0.05), old, rows)
    assert equal.faults() == []
    assert equal.change == pytest.approx(0.05 / (100 * x).std(), rel=1e-3)
    worse = compare(made_up("regression", (), lambda x: 120 * x), old, rows).faults()
    assert [fault.split(" is ")[0] for fault in worse] == ["its rmse", "its mae"]
    far = compare(made_up("regression", (), lambda x: 100 * x + 60), old, rows, Limits(tolerance=100, psi=100))
    assert [fault.split(" by ")[0] for fault in far.faults()] == ["its scores moved"]


def test_classes_are_compared_by_name() -> None:
    table = pd.DataFrame({"x": np.random.default_rng(0).integers(0, 3, 300), "label": ""})
    table["label"] = table["x"].map({0: "a", 1: "b", 2: "c"})

    def answers(order: tuple[int, ...], sure: float = 0.8) -> Any:
        return lambda x: np.stack([np.where(x == k, sure, (1 - sure) / 2) for k in order], axis=1)

    old = made_up("multiclass", ("c", "a", "b"), answers((2, 0, 1)))
    rows = Rows(Source.open(table), made_up("multiclass", ("a", "b", "c"), None).schema)
    same = compare(made_up("multiclass", ("a", "b", "c"), answers((0, 1, 2))), old, rows)
    assert same.faults() == []
    assert same.change == pytest.approx(0, abs=1e-7)
    # Of a class that the baseline does not know it gives nothing.
    fewer = made_up("multiclass", ("a", "b"), lambda x: np.stack([x == 0, x != 0], axis=1))
    better = compare(made_up("multiclass", ("a", "b", "c"), answers((0, 1, 2))), fewer, rows)
    assert better.old["log_loss"] > 4 > better.new["log_loss"]
    with pytest.raises(ExportError, match="for task multiclass, and this model for regression"):
        compare(made_up("regression", (), np.abs), old, rows)
    reversed_classes = [made_up("binary", classes, np.abs) for classes in (("0", "1"), ("1", "0"))]
    with pytest.raises(ExportError, match="positive class of the baseline is '0', of this model '1'"):
        compare(*reversed_classes, rows)


def test_an_answer_that_is_no_number_is_a_fault() -> None:
    table = pd.DataFrame({"x": np.linspace(0, 1, 50), "label": [0, 1] * 25})
    old = made_up("binary", ("0", "1"), lambda x: 0.3 + 0.1 * x)
    rows = Rows(Source.open(table), old.schema)
    assert len(compare(made_up("binary", ("0", "1"), lambda x: x * np.nan), old, rows).faults()) >= 2
    one_class = Rows(Source.open(table.assign(label=1)), old.schema)
    assert compare(old, old, one_class).faults() == [], "the AUC is undefined for both"
    with pytest.raises(DataError, match="no rows to compare"):
        compare(old, old, Rows(Source.open(table.head(0).astype({"x": float, "label": int})), old.schema))


def recorded(path: Path, train: Any) -> Path:
    """A copy of the census run that has learned from other rows, by its own record."""
    schema = census_cases.trained().model.schema
    splits = {"train": SplitMark.of(Rows(Source.open(train), schema))}
    Provenance(splits).save(census_cases.copy_of_trained(path) / "rows.json")
    return path


def test_rows_that_were_learned_from_say_nothing(tmp_path: Path) -> None:
    """By content, whatever file or frame they came from, and in whichever of the two models."""
    test, run = census_cases.frame("test", 700), census_cases.trained()
    rows, schema = comparison_rows(run.path, run.model.schema), run.model.schema
    mixed = pd.concat([census_cases.frame().head(1000), test.head(200)])
    for leak, share in ((test, 100), (mixed, 29)):
        leaking = recorded(tmp_path / f"leaking-{share}", leak)
        about = re.match(
            r"it has learned from about (\d+)% of the rows", told_apart("it", leaking, schema, rows).fault or ""
        )
        assert about is not None
        assert int(about[1]) == pytest.approx(share, abs=6)
    # The rows that it was trained on, given by hand; and the older model in the file of a run.
    train, old = census_cases.files()["train.csv"], tmp_path / "leaking-100" / "model.keras"
    for options, who in (
        (("--baseline", run.path, "--data", train), "this model"),
        (("--baseline", old), "the baseline"),
    ):
        result = exported("savedmodel", run.path, *options, "--output", tmp_path / "out")
        said = " ".join(result.output.split())
        assert result.exit_code == 2
        assert f"{who} has learned from about" in said
        assert "give rows that neither model has learned from, with --data FILE" in said
    assert not (tmp_path / "out").exists()


def test_rows_that_nothing_is_known_of_are_said(tmp_path: Path) -> None:
    run = small.trained()
    old = small.copy_of_trained(tmp_path / "old")
    (old / "rows.json").unlink()
    rows = comparison_rows(run.path, run.model.schema)
    schema = run.model.schema
    assert told_apart("it", run.path, schema, rows) == (None, None)
    assert (
        told_apart("it", old, schema, rows).note == "Which rows it has learned from is not recorded: "
        "these may be among them."
    )
    shutil.copy(old / "model.keras", tmp_path / "alone.keras")
    assert "not recorded" in (told_apart("it", tmp_path / "alone.keras", schema, rows).note or "")
    other = dataclasses.replace(schema, label="salary")
    assert "cannot be told: " in (told_apart("it", run.path, other, rows).note or "")
    (tmp_path / "old" / "export" / "wide_deep" / "1").mkdir(parents=True)
    found = run_of(tmp_path / "old" / "export" / "wide_deep" / "1")
    assert found is not None
    assert found.path == old


def test_a_run_on_frames_has_no_rows_of_its_own(tmp_path: Path) -> None:
    """Its configuration may name files all the same, which it has not read."""
    run = small.copy_of_trained(tmp_path / "run")
    schema = small.trained().model.schema
    head = json.loads((run / "run.json").read_text())
    for frames, message in (
        (["train", "test"], "was trained on DataFrames, which a run does not keep"),
        (["test", "validation"], "was trained on DataFrames, which a run does not keep"),
    ):
        (run / "run.json").write_text(json.dumps({**head, "given": {"frames": frames}}))
        with pytest.raises(ExportError, match=message):
            comparison_rows(run, schema)
        assert Run.open(run).rows("test") is None
    (run / "run.json").write_text(json.dumps({**head, "given": {"frames": ["test"]}}))
    assert comparison_rows(run, schema).split == "validation"


def test_the_command_compares_and_exports_nothing(tmp_path: Path) -> None:
    run = small.trained().path
    worse = spoilt(tmp_path / "worse", "negated")
    before = sorted(tmp_path.rglob("*"))
    equal = CliRunner().invoke(app, ["baseline", str(run), str(run / "model.keras")])
    assert equal.exit_code == 0, equal.output
    assert equal.output.startswith("On 700 rows of ")
    assert equal.output.endswith(f"It can replace {run / 'model.keras'}.\n")
    refused = CliRunner().invoke(app, ["baseline", str(worse), str(run)])
    assert refused.exit_code == 2
    assert "its auc is 0." in refused.output
    assert sorted(tmp_path.rglob("*")) == before
    # A model outside of a run has no rows of its own.
    (tmp_path / "model.keras").write_bytes((run / "model.keras").read_bytes())
    alone = ["baseline", str(tmp_path / "model.keras"), str(run)]
    nothing = CliRunner().invoke(app, alone)
    assert nothing.exit_code == 2
    rows = CliRunner().invoke(app, [*alone, "--data", str(census_cases.files()["test.csv"])])
    assert rows.exit_code == 0, rows.output
