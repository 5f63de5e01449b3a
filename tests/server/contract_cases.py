"""Requests, and what TensorFlow Serving and the Open Inference Protocol say that their answers are.

What TensorFlow Serving does was read in its source: util/json_tensor.cc and model_servers/http_rest_api_handler.cc.
"""

from __future__ import annotations

import base64
import copy
import gzip
import json
import struct
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

ROW: dict[str, Any] = {
    "age": 39.0,
    "hours_per_week": 40.0,
    "education": "Bachelors",
    "marital_status": "Never-married",
    "occupation": "Sales",
}
NUMBERS = tuple(name for name, value in ROW.items() if isinstance(value, float))
BAG: dict[str, Any] = {
    "movie": "Heat",
    "liked": ["Heat", "Toy Story"],
    "genres": ["Crime"],
    "shares": [0.5],
    "store": [1, 2],
    "city": "Rome",
    "trust": 1.0,
    "age": 30.0,
}
PREDICT, CLASSIFY, REGRESS = (f"/v1/models/census:{verb}" for verb in ("predict", "classify", "regress"))
BAGS, INFER = "/v1/models/bags:predict", "/v2/models/census/infer"


class Case(NamedTuple):
    """A request and its answer.

    Attributes:
        name: what it shows.
        path: the route.
        body: what is sent: a value as JSON, or bytes as they are; None for GET.
        status: the HTTP status.
        says: a part of the error's message, or a check of the answer.
        headers: further headers.
        method: GET or POST if None.
    """

    name: str
    path: str
    body: Any
    status: int
    says: str | Callable[[Any], bool]
    headers: Mapping[str, str] = MappingProxyType({})
    method: str | None = None


def changed(row: dict[str, Any], **values: Any) -> dict[str, Any]:
    """A row with other values; `...` takes a key away."""
    made = {**copy.deepcopy(row), **values}
    return {key: value for key, value in made.items() if value is not ...}


def columns(*rows: dict[str, Any]) -> dict[str, list[Any]]:
    """Rows by column."""
    return {key: [row[key] for row in rows] for key in rows[0]}


def instances(*rows: Any, **more: Any) -> dict[str, Any]:
    return {**more, "instances": list(rows)}


def text_of(value: Any) -> bytes:
    return json.dumps(value).encode()


def two_numbers(row: Any) -> bool:
    return set(row) == {"probability", "logit"} and 0 < row["probability"] < 1


def predictions(count: int) -> Callable[[Any], bool]:
    return lambda body: (
        set(body) == {"predictions"}
        and len(body["predictions"]) == count
        and all(map(two_numbers, body["predictions"]))
    )


def outputs(count: int) -> Callable[[Any], bool]:
    return lambda body: (
        set(body) == {"outputs"}
        and {k: len(v) for k, v in body["outputs"].items()}
        == {
            "probability": count,
            "logit": count,
        }
    )


def tensor(name: str, values: Any, **more: Any) -> dict[str, Any]:
    """An input of the Open Inference Protocol."""
    datatype = "FP32" if name in NUMBERS else "BYTES"
    return {"name": name, "shape": [len(values)], "datatype": datatype, "data": values, **more}


def infer(*rows: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"inputs": [tensor(name, values) for name, values in columns(*rows).items()], **more}


def bag_tensors(*rows: dict[str, Any]) -> dict[str, Any]:
    """Rows of lists, as the Open Inference Protocol takes them."""
    datatypes = {"store": "INT64", "shares": "FP32", "trust": "FP32", "age": "FP32"}
    given = []
    for name, values in columns(*rows).items():
        lists = [value for value in values if isinstance(value, list)]
        shape = [len(values), len(lists[0])] if lists else [len(values)]
        given.append({"name": name, "shape": shape, "datatype": datatypes.get(name, "BYTES"), "data": values})
    return {"inputs": given}


def with_input(name: str, **values: Any) -> dict[str, Any]:
    """A request of one row, with one input changed; `...` takes a key away."""
    body = infer(ROW)
    body["inputs"] = [changed(entry, **values) if entry["name"] == name else entry for entry in body["inputs"]]
    return body


def binary(
    *rows: dict[str, Any], spoil: Callable[[bytes], bytes] = lambda content: content, back: bool = False
) -> tuple[bytes, str]:
    """A request with binary tensors, which may ask for such a one back, and the length of its JSON."""
    parts, heads = [], []
    for name, values in columns(*rows).items():
        if name in NUMBERS:
            content = struct.pack(f"<{len(values)}f", *values)
        else:
            content = b"".join(struct.pack("<I", len(value.encode())) + value.encode() for value in values)
        parts.append(content)
        head = changed(tensor(name, values), data=..., parameters={"binary_data_size": len(content)})
        heads.append(head)
    output = {"name": "probability", **({"parameters": {"binary_data": True}} if back else {})}
    text = text_of({"inputs": heads, "outputs": [output]})
    return text + spoil(b"".join(parts)), str(len(text))


