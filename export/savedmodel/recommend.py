"""The signature `recommend`: from a user's raw features to a list of items, with the catalogue inside."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import tensorflow as tf

from export.parity.rows import Rows
from tfwd.config.ranking import REQUEST_INPUTS
from tfwd.errors import ExportError
from tfwd.features.raw_tensors import tensors
from tfwd.model.wide_deep import WideDeep
from tfwd.recommend.top_k import ListMaker
from tfwd.schema import DTYPES

Tensors = dict[str, tf.Tensor]

RECOMMEND = "recommend"
_TOLERANCE = 1e-6
_USERS = 20


def signature(lists: ListMaker, k: int) -> Any:
    """Returns the function of `recommend`.

    Inputs: those of the user as in `serving_default`, `k` int32 `()`, `candidates` `(B, C)` and `exclude` `(B, S)` of
    items, padded with the missing value ("", or -2^63 for integers); one row is for all users. A row of `candidates`
    without an item stands for the whole catalogue. The three have defaults (`k`, no candidates, nothing excluded) in
    the signature, which a server that knows defaults fills in.

    Outputs: `items` `(B, k)`, `scores` float32 `(B, k)` and, where the catalogue has titles, `titles` string `(B, k)`;
    after the last item the missing value, 0 and "".

    Args:
        lists: the model and the catalogue.
        k: the default length of a list.
    """
    catalogue = lists.catalogue
    dtype = tf.as_dtype(DTYPES[catalogue.input.kind])
    items = tf.constant([*catalogue.ids.tolist(), catalogue.missing], dtype)
    titles = None if catalogue.titles is None else tf.constant([*catalogue.titles, ""])
    users = {e.name: tf.TensorSpec(e.shape, DTYPES[e.kind], e.name) for e in lists.scorer.user_inputs}
    listed = [tf.TensorSpec([None, None], dtype, name) for name in REQUEST_INPUTS[1:]]
    usual, none = tf.constant(k), tf.constant([[catalogue.missing]], dtype)

    @functools.partial(tf.function, input_signature=[users, tf.TensorSpec([], tf.int32, "k"), *listed], autograph=False)
    def recommend(
        inputs: Tensors, k: tf.Tensor = usual, candidates: tf.Tensor = none, exclude: tf.Tensor = none
    ) -> Tensors:
        found = lists(inputs, k, candidates, exclude)
        rows = tf.where(found.places < 0, len(catalogue), found.places)
        answer = {"items": tf.gather(items, rows), "scores": found.scores}
        return answer if titles is None else {**answer, "titles": tf.gather(titles, rows)}

    return recommend


def requests(lists: ListMaker, rows: Rows, k: int) -> Rows:
    """Returns the inputs of `recommend` for the users of some rows."""
    catalogue = lists.catalogue
    none = np.full((1, 1), catalogue.missing, object if catalogue.input.kind == "string" else np.int64)
    users = {entry.name: rows[entry.name] for entry in lists.scorer.user_inputs}
    return {**users, "k": np.array(k, np.int32), "candidates": none, "exclude": none}


def check(model: WideDeep, lists: ListMaker, loaded: Any, rows: Rows) -> None:
    """Compares lists of the whole catalogue with the sorted scores of `serving_default` on the same pairs.

    Items whose scores are within 1e-6 may change places, since sums are in another order.

    Args:
        model: the exported model.
        lists: the catalogue.
        loaded: the SavedModel.
        rows: raw rows, whose users are used.

    Raises:
        ExportError: a list differs; names its user and place.
    """
    catalogue = lists.catalogue
    score = model.schema.answer
    users = {entry.name: rows[entry.name][:_USERS] for entry in lists.scorer.user_inputs}
    asked = requests(lists, users, len(catalogue))
    got = {name: tensor.numpy() for name, tensor in loaded.signatures[RECOMMEND](**tensors(asked)).items()}
    for row in range(len(got["scores"])):
        own = {name: np.repeat(values[row : row + 1], len(catalogue), axis=0) for name, values in users.items()}
        scores = loaded.signatures["serving_default"](**tensors({**own, **catalogue.inputs}))[score].numpy()
        values = [value.decode() if isinstance(value, bytes) else value for value in got["items"][row].tolist()]
        by_item = dict(zip(catalogue.ids.tolist(), scores.tolist(), strict=True))
        tolerance = _TOLERANCE * max(1.0, float(np.abs(scores).max()) if model.schema.task == "regression" else 1.0)
        if set(values) != set(by_item):
            raise ExportError(
                f"recommend lists {len(set(values))} items. Expected: the {len(by_item)} of the catalogue."
            )
        for place, (item, expected) in enumerate(zip(values, np.sort(scores)[::-1], strict=True)):
            listed = float(got["scores"][row][place])
            if not (abs(listed - expected) <= tolerance and abs(by_item[item] - listed) <= tolerance):
                raise ExportError(
                    f"recommend disagrees with serving_default for the user of row {row}: place {place + 1} has "
                    f"{item!r} with {listed}. Expected: {expected}, and that item's own score is {by_item[item]}."
                )
