"""A transform with vocabularies of one word, for use where whole vocabularies should not be in memory."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tfwd.layers.cross_features import CrossFeatures
from tfwd.layers.vocabulary_lookup import VocabularyLookup
from tfwd.model.wide_deep import WideDeep

_STAND_IN_ROUNDS = 3


class _SmallCrosses(CrossFeatures):
    """Crosses whose rounds of all ids are a few random numbers."""

    def build(self, input_shape: Any) -> None:
        """Makes the weights, each with distinct values, so that it can be found in a graph."""
        generator = np.random.default_rng(0)
        self.first, self.later = (
            self.add_weight(
                name=name,
                shape=(_STAND_IN_ROUNDS,),
                dtype="uint64",
                initializer=lambda *_, **__: keras.ops.convert_to_tensor(
                    generator.integers(2**63, size=_STAND_IN_ROUNDS, dtype=np.uint64)
                ),
                trainable=False,
            )
            for name in ("first", "later")
        )


def small_transform(model: WideDeep) -> tuple[keras.Model, dict[str, list[str]]]:
    """Returns a copy of the transform whose size doesn't depend on its vocabularies.

    Args:
        model: the model of the transform.

    Returns:
        The transform, with equal weights except for the rounds of crosses; and the vocabulary that each lookup's single
        word stands for, by that word. Equal vocabularies share a word, so that a converter sees that their lookups are
        equal.
    """
    vocabularies: dict[str, list[str]] = {}
    words: dict[tuple[str, ...], str] = {}

    def small(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = layer.get_config()
        if isinstance(layer, VocabularyLookup):
            vocabulary = layer.vocabulary
            word = words.setdefault(tuple(vocabulary), f"vocabulary {len(words)}")
            vocabularies[word] = vocabulary
            lookup = VocabularyLookup.from_config({**config, "size": 1})
            lookup.set_vocabulary([word])
            return lookup
        kind = _SmallCrosses if isinstance(layer, CrossFeatures) else type(layer)
        return kind.from_config(config)

    transform = keras.models.clone_model(model.transform, clone_function=small)
    for ours, theirs in zip(transform.layers, model.transform.layers, strict=True):
        if not isinstance(ours, _SmallCrosses):
            ours.set_weights(theirs.get_weights())
    return transform, vocabularies


def rounds(transform: keras.Model) -> dict[str, keras.Variable]:
    """Returns the weights of a transform that hold the rounds of all ids of its crosses, uint64 `(ids,)`, by name."""
    found = [layer for layer in transform.layers if isinstance(layer, CrossFeatures)]
    return {f"{layer.name}/{which}": getattr(layer, which) for layer in found for which in ("first", "later")}
