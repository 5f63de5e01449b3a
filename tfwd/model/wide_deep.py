"""`WideDeep`: the transform and the two heads as one Keras model."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfwd.data.raw import choose
from tfwd.data.reading import Reading
from tfwd.errors import ConfigError, ExportError
from tfwd.features.layout import Layout
from tfwd.features.raw_tensors import raw_tensors
from tfwd.layers.vocabulary_lookup import VocabularyLookup
from tfwd.model.finite import finite_after
from tfwd.model.losses import expected_count, task_loss, task_metrics
from tfwd.model.older_files import inputs_by_name
from tfwd.model.ranker import Heads
from tfwd.model.train_function import steps_function
from tfwd.optimizers import JointOptimizer, LazyAdam, SparseFtrl
from tfwd.schema import DTYPES, Schema

Tensors = dict[str, tf.Tensor]


@keras.saving.register_keras_serializable("tfwd")
class WideDeep(keras.Model):
    """Wide & Deep (Cheng et al. 2016): `link(ranker(transform(raw)))`.

    A Keras model like any other: `compile`, `fit`, `evaluate`, `predict`, `save("m.keras")` and
    `keras.saving.load_model`. It takes raw batches, or transformed ones (see `transformed`), and learns the same from
    both. Inputs are matched by name: anything else in a batch is ignored, for example the label's column.

    A model made only from a configuration (`from_config`, `keras.models.clone_model`, `model_from_json`) lacks what was
    learned from the data and refuses to be used: vocabularies, boundaries and ranges are in `.keras` files.

    Args:
        transform: turns raw inputs into ids and numbers, from `build_transform`.
        ranker: turns ids and numbers into logits, from `build_ranker`.
        schema: the raw inputs and the answer.
        layout: the rows of the tables.
        reading: how a file is read into raw batches, if that is known.

    Call:
        `{input: (B,)}` or the transform's outputs -> float32: the probability of the positive class `(B, 1)`, the
        probabilities of the classes `(B, C)`, or the prediction `(B, 1)`. An input of one value per row may be
        `(B, 1)`, one of lists `(B, K)`, a RaggedTensor or a SparseTensor.

    Raises:
        DataError: an input is missing, or its shape or type does not fit the schema.
    """

    train_function: Any

    def __init__(
        self,
        transform: keras.Model,
        ranker: keras.Model,
        schema: Schema | dict[str, Any],
        layout: Layout | dict[str, Any],
        reading: Reading | dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.transform, self.ranker = transform, ranker
        self.schema = schema if isinstance(schema, Schema) else Schema.from_dict(schema)
        self.layout = layout if isinstance(layout, Layout) else Layout.from_dict(layout)
        self.reading = reading if reading is None or isinstance(reading, Reading) else Reading.from_dict(reading)
        self.built = True
        self._knows_its_data = True

    @property
    def heads(self) -> Heads:
        """The layers that compute and sum the logits."""
        return Heads.of(self.ranker)

    def __call__(self, inputs: Any, *rest: Any, **options: Any) -> Any:
        """Like `call`. Inputs are chosen before Keras sees them, since it would wrap the error of a missing one."""
        return super().__call__(self._chosen(inputs), *rest, **options)

    def call(self, inputs: Tensors, training: bool = False) -> tf.Tensor:
        """Turns raw or transformed inputs into the answer; see the class."""
        return self.link(self.logits(inputs, training=training))

    def logits(self, inputs: Tensors, training: bool = False) -> tf.Tensor:
        """Turns raw or transformed inputs into logits, float32 `(B, 1)` or `(B, C)`."""
        chosen = self._chosen(inputs)
        transformed = chosen if self.is_transformed(chosen) else self.transform(chosen)
        return self.ranker(transformed, training=training)

    def _chosen(self, inputs: Any) -> Tensors:
        """Returns the model's inputs in a batch, by name: the transformed ones if it has them, else the raw ones."""
        self._refuse_without_data()
        if self.is_transformed(inputs):
            return {tensor.name: inputs[tensor.name] for tensor in self.ranker.inputs}
        return raw_tensors(self.schema, inputs)

    def _refuse_without_data(self) -> None:
        tables = [layer.table for layer in self.transform.layers if isinstance(layer, VocabularyLookup)]
        if not self._knows_its_data or None in tables:
            raise ConfigError(
                "This model was made from a configuration alone, for example by from_config, clone_model or "
                "model_from_json, and lacks the vocabularies, boundaries and ranges of its data. Load a saved model "
                "with keras.saving.load_model, or make a new model with tfwd.build_model(config, statistics, schema)."
            )

    def link(self, logits: tf.Tensor) -> tf.Tensor:
        """Returns the answer for logits: their sigmoid (binary), softmax (multi-class), exp (counts), or themselves."""
        if self.schema.task == "binary":
            return tf.sigmoid(logits)
        if self.schema.counts:
            return expected_count(logits)
        return tf.nn.softmax(logits) if self.schema.task == "multiclass" else logits

    def answers(self, logits: tf.Tensor) -> Tensors:
        """Returns what is served for logits `(B, 1)` or `(B, C)`, without a last dimension of 1.

        Returns:
            Regression: `prediction` `(B,)`. Binary: `probability` of the positive class and its `logit`, `(B,)`.
            Multi-class: `probability` and `logit`, `(B, C)`.
        """
        found = {self.schema.answer: self.link(logits)}
        if self.schema.task != "regression":
            found["logit"] = logits
        if self.schema.task == "multiclass":
            return found
        return {name: tf.squeeze(values, 1) for name, values in found.items()}

    def is_transformed(self, inputs: Any) -> bool:
        """Returns whether a batch was transformed: a raw one may have additional keys of any name."""
        if not isinstance(inputs, Mapping) or all(entry.name in inputs for entry in self.schema.inputs):
            return False
        return all(tensor.name in inputs for tensor in self.ranker.inputs)

    def transformed(self, dataset: tf.data.Dataset, transform: Callable[..., Any] | None = None) -> tf.data.Dataset:
        """Maps a `batch_transform`, a new one when None, over raw `(x, y)`, `(x, y, w)` or `x` batches, in parallel."""
        return dataset.map(transform or self.batch_transform(), num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)

    def batch_transform(self) -> Callable[..., Any]:
        """Returns the transform of such batches, which is traced once for all datasets of one kind."""

        @tf.function(autograph=False)
        def transform(inputs: Tensors, *rest: Any) -> Any:
            transformed = self.transform(raw_tensors(self.schema, inputs))
            return (transformed, *rest) if rest else transformed

        return transform

    def compile(
        self,
        optimizer: Any = None,
        loss: Any = None,
        metrics: Any = None,
        jit_compile: bool | str = False,
        steps_per_execution: int = 1,
        **options: Any,
    ) -> None:
        """Like `keras.Model.compile`, with the defaults of Wide & Deep for what is not given.

        Args:
            optimizer: a `JointOptimizer` of `SparseFtrl` and `LazyAdam` when None.
            loss: the task's when None. A loss with `from_logits` set gets logits, any other the model's answer.
            metrics: the task's when None; they get the model's answer.
            jit_compile: False, or "auto", which means the same: XLA supports neither strings nor sparse updates.
            steps_per_execution: steps in one call of the compiled loop. As in Keras, a call ends with the data, not
                with `fit`'s `steps_per_epoch`: make `steps_per_epoch` a multiple of it.
            options: the rest of `keras.Model.compile`.
        """
        if jit_compile not in (False, "auto"):
            raise ValueError("jit_compile=True is not possible: XLA has neither strings nor sparse updates.")
        heads = self.heads
        super().compile(
            optimizer=optimizer
            or JointOptimizer(wide=SparseFtrl() if heads.wide else None, deep=LazyAdam() if heads.deep else None),
            loss=loss if loss is not None else task_loss(self.schema, float(heads.logit.scale.numpy())),
            metrics=metrics if metrics is not None else task_metrics(self.schema),
            jit_compile=False,
            steps_per_execution=steps_per_execution,
            **options,
        )

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles the model as it was when saved; called by Keras when it is loaded."""
        known = set(inspect.signature(keras.Model.compile).parameters)
        arguments = keras.saving.deserialize_keras_object(config)
        self.compile(**{key: value for key, value in arguments.items() if key in known})
        self.optimizer.build(self.trainable_variables)

    def fit(self, x: Any = None, *rest: Any, **options: Any) -> Any:
        """Like `keras.Model.fit`; `x` is a dict of inputs by name, or a dataset or generator of `(x, y)` batches."""
        given = inspect.signature(super().fit).bind(self._whole(x), *rest, **options).arguments
        validation = given.get("validation_data")
        if isinstance(validation, tuple | list):
            given["validation_data"] = (self._whole(validation[0]), *validation[1:])
        return super().fit(**given)

    def evaluate(self, x: Any = None, *rest: Any, **options: Any) -> Any:
        """Like `keras.Model.evaluate`; `x` as in `fit`."""
        return super().evaluate(self._whole(x), *rest, **options)

    def predict(self, x: Any, *rest: Any, **options: Any) -> Any:
        """Like `keras.Model.predict`; `x` as in `fit`, with any number of rows."""
        x = self._whole(x)
        if isinstance(x, dict) and not len(next(iter(x.values()))):
            return np.zeros((0, self.schema.outputs), np.float32)
        return super().predict(x, *rest, **options)

    def train_on_batch(self, x: Any, *rest: Any, **options: Any) -> Any:
        """Like `keras.Model.train_on_batch`; `x` is a dict of inputs by name."""
        return super().train_on_batch(self._whole(x), *rest, **options)

    def test_on_batch(self, x: Any, *rest: Any, **options: Any) -> Any:
        """Like `keras.Model.test_on_batch`; `x` is a dict of inputs by name."""
        return super().test_on_batch(self._whole(x), *rest, **options)

    def predict_on_batch(self, x: Any) -> Any:
        """Like `keras.Model.predict_on_batch`; `x` is a dict of inputs by name."""
        return super().predict_on_batch(self._whole(x))

    def _whole(self, x: Any) -> Any:
        """Returns all rows at once as tensors by name, which Keras slices; what else yields batches is unchanged.

        The values of arrays are checked, and strings and missing values, which Keras cannot read, become tensors.
        """
        if isinstance(x, Mapping):
            return self._chosen(x)
        if isinstance(x, list | tuple) or hasattr(x, "shape"):
            choose(self.schema, x)
        return x

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """Takes one joint step: one loss, back-propagated into both heads at once (section 3.3)."""
        return self.step(data)[0]

    def step(self, data: Any) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        """Like `train_step`; also returns whether each trainable variable is finite where it changed, bool `(V,)`."""
        x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
        with tf.GradientTape() as tape:
            answer, loss = self._forward(x, y, weight, training=True)
        variables = self.trainable_variables
        gradients = tape.gradient(loss, variables)
        self.optimizer.apply(gradients, variables)
        metrics = self.compute_metrics(x, y, answer, sample_weight=weight)
        return metrics, finite_after(variables, gradients)

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        """Returns the loss and metrics of one batch."""
        x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
        answer, _ = self._forward(x, y, weight, training=False)
        return self.compute_metrics(x, y, answer, sample_weight=weight)

    def _forward(self, x: Any, y: Any, weight: Any, training: bool) -> tuple[tf.Tensor, tf.Tensor]:
        logits = self.logits(x, training=training)
        answer = self.link(logits)
        scored = logits if getattr(self.loss, "from_logits", False) else answer
        loss = self.compute_loss(x=x, y=y, y_pred=scored, sample_weight=weight, training=training)
        # Keras has divided the loss by the number of replicas, since gradients are then summed over them.
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        self._loss_tracker.update_state(loss * replicas, sample_weight=tf.shape(logits)[0])
        return answer, loss

    def build_metrics(self) -> None:
        """Makes the metrics' variables, which Keras would make in the first step, so that their values can be set."""
        answers = self.ranker.output_shape[-1]
        label = tf.zeros((1, 1), tf.int32 if self.schema.task == "multiclass" else tf.float32)
        self.compute_metrics(None, label, tf.fill((1, answers), 1.0 / answers))
        self.reset_metrics()

    def make_train_function(self, force: bool = False) -> Any:
        """Compiles `steps_per_execution` steps into one call; see `training_loop`."""
        if self.run_eagerly:
            return super().make_train_function(force)
        if self.train_function is None or force:
            # A traced function that makes variables is traced again.
            if not self.optimizer.built:
                with self.distribute_strategy.scope():
                    self.optimizer.build(self.trainable_variables)
            self.train_function = steps_function(self)
        return self.train_function

    def save(self, filepath: str | Path, *rest: Any, **options: Any) -> None:
        """Like `keras.Model.save`.

        Raises:
            ExportError: the format is HDF5, which cannot hold vocabularies.
        """
        if str(filepath).endswith((".h5", ".hdf5")):
            raise ExportError(
                f"{filepath}: an HDF5 file cannot hold a model's vocabularies. Save it as .keras, or its weights alone "
                "with save_weights."
            )
        super().save(filepath, *rest, **options)

    def export(self, filepath: str | Path, format: str = "tf_saved_model", *rest: Any, **options: Any) -> None:
        """Like `keras.Model.export`, for raw inputs by name; `export.savedmodel` writes one that is checked row by row.

        Raises:
            ExportError: Keras cannot write the format for this model.
        """
        if format != "tf_saved_model":
            raise ExportError(
                f"Keras' own export cannot write vocabularies to {format!r}. Use export.onnx.save(model, file) or "
                "export.savedmodel.save(model, folder, name=...)."
            )
        self._refuse_without_data()
        if options.get("input_signature") is None:
            specs = {e.name: tf.TensorSpec(e.shape, DTYPES[e.kind], e.name) for e in self.schema.inputs}
            options["input_signature"] = [specs]
        super().export(filepath, format, *rest, **options)

    def load_own_variables(self, store: Any) -> None:
        """Called by Keras to load what was learned from a file into the model made from its configuration."""
        super().load_own_variables(store)
        self._knows_its_data = True

    def set_weights(self, weights: Any) -> None:
        """Like `keras.Model.set_weights`; boundaries and ranges are among the weights, vocabularies are not."""
        super().set_weights(weights)
        self._knows_its_data = True

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments; vocabularies are assets, everything else learned is in the weights."""
        return {
            **super().get_config(),
            "transform": keras.saving.serialize_keras_object(self.transform),
            "ranker": keras.saving.serialize_keras_object(self.ranker),
            "schema": self.schema.to_dict(),
            "layout": self.layout.to_dict(),
            "reading": None if self.reading is None else self.reading.to_dict(),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> WideDeep:
        """Makes the model from `get_config`, without what was learned from the data; see the class."""
        parts = {
            key: keras.saving.deserialize_keras_object(inputs_by_name(config[key]), custom_objects=custom_objects)
            for key in ("transform", "ranker")
        }
        model = cls(**{**config, **parts})
        model._knows_its_data = False
        return model