def infer_answer(count: int) -> Callable[[Any], bool]:
    return lambda body: (
        body["model_name"] == "census"
        and body["model_version"] == "1"
        and {entry["name"]: (entry["datatype"], entry["shape"]) for entry in body["outputs"]}
        == {"probability": ("FP32", [count]), "logit": ("FP32", [count])}
        and all(len(entry["data"]) == count for entry in body["outputs"])
    )


ALL = text_of(instances(ROW))
_BINARY, _LENGTH = binary(ROW, changed(ROW, age=20.0))
_SPOILT, _SPOILT_LENGTH = binary(ROW, spoil=lambda content: content[:-3])
_LONGER, _LONGER_LENGTH = binary(ROW, spoil=lambda content: content + b"1234")

ROWS = [
    Case("one row", PREDICT, instances(ROW), 200, predictions(1)),
    Case("three rows", PREDICT, instances(ROW, changed(ROW, age=20.0), ROW), 200, predictions(3)),
    Case("two hundred rows", PREDICT, instances(*[ROW] * 200), 200, predictions(200)),
    Case("more rows than a batch", PREDICT, instances(*[ROW] * 1500), 200, predictions(1500)),
    Case("an integer where a float is", PREDICT, instances(changed(ROW, age=39)), 200, predictions(1)),
    Case("integers and floats mixed", PREDICT, instances(ROW, changed(ROW, age=40)), 200, predictions(2)),
    Case("a negative number", PREDICT, instances(changed(ROW, hours_per_week=-5.5)), 200, predictions(1)),
    Case("a number beyond float32", PREDICT, instances(changed(ROW, age=1e300)), 200, predictions(1)),
    Case("an integer beyond 64 bits as a float", PREDICT, instances(changed(ROW, age=10**30)), 200, predictions(1)),
    Case("an integer beyond any float", PREDICT, instances(changed(ROW, age=10**500)), 200, predictions(1)),
    Case("NaN", PREDICT, ALL.replace(b"39.0", b"NaN"), 200, predictions(1)),
    Case("Infinity", PREDICT, ALL.replace(b"39.0", b"Infinity"), 200, predictions(1)),
    Case("minus Infinity", PREDICT, ALL.replace(b"39.0", b"-Infinity"), 200, predictions(1)),
    Case("an exponent", PREDICT, ALL.replace(b"39.0", b"3.9e1"), 200, predictions(1)),
    Case("an unseen word", PREDICT, instances(changed(ROW, occupation="neither")), 200, predictions(1)),
    Case("the empty string", PREDICT, instances(changed(ROW, occupation="")), 200, predictions(1)),
    Case("a string with NUL", PREDICT, instances(changed(ROW, occupation="Sa\0les")), 200, predictions(1)),
    Case(
        "a string of all planes", PREDICT, instances(changed(ROW, occupation="電車男 \U0001f600")), 200, predictions(1)
    ),
    Case("an escaped string", PREDICT, ALL.replace(b'"Sales"', b'"\\u0053ales"'), 200, predictions(1)),
    Case("a long string of digits", PREDICT, instances(changed(ROW, occupation="1" * 50)), 200, predictions(1)),
    Case("a very long string", PREDICT, instances(changed(ROW, occupation="x" * 100_000)), 200, predictions(1)),
    Case("base64", PREDICT, instances(changed(ROW, occupation={"b64": "U2FsZXM="})), 200, predictions(1)),
    Case(
        "base64 in some rows",
        PREDICT,
        instances(ROW, changed(ROW, occupation={"b64": "U2FsZXM="})),
        200,
        predictions(2),
    ),
    Case("the default signature", PREDICT, instances(ROW, signature_name="serving_default"), 200, predictions(1)),
    Case("an empty signature", PREDICT, instances(ROW, signature_name=""), 200, predictions(1)),
    Case("more keys beside instances", PREDICT, instances(ROW, user="me"), 200, predictions(1)),
    Case("whitespace", PREDICT, b" \n\t" + ALL + b"\n ", 200, predictions(1)),
    Case("another content type", PREDICT, ALL, 200, predictions(1), {"Content-Type": "text/plain"}),
    Case("gzip", PREDICT, gzip.compress(ALL), 200, predictions(1), {"Content-Encoding": "gzip"}),
    Case("the version", "/v1/models/census/versions/1:predict", instances(ROW), 200, predictions(1)),
    Case("the label", "/v1/models/census/labels/stable:predict", instances(ROW), 200, predictions(1)),
    Case("no instances", PREDICT, {"instances": []}, 400, '"instances" must be a list with at least one row'),
    Case("instances are null", PREDICT, {"instances": None}, 400, '"instances" must be a list'),
    Case("instances are an object", PREDICT, {"instances": ROW}, 400, '"instances" must be a list'),
    Case("both forms", PREDICT, {"instances": [ROW], "inputs": columns(ROW)}, 400, "either"),
    Case("neither form", PREDICT, {"signature_name": "serving_default"}, 400, "neither"),
    Case("an empty object", PREDICT, {}, 400, "neither"),
    Case("a missing key", PREDICT, instances(changed(ROW, occupation=...)), 400, "Instance 0: 'occupation' is missing"),
    Case("a missing key in row 1", PREDICT, instances(ROW, changed(ROW, age=...)), 400, "Instance 1: 'age' is missing"),
    Case("an extra key", PREDICT, instances(changed(ROW, occupatoin="x")), 400, "'occupatoin' is not an input"),
    Case(
        "a renamed key",
        PREDICT,
        instances(changed(ROW, occupation=..., occupatoin="x")),
        400,
        "'occupation' is missing; 'occupatoin' is not",
    ),
    Case(
        "a key in another case",
        PREDICT,
        instances(changed(ROW, occupation=..., Occupation="Sales")),
        400,
        "'occupation' is missing",
    ),
    Case("a row is a list", PREDICT, instances([1, 2]), 400, "Instance 0 must be an object"),
    Case("a row is a number", PREDICT, instances(ROW, 3), 400, "Instance 1 must be an object"),
    Case("a row is null", PREDICT, instances(None), 400, "Instance 0 must be an object"),
    Case(
        "null for a string",
        PREDICT,
        instances(changed(ROW, occupation=None)),
        400,
        "'occupation', instance 0: expected a string",
    ),
    Case(
        "null for a float",
        PREDICT,
        instances(changed(ROW, age=None)),
        400,
        "expected a number (DT_FLOAT), received null",
    ),
    Case(
        "a number for a string",
        PREDICT,
        instances(changed(ROW, occupation=1)),
        400,
        "expected a string (DT_STRING), received 1",
    ),
    Case(
        "a string for a float",
        PREDICT,
        instances(changed(ROW, age="39")),
        400,
        "expected a number (DT_FLOAT), received '39'",
    ),
    Case("a truth value for a float", PREDICT, instances(changed(ROW, age=True)), 400, "received true"),
    Case("a truth value for a string", PREDICT, instances(changed(ROW, occupation=False)), 400, "received false"),
    Case("a list for a scalar", PREDICT, instances(changed(ROW, age=[39.0])), 400, "received a list of 1"),
    Case("a list for a string", PREDICT, instances(changed(ROW, occupation=["Sales"])), 400, "received a list of 1"),
    Case("an object for a float", PREDICT, instances(changed(ROW, age={"b64": "MQ=="})), 400, "received an object"),
    Case(
        "an object for a string",
        PREDICT,
        instances(changed(ROW, occupation={"b65": "MQ=="})),
        400,
        "received an object",
    ),
    Case(
        "no base64", PREDICT, instances(changed(ROW, occupation={"b64": "*"})), 400, "is not the base64 of UTF-8 text"
    ),
    Case(
        "base64 of no text",
        PREDICT,
        instances(changed(ROW, occupation={"b64": "/w=="})),
        400,
        "is not the base64 of UTF-8",
    ),
    Case("base64 of a number", PREDICT, instances(changed(ROW, occupation={"b64": 5})), 400, "received an object"),
    Case("a wrong type in row 2", PREDICT, instances(ROW, ROW, changed(ROW, age="x")), 400, "instance 2"),
    Case("too many rows", PREDICT, instances(*[ROW] * 2001), 400, "2001 rows, more than the server's limit of 2000"),
    Case(
        "an unknown signature", PREDICT, instances(ROW, signature_name="nope"), 400, '"nope" not found in signature def'
    ),
    Case(
        "a signature that is no name", PREDICT, instances(ROW, signature_name=3), 400, "signature_name must be a string"
    ),
    Case("a signature of examples", PREDICT, instances(ROW, signature_name="classify"), 400, ":classify"),
    Case(
        "rows of transform",
        PREDICT,
        instances(ROW, signature_name="transform"),
        200,
        lambda b: "wide_ids" in b["predictions"][0],
    ),
]

