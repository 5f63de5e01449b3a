"""JSON with and without NaN: numbers and texts are read alike, however long, and a body is refused before it grows."""

from __future__ import annotations

import math
from typing import Any

import orjson
import pytest

from tfwd.server import json_codec
from tfwd.server.request_error import RequestError

MOST = 1000
NUMBERS = (
    "5",
    "-0",
    "9" * 18,
    "9" * 19,
    "18446744073709551615",
    "18446744073709551616",
    "-9223372036854775808",
    "-9223372036854775809",
    "9" * 308,
    "0." + "1" * 400,
    "1" + "0" * 300 + ".5",
    "1" + "0" * 400 + "e-390",
    "1e-" + "9" * 400,
)
TEXTS = ('"' + "7" * 400 + '"', '"\\"' + "7" * 400 + '"', '"\\\\"', '"a\\\\\\"' + "7" * 400 + '"', '"\\ud83d\\ude00"')


def read(text: str) -> Any:
    return json_codec.loads(text.encode(), MOST)


@pytest.mark.parametrize("written", [*NUMBERS, *TEXTS])
def test_a_value_is_the_same_beside_nan(written: str) -> None:
    """orjson reads the one and not the other, whatever stands before it."""
    (expected,) = orjson.loads(f"[{written}]")
    for before in ("NaN", "NaN,1", f"NaN,{'9' * 400}", f'NaN,"{"9" * 400}"', f'NaN,"\\\\",{"8" * 5000}'):
        found = read(f"[{before},{written}]")[-1]
        assert (type(found), found) == (type(expected), expected)


def test_integers_that_no_float_holds_are_infinite() -> None:
    found = read(f'[{"9" * 309},-{"9" * 5000},{{"{"9" * 400}":{"9" * 400}}}]')
    assert found == [math.inf, -math.inf, {"9" * 400: math.inf}]


@pytest.mark.parametrize("written", ["0" * 400, "01" * 200, "-" + "0" * 400, "+" + "9" * 400, "9" * 400 + "x"])
def test_what_is_no_number_stays_none(written: str) -> None:
    with pytest.raises(RequestError, match="JSON Parse error"):
        read(f"[NaN,{written}]")


@pytest.mark.parametrize("written", ['"\\ud83d"', '"\\uDE00x"', '{"\\ud800":1}', '[["\\ud83d\\ud83d"]]'])
def test_half_of_a_surrogate_pair(written: str) -> None:
    for text in (f"[{written}]", f"[NaN,{written}]"):
        with pytest.raises(RequestError, match="half of a surrogate pair"):
            read(text)


def test_an_escaped_backslash_is_no_surrogate() -> None:
    assert read('[NaN,"\\\\ud83d"]')[1] == "\\ud83d"


def test_lists_and_objects_are_counted_before_they_are_made() -> None:
    for one in ("[]", '{"a":1}'):
        assert len(read("[" + ",".join([one] * (MOST - 1)) + "]")) == MOST - 1
        for more in ([one], ["NaN"]):
            with pytest.raises(RequestError, match=r"1,001 lists and objects, .* limit of 1,000 .*--max-rows"):
                read("[" + ",".join([one] * MOST + more[1:]) + "]")


def test_a_deep_body_with_a_surrogate_pair() -> None:
    with pytest.raises(RequestError, match="nested too deeply"):
        read('["\\ud83d\\ude00",' + "[" * 500 + "NaN" + "]" * 501)
