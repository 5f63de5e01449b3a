"""Turns categories into ids through a vocabulary that is saved as an asset."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from tfwd.schema import MISSING_INTEGER

OOV_ID = 0
MISSING_ID = 1


@keras.saving.register_keras_serializable("tfwd")
class VocabularyLookup(keras.layers.Layer):
    """Looks a category up: 0 is out-of-vocabulary, 1 missing, then the vocabulary in order.

    Integers are formatted in decimal first, so that there is one kind of vocabulary. `keras.layers.StringLookup` saves
    one category per line, which breaks on a line break within one, and has no id for a missing value. May be used
    inside `tf.data`.

    Args:
        size: the number of categories in the vocabulary.
        integer: whether the input is int64 and `MISSING_INTEGER` is missing; otherwise it is string and "" is missing.

    Call:
        string or int64, any shape -> int64, the same shape.
    """

    def __init__(self, size: int, integer: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.size = size
        self.integer = integer
        self._vocabulary: list[str] = []
        self._table: tf.lookup.StaticHashTable | None = None

    @property
    def vocabulary(self) -> list[str]:
        """The categories, in the order of their ids from 2."""
        return list(self._vocabulary)

    @property
    def table(self) -> tf.lookup.StaticHashTable | None:
        """The lookup table, a resource that an export has to include; None before there is a vocabulary."""
        return self._table

    def set_vocabulary(self, vocabulary: list[str]) -> None:
        """Sets the categories, once, as many as the layer's size says.

        Raises:
            ValueError: their number is wrong, one occurs twice, or one stands for a missing value.
        """
        words = list(vocabulary)
        missing = str(MISSING_INTEGER) if self.integer else ""
        if len(words) != self.size or len(set(words)) != self.size or "" in words or missing in words:
            raise ValueError(
                f"{self.name} expects {self.size} different categories without {missing!r}, which is missing. "
                f"Received: {len(words)}, {len(set(words))} of them different"
            )
        self._vocabulary = words
        with tf.init_scope():
            keys = [missing, *words]
            ids = range(MISSING_ID, self.size + 2)
            initializer = tf.lookup.KeyValueTensorInitializer(
                tf.constant(keys), tf.constant(list(ids), tf.int64), tf.string, tf.int64
            )
            self._table = tf.lookup.StaticHashTable(initializer, default_value=OOV_ID)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Maps string or int64 to int64, shape kept."""
        if self._table is None:
            raise ValueError(f"{self.name} has no vocabulary yet. Call set_vocabulary, or load a saved model.")
        words = tf.strings.as_string(inputs) if self.integer else inputs
        # Without ensure_shape the ONNX converter loses the rank, and what follows may be silently wrong.
        return tf.ensure_shape(self._table.lookup(words), inputs.shape)

    def compute_output_spec(self, inputs: Any) -> keras.KerasTensor:
        """Returns int64 of the shape of the input."""
        return keras.KerasTensor(inputs.shape, "int64")

    def save_assets(self, dir_path: str) -> None:
        """Writes `vocabulary.json`, called by Keras when the model is saved."""
        text = json.dumps(self._vocabulary, ensure_ascii=False)
        (Path(dir_path) / "vocabulary.json").write_text(text, encoding="utf-8")

    def load_assets(self, dir_path: str) -> None:
        """Reads what `save_assets` wrote, called by Keras when the model is loaded."""
        self.set_vocabulary(json.loads((Path(dir_path) / "vocabulary.json").read_text(encoding="utf-8")))

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments; the vocabulary is an asset."""
        return {**super().get_config(), "size": self.size, "integer": self.integer}