COLUMNS = [
    Case("one row by column", PREDICT, {"inputs": columns(ROW)}, 200, outputs(1)),
    Case("two rows by column", PREDICT, {"inputs": columns(ROW, ROW)}, 200, outputs(2)),
    Case("an extra column", PREDICT, {"inputs": {**columns(ROW), "more": [1]}}, 200, outputs(1)),
    Case("NaN by column", PREDICT, text_of({"inputs": columns(ROW)}).replace(b"39.0", b"NaN"), 200, outputs(1)),
    Case(
        "base64 by column", PREDICT, {"inputs": {**columns(ROW), "occupation": [{"b64": "U2FsZXM="}]}}, 200, outputs(1)
    ),
    Case(
        "a missing column",
        PREDICT,
        {"inputs": changed(columns(ROW), occupation=...)},
        400,
        "lacks the inputs 'occupation'",
    ),
    Case("a scalar by column", PREDICT, {"inputs": ROW}, 400, "expected a list with a value per row"),
    Case("a column is a list of lists", PREDICT, {"inputs": {**columns(ROW), "age": [[39.0]]}}, 400, "list of lists"),
    Case("columns of two lengths", PREDICT, {"inputs": {**columns(ROW), "age": [1.0, 2.0]}}, 400, "one number of rows"),
    Case("empty columns", PREDICT, {"inputs": {name: [] for name in ROW}}, 400, "no rows"),
    Case("columns are a list", PREDICT, {"inputs": [1.0]}, 400, '"inputs" must be an object'),
    Case("columns are null", PREDICT, {"inputs": None}, 400, '"inputs" must be an object'),
    Case("a wrong type by column", PREDICT, {"inputs": {**columns(ROW), "age": ["x"]}}, 400, "expected a number"),
    Case("null by column", PREDICT, {"inputs": {**columns(ROW), "occupation": [None]}}, 400, "received null"),
    Case(
        "transform",
        PREDICT,
        {"signature_name": "transform", "inputs": columns(ROW)},
        200,
        lambda b: "numeric" in b["outputs"],
    ),
]

