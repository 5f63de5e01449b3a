"""Multivalent, shared and weighted features and their crosses: Keras, SavedModel and ONNX alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import tensorflow as tf
from bag_cases import LONGEST, SCHEMA, arrays, model, rows, tensors

from export import onnx, savedmodel
from export.answers import transformed_names
from export.onnx_file import open_session
from export.rows import as_rows
from export.warmup import examples
from tfwd.features.layout import columns_of


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any, Path]:
    """A model, its SavedModel loaded, and its ONNX file."""
    folder, made = tmp_path_factory.mktemp("bags"), model()
    given = arrays(rows(200, seed=1))
    loaded = tf.saved_model.load(str(savedmodel.save(made, folder, name="bags", rows=given)))
    return made, loaded, onnx.save(made, folder / "bags.onnx", rows=given)


def in_slots(values: np.ndarray, slots: Any) -> np.ndarray:
    """The columns of every bag sorted: their order has no meaning, and where they stand depends on the padding."""
    made, start = values.copy(), 0
    for slot in slots:
        made[:, start : start + slot.width].sort(axis=1)
        start += slot.width
    return made


@pytest.mark.parametrize("longest", [0, 1, 2, 5, 60, LONGEST, LONGEST + 40])
def test_three_ways_alike(exported: tuple[Any, Any, Path], longest: int) -> None:
    made, loaded, file = exported
    given = rows(150, seed=100 + longest, longest=longest)
    raw = tensors(given)
    expected = made(raw).numpy()[:, 0]
    served = loaded.signatures["serving_default"](**raw)["probability"].numpy()
    np.testing.assert_allclose(served, expected, atol=1e-6)
    ids = open_session(file, transformed_names(made.layout)).run(arrays(given))
    np.testing.assert_allclose(ids["probability"], expected, atol=1e-6)
    transformed = loaded.signatures["transform"](**raw)
    for name, slots in made.layout.matrices.items():
        assert len(columns_of(slots)) == ids[name].shape[1]
        wanted = in_slots(made.transform(raw)[name].numpy(), slots)
        np.testing.assert_array_equal(in_slots(ids[name], slots), wanted)
        np.testing.assert_array_equal(in_slots(transformed[name].numpy(), slots), wanted)


def test_a_row_answers_alike_whatever_stands_beside_it(exported: tuple[Any, Any, Path]) -> None:
    _, _, file = exported
    session = onnxruntime.InferenceSession(str(file))
    given = rows(20, seed=77)
    together = session.run(["probability"], arrays(given))[0]
    alone = [session.run(["probability"], arrays([row]))[0][0] for row in given]
    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_onnx_takes_lists_of_any_width(exported: tuple[Any, Any, Path]) -> None:
    inputs = {entry.name: entry.shape for entry in onnxruntime.InferenceSession(str(exported[2])).get_inputs()}
    assert inputs["movie"] == ["batch"]
    assert inputs["liked"] == ["batch", "liked_values"]


def test_examples_with_lists_of_different_lengths(exported: tuple[Any, Any, Path]) -> None:
    made, loaded, _ = exported
    given = rows(30, seed=5, longest=10)
    for row in given:
        # An Example cannot say that a weight is missing in the middle of a list, and can be without a list.
        keep = [i for i, genre in enumerate(row["genres"]) if genre]
        row["genres"], row["shares"] = [row["genres"][i] for i in keep], [row["shares"][i] for i in keep]
    messages = []
    for row in given:
        single = as_rows(SCHEMA, {name: [value] for name, value in row.items()})
        messages += [example.SerializeToString() for example in examples(SCHEMA, single)]
    scores = loaded.signatures["regress"](inputs=tf.constant(messages))["outputs"].numpy()[:, 0]
    np.testing.assert_allclose(scores, made(tensors(given)).numpy()[:, 0], atol=1e-6)


def test_lists_as_python_lists() -> None:
    given = [{"movie": None, "liked": ["Heat", None], "genres": None, "shares": [], "store": [3], "city": "Rome"}]
    found = as_rows(SCHEMA, {name: [row.get(name) for row in given] for name in (e.name for e in SCHEMA.inputs)})
    assert found["liked"].tolist() == [["Heat", ""]]
    assert found["genres"].shape == (1, 0)
    assert found["store"].tolist() == [[3]]
