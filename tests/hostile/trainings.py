"""Random small trainings from end to end: data, features, model and options drawn by a seed, both exports checked.

`python -m tests.hostile.trainings --count 500`

Nothing but errors of tfwd may come out; what is trained is finite, its exports answer as it does on hostile rows, and
no file appears outside of the run.
"""

from __future__ import annotations

import math
import random
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from export.parity import compare as parity
from tests.hostile.tally import Tally, arguments, files_below, track

TEXTS = ["a", "b", "é", "日本語", "", " ", "nan", "None", "0", "x" * 300, "line\nbreak", "[OOV]", "'; --", "A", "NULL"]
NUMBERS = [0.0, -0.0, 1.0, -1.0, 0.5, 1e-40, -1e-38, 3.4e38, -3.4e38, 1e30, 1e10, math.nan, math.inf, -math.inf, 17.0]
INTEGERS = [0, 1, 2, -1, 7, 2**31, -(2**31), 2**53 + 1, 2**63 - 1, -(2**63) + 1]
OPTIMIZERS = ["sparse_ftrl", "lazy_adam", "adagrad", "sgd", "ftrl", "adam"]
RATES = [1e-8, 1e-3, 1e-3, 1e-2, 1e-2, 0.1, 0.1, 1.0, 1e3, 1e20, 1e308]
# Rows of the comparison of each export.
HOSTILE = 500


def table(draw: random.Random, task: str) -> tuple[pd.DataFrame, dict[str, str]]:
    """A frame with odd columns, and the kind of each."""
    rows = draw.choice([3, 30, 60, 150, 150, 300])
    columns: dict[str, Any] = {"steady": [float(index % 7) for index in range(rows)]}
    kinds = {}
    for index in range(draw.randint(1, 5)):
        kind = draw.choice(["text", "number", "integer", "list", "delimited", "truth"])
        name = draw.choice(
            [f"c{index}", f"Column {index}", f"città{index}", f"class{index}", f"{index}st", f"_{index}"]
        )
        values: list[Any]
        if kind == "text":
            few = draw.sample(TEXTS, draw.randint(1, len(TEXTS)))
            values = [draw.choice([*few, None]) for _ in range(rows)]
        elif kind == "number":
            few_numbers = draw.sample(NUMBERS, draw.randint(1, 6))
            values = [draw.choice([*few_numbers, draw.gauss(0, 10 ** draw.randint(-3, 3))]) for _ in range(rows)]
        elif kind == "integer":
            few_integers = draw.sample(INTEGERS, draw.randint(1, 6))
            values = [draw.choice(few_integers) for _ in range(rows)]
        elif kind == "list":
            values = [[draw.choice(TEXTS) for _ in range(draw.choice([0, 1, 3, 20]))] for _ in range(rows)]
        elif kind == "delimited":
            values = ["|".join(draw.choices(["a", "b", "c", "é", ""], k=draw.choice([0, 1, 3]))) for _ in range(rows)]
        else:
            values = [draw.random() < 0.5 for _ in range(rows)]
        columns[name], kinds[name] = values, kind
    if task == "regression":
        columns["label"] = [draw.choice([0.0, 1.0, draw.gauss(5, 3)]) for _ in range(rows)]
        if draw.random() < 0.1:
            columns["label"][0] = draw.choice(NUMBERS)
    else:
        classes = [0, 1] if task == "binary" else ["low", "middle", "high"]
        columns["label"] = [draw.choice(classes) for _ in range(rows)]
    if draw.random() < 0.2:
        columns["weight"] = [draw.choice([0.0, 1.0, 2.5, 1e30, 1e-40]) for _ in range(rows)]
    return pd.DataFrame(columns), kinds


def feature(draw: random.Random, column: str, kind: str, index: int) -> dict[str, Any]:
    """A feature that may fit the column."""
    placed: dict[str, Any] = {
        "embedding": draw.choice([None, 4, 8, "auto"]),
        "one_hot": draw.random() < 0.3,
        "wide": draw.random() < 0.8,
    }
    name = {"column": column, "name": f"f{index}"}
    # One in twenty features does not fit its column.
    kind = kind if draw.random() < 0.95 else draw.choice(["text", "number", "integer", "list", "delimited"])
    if kind == "number":
        if draw.random() < 0.5:
            forms = draw.sample(["none", "zscore", "minmax", "log", "quantile"], draw.randint(1, 3))
            made = {"type": "numeric", **name, "normalization": forms, "wide": draw.random() < 0.5}
            return {**made, "missing_indicator": draw.random() < 0.5, "fill": draw.choice(["median", "mean", 0, -3.5])}
        how = draw.choice([{"quantiles": 4}, {"exact": True, "oov": True}, {"boundaries": [-1.0, 0.0, 2.5]}])
        return {"type": "bucketized", **name, **how, **placed}
    made = {"type": "categorical", **name, **placed}
    if kind in ("list", "delimited"):
        made |= {"max_length": draw.choice([1, 3, 50]), "combiner": draw.choice(["sum", "mean", "sqrtn"])}
        made |= {"delimiter": "|"} if kind == "delimited" else {}
    if kind == "integer" and draw.random() < 0.3:
        made["identity"] = draw.choice([1, 5, 1000])
    elif draw.random() < 0.15:
        made["hash_bins"] = draw.choice([1, 10, 1000])
    elif draw.random() < 0.15:
        made["min_count"] = draw.choice([1, 2])
    return made