LISTS = [
    Case("lists", BAGS, instances(BAG), 200, predictions(1)),
    Case("lists of one length", BAGS, instances(BAG, changed(BAG, liked=["Heat", "a b"])), 200, predictions(2)),
    Case("an empty list", BAGS, instances(changed(BAG, liked=[], genres=[], shares=[], store=[])), 200, predictions(1)),
    Case("integers in lists", BAGS, instances(changed(BAG, store=[-(2**63), 2**63 - 1])), 200, predictions(1)),
    Case("lists by column", BAGS, {"inputs": columns(BAG, BAG)}, 200, outputs(2)),
    Case(
        "lists of two lengths",
        BAGS,
        instances(BAG, changed(BAG, liked=["Heat"])),
        400,
        "lists in one request need one length",
    ),
    Case(
        "a scalar for a list", BAGS, instances(changed(BAG, liked="Heat")), 400, "'liked', instance 0: expected a list"
    ),
    Case("a list of lists for a list", BAGS, instances(changed(BAG, liked=[["Heat"]])), 400, "received a list of 1"),
    Case("null in a list", BAGS, instances(changed(BAG, liked=["Heat", None])), 400, "received null"),
    Case("a number in a list of strings", BAGS, instances(changed(BAG, liked=["Heat", 5])), 400, "received 5"),
    Case(
        "a fraction for an integer",
        BAGS,
        instances(changed(BAG, store=[5.0, 1])),
        400,
        "expected an integer of 64 bits (DT_INT64), received 5.0",
    ),
    Case("an integer of 65 bits", BAGS, instances(changed(BAG, store=[2**63, 1])), 400, "received 9223372036854775808"),
    Case(
        "an integer of 70 bits",
        BAGS,
        instances(changed(BAG, store=[1, -(2**70)])),
        400,
        "expected an integer of 64 bits",
    ),
    Case("a string for an integer", BAGS, instances(changed(BAG, store=["1", "2"])), 400, "received '1'"),
    Case("a truth value for an integer", BAGS, instances(changed(BAG, store=[True, 1])), 400, "received true"),
    Case(
        "a number in a list of one row",
        BAGS,
        instances(BAG, changed(BAG, liked=["Heat", 5])),
        400,
        "Input 'liked', instance 1, value 1: expected a string (DT_STRING), received 5",
    ),
    Case(
        "weights of another length",
        BAGS,
        instances(changed(BAG, genres=["Crime", "Comedy"], shares=[0.5, 1.0, 2.0])),
        400,
        "The input 'shares' takes a weight for each value of 'genres'. Received: 3 weights for 2 values",
    ),
    Case(
        "weights of another length by column",
        BAGS,
        {"inputs": columns(changed(BAG, shares=[]))},
        400,
        "The input 'shares' takes a weight for each value of 'genres'. Received: 0 weights for 1 values",
    ),
    Case(
        "a list that is too long",
        BAGS,
        instances(changed(BAG, liked=["Heat"] * 501)),
        400,
        "501 values, more than the server's limit of 500",
    ),
]

