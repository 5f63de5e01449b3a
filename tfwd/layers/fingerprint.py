"""The arithmetic of hashed crosses: TensorFlow's 64-bit cat-fingerprint, in operations that ONNX has.

`tf.sparse.cross_hashed`, and so `keras.layers.HashedCrossing`, folds the 64-bit fingerprints of its inputs into one,
with a mix by FarmHash's author that originates in MurmurHash (Appleby, MurmurHash64A). All of it wraps in uint64.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

HASH_KEY = 956888297470
MULTIPLIER = 0xC6A4A7935BD1E995
# What stands for every value outside the vocabulary.
OOV_TOKEN = "[OOV]"


def fingerprint64(values: tf.Tensor) -> tf.Tensor:
    """Fingerprint64 (FarmHash) of strings.

    Args:
        values: string, any shape.

    Returns:
        uint64, the shape of `values`.
    """
    flat = tf.fingerprint(tf.reshape(values, [-1, 1]), method="farmhash64")
    return tf.reshape(tf.bitcast(flat, tf.uint64), tf.shape(values))


def vocabulary_fingerprints(vocabulary: list[str]) -> np.ndarray:
    """The fingerprints of a vocabulary's rows: OOV, missing (the empty string), then the entries; uint64 `(n + 2,)`."""
    values: np.ndarray = fingerprint64(tf.constant([OOV_TOKEN, "", *vocabulary])).numpy()
    return values


def cross_fingerprints(keys: list[tf.Tensor]) -> tf.Tensor:
    """The cat-fingerprint of several keys.

    Args:
        keys: uint64 tensors of one shape, one a key, in the order of the cross.

    Returns:
        uint64, the shape of a key.
    """
    multiplier = tf.constant(MULTIPLIER, tf.uint64)
    shift = tf.constant(47, tf.uint64)

    def mix(value: tf.Tensor) -> tf.Tensor:
        return tf.bitwise.bitwise_xor(value, tf.bitwise.right_shift(value, shift))

    fingerprint = tf.constant(HASH_KEY, tf.uint64)
    for key in keys:
        folded = tf.bitwise.bitwise_xor(fingerprint, multiplier)
        folded = tf.bitwise.bitwise_xor(folded, mix(key * multiplier) * multiplier) * multiplier
        fingerprint = mix(mix(folded) * multiplier)
    return fingerprint
