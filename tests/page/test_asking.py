"""The page's answers are those of the ONNX file, which ONNX Runtime gives here without anything of tfwd."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import page_cases
import pandas as pd
import pytest
import small_run_cases
from census_cases import files

from tfwd.errors import DataError, RunError
from tfwd.inference.scorer import Scorer
from tfwd.inspection.contributions import Contributions
from tfwd.page.asking import Asker, agree
from tfwd.page.fields import Row
from tfwd.page.mount import mount
from tfwd.run import Run
from tfwd.schema import Schema


@pytest.fixture(scope="module")
def asker() -> Asker:
    return Asker(Run.open(small_run_cases.exported()))


@pytest.fixture(scope="module")
def session() -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(str(small_run_cases.exported() / "export" / "wide_deep.onnx"))


def by_onnx(session: onnxruntime.InferenceSession, row: Row) -> tuple[float, float]:
    """The probability and the logit of a row."""
    kinds: dict[str, Any] = {"tensor(float)": (np.float32, np.nan), "tensor(string)": (object, "")}
    given = {}
    for entry in session.get_inputs():
        dtype, missing = kinds[entry.type]
        given[entry.name] = np.array([missing if row[entry.name] is None else row[entry.name]], dtype)
    probability, logit = session.run(["probability", "logit"], given)
    return float(probability[0]), float(logit[0])


def test_answers_are_those_of_the_onnx_file(asker: Asker, session: onnxruntime.InferenceSession) -> None:
    assert asker.answers_by == "wide_deep.onnx"
    assert asker.warning == ""
    for number in range(20):
        row = asker.example(number)
        answer = asker.answer(row)
        probability, logit = by_onnx(session, row)
        assert answer.values[0] == pytest.approx(probability, abs=1e-7)
        assert answer.logits[0] == pytest.approx(logit, abs=1e-6)
        # What the run's model gives in parts is what its export answers.
        assert answer.parts.logit[0] == pytest.approx(logit, abs=1e-5)
        assert answer.notes == ()


def test_examples_are_rows_of_the_data(asker: Asker) -> None:
    table = pd.read_csv(files()["test.csv"])
    columns = ["education", "occupation", "age", "hours_per_week"]
    known = {tuple(None if value != value else value for value in row) for row in table[columns].to_numpy().tolist()}
    found = {tuple(asker.example(number)[name] for name in columns) for number in range(asker.examples)}
    assert len(found) > 300
    assert found <= known
    assert asker.example(3) == asker.example(3 + asker.examples)


@pytest.mark.parametrize("name", ["age", "hours_per_week", "education"])
def test_a_curve_is_the_answers_along_one_input(asker: Asker, session: onnxruntime.InferenceSession, name: str) -> None:
    row = asker.example(1)
    points = asker.curve(row, name)
    for point in points:
        assert point.answers[0] == pytest.approx(by_onnx(session, {**row, name: point.value})[0], abs=1e-6)
    (here,) = [point for point in points if point.here]
    assert here.value == row[name]
    if name == "education":
        assert [point.value for point in points if not point.here] == [
            value for value in asker.by_name[name].values[:25] if value != row[name]
        ]
    else:
        values = [point.value for point in points]
        assert values == sorted(values)
        assert (values[0], values[-1]) == (asker.by_name[name].low, asker.by_name[name].high)
        assert all(float(value).is_integer() for value in values)


def test_unseen_and_far_values_are_answered_with_a_note(asker: Asker, session: onnxruntime.InferenceSession) -> None:
    row = {**asker.example(0), "education": "none of them", "age": 300.0, "hours_per_week": None}
    answer = asker.answer(row)
    expected = by_onnx(session, row)
    assert answer.values[0] == pytest.approx(expected[0], abs=1e-7)
    assert [note.partition(":")[0] for note in answer.notes] == ["education", "age"]


def test_without_an_export_the_model_answers(session: onnxruntime.InferenceSession) -> None:
    asker = Asker(Run.open(small_run_cases.trained().path))
    assert (asker.answers_by, asker.warning) == ("the run's model", "")
    row = asker.example(2)
    assert asker.answer(row).values[0] == pytest.approx(by_onnx(session, row)[0], abs=1e-6)


def test_a_damaged_export_is_said(tmp_path: Path) -> None:
    shutil.copytree(small_run_cases.exported(), tmp_path / "run")
    file = tmp_path / "run" / "export" / "wide_deep.onnx"
    file.write_bytes(file.read_bytes()[:1000])
    asker = Asker(Run.open(tmp_path / "run"))
    assert asker.answers_by == "the run's model"
    assert "The ONNX file cannot be used" in asker.warning


def test_an_export_of_another_state_is_noted(asker: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    def shifted(inputs: Any) -> Any:
        found = asker.scorer.score(inputs)
        return {**found, "logit": found["logit"] + 0.5}

    other = Asker(asker.run)
    scorer = other.scorer
    monkeypatch.setattr(other, "scorer", Scorer(scorer.schema, shifted, scorer.score_chunk, "onnx"))
    (note,) = other.answer(other.example(0)).notes
    assert note.endswith("it is of another state of the run. Export again.")


@pytest.mark.parametrize(
    ("task", "counts", "spread", "given", "expected", "same"),
    [
        ("binary", False, 1.0, 2.0, 2.0009, True),
        ("binary", False, 1.0, 0.1, 0.11, False),
        # A label near 0.03 differs by less than a thousandth of a logit.
        ("regression", False, 0.01, 0.03, 0.0302, False),
        ("regression", False, 0.01, 0.03, 0.030005, True),
        ("regression", False, 0.0, 0.03, 0.0305, True),
        ("regression", True, 9.0, np.exp(2.0), 2.0001, True),
        ("regression", True, 9.0, np.exp(2.0), 2.1, False),
        # float32 has nothing there.
        ("regression", True, 9.0, np.inf, 90.0, True),
        ("regression", True, 9.0, 0.0, -120.0, True),
        ("regression", True, 9.0, 1e-45, -103.0, True),
        ("regression", True, 9.0, np.inf, 80.0, False),
        ("regression", True, 9.0, 0.0, -3.0, False),
        ("regression", True, 9.0, np.inf, 1e4, True),
    ],
)
def test_whether_an_answer_is_that_of_the_model(
    task: Any, counts: bool, spread: float, given: float, expected: float, same: bool
) -> None:
    with np.errstate(divide="ignore"):
        logits = np.log([given]) if counts else np.array([given])
    schema = Schema((), task, "y", counts=counts)
    assert agree(schema, spread, np.array([given]), logits, np.array([expected])) == same


def test_counts_beyond_float32_are_answered(asker: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    other = Asker(asker.run)
    monkeypatch.setattr(other, "schema", Schema(asker.schema.inputs, "regression", "y", counts=True))
    for count, logit, logarithm in ((np.inf, 95.0, np.inf), (0.0, -200.0, -np.inf)):
        scorer = Scorer(
            other.schema, lambda _, c=count: {"prediction": np.array([c])}, asker.scorer.score_chunk, "onnx"
        )
        monkeypatch.setattr(other, "scorer", scorer)
        parts = Contributions(np.array([logit]), np.zeros(1), ())
        monkeypatch.setitem(other.run.__dict__, "explainer", lambda _, p=parts: [p])
        answer = other.answer(other.example(0))
        assert answer.notes == ()
        assert answer.logits[0] == logarithm


def test_lists_weights_and_moments_of_a_run_without_its_rows(tmp_path: Path) -> None:
    shutil.copytree(page_cases.hostile().path, tmp_path / "run")
    config = tmp_path / "run" / "config.yaml"
    config.write_text(config.read_text(encoding="utf-8").replace("train.parquet", "gone.parquet"), encoding="utf-8")
    asker = Asker(Run.open(tmp_path / "run"))
    assert asker.examples == 0
    row = asker.example()
    assert row == asker.typical
    row |= {"tags": ["it's", "<b>bold</b>"], "tag_weights": [0.5, 2.0]}
    answer = asker.answer(row)
    assert answer.values[0] == pytest.approx(1 / (1 + np.exp(-answer.parts.logit[0])), abs=1e-6)
    points = asker.curve(row, "tags")
    assert points[0].here
    assert points[0].answers[0] == pytest.approx(answer.values[0], abs=1e-6)
    more = {**row, "tags": ["it's", "<b>bold</b>", points[3].value], "tag_weights": [0.5, 2.0, 1.0]}
    assert points[3].answers[0] == pytest.approx(asker.answer(more).values[0], abs=1e-6)
    assert asker.curve(row, "seen")
    # A person types a date, where a program sends seconds.
    assert "1970" not in asker.by_name["seen"].info
    # Nor has a run of an older version kept rows to compare with.
    assert answer.parts.background_rows == 0
    curved = {field.label for field in asker.fields if asker.has_curve(field)}
    assert curved == {page_cases.COLUMN, "city", "level", "tags", "price", "age", "seen"}
    with pytest.raises(DataError, match="takes a weight for each value of 'tags'. Received: 1 weights for 2 values"):
        asker.answer({**row, "tag_weights": [1.0]})


def test_the_page_says_that_it_needs_a_run(tmp_path: Path) -> None:
    app: Any = None
    file = small_run_cases.exported() / "export" / "wide_deep.onnx"
    for place, what in (
        (file, "is not a run directory"),
        (tmp_path, "is not a run"),
        (tmp_path / "a", "does not exist"),
    ):
        with pytest.raises(RunError, match=f"{what}.*give the directory of the run"):
            mount(app, place)