EXAMPLES = [
    Case(
        "classify",
        CLASSIFY,
        {"signature_name": "classify", "examples": [ROW]},
        200,
        lambda b: [pair[0] for pair in b["results"][0]] == ["<=50K", ">50K"],
    ),
    Case(
        "classify two",
        CLASSIFY,
        {"signature_name": "classify", "examples": [ROW, ROW]},
        200,
        lambda b: len(b["results"]) == 2,
    ),
    Case(
        "classify nothing known",
        CLASSIFY,
        {"signature_name": "classify", "examples": [{}]},
        200,
        lambda b: len(b["results"]) == 1,
    ),
    Case(
        "scores add up to 1",
        CLASSIFY,
        {"signature_name": "classify", "examples": [ROW]},
        200,
        lambda b: abs(sum(pair[1] for pair in b["results"][0]) - 1) < 1e-6,
    ),
    Case("regress", REGRESS, {"signature_name": "regress", "examples": [ROW]}, 200, lambda b: 0 < b["results"][0] < 1),
    Case(
        "features in lists",
        REGRESS,
        {"signature_name": "regress", "examples": [{name: [value] for name, value in ROW.items()}]},
        200,
        lambda b: len(b["results"]) == 1,
    ),
    Case(
        "a feature left out",
        REGRESS,
        {"signature_name": "regress", "examples": [changed(ROW, occupation=...)]},
        200,
        lambda b: len(b["results"]) == 1,
    ),
    Case(
        "an unknown feature",
        REGRESS,
        {"signature_name": "regress", "examples": [changed(ROW, more="x")]},
        200,
        lambda b: len(b["results"]) == 1,
    ),
    Case(
        "an empty feature",
        REGRESS,
        {"signature_name": "regress", "examples": [changed(ROW, age=[])]},
        200,
        lambda b: len(b["results"]) == 1,
    ),
    Case(
        "a context",
        REGRESS,
        {"signature_name": "regress", "context": ROW, "examples": [{}, {"age": 20.0}]},
        200,
        lambda b: len(b["results"]) == 2 and b["results"][0] != b["results"][1],
    ),
    Case(
        "base64 in an example",
        REGRESS,
        {"signature_name": "regress", "examples": [changed(ROW, occupation={"b64": "U2FsZXM="})]},
        200,
        lambda b: len(b["results"]) == 1,
    ),
    Case(
        "an integer in an example",
        REGRESS,
        {"signature_name": "regress", "examples": [changed(ROW, age=39)]},
        400,
        "Expected float_list, received int64_list",
    ),
    Case(
        "a string in an example",
        REGRESS,
        {"signature_name": "regress", "examples": [changed(ROW, age="39")]},
        400,
        "Expected float_list, received bytes_list",
    ),
    Case(
        "a number in an example",
        REGRESS,
        {"signature_name": "regress", "examples": [changed(ROW, occupation=1.0)]},
        400,
        "Expected bytes_list, received float_list",
    ),
    Case(
        "a mixed feature",
        REGRESS,
        {"signature_name": "regress", "examples": [changed(ROW, age=[39.0, 1])]},
        400,
        "feature 'age'",
    ),
    Case(
        "two values of one",
        REGRESS,
        {"signature_name": "regress", "examples": [changed(ROW, age=[39.0, 1.0])]},
        400,
        "expected 1 values, received 2",
    ),
    Case(
        "null in an example",
        REGRESS,
        {"signature_name": "regress", "examples": [changed(ROW, age=None)]},
        400,
        "Received: null",
    ),
    Case("no examples", REGRESS, {"signature_name": "regress", "examples": []}, 400, '"examples" must be a list'),
    Case("examples are missing", REGRESS, {"signature_name": "regress"}, 400, '"examples" must be a list'),
    Case(
        "an example is a list",
        REGRESS,
        {"signature_name": "regress", "examples": [[1]]},
        400,
        "Example 0 must be an object",
    ),
    Case(
        "a context is a list",
        REGRESS,
        {"signature_name": "regress", "examples": [ROW], "context": []},
        400,
        '"context" must be an object',
    ),
    Case(
        "classify without a signature",
        CLASSIFY,
        {"examples": [ROW]},
        400,
        "method_name to be tensorflow/serving/classify. Was: tensorflow/serving/predict",
    ),
    Case(
        "classify by regress",
        CLASSIFY,
        {"signature_name": "regress", "examples": [ROW]},
        400,
        "Was: tensorflow/serving/regress",
    ),
    Case(
        "regress by classify",
        REGRESS,
        {"signature_name": "classify", "examples": [ROW]},
        400,
        "Was: tensorflow/serving/classify",
    ),
    Case(
        "classify by nothing", CLASSIFY, {"signature_name": "x", "examples": [ROW]}, 400, "not found in signature def"
    ),
    Case(
        "regress of a version",
        "/v1/models/census/versions/1:regress",
        {"signature_name": "regress", "examples": [ROW]},
        200,
        lambda b: len(b["results"]) == 1,
    ),
    Case(
        "lists in an example",
        "/v1/models/bags:regress",
        {"signature_name": "regress", "examples": [BAG, changed(BAG, liked=["Heat"]), {}]},
        200,
        lambda b: len(b["results"]) == 3,
    ),
    Case(
        "weights of another length in an example",
        "/v1/models/bags:regress",
        {"signature_name": "regress", "examples": [BAG, changed(BAG, genres=["Crime", "Comedy"])]},
        400,
        "Example 1: The input 'shares' takes a weight for each value of 'genres'. Received: 1 weights for 2 values",
    ),
    Case(
        "weights left out of an example",
        "/v1/models/bags:regress",
        {
            "signature_name": "regress",
            "examples": [
                changed(BAG, genres=["Crime", "Comedy"], shares=...),
                changed(BAG, genres=["Crime", "Comedy"], shares=[1.0, 1.0]),
            ],
        },
        200,
        lambda b: b["results"][0] == b["results"][1],
    ),
]

