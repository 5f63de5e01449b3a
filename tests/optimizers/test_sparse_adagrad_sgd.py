"""SparseAdagrad and SparseSgd equal a NumPy row loop, and Keras on dense gradients."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from optimizer_cases import ROWS, TOUCHED, random_slices, train_dense, train_reference, train_sparse

from tfwd.errors import ConfigError
from tfwd.optimizers import SparseAdagrad, SparseSgd

# Of the size that embeddings have: float32 then resolves 1e-8, so that 200 roundings stay under 1e-6.
START = (0.1 * np.random.default_rng(0).normal(size=(ROWS, 3))).astype(np.float32)


def adagrad_row(weights: np.ndarray, gradient: np.ndarray, state: dict[str, np.ndarray], _: int) -> np.ndarray:
    state["sum"] = state["sum"] + gradient**2
    return weights - 0.01 * gradient / np.sqrt(state["sum"] + 1e-7)


def sgd_row(weights: np.ndarray, gradient: np.ndarray, _state: dict[str, np.ndarray], _: int) -> np.ndarray:
    return weights - 0.01 * gradient


CASES = {
    "adagrad": (SparseAdagrad, keras.optimizers.Adagrad, adagrad_row, {"sum": 0.1}),
    "sgd": (SparseSgd, keras.optimizers.SGD, sgd_row, {}),
}


@pytest.mark.parametrize("name", CASES)
def test_equals_a_numpy_row_loop_and_keras(name: str) -> None:
    sparse, dense, row_step, slots = CASES[name]
    slices = random_slices(200, 3)
    table = train_sparse(sparse(0.01), slices, START).numpy()
    reference = train_reference(row_step, slices, START, slots)
    np.testing.assert_allclose(table, reference, rtol=0, atol=1e-6)
    keras_table = train_dense(dense(0.01), slices, START).numpy()
    np.testing.assert_allclose(table, keras_table, rtol=0, atol=1e-6)
    assert np.array_equal(table[TOUCHED:], START[TOUCHED:])


@pytest.mark.parametrize("options", [{"momentum": 0.9}, {"nesterov": True}])
def test_momentum_is_refused_by_name(options: dict[str, object]) -> None:
    (name,) = options
    with pytest.raises(ConfigError, match=f"SparseSgd has no {name}.*lazy_adam"):
        SparseSgd(**options)
