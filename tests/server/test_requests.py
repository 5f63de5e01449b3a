"""What a request becomes: where a wrong value is, weights beside their values, and models that take fingerprints."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from export.onnx import writer as onnx
from export.onnx.interface import fingerprints
from tfwd.analysis.statistics import FeatureStatistics, LabelStatistics, VocabularyStatistics
from tfwd.config.config import Config
from tfwd.model.build import build_model
from tfwd.schema import EMPTY_FINGERPRINT, Input, Schema
from tfwd.server import examples_api, infer_api, predict_api, values
from tfwd.server.onnx_model import OnnxModel
from tfwd.server.request_error import RequestError
from tfwd.server.settings import Limits
from tfwd.server.signature import Signature, Spec, input_specs

SCHEMA = Schema(
    (
        Input("tags", "the tags", "string", 3),
        Input("shares", "shares", "float", 3, weighs="the tags"),
        Input("place", "place", "float", 2, fixed=True),
    ),
    "binary",
    "y",
    ("0", "1"),
)
ROW = {"tags": ["a", "b"], "shares": [0.5, 1.0], "place": [1.0, 2.0]}
NO_TEXT = EMPTY_FINGERPRINT - 2**64


def signature(*names: str) -> Signature:
    return Signature("serving_default", input_specs(SCHEMA, names), (), lambda _: {})


def refused(read: Any, *arguments: Any) -> str:
    with pytest.raises(RequestError) as caught:
        read(*arguments)
    assert caught.value.status == 400
    return caught.value.message


def test_weights_that_are_not_as_many_as_their_values() -> None:
    """In rows, columns and arrays, before any other request is beside them."""
    row = {**ROW, "shares": [1.0, 2.0, 3.0]}
    says = "The input 'shares' takes a weight for each value of {}. Received: 3 weights for 2 values."
    for tags, kind in (("tags", list), ("tags_fingerprint", np.array)):
        asked = signature(tags, "shares", "place")
        given = {**row, tags: row["tags"] if tags == "tags" else [1, 2]}
        given = {spec.name: given[spec.name] for spec in asked.inputs}
        assert refused(predict_api.read, {"instances": [given]}, asked, Limits()) == says.format(repr(tags))
        by_column = {name: [value] for name, value in given.items()}
        assert refused(predict_api.read, {"inputs": by_column}, asked, Limits()) == says.format(repr(tags))
        arrays = {name: kind(value) for name, value in by_column.items()}
        assert refused(predict_api.of_arrays, arrays, asked, False) == says.format(repr(tags))


def test_weights_in_examples() -> None:
    asked = signature("tags", "shares", "place")
    without = {"tags": ["a", "b"], "place": [1.0, 2.0]}
    found = examples_api.read({"examples": [ROW, without, {}]}, SCHEMA, asked, Limits()).columns
    assert found["tags"] == [["a", "b"], ["a", "b"], ["", ""]]
    assert found["shares"][0] == [0.5, 1.0]
    assert np.isnan(found["shares"][1:]).all()
    assert np.shape(found["shares"]) == np.shape(found["tags"])
    assert np.isnan(found["place"][2]).tolist() == [True, True]
    for changed in ({"tags": ["a"]}, {"tags": []}, {"shares": [1.0]}):
        said = refused(examples_api.read, {"examples": [ROW, {**ROW, **changed}]}, SCHEMA, asked, Limits())
        assert said.startswith("Example 1: The input 'shares' takes a weight for each value of 'tags'. Received: ")


@pytest.mark.parametrize(
    ("dtype", "wrong"), [("string", 5), ("int64", 2**63), ("int64", 1.5), ("float32", "x"), ("int32", 2**31)]
)
def test_where_a_wrong_value_is(dtype: str, wrong: Any) -> None:
    right = "a" if dtype == "string" else 1
    scalars, lists = Spec("x", dtype, (None,)), Spec("x", dtype, (None, None))
    assert "'x', instance 2:" in refused(values.column, scalars, [right, right, wrong], 9)
    assert "'x', instance 0, value 1:" in refused(values.column, lists, [[right, wrong]], 9)
    assert "'x', instance 1, value 0:" in refused(values.column, lists, [[right] * 2, [wrong, right]], 9)


def test_a_header_of_any_length() -> None:
    assert infer_api.split(b"{}12", "0002") == (b"{}", b"12")
    for header in ("5", "0" * 5000, "0" * 20 + "99999999", "-1", "", "\u00b2", "2 "):
        assert "Inference-Header-Content-Length" in refused(infer_api.split, b"{}12", header)


CONFIG = Config.of(
    {
        "data": {"label": "y"},
        "features": [
            {"type": "categorical", "column": "city", "vocabulary": ["Rome"], "wide": False, "embedding": 4},
            {"type": "categorical", "column": "tags", "hash_bins": 50, "max_length": 3},
            {"type": "categorical", "column": "url", "hash_bins": 50},
            {"type": "cross", "keys": ["city", "url"], "bins": 97},
        ],
        "model": {"hidden_units": [2]},
    }
)


@pytest.fixture(scope="module")
def hashed(tmp_path_factory: pytest.TempPathFactory) -> OnnxModel:
    """A model of fingerprints, as a server loads it."""
    inputs = (Input("city", "city", "string"), Input("tags", "tags", "string", 3), Input("url", "url", "string"))
    label = LabelStatistics(0.5, 1.0, ("0", "1"), (0.5, 0.5))
    statistics = FeatureStatistics(9, label, {"city": VocabularyStatistics(("Rome",), (1,))})
    model = build_model(CONFIG, statistics, Schema(inputs, "binary", "y", ("0", "1")))
    model.compile()
    file = tmp_path_factory.mktemp("hashed") / "model.onnx"
    return OnnxModel(onnx.save(model, file, fingerprint_inputs=True))


def ids(model: OnnxModel, *rows: dict[str, Any]) -> list[list[int]]:
    specs = model.signatures["transform"].inputs
    given = {spec.name: values.array(spec, [row[spec.name] for row in rows]) for spec in specs}
    return model.signatures["transform"].run(given)["wide_ids"].tolist()


def test_a_missing_fingerprint_is_that_of_no_text(hashed: OnnxModel) -> None:
    """Also where a longer list is beside it, and where the server makes up a row."""
    assert fingerprints(np.array([""], object)).tolist() == [NO_TEXT]
    specs = {spec.name: spec for spec in hashed.signatures["serving_default"].inputs}
    assert {name: (spec.dtype, spec.shape) for name, spec in specs.items()} == {
        "city": ("string", (None,)),
        "tags_fingerprint": ("int64", (None, None)),
        "url_fingerprint": ("int64", (None,)),
    }
    short = {"city": "Rome", "tags_fingerprint": [123], "url_fingerprint": NO_TEXT}
    longer = {**short, "tags_fingerprint": [123, 456, 789]}
    assert ids(hashed, short, longer) == ids(hashed, short | {"tags_fingerprint": [123, NO_TEXT]}) + ids(hashed, longer)
    assert values.nothing(specs["tags_fingerprint"], 2).tolist() == [[NO_TEXT], [NO_TEXT]]


def test_examples_of_a_model_of_fingerprints(hashed: OnnxModel) -> None:
    asked = hashed.signatures["serving_default"]
    examples = [{"city": "Rome", "tags_fingerprint": [1, 2], "url_fingerprint": 3}, {}]
    found = examples_api.read({"examples": examples}, hashed.schema, asked, Limits()).columns
    assert found == {
        "city": ["Rome", ""],
        "tags_fingerprint": [[1, 2], [NO_TEXT, NO_TEXT]],
        "url_fingerprint": [3, NO_TEXT],
    }
    for examples, context in (([{}, {"url": "a.com"}], {}), ([{}, {}], {"url": "a.com"})):
        body = {"examples": examples, "context": context}
        said = refused(examples_api.read, body, hashed.schema, asked, Limits())
        assert "feature 'url': the model takes its 64-bit fingerprint, an integer, as the feature 'url_finger" in said


def test_fingerprints_are_watched(hashed: OnnxModel) -> None:
    """What is unseen is told by the city's own ids, and not by those of its cross with a fingerprint."""
    row = {"city": "Nowhere", "tags_fingerprint": [1], "url_fingerprint": NO_TEXT}
    specs = hashed.signatures["serving_default"].inputs
    hashed.watch.forget()
    hashed.signatures["serving_default"].run({spec.name: values.array(spec, [row[spec.name]]) for spec in specs})
    hashed.watch.count()
    assert hashed.watch.taken() == {
        ("city", "missing"): 0,
        ("tags", "missing"): 0,
        ("url", "missing"): 1,
        ("city", "unseen"): 1,
    }
    assert {place.matrix for place in hashed.watch._places.values()} == {"transform/embedding_4_ids"}