def configuration(draw: random.Random, task: str, frame: pd.DataFrame, kinds: dict[str, str]) -> dict[str, Any]:
    """A configuration for a frame; most of them can be carried out."""
    features = []
    for column, kind in kinds.items():
        for _ in range(draw.choice([1, 1, 2])):
            features.append(feature(draw, column, kind, len(features)))
    # Both heads have something to read.
    features.append({"type": "numeric", "column": "steady", "name": "steady", "wide": True})
    keys = [entry["name"] for entry in features if entry["type"] != "numeric"]
    for index in range(draw.choice([0, 1, 2])):
        if len(keys) >= 2:
            chosen = draw.sample(keys, min(len(keys), draw.choice([2, 2, 3])))
            bins = draw.choice([1, 10, 1000, "exact"])
            placed = {"wide": True, "embedding": draw.choice([None, 4])}
            features.append({"type": "cross", "keys": chosen, "bins": bins, "name": f"x{index}", **placed})
    optimizers = {
        f"{head}_optimizer": {"name": draw.choice(OPTIMIZERS), "learning_rate": draw.choice(RATES)}
        for head in ("wide", "deep")
        if draw.random() < 0.5
    }
    return {
        "task": task,
        "data": {
            "label": {"column": "label"},
            "validation_fraction": draw.choice([0.0, 0.2, 0.5]),
            **({"weight": "weight"} if "weight" in frame else {}),
        },
        "features": features,
        "model": {
            "hidden_units": draw.choice([[1], [8], [16, 8]]),
            "dropout": draw.choice([0.0, 0.3]),
            "batch_norm": draw.random() < 0.2,
            "heads": draw.choice([["wide", "deep"]] * 8 + [["wide"], ["deep"]]),
            "activation": draw.choice(["relu", "tanh", "selu"]),
        },
        "train": {
            "epochs": draw.choice([1, 2]),
            "batch_size": draw.choice([1, 7, 64, 10_000]),
            "steps_per_execution": draw.choice([1, 16]),
            "max_steps": 40,
            "early_stopping": None,
            "tensorboard": False,
            "cache": draw.choice(["auto", "none", "ids"]),
            **optimizers,
        },
        "export": {"formats": []},
    }


def attack(seed: int, folder: Path) -> None:
    """One training with both exports.

    Raises:
        TfwdError: it was refused.
        AssertionError: something is not finite, an export disagrees, or something stands where it should not.
    """
    import keras

    import tfwd
    from export.onnx import writer as onnx
    from export.onnx.conversion import HashedFeatureError
    from export.savedmodel import writer as savedmodel
    from tfwd.errors import ExportError

    draw = random.Random(seed)
    task = draw.choice(["binary", "binary", "multiclass", "regression"])
    frame, kinds = table(draw, task)
    values = configuration(draw, task, frame, kinds)
    keras.backend.clear_session()
    folder.mkdir()
    try:
        config = tfwd.Config.of(values)
        run = tfwd.fit(config, folder / "run", train=frame, test=frame)
        for part, metrics in run.metrics.items():
            for name, value in metrics.items():
                # A metric of one class, or of labels without a spread, is undefined and null.
                assert value is None or math.isfinite(value), f"{part} {name} is {value}"
                undefined = name.startswith(("auc", "r2", "gauc", "pearson")) or part == "validation"
                assert value is not None or undefined, f"{part} {name} is undefined"
        for variable in run.model.variables:
            numbers = np.asarray(variable)
            assert numbers.dtype.kind != "f" or np.isfinite(numbers).all(), f"{variable.path} is not finite"
        hostile, parity.HOSTILE_ROWS = parity.HOSTILE_ROWS, HOSTILE
        try:
            savedmodel.save(run.model, folder / "export", name="m")
            onnx.save(
                run.model, folder / "export" / "m.onnx", fingerprint_inputs=_hashed(values) and draw.random() < 0.5
            )
        except HashedFeatureError:
            assert _hashed(values)
        except ExportError as error:
            raise AssertionError(str(error)) from None
        finally:
            parity.HOSTILE_ROWS = hostile
    finally:
        beside = {path.split("/")[0] for path in files_below(folder)} - {"run", "export"}
        assert not beside, f"left beside the run: {beside}"


def _hashed(values: dict[str, Any]) -> bool:
    return any("hash_bins" in feature for feature in values["features"])


def run(count: int, first: int = 0, show: bool = False) -> Tally:
    """`count` trainings, of the seeds from `first` on."""
    tally = Tally("trainings", 60)
    with tempfile.TemporaryDirectory() as place:
        for seed in track(range(first, first + count), "Trainings", disable=not show):
            folder = Path(place) / str(seed)
            tally.attempt(f"seed {seed}", lambda seed=seed, folder=folder: attack(seed, folder))
            shutil.rmtree(folder, ignore_errors=True)
            if show and tally.faults:
                print(tally.faults[-1] if f"seed {seed}:" in tally.faults[-1] else "", end="", flush=True)
    return tally


if __name__ == "__main__":
    given = arguments(__doc__, 500)
    raise SystemExit(run(given.count, given.first, show=True).close(given.refusals))
