"""What scores: a run, a `.keras` file, a SavedModel and an ONNX file, all answering alike."""

from __future__ import annotations

import functools
import json
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from census_cases import files, frame
from small_run_cases import exported, trained

from tfwd.data.rows import Rows
from tfwd.data.source import Source
from tfwd.errors import DataError, RunError
from tfwd.inference.load import load_scorer
from tfwd.inference.prediction import predict
from tfwd.inference.scorer import Scorer


@functools.cache
def path_of(kind: str) -> Path:
    """One trained model as everything that can be loaded."""
    run, exports = trained().path, exported() / "export"
    return {
        "run": run,
        "keras": run / "model.keras",
        "savedmodel": exports / "wide_deep" / "1",
        "savedmodel's versions": exports / "wide_deep",
        "onnx": exports / "wide_deep.onnx",
    }[kind]


@functools.cache
def scorer_of(kind: str) -> Scorer:
    return load_scorer(path_of(kind))


@functools.cache
def answered(kind: str) -> pd.DataFrame:
    """What it predicts of strange rows, as a file of them."""
    strange = frame("test", 700).astype({"age": float, "hours_per_week": float})
    strange.loc[0, "education"] = None
    strange.loc[1, "occupation"] = "Ärztin ☂"
    strange.loc[2, "age"] = np.nan
    strange.loc[3, "hours_per_week"] = 1e30
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "answers.parquet"
        predict(scorer_of(kind), Source.open(strange), file, key=("id",))
        return pd.read_parquet(file)


