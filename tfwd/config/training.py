"""The section `train`: steps, optimizers, early stopping, and the metric that selects the best step."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from tfwd.config.labels import text_of
from tfwd.config.optimizers import OptimizerConfig
from tfwd.config.section import LARGEST, MOST, Count, PathText, Section, refuse_twice


class EarlyStoppingConfig(Section):
    """When to stop: `patience` evaluations without a better `monitor` on the validation rows.

    Args:
        monitor: a metric of the task; `auto` is the log loss, or the RMSE of a regression.
        patience: the number of evaluations.
    """

    monitor: str = "auto"
    patience: Count = 3


class TrainConfig(Section):
    """How to train.

    Args:
        epochs: the most passes over the training rows.
        max_steps: the most batches.
        batch_size: rows per step.
        seed: the seed of the weights, the order of the rows and the dropout.
        wide_optimizer: the optimizer of the wide head.
        deep_optimizer: the optimizer of the deep head.
        early_stopping: null trains all epochs; the best step is kept in any case.
        refit: trains once more, from new weights, on training and validation rows together, for as many
            passes over the rows as validation chose.
        evaluate_every: evaluate after this many steps instead of after every epoch.
        checkpoint_every: checkpoint after this many steps, in addition to every evaluation.
        class_weights: a weight per label value.
        cache: `ids` keeps the transformed training rows in memory and shuffles all of them every epoch; `none` streams
            them, the validation rows too; `auto` chooses `ids` when there is more than one epoch and they fit
            `cache_bytes`.
        cache_bytes: the memory that cached ids may take.
        shuffle_rows: rows in the shuffle buffer when streaming.
        steps_per_execution: steps in one call of the compiled loop.
        deterministic: use TensorFlow's op determinism: bit-identical weights, more slowly.
        tensorboard: write TensorBoard logs.
        warm_start_from: a finished run: what it has learned is carried over by name, optimizer state included.
        warm_start_vocabulary: for learned vocabularies: `new` uses the values of the training rows, `grow` keeps those
            of the older run too; `auto` is `grow` if `data.since` or `data.until` selects the rows.
    """

    epochs: Count = 10
    max_steps: Count | None = None
    batch_size: int = Field(default=512, ge=1, le=2**31 - 1)
    seed: int = Field(default=0, ge=0, lt=2**31)
    wide_optimizer: OptimizerConfig = OptimizerConfig(name="sparse_ftrl", learning_rate=0.1)
    deep_optimizer: OptimizerConfig = OptimizerConfig(name="lazy_adam", learning_rate=0.001)
    early_stopping: EarlyStoppingConfig | None = EarlyStoppingConfig()
    refit: bool = False
    evaluate_every: Count | None = None
    checkpoint_every: Count | None = None
    class_weights: dict[str, Annotated[float, Field(ge=0, le=LARGEST)]] | None = None
    cache: Literal["auto", "ids", "none"] = "auto"
    cache_bytes: int = Field(default=2 * 1024**3, ge=0, le=MOST)
    shuffle_rows: Count = 100_000
    steps_per_execution: int = Field(default=16, ge=1, le=2**31 - 1)
    deterministic: bool = False
    tensorboard: bool = True
    warm_start_from: PathText | None = None
    warm_start_vocabulary: Literal["auto", "new", "grow"] = "auto"

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, values: Any) -> Any:
        if isinstance(values, dict):
            for key, usual in (("wide_optimizer", "sparse_ftrl"), ("deep_optimizer", "lazy_adam")):
                given = {"name": values[key]} if isinstance(values.get(key), str) else values.get(key)
                if isinstance(given, dict):
                    # `--set train.wide_optimizer.beta=1` refers to the optimizer that is used without a section.
                    values = {**values, key: {"name": usual, **given}}
            weights = values.get("class_weights")
            if isinstance(weights, dict):
                # YAML reads the labels 0 and 1 as numbers, and true as a truth value.
                texts = {label: str(label) for label in weights}
                refuse_twice("class_weights", [text_of(text) for text in texts.values()])
                values = {**values, "class_weights": {texts[label]: weight for label, weight in weights.items()}}
        return values


MONITORS = {
    "binary": ("log_loss", "auc", "auc_pr", "accuracy"),
    "multiclass": ("log_loss", "accuracy", "auc"),
    "regression": ("rmse", "mae", "r2"),
    "counts": ("poisson_deviance", "rmse", "mae", "r2"),
}
