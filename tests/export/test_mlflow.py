"""MLflow models answer rows of a DataFrame as the ONNX file does. Needs MLflow, which tfwd does not install.

`python -m tests.hostile.mlflow_server` serves them with `mlflow models serve`, where tfwd is not installed.
"""

from __future__ import annotations

import functools
import subprocess
import sys
from pathlib import Path
from typing import Any

import bag_cases
import census_cases
import datetime_cases
import numpy as np
import pandas as pd
import pytest
import small_run_cases
from export_models import FEATURES, everything, random_rows
from made_once import made

import tfwd
from export.mlflow import save
from tfwd.errors import ExportError, RunError
from tfwd.schema import MISSING_INTEGER


def test_without_mlflow_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(ExportError, match=r"pip install 'tfwd\[mlflow\]'"):
        save(tmp_path / "run", tmp_path / "model")


@pytest.mark.usefixtures("one_conversion")
class TestWithMlflow:
    """What needs MLflow."""

    @pytest.fixture(autouse=True)
    def _installed(self) -> None:
        self.mlflow: Any = pytest.importorskip(
            "mlflow", reason="MLflow is not installed; see tests/hostile/mlflow_server.py"
        )

    def written(self, name: str = "small", source: Any = small_run_cases.trained, **options: Any) -> Path:
        """A model that is written once."""
        return made(f"mlflow-{name}", lambda folder: save(source(), folder / "model", **options)) / "model"

    def opened(self, *source: Any, **options: Any) -> tuple[Any, tfwd.Scorer]:
        """Such a model, and a scorer of its ONNX file."""
        folder = self.written(*source, **options)
        return self.mlflow.pyfunc.load_model(str(folder)), tfwd.load_scorer(next(folder.glob("artifacts/onnx/*.onnx")))

    def test_columns_of_any_type_and_order(self) -> None:
        model, scorer = self.opened()
        rows = census_cases.frame("test", 700)
        expected = scorer.predict(rows, key=[])
        pd.testing.assert_frame_equal(model.predict(rows), expected)
        odd = rows[rows.columns[::-1]].assign(extra=[[1]] * 700, hours_per_week=rows["hours_per_week"].astype("Int64"))
        odd["occupation"] = odd["occupation"].astype("category")
        odd.index = pd.Index([f"row {number}" for number in range(700)])
        pd.testing.assert_frame_equal(model.predict(odd), expected.set_index(odd.index))
        assert len(model.predict(rows.head(0))) == 0

    @pytest.mark.parametrize("missing", [None, float("nan"), pd.NA, pd.NaT])
    def test_missing_values(self, missing: Any) -> None:
        model, scorer = self.opened()
        rows = census_cases.frame("test", 20)
        nothing = {"education": "", "occupation": "", "age": np.nan, "hours_per_week": np.nan}
        for column, value in nothing.items():
            expected = scorer.predict(rows.assign(**{column: value}), key=[])
            pd.testing.assert_frame_equal(model.predict(rows.assign(**{column: missing})), expected)
            some = rows[column].astype(object).where(rows["id"] % 2 == 0, missing)
            expected = scorer.predict(rows.assign(**{column: rows[column].where(rows["id"] % 2 == 0)}), key=[])
            pd.testing.assert_frame_equal(model.predict(rows.assign(**{column: some})), expected)

    def test_lists_and_weights(self) -> None:
        model, scorer = self.opened("bags", lambda: bag_cases.model(crosses=False))
        given = bag_cases.rows(60, seed=3)
        expected = scorer.score(bag_cases.arrays(given))
        frame = pd.DataFrame(given)
        np.testing.assert_allclose(model.predict(frame)["logit"], expected["logit"], rtol=0, atol=1e-6)
        arrays = frame.assign(**{name: frame[name].map(np.array) for name in ("liked", "shares", "store")})
        np.testing.assert_allclose(model.predict(arrays)["logit"], expected["logit"], rtol=0, atol=1e-6)
        empty = frame.assign(genres=None, shares=[np.nan] * 60)
        without = bag_cases.arrays([{**row, "genres": [], "shares": []} for row in given])
        np.testing.assert_allclose(model.predict(empty)["logit"], scorer.score(without)["logit"], rtol=0, atol=1e-6)
        with pytest.raises(self.mlflow.MlflowException, match="Column 'shares', row 2: 1 weights for 2 values"):
            model.predict(pd.DataFrame([given[0], {**given[1], "genres": ["Crime", "Comedy"], "shares": [1.0]}]))

    def test_moments_are_datetimes_or_seconds(self) -> None:
        model, scorer = self.opened("rides", datetime_cases.trained)
        rows = datetime_cases.frame(2021, 2023).head(80)
        expected = scorer.predict(rows, key=[])
        booked = pd.to_datetime(rows["booked on"], format="%d/%m/%Y")
        pd.testing.assert_frame_equal(model.predict(rows.assign(**{"booked on": booked})), expected)
        others = {
            "in a time zone": rows["pickup"].dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo"),
            "in nanoseconds": rows["pickup"].astype("datetime64[ns]") + pd.Timedelta("999999999ns"),
            "text": rows["pickup"].dt.strftime("%Y-%m-%dT%H:%M:%S"),
            "seconds": rows["pickup"].astype("int64").where(rows["pickup"].notna()).astype("Int64"),
            "seconds as floats": rows["pickup"].astype("int64").where(rows["pickup"].notna()),
        }
        for pickup in others.values():
            given = rows.assign(**{"booked on": booked, "pickup": pickup})
            pd.testing.assert_frame_equal(model.predict(given), expected)
        with pytest.raises(self.mlflow.MlflowException, match=r"'booked on', row 1: datetimes or whole seconds"):
            model.predict(rows)

    def test_classes_and_whole_numbers(self) -> None:
        # A category of each kind.
        model, scorer = self.opened("many", lambda: everything("multiclass", features=FEATURES[:3]))
        names = {entry.name: entry.column for entry in scorer.schema.inputs}
        raw = {name: values for name, values in random_rows(200, seed=4).items() if name in names}
        expected = scorer.score(raw)["probability"]
        frame = pd.DataFrame({names[name]: values for name, values in raw.items()})
        found = model.predict(frame)
        for name in ("user_id", "level"):
            given = [None if value == MISSING_INTEGER else value for value in raw[name].tolist()]
            frame[names[name]] = pd.array(given, "Int64")
        pd.testing.assert_frame_equal(model.predict(frame), found)
        assert list(found.columns) == ["probability_low", "probability_middle", "probability_high", "predicted"]
        np.testing.assert_allclose(found.iloc[:, :3], expected, rtol=0, atol=1e-6)
        assert found["predicted"].tolist() == [("low", "middle", "high")[best] for best in expected.argmax(axis=1)]
        # A float that stands for two whole numbers is refused rather than taken for one of them.
        with pytest.raises(self.mlflow.MlflowException, match="Column 'user id', row 1: whole numbers of 64 bits"):
            model.predict(frame.assign(**{"user id": float(2**53 + 2)}))
        with pytest.raises(self.mlflow.MlflowException, match="Column 'level', row 2: .* found 1.5"):
            model.predict(frame.assign(level=[1.0, 1.5] * 100))

    def test_hashed_features_enter_as_fingerprints(self) -> None:
        made = functools.partial(everything, hashed=True, features=FEATURES[:1])
        model, _ = self.opened("hashed", made, fingerprint_inputs=True)
        assert "url_fingerprint" in model.metadata.signature.inputs.input_names()
        assert len(model.predict(model.input_example)) == 5

    def test_it_runs_without_tfwd_and_holds_no_pickle(self, tmp_path: Path) -> None:
        folder = self.written()
        files = [path for path in folder.rglob("*") if "__pycache__" not in path.parts]
        assert sorted(path.name for path in files if path.suffix not in (".yaml", ".json")) == [
            *("MLmodel", "artifacts", "onnx", "predictor.py", "requirements.txt", "wide_deep.onnx")
        ]
        needed = (folder / "requirements.txt").read_text().splitlines()
        assert [line.partition("==")[0] for line in needed] == ["mlflow", "numpy", "onnxruntime", "pandas"]
        program = (
            "import sys\n"
            "for name in ('tfwd', 'export', 'tensorflow', 'keras', 'onnx', 'duckdb'):\n"
            "    sys.modules[name] = None\n"
            "import mlflow\n"
            f"model = mlflow.pyfunc.load_model({str(folder)!r})\n"
            "print(model.predict(model.input_example)['probability'].tolist())"
        )
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", program], cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        rows = census_cases.frame("test", 5)
        expected = small_run_cases.trained().predict(rows)["probability"]
        np.testing.assert_allclose(eval(done.stdout), expected, rtol=0, atol=1e-6)
        with pytest.raises(RunError, match="model exists already"):
            save(small_run_cases.trained(), folder)

    def test_it_is_logged_and_registered(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from export.mlflow import log

        monkeypatch.chdir(tmp_path)
        # The part of MLflow that the tests install has no database.
        monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        before = self.mlflow.get_tracking_uri()
        self.mlflow.set_tracking_uri((tmp_path / "mlruns").as_uri())
        try:
            with self.mlflow.start_run():
                info = log(small_run_cases.trained(), "income", registered_model_name="income")
            rows = census_cases.frame("test", 5)
            for uri in (info.model_uri, "models:/income/1"):
                found = self.mlflow.pyfunc.load_model(uri).predict(rows)
                np.testing.assert_allclose(found["logit"], small_run_cases.trained().predict(rows)["logit"], atol=1e-5)
        finally:
            self.mlflow.set_tracking_uri(before)
