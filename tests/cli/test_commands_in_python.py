"""`tfwd.predict` and its like are commands: whoever takes them for functions is told what there is."""

from __future__ import annotations

import importlib

import pytest

import tfwd


@pytest.mark.parametrize("name", ["evaluate", "predict", "prepare", "rank", "train"])
def test_a_command_that_is_called_says_what_there_is_in_python(name: str) -> None:
    for found in (getattr(tfwd, name), importlib.import_module(f"tfwd.{name}")):
        with pytest.raises(TypeError, match=rf"^tfwd\.{name} is a module, not a function\. .*In Python: `.+`\.$"):
            found("runs/census", None)
