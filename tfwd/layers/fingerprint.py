"""The arithmetic of hashed crosses: TensorFlow's 64-bit cat-fingerprint, in operations that ONNX has.

`tf.sparse.cross_hashed`, and so `keras.layers.HashedCrossing`, folds the 64-bit fingerprints of its inputs into one,
with a mix by FarmHash's author that originates in MurmurHash (Appleby, MurmurHash64A). All arithmetic wraps in uint64.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

HASH_KEY = 956888297470
MULTIPLIER = 0xC6A4A7935BD1E995
# Represents every value outside the vocabulary.
OOV_TOKEN = "[OOV]"


def fingerprint64(values: tf.Tensor) -> tf.Tensor:
    """Returns the Fingerprint64 (FarmHash) of strings.

    Args:
        values: string, any shape.

    Returns:
        uint64, the shape of `values`.
    """
    flat = tf.fingerprint(tf.reshape(values, [-1, 1]), method="farmhash64")
    return tf.reshape(tf.bitcast(flat, tf.uint64), tf.shape(values))


def vocabulary_fingerprints(vocabulary: list[str]) -> np.ndarray:
    """Returns the fingerprints of OOV, missing (the empty string) and a vocabulary's entries; uint64 `(n + 2,)`."""
    values: np.ndarray = fingerprint64(tf.constant([OOV_TOKEN, "", *vocabulary])).numpy()
    return values


def key_rounds(fingerprints: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns what depends on only one key of a cross, so that it can be read from a table.

    Args:
        fingerprints: of the key's values, uint64.

    Returns:
        Two uint64 tensors of the same shape: the state of the hash after a first key, and what a later key adds.
    """
    multiplier = tf.constant(MULTIPLIER, tf.uint64)
    brought = tf.bitwise.bitwise_xor(_mix(fingerprints * multiplier) * multiplier, multiplier)
    return folded(tf.constant(HASH_KEY, tf.uint64), brought), brought


def folded(state: tf.Tensor, brought: tf.Tensor) -> tf.Tensor:
    """Returns the cat-fingerprint of the keys so far and one more.

    Args:
        state: the state of the keys so far, uint64; after one key, the first of its `key_rounds`.
        brought: what the next key adds, the second of its `key_rounds`; the same shape.
    """
    multiplier = tf.constant(MULTIPLIER, tf.uint64)
    return _mix(_mix(tf.bitwise.bitwise_xor(state, brought) * multiplier) * multiplier)


def _mix(value: tf.Tensor) -> tf.Tensor:
    return tf.bitwise.bitwise_xor(value, tf.bitwise.right_shift(value, tf.constant(47, tf.uint64)))
