"""The transform, with what its crosses read among its outputs."""

from __future__ import annotations

import keras

from tfwd.layers.cross_features import CrossFeatures, crosses_of

# The names of the added outputs: the ids of the keys, and the fingerprints of hashed ones.
KEYS = ("keys.ids", "keys.fingerprints")


def with_keys(transform: keras.Model) -> tuple[keras.Model, CrossFeatures | None]:
    """Returns the transform with the inputs of its crosses added to its outputs, and the layer of crosses."""
    crosses = crosses_of(transform)
    if crosses is None or set(KEYS) & set(transform.output):
        return transform, crosses
    layers = {layer.name: layer for layer in transform.layers}
    outputs = dict(transform.output)
    for name, inner in zip(KEYS, ("features.keys", "features.fingerprints"), strict=True):
        if inner in layers:
            outputs[name] = layers[inner].output
    return keras.Model(transform.input, outputs), crosses
