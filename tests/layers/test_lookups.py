"""Lookups equal a dict, TensorFlow's own hash, and plain comparisons."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tfwd.layers.direct_lookup import EMPTY_FINGERPRINT, Fingerprint, HashedLookup, IdentityLookup
from tfwd.layers.fingerprint import OOV_TOKEN, vocabulary_fingerprints
from tfwd.layers.vocabulary_lookup import VocabularyLookup
from tfwd.schema import MISSING_INTEGER

words = st.lists(st.text(max_size=8), max_size=12)
integers = st.lists(st.integers(-(2**63), 2**63 - 1), max_size=12)


def lookup(vocabulary: list[str], integer: bool = False) -> VocabularyLookup:
    layer = VocabularyLookup(len(vocabulary), integer=integer)
    layer.set_vocabulary(vocabulary)
    return layer


@settings(max_examples=60, deadline=None)
@given(words, words)
@example(["a\nb", "a\r\nb", "nul\0", "nul", "\0", "é", "e\u0301", "年", " a", "a "], ["a", "NUL", "\n"])
def test_strings_equal_a_dict(known: list[str], others: list[str]) -> None:
    vocabulary = list(dict.fromkeys(word for word in known if word))
    ids = {"": 1, **{word: index + 2 for index, word in enumerate(vocabulary)}}
    values = known + others + [""]
    assert lookup(vocabulary)(tf.constant(values)).numpy().tolist() == [ids.get(value, 0) for value in values]


@settings(max_examples=60, deadline=None)
@given(integers, integers)
@example([2**63 - 1, -(2**63) + 1, 0, -1], [MISSING_INTEGER, 1])
def test_integers_equal_a_dict(known: list[int], others: list[int]) -> None:
    vocabulary = list(dict.fromkeys(value for value in known if value != MISSING_INTEGER))
    ids = {MISSING_INTEGER: 1, **{value: index + 2 for index, value in enumerate(vocabulary)}}
    values = known + others + [MISSING_INTEGER]
    answers = lookup([str(value) for value in vocabulary], integer=True)(tf.constant(values, tf.int64))
    assert answers.numpy().tolist() == [ids.get(value, 0) for value in values]


def test_vocabulary_survives_a_save(tmp_path: Path) -> None:
    vocabulary = ["line\nbreak", "tab\t", "quote\"'", "nul\0", "\\n", "年", "\u2028", "😀"]
    inputs = keras.Input((), dtype="string")
    layer = VocabularyLookup(len(vocabulary))
    model = keras.Model(inputs, layer(inputs))
    layer.set_vocabulary(vocabulary)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.layers[-1].vocabulary == vocabulary
    assert loaded(tf.constant(vocabulary)).numpy().tolist() == list(range(2, len(vocabulary) + 2))


@pytest.mark.parametrize(
    ("vocabulary", "size", "integer"),
    [(["a"], 2, False), (["a", "a"], 2, False), (["a", ""], 2, False), (["1", str(MISSING_INTEGER)], 2, True)],
)
def test_refuses_a_vocabulary_that_is_not_as_promised(vocabulary: list[str], size: int, integer: bool) -> None:
    with pytest.raises(ValueError, match=r"expects 2 different categories without .* Received"):
        VocabularyLookup(size, integer=integer).set_vocabulary(vocabulary)


def test_says_that_the_vocabulary_is_missing() -> None:
    with pytest.raises(ValueError, match="has no vocabulary yet"):
        VocabularyLookup(3)(tf.constant(["a"]))


@settings(max_examples=40, deadline=None)
@given(words, st.integers(1, 2**31 - 1))
@example(["a", "b", "c\0", "年"], 1)
def test_hashed_lookup_equals_to_hash_bucket_fast(values: list[str], size: int) -> None:
    values = [value for value in values if value] + ["x"]
    answers = HashedLookup(size)(Fingerprint()(tf.constant(values)))
    np.testing.assert_array_equal(answers, tf.strings.to_hash_bucket_fast(values, size))


@settings(max_examples=40, deadline=None)
@given(integers)
def test_integers_are_hashed_as_text(values: list[int]) -> None:
    known = [value for value in values if value != MISSING_INTEGER] + [0]
    answers = HashedLookup(1009)(Fingerprint()(tf.constant([*known, MISSING_INTEGER], tf.int64))).numpy()
    expected = tf.strings.to_hash_bucket_fast([str(value) for value in known], 1009)
    np.testing.assert_array_equal(answers[:-1], expected)
    assert answers[-1] == 1009


def farmhash(value: str) -> int:
    return int.from_bytes(tf.fingerprint(tf.constant([[value]])).numpy()[0].tobytes(), "little")


def test_missing_is_the_fingerprint_of_the_empty_string() -> None:
    assert farmhash("") == EMPTY_FINGERPRINT
    assert HashedLookup(7)(Fingerprint()(tf.constant(["", "a"]))).numpy()[0] == 7


def test_vocabulary_fingerprints_have_oov_and_missing_first() -> None:
    found = vocabulary_fingerprints(["a", "年"])
    assert found.dtype == np.uint64
    assert found.tolist() == [farmhash(OOV_TOKEN), farmhash(""), farmhash("a"), farmhash("年")]


def test_identity_lookup() -> None:
    values = [0, 1, 4, 5, -1, 2**62, -(2**63) + 1, MISSING_INTEGER]
    assert IdentityLookup(5)(tf.constant(values, tf.int64)).numpy().tolist() == [0, 1, 4, 5, 5, 5, 5, 6]
