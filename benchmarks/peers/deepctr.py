"""DeepCTR 0.9.3: `WDL` on ids, trained by one Adam as its documentation does.

It takes ids, not strings, and knows no crosses: pandas and NumPy make both here, the crosses hashed to the same number
of bins. Its L2 penalties are off, as everywhere.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tensorflow as tf
from deepctr.feature_column import DenseFeat, SparseFeat, get_feature_names  # type: ignore[import-not-found]
from deepctr.models import WDL  # type: ignore[import-not-found]
from tensorflow.python.keras.callbacks import Callback
from tensorflow.python.keras.metrics import AUC
from tensorflow.python.keras.optimizer_v2.adam import Adam

from benchmarks.peers.clock import Clock, contend, stamps
from benchmarks.peers.work import Source, Work, read


def encode(work: Work, frame: pd.DataFrame, train: dict[str, Any]) -> dict[str, Any]:
    """Columns as WDL takes them: ids (0 is unknown), crossed ids, z-scored numbers.

    Args:
        work: names the columns.
        frame: the rows.
        train: what `learn` found in the training rows.
    """
    columns: dict[str, Any] = {}
    for name in work.categories:
        columns[name] = pd.Categorical(frame[name], categories=train[name]).codes.astype(np.int64) + 1
    for keys in work.crosses:
        mixed = np.zeros(len(frame), np.uint64)
        for key in keys:
            mixed = (mixed + columns[key].astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
            mixed ^= mixed >> np.uint64(32)
        columns["_x_".join(keys)] = (mixed % np.uint64(work.bins)).astype(np.int64)
    for name in work.numbers:
        mean, deviation = train[name]
        columns[name] = ((frame[name] - mean) / deviation).to_numpy(np.float32)
    return columns


def learn(work: Work, frame: pd.DataFrame) -> dict[str, Any]:
    """Vocabularies of the categories, mean and standard deviation of the numbers."""
    learned: dict[str, Any] = {name: frame[name].unique() for name in work.categories}
    return learned | {name: (frame[name].mean(), frame[name].std()) for name in work.numbers}


def run(work: Work, clock: Clock, folder: Path, source: Source, seed: int) -> tuple[Any, Any]:
    """Trains, and predicts the test rows."""
    train = read(folder, "train", source)
    learned = learn(work, train)
    columns = encode(work, train, learned)
    sparse = [SparseFeat(name, len(learned[name]) + 1, embedding_dim=work.embedding) for name in work.categories]
    crossed = [SparseFeat("_x_".join(keys), work.bins) for keys in work.crosses]
    dense = [DenseFeat(name, 1) for name in work.numbers]
    tf.random.set_seed(seed)
    np.random.seed(seed)
    model = WDL(
        sparse + crossed,
        sparse + dense,
        dnn_hidden_units=work.hidden,
        l2_reg_linear=0,
        l2_reg_embedding=0,
        seed=seed,
    )
    model.compile(Adam(work.adam), "binary_crossentropy", metrics=[AUC()])
    names = get_feature_names(sparse + crossed + dense)
    clock.begin_fit()
    model.fit(
        {name: columns[name] for name in names},
        train[work.label].to_numpy(),
        batch_size=work.batch,
        epochs=work.epochs,
        callbacks=[stamps(Callback, clock)],
        verbose=0,
    )
    clock.end_fit()
    test = read(folder, "test")
    columns = encode(work, test, learned)
    return test[work.label], model.predict({name: columns[name] for name in names}, batch_size=8192)


if __name__ == "__main__":
    contend(run)
