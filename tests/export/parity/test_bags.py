"""Multivalent, shared and weighted features and their crosses: Keras, SavedModel and ONNX alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import tensorflow as tf
from bag_cases import LONGEST, SCHEMA, arrays, model, rows, tensors

from export.parity.answers import transformed_names
from export.parity.rows import as_rows
from export.parity.session import open_session
from export.savedmodel.warmup import examples
from tfwd.errors import DataError
from tfwd.features.layout import columns_of
from tfwd.inference.load import load_scorer
from tfwd.inference.scorer import Scorer


@pytest.fixture(scope="module")
def exported(bag_exports: dict[str, Path]) -> tuple[Any, Any, Path]:
    """A model, its SavedModel loaded, and its ONNX file."""
    return model(), tf.saved_model.load(str(bag_exports["savedmodel"])), bag_exports["onnx"]


@pytest.fixture(scope="module")
def scorers(bag_exports: dict[str, Path]) -> list[Scorer]:
    """Both files, as tfwd scores with them."""
    return [load_scorer(path) for path in bag_exports.values()]


def in_slots(values: np.ndarray, slots: Any) -> np.ndarray:
    """The columns of every bag sorted: their order has no meaning, and where they stand depends on the padding."""
    made, start = values.copy(), 0
    for slot in slots:
        made[:, start : start + slot.width].sort(axis=1)
        start += slot.width
    return made


@pytest.mark.parametrize("longest", [0, 1, 5, LONGEST, LONGEST + 40])
def test_three_ways_alike(exported: tuple[Any, Any, Path], longest: int) -> None:
    made, loaded, file = exported
    given = rows(60, seed=100 + longest, longest=longest)
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


WIDTHS = [(1, 2), (2, 1), (5, 4), (4, 5), (0, 2), (2, 0)]


@pytest.mark.parametrize(("values", "weights"), WIDTHS)
def test_more_or_fewer_weights_than_values_are_refused_three_ways_alike(
    exported: tuple[Any, Any, Path], scorers: list[Scorer], values: int, weights: int
) -> None:
    made, loaded, file = exported
    given = arrays(rows(4, seed=9, longest=3))
    given["genres"] = np.array([["Crime", "Comedy", "never seen", "Crime", ""][:values]] * 4, object).reshape(4, values)
    given["shares"] = np.full((4, weights), 2.0, np.float32)
    raw = {
        name: tf.constant(array.tolist(), tf.string, array.shape) if array.dtype == object else array
        for name, array in given.items()
    }
    # The files alone, as other programs call them.
    with pytest.raises(tf.errors.InvalidArgumentError):
        loaded.signatures["serving_default"](**{name: tf.constant(value) for name, value in raw.items()})
    with pytest.raises(Exception, match=r"reshape|must match|incompatible|[Bb]roadcast"):
        onnxruntime.InferenceSession(str(file)).run(["probability"], given)
    message = f"'shares' takes a weight for each value of 'genres'. Received: {weights} weights for {values} values"
    with pytest.raises(DataError, match=message):
        made(given)
    for scorer in scorers:
        with pytest.raises(DataError, match=message):
            scorer.score(given)


def test_an_example_with_more_or_fewer_weights_than_values_is_refused(exported: tuple[Any, Any, Path]) -> None:
    _, loaded, _ = exported
    row = rows(1, seed=5, longest=3)[0]

    def probability(genres: list[str], shares: list[float]) -> float:
        single = as_rows(SCHEMA, {name: [value] for name, value in row.items()})
        (example,) = examples(SCHEMA, single)
        del example.features.feature["genres"], example.features.feature["shares"]
        example.features.feature["genres"].bytes_list.value.extend(genre.encode() for genre in genres)
        if shares:
            example.features.feature["shares"].float_list.value.extend(shares)
        return float(loaded.signatures["regress"](inputs=tf.constant([example.SerializeToString()]))["outputs"][0, 0])

    assert probability(["Crime", "Comedy"], []) == probability(["Crime", "Comedy"], [1.0, 1.0])
    for shares in ([2.0], [2.0, 2.0, 2.0]):
        with pytest.raises(tf.errors.InvalidArgumentError, match="takes a weight for each value of"):
            probability(["Crime", "Comedy"], shares)


def test_ragged_and_sparse_lists_are_lists(exported: tuple[Any, Any, Path]) -> None:
    made, _, _ = exported
    given = rows(20, seed=11, longest=6)
    expected = made(tensors(given)).numpy()
    lists = ("liked", "genres", "shares", "store")
    dtypes = {"liked": tf.string, "genres": tf.string, "shares": tf.float32, "store": tf.int64}
    ragged = {name: tf.ragged.constant([row[name] for row in given], dtypes[name], 1) for name in lists}
    np.testing.assert_allclose(made({**tensors(given), **ragged}), expected, atol=1e-6)
    python = {name: [row[name] for row in given] for name in given[0]}
    np.testing.assert_allclose(made(python), expected, atol=1e-6)
    sparse = {name: ragged[name].to_sparse() for name in ("liked", "genres")}
    np.testing.assert_allclose(made({**tensors(given), **sparse}), expected, atol=1e-6)
    shorter = tf.ragged.constant([row["shares"][:-1] for row in given], tf.float32, 1)
    given_shorter = {**tensors(given), **ragged, "shares": shorter}
    with pytest.raises(DataError, match="a weight for each value of 'genres'"):
        made(given_shorter)
    # As tf.data makes them, in the graph of the model's own functions.
    batches = tf.data.Dataset.from_tensors({**tensors(given), **ragged})
    np.testing.assert_allclose(made.predict(batches, verbose=0), expected, atol=1e-6)
    # There nothing is known of the lengths, and the graph itself refuses.
    batches = tf.data.Dataset.from_tensors(given_shorter)
    with pytest.raises(tf.errors.InvalidArgumentError, match="takes a weight for each value of"):
        made.predict(batches, verbose=0)
