"""Column names to names that a graph, a signature and a file may have."""

from __future__ import annotations

import keyword
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfwd.errors import ConfigError
from tfwd.utils.naming import input_name, is_valid, nearest, refuse_case_twins


@pytest.mark.parametrize(
    ("column", "name"),
    [
        ("age", "age"),
        ("user id", "user_id"),
        ("2nd", "x2nd"),
        ("_hidden", "x_hidden"),
        ("a/b.c-d", "a_b_c_d"),
        ("città", "citt_"),
        ("class", "class_"),
        ("Class", "Class"),
        ("self", "self_"),
    ],
)
def test_input_names(column: str, name: str) -> None:
    assert input_name(column) == name


def test_a_name_that_no_file_could_have_is_refused() -> None:
    longest = "a" * 239
    assert input_name(longest) == longest
    assert input_name("1" + "a" * 238) == "x1" + "a" * 238
    with pytest.raises(ConfigError, match=r"'aaaaaaaaaaaaaaaaaaaa...' has a name of 240 characters, too long"):
        input_name(longest + "a")
    assert is_valid("a" * 240)
    assert not is_valid("a" * 241)


@settings(deadline=None)
@given(st.text(max_size=12))
def test_every_input_name_is_valid_or_refused(column: str) -> None:
    try:
        name = input_name(column)
    except ConfigError as error:
        assert repr(column) in str(error)
        assert not re.search(r"[A-Za-z0-9]", column)
        return
    assert is_valid(name)
    assert re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name)
    assert not keyword.iskeyword(name)
    # A name that may be used is kept, so that naming twice is naming once.
    assert input_name(name) == name


@pytest.mark.parametrize("name", ["", "a b", "1a", "_a", "é", "a-b", "a\n", "for", "None", "self"])
def test_invalid_names(name: str) -> None:
    assert not is_valid(name)


def test_nearest() -> None:
    assert nearest("epoch", ["epochs", "seed"]) == " Did you mean 'epochs'?"
    assert nearest("zzz", ["b", "a", "b"]) == " There is: a, b."
    assert nearest("zzz", []) == ""


def test_case_twins() -> None:
    refuse_case_twins(["a", "b", "a"], "Columns")
    with pytest.raises(ConfigError, match=r"^Columns 'Age' and 'AGE' differ only in case"):
        refuse_case_twins(["Age", "b", "AGE"], "Columns")
