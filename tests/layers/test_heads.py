"""The heads by NumPy: sums of rows, and a tower over embeddings, one-hot categories and numbers."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from feature_cases import raw_columns, small, statistics_of

from tfwd.errors import ConfigError
from tfwd.features.layout import build_layout
from tfwd.features.space import FeatureSpace
from tfwd.layers.deep_head import DeepHead, tower
from tfwd.layers.logit_sum import LogitSum
from tfwd.layers.seeded_dropout import SeededDropout
from tfwd.layers.wide_head import WideHead
from tfwd.model.ranker import build_ranker, check_activation

RANDOM = np.random.default_rng(6)
BATCH = 5
NUMBERS = RANDOM.normal(size=(BATCH, 4)).astype(np.float32)


def randomize(layer: keras.layers.Layer) -> None:
    for variable in layer.trainable_variables:
        variable.assign(RANDOM.normal(size=variable.shape).astype(np.float32))


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize(("rows", "numeric"), [(20, ()), (0, (0, 3)), (20, (0, 3))])
def test_wide_head_is_a_sum_of_weights(rows: int, numeric: tuple[int, ...], outputs: int) -> None:
    head = WideHead(rows, outputs, numeric, use_bias=True)
    ids = RANDOM.integers(0, max(rows, 1), (BATCH, 6)).astype(np.int32)
    inputs = {"wide_ids": tf.constant(ids), "numeric": tf.constant(NUMBERS)}
    head(inputs)
    randomize(head)
    expected = np.zeros((BATCH, outputs)) + head.bias.numpy()
    for row in range(BATCH):
        for row_of_table in ids[row] if rows else ():
            expected[row] += head.table.table.numpy()[row_of_table]
        for position, column in enumerate(numeric):
            expected[row] += NUMBERS[row, column] * head.kernel.numpy()[position]
    np.testing.assert_allclose(head(inputs), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("outputs", [1, 3])
def test_weights_of_a_bag_combine_as_in_embedding_lookup_sparse(outputs: int, weighted: bool, padded: bool) -> None:
    bags = [(3, "mean"), (2, "sum"), (4, "sqrtn")]
    head = WideHead(20, outputs, bags=bags, padded=padded)
    ids = RANDOM.integers(1, 20, (BATCH, 10)) * (RANDOM.random((BATCH, 10)) < 0.7)
    ids[0, 1:4] = 0  # a bag without values
    factors = RANDOM.uniform(0.1, 3, (BATCH, 9)).astype(np.float32)
    inputs = {"wide_ids": tf.constant(ids, tf.int32)} | ({"wide_weights": tf.constant(factors)} if weighted else {})
    head(inputs)
    randomize(head)
    table = head.table.table.numpy().astype(np.float64)
    table[0] = 0
    head.table.table.assign(table)
    expected = table[ids[:, 0]]
    for row in range(BATCH):
        start = 0
        for width, combiner in bags:
            places = [place for place in range(start, start + width) if ids[row, place + 1]]
            start += width
            if places:
                sparse = tf.SparseTensor([[0, i] for i in range(len(places))], ids[row, 1:][places], [1, len(places)])
                own = tf.SparseTensor(sparse.indices, factors[row, places].astype(np.float64), sparse.dense_shape)
                known = own if weighted else None
                expected[row] += tf.nn.embedding_lookup_sparse(table, sparse, known, combiner=combiner)[0]
    np.testing.assert_allclose(head(inputs), expected, rtol=1e-5, atol=1e-5)


def test_a_wide_head_of_an_older_file_sums_its_bags() -> None:
    # Version 0.3.0 wrote the number of columns.
    older = WideHead(9, bags=[(2, "sum")]).get_config() | {"bags": 2}
    assert WideHead.from_config(older).bags == WideHead(9, bags=[(2, "sum")]).bags
    assert WideHead.from_config(older | {"bags": 0}).bags == []


def test_new_wide_head_says_nothing() -> None:
    head = WideHead(20, 1, (0,), use_bias=True)
    assert not head({"wide_ids": tf.constant([[1, 2]]), "numeric": tf.constant([[5.0]])}).numpy().any()


def test_deep_head_reads_embeddings_then_one_hot_then_numbers() -> None:
    head = DeepHead({"embedding_2": (9, 2), "embedding_4": (7, 4)}, (3, 5), (1, 2), tower((6,), "tanh"), outputs=2)
    small_ids = RANDOM.integers(1, 9, (BATCH, 3)).astype(np.int32)
    large_ids = RANDOM.integers(1, 7, (BATCH, 1)).astype(np.int32)
    categories = np.stack([RANDOM.integers(0, 3, BATCH), RANDOM.integers(0, 5, BATCH)], axis=1).astype(np.int32)
    inputs = {
        "embedding_2_ids": tf.constant(small_ids),
        "embedding_4_ids": tf.constant(large_ids),
        "one_hot_ids": tf.constant(categories),
        "numeric": tf.constant(NUMBERS),
    }
    head(inputs)
    randomize(head)
    two, four = (embedding.table.numpy() for embedding in head.embeddings)
    joined = np.concatenate(
        [
            *(two[small_ids[:, column]] for column in range(3)),
            four[large_ids[:, 0]],
            np.eye(3)[categories[:, 0]],
            np.eye(5)[categories[:, 1]],
            NUMBERS[:, [1, 2]],
        ],
        axis=1,
    )
    np.testing.assert_allclose(head.tower_inputs(inputs), joined, rtol=1e-6)
    dense = head.tower.layers[0]
    hidden = np.tanh(joined @ dense.kernel.numpy() + dense.bias.numpy())
    expected = hidden @ head.logits.kernel.numpy() + head.logits.bias.numpy()
    np.testing.assert_allclose(head(inputs), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("given", "expected"), [(None, 0.25), (0.01, 0.01)])
def test_initial_embeddings_are_as_wide_as_asked(given: float | None, expected: float) -> None:
    head = DeepHead({"embedding_16": (5000, 16)}, (), (), tower((3,)), embedding_stddev=given)
    head({"embedding_16_ids": tf.constant([[1]])})
    # Of a normal distribution cut off at two deviations the spread is 0.8796.
    assert head.embeddings[0].table.numpy()[1:].std() == pytest.approx(0.8796 * expected, rel=0.02)
    assert DeepHead.from_config(head.get_config()).embeddings[0].stddev == expected


def test_dropout_of_the_inputs_is_of_training_only() -> None:
    head = DeepHead({}, (), (0, 1, 2, 3), tower((3,)), input_dropout=0.5)
    inputs = {"numeric": tf.constant(NUMBERS)}
    np.testing.assert_array_equal(head(inputs), head(inputs))
    assert (head(inputs, training=True).numpy() != head(inputs).numpy()).any()


def test_tower_is_dense_normalization_activation_dropout() -> None:
    made = tower((4, 3), "relu", dropout=0.2, batch_norm=True, l2=0.1, seed=7)
    kinds = [keras.layers.Dense, keras.layers.BatchNormalization, keras.layers.Activation, SeededDropout]
    assert [type(layer) for layer in made.layers] == kinds * 2
    dense = [layer for layer in made.layers if isinstance(layer, keras.layers.Dense)]
    assert [layer.units for layer in dense] == [4, 3]
    # Batch normalization has an offset of its own.
    assert not any(layer.use_bias for layer in dense)
    assert [layer.seed for layer in made.layers if isinstance(layer, SeededDropout)] == [8, 9]
    assert [type(layer) for layer in tower((4,)).layers] == [keras.layers.Dense, keras.layers.Activation]


def test_logit_sum() -> None:
    layer = LogitSum(2)
    wide, deep = tf.constant([[1.0, 2.0]]), tf.constant([[0.5, -2.0]])
    np.testing.assert_array_equal(layer([wide, deep]), [[1.5, 0.0]])
    layer.set_base([10.0, 20.0], 3.0)
    np.testing.assert_array_equal(layer([wide, deep]), [[14.5, 20.0]])
    np.testing.assert_array_equal(layer([deep]), [[11.5, 14.0]])
    assert layer.trainable_variables == []


def test_ranker_refuses_an_activation_that_keras_has_not() -> None:
    config = small(model__activation="rleu")
    layout = build_layout(FeatureSpace(config.features, statistics_of(config, raw_columns(50))), config.model.heads, 1)
    with pytest.raises(ConfigError, match=r"model.activation: Keras has no activation 'rleu'. Did you mean 'relu'\?"):
        build_ranker(layout, config.model)


@pytest.mark.parametrize("name", ["glu", "threshold"])
def test_an_activation_is_a_function_of_one_value(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"model.activation: '{name}' is not elementwise"):
        check_activation(name)