@pytest.mark.parametrize("kind", ["keras", "savedmodel", "savedmodel's versions", "onnx"])
def test_same_columns_and_values_as_the_run(kind: str) -> None:
    for name in ("run", kind):
        assert scorer_of(name).kind == ("keras" if name == "run" else kind.split("'")[0])
        assert scorer_of(name).schema == trained().model.schema
    one, other = answered("run"), answered(kind)
    assert list(one.columns) == list(other.columns) == ["id", "probability", "logit", "predicted"]
    assert list(one.dtypes) == list(other.dtypes)
    np.testing.assert_allclose(one["probability"], other["probability"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(one["logit"], other["logit"], rtol=0, atol=1e-5)
    assert (one["predicted"] == other["predicted"]).all()


@pytest.mark.parametrize("kind", ["run", "savedmodel", "onnx"])
def test_a_chunk_answers_as_its_rows(kind: str) -> None:
    scorer = scorer_of(kind)
    rows = Rows(Source.open(files()["test.csv"]), scorer.schema)
    received = scorer.score_chunk(next(rows.chunks(1000, order=None, shuffle_rows=0, skip=0)))
    expected = scorer.score(next(rows.batches(1000)).inputs)
    assert list(received) == list(expected) == ["probability", "logit"]
    for name, values in expected.items():
        assert received[name].shape == values.shape == (700,)
        np.testing.assert_allclose(received[name], values, rtol=1e-6, atol=1e-7)


def test_probability_is_the_link_of_the_logit() -> None:
    batch = next(Rows(Source.open(files()["test.csv"]), trained().model.schema).batches(100))
    answer = scorer_of("run").score(batch.inputs)
    assert answer["probability"].shape == answer["logit"].shape == (100,)
    np.testing.assert_allclose(answer["probability"], 1 / (1 + np.exp(-answer["logit"].astype(np.float64))), atol=1e-6)


@pytest.mark.parametrize("kind", ["savedmodel", "onnx"])
def test_bytes_are_text(kind: str) -> None:
    scorer = scorer_of(kind)
    batch = next(Rows(Source.open(files()["test.csv"]), scorer.schema).batches(100))
    encoded = {
        name: np.array([text.encode() for text in value], object) if value.dtype == object else value
        for name, value in batch.inputs.items()
    }
    expected = scorer.score(batch.inputs)["probability"]
    np.testing.assert_array_equal(scorer.score(encoded)["probability"], expected)


def test_what_is_nothing_to_score_with(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("")
    (tmp_path / "damaged.onnx").write_bytes(b"no model")
    (tmp_path / "foreign" / "1").mkdir(parents=True)
    (tmp_path / "foreign" / "1" / "saved_model.pb").write_bytes(b"")
    (tmp_path / "half" / "assets.extra").mkdir(parents=True)
    (tmp_path / "half" / "saved_model.pb").write_bytes(b"no model")
    described = json.dumps({"schema": trained().model.schema.to_dict()})
    (tmp_path / "half" / "assets.extra" / "tfwd.json").write_text(described)
    for name, message in {
        "absent": r"absent does not exist. Give a run directory, a \.keras file",
        "text.txt": "neither a run directory",
        ".": "neither a run directory",
        "damaged.onnx": "cannot be read as an ONNX model",
        "foreign": "was not exported by tfwd",
        "half": "cannot be read as a SavedModel, it may be damaged",
    }.items():
        with pytest.raises(RunError, match=message):
            load_scorer(tmp_path / name)


def test_an_onnx_file_of_another_program_is_refused(tmp_path: Path) -> None:
    from onnx import TensorProto, helper, save_model

    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", value[:1], value[1:])
    save_model(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), tmp_path / "other.onnx"
    )
    with pytest.raises(RunError, match=r"was not exported by tfwd: its metadata has no tfwd_schema"):
        load_scorer(tmp_path / "other.onnx")


@pytest.mark.parametrize("kind", ["run", "savedmodel", "onnx"])
def test_inputs_go_by_name(kind: str) -> None:
    scorer = scorer_of(kind)
    inputs = next(Rows(Source.open(files()["test.csv"]), scorer.schema).batches(50)).inputs
    expected = scorer.score(inputs)["probability"]
    # Names before, among and after the inputs', as those of the label and of the columns that no feature reads.
    more = {"aaa": np.zeros(50), "income": np.array(["<=50K"] * 50, object), "zzz": np.arange(3)}
    for given in (
        {**more, **inputs},
        dict(reversed(inputs.items())),
        {name: values[:, np.newaxis] for name, values in inputs.items()},
        {name: values.tolist() for name, values in inputs.items()},
        {name: pd.Series(values) for name, values in inputs.items()},
    ):
        np.testing.assert_array_equal(scorer.score(given)["probability"], expected)
    none = scorer.score({name: values[:0] for name, values in inputs.items()})
    assert {name: (values.shape, values.dtype) for name, values in none.items()} == {
        "probability": ((0,), np.float32),
        "logit": ((0,), np.float32),
    }


def test_a_batch_is_refused_in_the_same_words_by_all() -> None:
    inputs = next(Rows(Source.open(files()["test.csv"]), trained().model.schema).batches(50)).inputs
    without = {("agee" if name == "age" else name): values for name, values in inputs.items()}
    scorers = [scorer_of(kind) for kind in ("keras", "savedmodel", "onnx")]
    for given, message in {
        "missing": (without, "The batch has no input 'age'. Did you mean 'agee'?"),
        "text": ({**inputs, "age": inputs["education"]}, "The input 'age' takes numbers. Received: "),
        "number": ({**inputs, "education": inputs["age"]}, "The input 'education' takes text. Received: float32"),
        "wide": ({**inputs, "age": np.zeros((50, 2))}, "'age' takes one value per row, .*Received: shape .50, 2."),
        "short": (
            {**inputs, "education": inputs["education"][:3]},
            "one number of rows. Received: 3 of 'educ.* 50 of 'occ",
        ),
        "frame": (pd.DataFrame(inputs), "A batch is a dict of inputs by name"),
    }.values():
        said = set()
        for scorer in scorers:
            with pytest.raises(DataError, match=message) as error:
                scorer.score(given)  # type: ignore[arg-type]
            said.add(str(error.value))
        assert len(said) == 1
