"""Hostile rows for the census and a model of bags: Keras, the SavedModel and ONNX Runtime answer alike, and finitely.

`python -m tests.hostile.rows --count 1000000`
"""

from __future__ import annotations

import functools
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from export.onnx import writer as onnx
from export.parity import compare as parity
from export.parity.hostile import hostile_rows
from export.parity.known_values import known_values
from export.parity.rows import Rows
from export.savedmodel import writer as savedmodel
from tests.hostile.tally import Tally, arguments, track
from tfwd.errors import ExportError
from tfwd.inference.load import load_scorer
from tfwd.inference.scorer import Scorer
from tfwd.model.wide_deep import WideDeep

# The models stand beside the tests that have them too.
sys.path[:0] = [str(Path(__file__).parent.parent), str(Path(__file__).parent.parent / "export")]

BATCH = 10_000


def models() -> dict[str, Callable[[], WideDeep]]:
    """By name."""
    import bag_cases
    from export_models import census_model

    return {"census": lambda: census_model()[0], "bags": bag_cases.model}


def check(
    model: WideDeep,
    batch: Rows,
    exports: Mapping[str, Path],
    scorers: Mapping[str, Scorer],
    tally: Tally,
    name: str,
) -> None:
    """One batch of rows in all forms, by the export's own comparison and by what users score with."""
    try:
        parity.check_savedmodel(model, exports["savedmodel"], batch, hostile=0)
        parity.check_onnx(model, exports["onnx"], batch, hostile=0)
    except ExportError as error:
        tally.fault(name, str(error))
    found = {form: scorer.score(batch) for form, scorer in scorers.items()}
    for form, answer in found.items():
        for output, values in answer.items():
            if not np.isfinite(values).all():
                row = int(np.argwhere(~np.isfinite(values))[0][0])
                tally.fault(name, f"{form}: {output} of row {row} is {values[row]}")
        apart = np.abs(answer["probability"] - found["savedmodel"]["probability"])
        if not apart.max() <= 1e-5:
            tally.fault(name, f"{form}: the probability of row {int(apart.argmax())} is {apart.max():.1e} apart")


def run(
    count: int,
    show: bool = False,
    names: tuple[str, ...] = ("census", "bags"),
    made: Mapping[str, Mapping[str, Path]] | None = None,
) -> Tally:
    """`count` rows for each model; `made` has the exports of those that are exported already."""
    tally = Tally("batches of hostile rows", 600)
    with tempfile.TemporaryDirectory() as place:
        for name in names:
            model = models()[name]()
            exports = (made or {}).get(name) or {
                "savedmodel": savedmodel.save(model, Path(place), name=name),
                "onnx": onnx.save(model, Path(place) / f"{name}.onnx"),
            }
            scorers = {form: load_scorer(path) for form, path in exports.items()}
            known = known_values(model)
            # Lists of 200 values weigh more.
            size = min(count, BATCH if name == "census" else BATCH // 2)
            for seed in track(range(-(-count // size)), name, disable=not show):
                where = f"{name}, seed {seed}"
                batch = hostile_rows(model.schema, known, size, seed)
                attack = functools.partial(check, model, batch, exports, scorers, tally, where)
                tally.attempt(where, attack)
    return tally


if __name__ == "__main__":
    given = arguments(__doc__, 1_000_000)
    raise SystemExit(run(given.count, show=True).close(given.refusals))