JSON = [
    Case("no JSON", PREDICT, b"age=39", 400, "JSON Parse error"),
    Case("nothing", PREDICT, b"", 400, "JSON Parse error"),
    Case("half of it", PREDICT, ALL[:-5], 400, "JSON Parse error"),
    Case("two values", PREDICT, ALL + ALL, 400, "JSON Parse error"),
    Case("a list", PREDICT, [ROW], 400, "must be a JSON object"),
    Case("a string", PREDICT, "x", 400, "must be a JSON object"),
    Case("null", PREDICT, b"null", 400, "must be a JSON object"),
    Case("single quotes", PREDICT, ALL.replace(b'"', b"'"), 400, "JSON Parse error"),
    Case("a comma at the end", PREDICT, ALL.replace(b"}]", b",}]"), 400, "JSON Parse error"),
    Case("a comment", PREDICT, b"/* */" + ALL, 400, "JSON Parse error"),
    Case("nested without end", PREDICT, b"[" * 100_000, 400, "JSON Parse error"),
    Case("deeply nested", PREDICT, b'{"instances":' + b"[" * 5000 + b"]" * 5000 + b"}", 400, ""),
    Case("no UTF-8", PREDICT, ALL.replace(b"Sales", b"S\xffles"), 400, "UTF-8"),
    Case("UTF-16", PREDICT, json.dumps(instances(ROW)).encode("utf-16"), 400, "JSON Parse error"),
    Case("a mark of UTF-8", PREDICT, b"\xef\xbb\xbf" + ALL, 400, "JSON Parse error"),
    Case("half a surrogate pair", PREDICT, ALL.replace(b"Sales", b"\\ud800"), 400, "surrogate"),
    Case("a control character", PREDICT, ALL.replace(b"Sales", b"S\x01les"), 400, "JSON Parse error"),
    Case("another spelling of NaN", PREDICT, ALL.replace(b"39.0", b"nan"), 400, "JSON Parse error"),
    Case("a number with a zero in front", PREDICT, ALL.replace(b"39.0", b"039"), 400, "JSON Parse error"),
    Case("a hexadecimal number", PREDICT, ALL.replace(b"39.0", b"0x27"), 400, "JSON Parse error"),
    Case("digits without end", PREDICT, ALL.replace(b"39.0", b"9" * 100_000), 200, predictions(1)),
    Case(
        "an integer beyond any float, and NaN",
        PREDICT,
        text_of({"inputs": columns(ROW)}).replace(b"39.0", b"NaN").replace(b"40.0", b"9" * 5000),
        200,
        outputs(1),
    ),
    Case("lists without end", PREDICT, b"[" + b"[]," * 200_000 + b"NaN]", 400, "200,001 lists and objects, more than"),
    Case("a body that is too large", PREDICT, b" " * 2_200_000, 413, "larger than the server's limit"),
    Case("gzip that is none", PREDICT, ALL, 400, "is not gzip", {"Content-Encoding": "gzip"}),
    Case("half a gzip", PREDICT, gzip.compress(ALL)[:-9], 400, "ends before", {"Content-Encoding": "gzip"}),
    Case("a gzip bomb", PREDICT, gzip.compress(b" " * 50_000_000), 413, "larger than", {"Content-Encoding": "gzip"}),
    Case("another encoding", PREDICT, ALL, 415, "Content-Encoding must be", {"Content-Encoding": "br"}),
]

