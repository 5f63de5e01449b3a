"""tf.estimator 2.15: `DNNLinearCombinedClassifier` on feature columns, fed by `tf.data` from arrays in memory.

It watches no AUC while it trains, which is in its favour.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks.peers.clock import Clock, contend
from benchmarks.peers.work import Source, Work, read


def columns(work: Work, train: Any) -> tuple[list[Any], list[Any]]:
    """The feature columns of the linear and of the deep part; vocabularies and moments are those of the rows."""
    column = tf.feature_column
    ids = {
        name: column.categorical_column_with_vocabulary_list(name, sorted(train[name].unique()), num_oov_buckets=1)
        for name in work.categories
    }
    wide = [*ids.values(), *(column.crossed_column(list(keys), work.bins) for keys in work.crosses)]
    deep = [column.embedding_column(ids[name], work.embedding) for name in work.categories]
    for name in work.numbers:
        mean, deviation = float(train[name].mean()), float(train[name].std())
        deep.append(
            column.numeric_column(name, normalizer_fn=lambda x, m=mean, d=deviation: (tf.cast(x, tf.float32) - m) / d)
        )
    return wide, deep


def run(work: Work, clock: Clock, folder: Path, source: Source, seed: int) -> tuple[Any, Any]:
    """Trains, and predicts the test rows."""
    names = [*work.categories, *work.numbers]
    train = read(folder, "train", source)
    wide, deep = columns(work, train)
    inputs = {name: train[name].to_numpy() for name in names}
    label = train[work.label].to_numpy(np.int64)

    # Arrays given to `from_tensor_slices` would become constants of the graph, which cost seconds to start with.
    def batches() -> Iterator[tuple[dict[str, Any], Any]]:
        random = np.random.default_rng(seed)
        for _ in range(work.epochs):
            order = random.permutation(len(label))
            for start in range(0, len(label), work.batch):
                rows = order[start : start + work.batch]
                yield {name: column[rows] for name, column in inputs.items()}, label[rows]

    def training() -> tf.data.Dataset:
        kinds = {name: tf.TensorSpec((None,), tf.string) for name in work.categories}
        kinds |= {name: tf.TensorSpec((None,), tf.float32) for name in work.numbers}
        dataset = tf.data.Dataset.from_generator(batches, output_signature=(kinds, tf.TensorSpec((None,), tf.int64)))
        return dataset.prefetch(tf.data.AUTOTUNE)

    class Stamps(tf.estimator.SessionRunHook):
        def after_run(self, context: Any, values: Any) -> None:
            clock.reached(clock.steps + 1)

    with tempfile.TemporaryDirectory() as models:
        classifier = tf.estimator.DNNLinearCombinedClassifier(
            model_dir=models,
            linear_feature_columns=wide,
            linear_optimizer=tf.keras.optimizers.legacy.Ftrl(work.ftrl, initial_accumulator_value=1e-5),
            dnn_feature_columns=deep,
            dnn_optimizer=tf.keras.optimizers.legacy.Adam(work.adam),
            dnn_hidden_units=list(work.hidden),
            config=tf.estimator.RunConfig(tf_random_seed=seed, save_summary_steps=None, log_step_count_steps=None),
        )
        clock.begin_fit()
        classifier.train(training, hooks=[Stamps()])
        clock.end_fit()
        test = read(folder, "test")
        features = {name: test[name].to_numpy() for name in names}
        scored = classifier.predict(
            lambda: tf.data.Dataset.from_tensor_slices(features).batch(8192), yield_single_examples=False
        )
        probability = np.concatenate([batch["logistic"][:, 0] for batch in scored])
    return test[work.label], probability


if __name__ == "__main__":
    contend(run)
