"""tfwd by its public function `tfwd.fit`, from the file."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np

import tfwd
from benchmarks.peers.clock import Clock, contend, stamps
from benchmarks.peers.work import Source, Work
from tfwd.inference.tensorflow_scorer import keras_scorer


def configuration(work: Work, path: Path, seed: int) -> tfwd.Config:
    """The work as a configuration."""
    categories = [tfwd.Categorical(name, embedding=work.embedding) for name in work.categories]
    numbers = [tfwd.Numeric(name) for name in work.numbers]
    crosses = [tfwd.Cross(keys, work.bins) for keys in work.crosses]
    return tfwd.Config(
        data=tfwd.DataConfig(train=str(path), label=tfwd.LabelConfig(column=work.label), validation_fraction=0.0),
        features=(*categories, *numbers, *crosses),
        model=tfwd.ModelConfig(hidden_units=work.hidden),
        train=tfwd.TrainConfig(
            batch_size=work.batch,
            epochs=work.epochs,
            seed=seed,
            shuffle_rows=work.shuffle,
            wide_optimizer=tfwd.OptimizerConfig(name="sparse_ftrl", learning_rate=work.ftrl),
            deep_optimizer=tfwd.OptimizerConfig(name="lazy_adam", learning_rate=work.adam),
            early_stopping=None,
            tensorboard=False,
        ),
    )


def predictions(model: tfwd.WideDeep, folder: Path) -> tuple[Any, Any]:
    """Labels and probabilities of the test rows."""
    rows = tfwd.Rows(tfwd.Source.open(str(folder / "test.parquet")), model.schema)
    scorer = keras_scorer(model)
    scored = [(batch.label, scorer.score(batch.inputs)["probability"]) for batch in rows.batches(8192)]
    return np.concatenate([label for label, _ in scored]), np.concatenate([answer for _, answer in scored])


def run(work: Work, clock: Clock, folder: Path, source: Source, seed: int) -> tuple[Any, Any]:
    """Trains, and predicts the test rows."""

    class Begin(keras.callbacks.Callback):
        def on_train_begin(self, logs: Any = None) -> None:
            clock.begin_fit()

    with tempfile.TemporaryDirectory() as runs:
        config = configuration(work, folder / f"train.{source}", seed)
        trained = tfwd.fit(config, Path(runs) / "run", callbacks=[Begin(), stamps(keras.callbacks.Callback, clock)])
        clock.end_fit()
        return predictions(trained.model, folder)


if __name__ == "__main__":
    contend(run)