ROUTES = [
    Case(
        "status",
        "/v1/models/census",
        None,
        200,
        lambda b: (
            b["model_version_status"]
            == [{"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}]
        ),
    ),
    Case(
        "status of a version", "/v1/models/census/versions/1", None, 200, lambda b: len(b["model_version_status"]) == 1
    ),
    Case(
        "status of a label", "/v1/models/census/labels/stable", None, 200, lambda b: len(b["model_version_status"]) == 1
    ),
    Case(
        "status of no version", "/v1/models/census/versions/9", None, 404, "Could not find any versions of model census"
    ),
    Case("status of no model", "/v1/models/nope", None, 404, "Could not find any versions of model nope"),
    Case(
        "metadata",
        "/v1/models/census/metadata",
        None,
        200,
        lambda b: (
            set(b["metadata"]["signature_def"]["signature_def"])
            == {"serving_default", "classify", "regress", "transform"}
        ),
    ),
    Case(
        "metadata of a version",
        "/v1/models/census/versions/1/metadata",
        None,
        200,
        lambda b: b["model_spec"] == {"name": "census", "signature_name": "", "version": "1"},
    ),
    Case(
        "types in metadata",
        "/v1/models/census/metadata",
        None,
        200,
        lambda b: (
            b["metadata"]["signature_def"]["signature_def"]["serving_default"]["inputs"]["age"]
            == {
                "dtype": "DT_FLOAT",
                "tensor_shape": {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False},
                "name": "age:0",
            }
        ),
    ),
    Case("metadata of no model", "/v1/models/nope/metadata", None, 404, "Servable not found for request: Latest(nope)"),
    Case("no model", "/v1/models/nope:predict", instances(ROW), 404, "Servable not found for request: Latest(nope)"),
    Case(
        "no version",
        "/v1/models/census/versions/7:predict",
        instances(ROW),
        404,
        "Servable not found for request: Specific(census, 7)",
    ),
    Case(
        "no label",
        "/v1/models/census/labels/nope:predict",
        instances(ROW),
        400,
        "Unrecognized servable version label: nope",
    ),
    Case(
        "a version that is no number", "/v1/models/census/versions/x:predict", instances(ROW), 404, "Malformed request"
    ),
    Case("an unknown verb", "/v1/models/census:explain", instances(ROW), 404, "Malformed request"),
    Case("an unknown route", "/v1/nothing", None, 404, "Malformed request: GET /v1/nothing"),
    Case("GET to predict", PREDICT, None, 405, "Malformed request: GET"),
    Case("POST to status", "/v1/models/census", instances(ROW), 405, "Malformed request: POST"),
    Case("PUT", PREDICT, instances(ROW), 405, "Malformed request: PUT", {}, "PUT"),
    Case("DELETE", "/v1/models/census", None, 405, "Malformed request: DELETE", {}, "DELETE"),
    Case("no path", "/", None, 404, "There is nothing at /"),
    Case("a path up", "/v1/models/../../etc/passwd:predict", instances(ROW), 404, "Malformed request"),
    Case("an encoded path up", "/v1/models/..%2f..%2fetc:predict", instances(ROW), 404, ""),
    Case("a name of another alphabet", "/v1/models/%E9%9B%BB:predict", instances(ROW), 404, "Servable not found"),
    Case("alive", "/healthz", None, 200, lambda b: b == {"status": "alive"}),
    Case("ready", "/readyz", None, 200, lambda b: b == {"status": "ready"}),
    Case("POST to metrics", "/metrics", {}, 405, "Use GET"),
]

INFERENCE = [
    Case("the server", "/v2", None, 200, lambda b: b["name"] == "tfwd" and "binary_tensor_data" in b["extensions"]),
    Case("v2 alive", "/v2/health/live", None, 200, lambda b: b == {"live": True}),
    Case("v2 ready", "/v2/health/ready", None, 200, lambda b: b == {"ready": True}),
    Case("v2 model ready", "/v2/models/census/ready", None, 200, lambda b: b == {"name": "census", "ready": True}),
    Case("v2 version ready", "/v2/models/census/versions/1/ready", None, 200, lambda b: b["ready"]),
    Case("v2 no model ready", "/v2/models/nope/ready", None, 404, "not found"),
    Case(
        "v2 metadata",
        "/v2/models/census",
        None,
        200,
        lambda b: (
            b["platform"] in ("onnxruntime_onnx", "tensorflow_savedmodel")
            and {"name": "age", "datatype": "FP32", "shape": [-1]} in b["inputs"]
        ),
    ),
    Case(
        "v2 metadata of lists",
        "/v2/models/bags",
        None,
        200,
        lambda b: {"name": "liked", "datatype": "BYTES", "shape": [-1, -1]} in b["inputs"],
    ),
    Case("infer", INFER, infer(ROW), 200, infer_answer(1)),
    Case("infer three", INFER, infer(ROW, ROW, ROW), 200, infer_answer(3)),
    Case("infer a version", "/v2/models/census/versions/1/infer", infer(ROW), 200, infer_answer(1)),
    Case("infer with an id", INFER, infer(ROW, id="a1"), 200, lambda b: b["id"] == "a1"),
    Case(
        "infer one output",
        INFER,
        infer(ROW, outputs=[{"name": "logit"}]),
        200,
        lambda b: [o["name"] for o in b["outputs"]] == ["logit"],
    ),
    Case(
        "infer by parameters", INFER, infer(ROW, parameters={"signature_name": "serving_default"}), 200, infer_answer(1)
    ),
    Case("infer a column", INFER, with_input("age", shape=[1, 1]), 200, infer_answer(1)),
    Case("infer nested data", INFER, with_input("age", shape=[1, 1], data=[[39.0]]), 200, infer_answer(1)),
    Case(
        "infer binary",
        INFER,
        _BINARY,
        200,
        lambda b: b["outputs"][0]["shape"] == [2],
        {"Inference-Header-Content-Length": _LENGTH},
    ),
    Case(
        "infer half a tensor",
        INFER,
        _SPOILT,
        400,
        "binary_data_size",
        {"Inference-Header-Content-Length": _SPOILT_LENGTH},
    ),
    Case(
        "infer bytes of nobody",
        INFER,
        _LONGER,
        400,
        "4 bytes after the JSON belong to no input",
        {"Inference-Header-Content-Length": _LONGER_LENGTH},
    ),
    Case(
        "infer a header that is no number",
        INFER,
        _BINARY,
        400,
        "Inference-Header-Content-Length must be",
        {"Inference-Header-Content-Length": "x"},
    ),
    Case(
        "infer a header beyond the body",
        INFER,
        infer(ROW),
        400,
        "Inference-Header-Content-Length must be",
        {"Inference-Header-Content-Length": "999999"},
    ),
    Case(
        "infer a header of thousands of digits",
        INFER,
        infer(ROW),
        400,
        "Inference-Header-Content-Length must be",
        {"Inference-Header-Content-Length": "0" * 5000},
    ),
    Case(
        "infer a header beyond the body after zeros",
        INFER,
        infer(ROW),
        400,
        "Inference-Header-Content-Length must be",
        {"Inference-Header-Content-Length": "0" * 20 + "99999999"},
    ),
    Case(
        "infer weights of another length",
        "/v2/models/bags/infer",
        bag_tensors(changed(BAG, genres=["Crime", "Comedy"])),
        400,
        "Received: 1 weights for 2 values",
    ),
    Case(
        "infer a wrong value of a list",
        "/v2/models/bags/infer",
        bag_tensors(BAG, changed(BAG, liked=["Heat", 5])),
        400,
        "Input 'liked', instance 1, value 1: expected a string (DT_STRING), received 5",
    ),
    Case("infer a missing input", INFER, {"inputs": infer(ROW)["inputs"][1:]}, 400, "lacks the inputs 'age'"),
    Case(
        "infer an input twice", INFER, {"inputs": infer(ROW)["inputs"] + infer(ROW)["inputs"][:1]}, 400, "given twice"
    ),
    Case(
        "infer an unknown input",
        INFER,
        {"inputs": [*infer(ROW)["inputs"], tensor("more", ["x"])]},
        400,
        "'more' is not an input",
    ),
    Case("infer nothing", INFER, {"inputs": []}, 400, '"inputs" must be a list'),
    Case("infer an object", INFER, {"inputs": columns(ROW)}, 400, '"inputs" must be a list'),
    Case(
        "infer another type",
        INFER,
        with_input("age", datatype="FP64"),
        400,
        "expected the datatype FP32, received 'FP64'",
    ),
    Case("infer strings as numbers", INFER, with_input("age", data=["39"]), 400, "expected a number"),
    Case("infer null", INFER, with_input("occupation", data=[None]), 400, "received null"),
    Case("infer no shape", INFER, with_input("age", shape=...), 400, "shape must be a list"),
    Case("infer a negative shape", INFER, with_input("age", shape=[-1]), 400, "shape must be a list of sizes"),
    Case("infer another shape", INFER, with_input("age", shape=[2]), 400, "has 2 values, data has 1"),
    Case("infer three dimensions", INFER, with_input("age", shape=[1, 1, 1]), 400, "expected 1 dimensions"),
    Case("infer a huge shape", INFER, with_input("age", shape=[2**62]), 400, "more than the server's limit"),
    Case("infer no data", INFER, with_input("age", data=...), 400, "data must be a list"),
    Case("infer two numbers of rows", INFER, with_input("age", shape=[2], data=[1.0, 2.0]), 400, "one number of rows"),
    Case("infer no rows", INFER, {"inputs": [tensor(name, []) for name in ROW]}, 400, "no rows"),
    Case("infer an unknown output", INFER, infer(ROW, outputs=[{"name": "x"}]), 400, "'x' is not an output"),
    Case("infer an id that is no string", INFER, infer(ROW, id=5), 400, "id must be a string"),
    Case(
        "infer an unknown signature",
        INFER,
        infer(ROW, parameters={"signature_name": "x"}),
        400,
        "not found in signature def",
    ),
    Case("infer with other parameters", INFER, infer(ROW, parameters=[]), 400, "parameters must be an object"),
    Case("infer no model", "/v2/models/nope/infer", infer(ROW), 404, "Servable not found"),
    Case("infer no version", "/v2/models/census/versions/4/infer", infer(ROW), 404, "Specific(census, 4)"),
    Case("GET to infer", INFER, None, 405, "Use POST"),
    Case("an unknown route of v2", "/v2/models/census/explain", None, 404, "There is nothing at"),
    Case("no JSON to infer", INFER, b"{", 400, "JSON Parse error"),
]

CASES = [*ROWS, *COLUMNS, *LISTS, *EXAMPLES, *JSON, *ROUTES, *INFERENCE]
assert base64.b64decode("U2FsZXM=") == b"Sales"
