"""Is the model worse for what makes it quick? `python -m benchmarks.equivalence`.

Two things make a step follow the batch: `LazyAdam` moves only the embeddings that a batch touches, and features share
tables. Here the same work is trained with dense Adam instead, and as a plain Keras model with one
`keras.layers.Embedding` a feature and head. All three of a seed begin with equal weights and see equal batches in equal
order, so that their exact test AUCs can be compared in pairs.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import tempfile
from pathlib import Path

import keras
import numpy as np
import pandas as pd

import tfwd
from benchmarks.throughput import configuration
from benchmarks.timing import markdown
from tfwd.datasets import clicks
from tfwd.metrics.tasks import auc
from tfwd.model.losses import task_loss
from tfwd.optimizers import DenseAdam, JointOptimizer, LazyAdam, SparseFtrl
from tfwd.training.stream import CachedIds

BATCH, READ_ROWS = 1024, 8192
BASE, DENSE, APART = "tfwd", "with dense Adam", "with a Keras Embedding a feature"


def apart(model: tfwd.WideDeep) -> keras.Model:
    """The same heads in plain Keras, with one `Embedding` a feature and head, and the weights of `model`.

    Args:
        model: of categories, crosses and numbers, the numbers read by the deep head alone.

    Returns:
        A model from the transform's outputs to the logit, its variables under `wide/` and `deep/`.
    """
    weights = {variable.path: variable.numpy() for variable in model.ranker.variables}
    inputs = {
        entry.name: keras.Input(entry.shape[1:], dtype=entry.dtype, name=entry.name) for entry in model.ranker.inputs
    }
    found: dict[str, list[keras.KerasTensor]] = {}
    for table in model.layout.tables:
        head = "wide" if table.name == "wide" else "deep"
        fused = weights["wide/categories/table" if head == "wide" else f"deep/{table.name}/table"]
        for column, part in enumerate(table.ranges):
            layer = keras.layers.Embedding(part.rows, table.dim, name=f"{head}_{part.feature}")
            with keras.name_scope(head):
                found.setdefault(head, []).append(layer(inputs[table.ids][:, column] - part.start))
            layer.set_weights([fused[part.start : part.start + part.rows]])
    joined = keras.layers.Concatenate()([*found["deep"], inputs["numeric"]])
    with keras.name_scope("deep"):
        for name in ("tower/dense_0", "tower/dense_1", "tower/dense_2", "logits"):
            kernel, bias = weights[f"deep/{name}/kernel"], weights[f"deep/{name}/bias"]
            layer = keras.layers.Dense(
                kernel.shape[1], None if name == "logits" else "relu", name=name.replace("/", "_")
            )
            joined = layer(joined)
            layer.set_weights([kernel, bias])
    base = float(model.ranker.get_layer("logit").base.numpy()[0])
    return keras.Model(inputs, keras.layers.Add()([*found["wide"], joined]) + base)


class Work:
    """The clicks in memory, and the models that begin with a seed.

    Args:
        rows: training rows.
        test_rows: test rows, drawn by the same rule.
        bins: of every cross.
    """

    def __init__(self, rows: int, test_rows: int, bins: int) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "clicks.parquet"
            clicks.write(path, rows + test_rows, with_probability=True)
            frame = pd.read_parquet(path)
        train, self.test = frame[:rows].drop(columns="probability"), frame[rows:]
        config = configuration("")
        features = [f.model_copy(update={"bins": bins}) if isinstance(f, tfwd.Cross) else f for f in config.features]
        self.config = config.replace(features=tuple(features))
        source = tfwd.Source.open(train)
        schema = tfwd.resolve_schema(self.config, source)
        self.statistics = tfwd.analyze(tfwd.Rows(source, schema), self.config)
        self.schema = dataclasses.replace(schema, classes=self.statistics.label.classes)
        self.rows = tfwd.Rows(source, self.schema)

    def model(self, seed: int) -> tfwd.WideDeep:
        """An untrained model."""
        return tfwd.build_model(self.config.replace(train__seed=seed), self.statistics, self.schema)

    def fit(self, seed: int, epochs: int, deep: keras.optimizers.Optimizer, twin: bool) -> float:
        """The exact AUC, on the test rows, of a model or its twin with a table a feature and head."""
        model = self.model(seed)
        trained = apart(model) if twin else model
        trained.compile(
            optimizer=JointOptimizer(wide=SparseFtrl(), deep=deep),
            loss=task_loss(self.schema),
            metrics=[],
            jit_compile=False,
            steps_per_execution=16,
        )
        stream = CachedIds(model, self.rows, BATCH, seed, None)
        trained.fit(stream.steps(0, epochs * stream.steps_per_epoch), verbose=0)
        ranker = trained if twin else model.ranker
        test = tfwd.Rows(tfwd.Source.open(self.test), self.schema, labelled=False)
        logits = np.concatenate([ranker(x).numpy()[:, 0] for x in model.transformed(test.dataset(READ_ROWS))])
        return auc(self.test["clicked"].to_numpy(), logits)


def table(areas: dict[str, list[float]]) -> str:
    """A line a contender: mean AUC, and the mean of the paired differences with its standard error."""
    base = areas[BASE]
    lines = []
    for name, values in areas.items():
        differences = [ours - theirs for ours, theirs in zip(base, values, strict=True)]
        error = statistics.stdev(differences) / len(differences) ** 0.5 if len(differences) > 1 else float("nan")
        lines.append(
            [
                name,
                f"{statistics.mean(values):.4f}",
                "" if name == BASE else f"{statistics.mean(differences):+.5f} ± {error:.5f}",
                "" if name == BASE else f"{min(differences):+.5f} to {max(differences):+.5f}",
            ]
        )
    return markdown(["model", "test AUC, mean", "tfwd ahead by, mean ± standard error", "over the seeds"], lines)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--test-rows", type=int, default=100_000)
    parser.add_argument("--bins", type=int, default=20_000, help="of a cross: dense Adam passes over all of them")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(8)))
    parser.add_argument("--epochs", type=int, default=1)
    options = parser.parse_args()
    work = Work(options.rows, options.test_rows, options.bins)
    contenders: dict[str, tuple[type[keras.optimizers.Optimizer], bool]] = {
        BASE: (LazyAdam, False),
        DENSE: (DenseAdam, False),
        APART: (LazyAdam, True),
    }
    areas: dict[str, list[float]] = {name: [] for name in contenders}
    for seed in options.seeds:
        for name, (deep, twin) in contenders.items():
            areas[name].append(work.fit(seed, options.epochs, deep(), twin))
            keras.utils.clear_session()
    print(table(areas))
    best = auc(work.test["clicked"].to_numpy(), work.test["probability"].to_numpy())
    print(f"\nThe true probabilities have AUC {best:.4f}.")


if __name__ == "__main__":
    main()
