"""Compares a file of lists with its model: all logits of real and hostile users, and lists of every form."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from export.parity.hostile import hostile_rows, narrowed
from export.parity.known_values import known_values
from export.parity.rows import Rows, as_rows, length, part
from export.parity.tolerance import differs, logarithm, rounded_off
from tfwd.errors import ExportError
from tfwd.features.raw_tensors import tensors
from tfwd.inference.onnx_session import with_fingerprints
from tfwd.recommend.top_k import ListMaker
from tfwd.schema import DTYPES
from tfwd.server.lists import Lists

# Users of each kind: for each of them all items are compared.
USERS = 100
_BATCH = 50
# Users for whom lists are compared, and the length of some.
_LISTED, _SOME = 5, 10


def check_lists(lists: ListMaker, file: Path, rows: Mapping[str, Any] | None = None) -> float:
    """Compares a file of lists with a model.

    Args:
        lists: the model and the catalogue.
        file: the file.
        rows: real rows by input, whose users are used.

    Returns:
        The largest difference between a probability or prediction and the model's, which is within the tolerance.

    Raises:
        ExportError: they differ; names the user and the item.
        RunError: tfwd cannot read the file.
    """
    served, catalogue = Lists(file), lists.catalogue
    titles = None if served.titles is None else served.titles.tolist()
    if served.ids.tolist() != catalogue.ids.tolist() or titles != catalogue.titles:
        raise ExportError("The file of lists has other items or titles than the catalogue.")
    check = _Check(lists, served)
    for kind, users in _users(lists, rows).items():
        for start in range(0, length(users), _BATCH):
            check.logits(part(users, start, start + _BATCH), kind, start)
        check.lists(part(users, 0, _LISTED), kind)
    return check.largest


def _users(lists: ListMaker, rows: Mapping[str, Any] | None) -> dict[str, Rows]:
    """Returns the users for whom to compare, by kind."""
    schema, names = lists.model.schema, [entry.name for entry in lists.scorer.user_inputs]
    hostile = hostile_rows(schema, known_values(lists.model), USERS)
    made = {"real user": part(as_rows(schema, rows), 0, USERS)} if rows is not None else {}
    made |= {"hostile user": hostile, "hostile user without lists": narrowed(schema, part(hostile, 0, _LISTED), 0.0)}
    return {kind: {name: found[name] for name in names} for kind, found in made.items()}


class _Check:
    """One file and one model."""

    def __init__(self, lists: ListMaker, served: Lists) -> None:
        self._lists, self._served, self._model = lists, served, lists.model
        self._of_users = [spec.name for spec in served.inputs if spec.name not in served.defaults]
        self.largest = 0.0

        def one(parts: Any) -> tf.Tensor:
            return lists.logits(tf.nest.map_structure(lambda values: values[tf.newaxis], parts)).logit

        specs = {entry.name: tf.TensorSpec(entry.shape, DTYPES[entry.kind]) for entry in lists.scorer.user_inputs}

        @tf.function(autograph=False, input_signature=[specs])
        def logits(raw: dict[str, tf.Tensor]) -> tf.Tensor:
            return tf.map_fn(one, lists.user(raw), fn_output_signature=tf.TensorSpec([None], tf.float32))

        self._logits = logits

    def _expected(self, users: Rows) -> NDArray[np.float32]:
        """Returns the model's logits, `(users, items)`."""
        return np.asarray(self._logits(tensors(users)).numpy())

    def _given(self, users: Rows) -> Rows:
        """Returns users as the file takes them."""
        return with_fingerprints(self._of_users, users)

    def logits(self, users: Rows, kind: str, start: int) -> None:
        """Compares logits and scores of all items, and of some."""
        given = self._given(users)
        for row, expected in enumerate(self._expected(users)):
            user = part(given, row, row + 1)
            some = np.unique(np.linspace(0, len(expected) - 1, _SOME).astype(np.int64))
            for places in (np.arange(len(expected)), some):
                found = self._served.scored(user, None if len(places) == len(expected) else places)
                self._compare(part(users, row, row + 1), places, expected[places], found, f"{kind} {start + row}")

    def _compare(self, user: Rows, places: NDArray[Any], expected: NDArray[Any], found: Any, who: str) -> None:
        schema = self._model.schema
        scores = self._link(expected)
        self.largest = max(self.largest, float(np.abs(scores - found[1]).max()))
        scale = float(self._model.heads.logit.scale)
        for name, own, received in (("logit", expected, found[0]), (schema.answer, scores, found[1])):
            first, second = own, received
            if schema.counts and name == schema.answer:
                first, second = logarithm(own), logarithm(received)
            wrong = np.flatnonzero(differs(name, first, second, scale))
            if len(wrong):
                # Sums whose terms are far larger than they are: only then is it worth knowing how large.
                off = self._rounded_off(user, places[wrong])[:, 0]
                wrong = wrong[differs(name, first[wrong], second[wrong], scale, off)]
            if len(wrong):
                place = int(wrong[0])
                raise ExportError(
                    f"The file of lists, for the {who}, disagrees with the model on the item "
                    f"{self._served.ids[places[place]]!r}: {name} is {received[place]}. Expected: {own[place]}. "
                    f"The user: { {key: values[0] for key, values in user.items()} }"
                )

    def _link(self, logits: NDArray[Any]) -> NDArray[np.float32]:
        return np.asarray(self._model.link(tf.constant(logits[:, np.newaxis])))[:, 0]

    def _rounded_off(self, user: Rows, places: NDArray[Any]) -> NDArray[np.float64]:
        """Returns what rounding may add to the logits of one user and some items."""
        pairs = {name: np.repeat(values, len(places), axis=0) for name, values in user.items()}
        items = {name: values[places] for name, values in self._lists.catalogue.inputs.items()}
        return rounded_off(self._model, self._model.transform(tensors({**pairs, **items})))

    def lists(self, users: Rows, kind: str) -> None:
        """Compares lists of every form with the sorted logits of the model."""
        ids, given = self._served.ids, self._given(users)
        expected = self._expected(users)
        count, every = len(users[self._lists.scorer.user_inputs[0].name]), np.arange(len(ids))
        unknown = self._served.defaults["exclude"][0, 0]
        for k, chosen, without in (
            (0, None, None),
            (1, None, None),
            (len(ids) + 3, None, None),
            (_SOME, None, every[::2]),
            (_SOME, every[1::3], None),
            (_SOME, every[1::3], every[::2]),
        ):
            if chosen is not None and not len(chosen):
                # No candidates stand for all items.
                continue
            asked: dict[str, Any] = {**given, "k": k}
            for name, places in (("candidates", chosen), ("exclude", without)):
                if places is not None:
                    asked[name] = np.array([[*ids[places].tolist(), unknown]], ids.dtype)
            found = self._served.recommend(asked)
            allowed = np.setdiff1d(every if chosen is None else chosen, [] if without is None else without)
            place_of = {item: place for place, item in enumerate(ids.tolist())}
            for row in range(count):
                listed = [item for item in found["items"][row].tolist() if item in place_of]
                places = np.array([place_of[item] for item in listed], np.int64)
                best = np.sort(expected[row][allowed])[::-1][:k]
                right = len(set(listed)) == len(best) and set(places) <= set(allowed.tolist())
                if not right or found["items"].shape != (count, k):
                    raise ExportError(
                        f"The file of lists, for the {kind} {row}, lists {listed[:_SOME]} for k={k}. Expected: "
                        f"{len(best)} of the {len(allowed)} items that may be listed."
                    )
                own = {name: values[row : row + 1] for name, values in users.items()}
                if len(best):
                    # Equal logits may change places, since sums are in another order.
                    self._compare(own, places, expected[row][places], (best, found["scores"][row][: len(best)]), kind)
