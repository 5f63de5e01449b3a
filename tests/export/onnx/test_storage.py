"""Sparse and half-precision tables against the dense ones."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx as onnx_format
import onnxruntime
import pytest
from export_models import FEATURES, everything, random_rows

from export.onnx import storage
from export.onnx import writer as onnx
from export.parity import compare as parity
from export.parity.answers import tables
from export.parity.hostile import hostile_rows
from export.parity.known_values import known_values
from tfwd.errors import ExportError
from tfwd.model.wide_deep import WideDeep


def answers(file: Path, rows: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    return dict(zip([output.name for output in session.get_outputs()], session.run(None, rows), strict=True))


def empty(model: WideDeep, share: float) -> None:
    """Leaves a share of the wide numbers, some of them -0.0, and sets the others to 0."""
    table = tables(model.ranker)["wide"]
    generator = np.random.default_rng(4)
    values = generator.normal(size=table.shape).astype(np.float32)
    values[generator.random(table.shape) < 0.01] = -0.0
    values[generator.random(table.shape) >= share] = 0.0
    table.assign(values)


@pytest.fixture
def model(request: pytest.FixtureRequest, models: dict[str, WideDeep]) -> Iterator[WideDeep]:
    """The model of a task, `binary` where none is given, whose tables are as they were afterwards."""
    found = models[getattr(request, "param", "binary")]
    originals = {name: variable.numpy() for name, variable in tables(found.ranker).items()}
    yield found
    for name, variable in tables(found.ranker).items():
        variable.assign(originals[name])


pytestmark = pytest.mark.usefixtures("one_conversion")


@pytest.fixture(autouse=True)
def _few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parity, "HOSTILE_ROWS", 50)


# Every share of numbers in either precision, with one column and with several.
FORMS = [
    *(("binary", share, half) for share, half in ((0.0, True), (0.02, False), (0.5, True), (1.0, False))),
    *(("multiclass", share, half) for share, half in ((0.0, False), (0.02, True), (0.5, False), (1.0, True))),
]


@pytest.mark.parametrize(("model", "share", "half"), FORMS, indirect=["model"])
def test_sparse_and_dense_answer_to_the_bit_alike(share: float, half: bool, model: WideDeep, tmp_path: Path) -> None:
    empty(model, share)
    dense = onnx.write(model, tmp_path / "dense.onnx", sparse_wide=False, half_tables=half)
    sparse = onnx.write(model, tmp_path / "sparse.onnx", sparse_wide=True, half_tables=half)
    rows = hostile_rows(model.schema, known_values(model), 1000, seed=8)
    expected, found = answers(dense.file, rows), answers(sparse.file, rows)
    assert {name: values.tolist() for name, values in found.items()} == {n: v.tolist() for n, v in expected.items()}
    onnx_format.checker.check_model(str(sparse.file), full_check=True)
    values = tables(model.ranker)["wide"].numpy()
    kept = int(np.count_nonzero(values.astype(np.float16 if half else np.float32)))
    negative = int(((values == 0) & np.signbit(values)).sum())
    facts = {"dtype": "float16" if half else "float32", "sparse": True, "nonzero": kept + negative}
    metadata = {entry.key: entry.value for entry in onnx_format.load(str(sparse.file)).metadata_props}
    assert json.loads(metadata["tfwd_tables"])["wide"] == facts
    if share == 0.02:
        wide = next(form for form in dense.storages if form.name == "wide")
        saved = dense.file.stat().st_size - sparse.file.stat().st_size
        # Names and lengths take some of it: here some hundred bytes, the table being one of thousands of bytes.
        assert saved > 0.9 * wide.dense_bytes - 300


@pytest.mark.parametrize("model", ["binary", "multiclass"], indirect=True)
def test_half_precision_answers_as_rounded_tables_do(model: WideDeep, tmp_path: Path) -> None:
    empty(model, 0.5)
    whole = onnx.write(model, tmp_path / "whole.onnx", rows=random_rows(500))
    half = onnx.write(model, tmp_path / "half.onnx", half_tables=True, rows=random_rows(500))
    assert whole.difference <= 1e-6 < half.difference < 2e-3
    for variable in tables(model.ranker).values():
        variable.assign(variable.numpy().astype(np.float16))
    onnx.save(model, tmp_path / "rounded.onnx")
    rows = random_rows(500)
    expected, found = (answers(tmp_path / f"{name}.onnx", rows) for name in ("rounded", "half"))
    assert found["probability"].tolist() == expected["probability"].tolist()
    distance = np.abs(answers(whole.file, rows)["probability"] - found["probability"]).max()
    assert distance == pytest.approx(half.difference, abs=1e-3)
    assert distance <= half.difference + 1e-6
    held = {t.name: t for t in onnx_format.load(str(half.file)).graph.initializer if t.name.startswith("tables/")}
    assert {t.data_type for t in held.values()} == {onnx_format.TensorProto.FLOAT16}


@pytest.mark.parametrize(
    ("model", "options"),
    [("binary", {"half_tables": True, "sparse_wide": False}), ("multiclass", {"sparse_wide": True})],
    indirect=["model"],
)
def test_one_spoilt_number_of_a_half_or_sparse_table_is_named(
    options: dict[str, Any], model: WideDeep, tmp_path: Path
) -> None:
    empty(model, 0.5)
    # `save` has compared the file as it is.
    file = onnx.save(model, tmp_path / "model.onnx", **options)
    proto = onnx_format.load(str(file))
    if "half_tables" in options:
        tensor = next(t for t in proto.graph.initializer if t.name == "tables/wide")
    else:
        (constant,) = [node for node in proto.graph.node if node.output[0] == "tables/wide"]
        tensor = constant.attribute[0].sparse_tensor.values
    spoilt = onnx_format.numpy_helper.to_array(tensor).copy()
    spoilt.ravel()[40] += 0.01
    tensor.raw_data = spoilt.tobytes()
    onnx_format.save(proto, str(file))
    with pytest.raises(ExportError, match=r"on feature '.*row \d+ of table 'wide'"):
        parity.check_onnx(model, file)


@pytest.mark.parametrize(
    ("model", "options"), [("multiclass", {"half_tables": True}), ("binary", {"sparse_wide": True})], indirect=["model"]
)
def test_external_data(
    options: dict[str, Any], model: WideDeep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty(model, 0.02)
    inline = onnx.save(model, tmp_path / "inline.onnx", **options)
    monkeypatch.setattr(onnx, "INLINE_BYTES", 1000)
    file = onnx.save(model, tmp_path / "model.onnx", **options)
    assert sorted(os.listdir(tmp_path)) == ["inline.onnx", "model.onnx", "model.onnx.data"]
    onnx_format.checker.check_model(str(file))
    rows = random_rows(200, seed=6)
    assert answers(file, rows)["logit"].tolist() == answers(inline, rows)["logit"].tolist()


def test_the_share_of_zeros_decides(model: WideDeep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def is_sparse() -> bool:
        return next(form for form in onnx.write(model, tmp_path / "m.onnx").storages if form.name == "wide").sparse

    empty(model, 0.02)
    assert not is_sparse()
    monkeypatch.setattr(storage, "_SPARSE_BYTES", 1000)
    assert is_sparse()
    empty(model, 0.3)
    assert not is_sparse()
    # What cannot be unpacked is left dense, and refused where it is asked for.
    empty(model, 0.02)
    monkeypatch.setattr(storage, "_UNPACKED_BYTES", 3000)
    assert not is_sparse()
    with pytest.raises(ExportError, match="sparse form of tables up to"):
        onnx.save(model, tmp_path / "n.onnx", sparse_wide=True)
    assert os.listdir(tmp_path) == ["m.onnx"]


def test_numbers_that_half_precision_cannot_hold_are_named(model: WideDeep, tmp_path: Path) -> None:
    empty(model, 0.5)
    table = tables(model.ranker)["wide"]
    values = table.numpy()
    values[7, 0] = -7e4
    table.assign(values)
    with pytest.raises(ExportError, match=r"Row 7 of the table 'wide' holds -70000\.0.*--half-tables"):
        onnx.save(model, tmp_path / "model.onnx", half_tables=True)
    assert os.listdir(tmp_path) == []
    onnx.save(model, tmp_path / "model.onnx", sparse_wide=True)


def test_options_without_a_table_to_apply_to_are_refused(tmp_path: Path) -> None:
    model = everything(heads=("deep",), features=FEATURES[:1])
    with pytest.raises(ExportError, match="no wide table.*--sparse-wide"):
        onnx.save(model, tmp_path / "model.onnx", sparse_wide=True)
    onnx.save(model, tmp_path / "model.onnx", half_tables=True)
