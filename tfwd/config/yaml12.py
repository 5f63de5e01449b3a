"""YAML as people write it: the core schema of YAML 1.2, where PyYAML reads the 1.1 of 2005.

With YAML 1.1 `learning_rate: 1e-3` is a string, a vocabulary of `[no, yes]` is `[false, true]`, and the postal code
00701 is the octal number 449.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from tfwd.config.tree import MAX_DIGITS, MAX_VALUES, short

# The characters between values in YAML: a document has hardly more values than it has of these.
_MOST_MARKS = 500_000
_SCALARS = {
    "merge": (r"<<", ["<"]),
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "bool": (r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    "int": (r"[-+]?(?:0|[1-9][0-9]*)", list("-+0123456789")),
    "float": (
        r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
}


# The parser in C is ten times as fast, and refuses nesting a thousand levels deep.
_BaseLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_BaseDumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class _Loader(_BaseLoader):  # type: ignore[misc]
    _merged = 0

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: dict[Any, yaml.Node] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            twin = seen.setdefault(key.value, key)
            if twin is not key:
                raise yaml.constructor.ConstructorError(
                    None,
                    None,
                    f"the key {short(key.value)!r} occurs twice in one section, first in line "
                    f"{twin.start_mark.line + 1}",
                    key.start_mark,
                )
            if key.tag != "tag:yaml.org,2002:merge":
                # A key is always a string: `null:` is a key of data.csv, `0:` one of train.class_weights.
                key.tag = "tag:yaml.org,2002:str"
        found: dict[Any, Any] = super().construct_mapping(node, deep)
        return found

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        super().flatten_mapping(node)
        # A merge of merges would double at every level: the last of equal keys stays, as in the resulting dict.
        last = {key.value if isinstance(key, yaml.ScalarNode) else id(key): (key, value) for key, value in node.value}
        node.value = list(last.values())
        self._merged += len(last)
        if self._merged > MAX_VALUES:
            raise yaml.constructor.ConstructorError(None, None, "merges (<<) make too many keys", node.start_mark)

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        digits = len(node.value)
        if digits > MAX_DIGITS:
            raise yaml.constructor.ConstructorError(None, None, f"a number of {digits:,} digits", node.start_mark)
        return int(node.value)


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)


class _Dumper(_BaseDumper):  # type: ignore[misc]
    def represent_str(self, data: str) -> yaml.ScalarNode:
        # PyYAML writes these line breaks unescaped, and reads them as spaces.
        style = '"' if any(line_break in data for line_break in "\x85\u2028\u2029") else None
        return self.represent_scalar("tag:yaml.org,2002:str", data, style=style)


_Dumper.add_representer(str, _Dumper.represent_str)
# Reset first: adding a resolver would extend a copy of YAML 1.1's.
_Loader.yaml_implicit_resolvers = {}
_Dumper.yaml_implicit_resolvers = {}
for _name, (_pattern, _first) in _SCALARS.items():
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", re.compile(rf"(?:{_pattern})\Z"), _first)


def load(text: str) -> Any:
    """Returns the value of a YAML string. An anchor's value is one object in several places, which `check_tree` bounds.

    Raises:
        yaml.YAMLError: it is not YAML, or a key occurs twice in a section.
    """
    if sum(map(text.count, "\n,:[{")) > _MOST_MARKS:
        # Checked before anything is built, which takes seconds and much memory.
        raise yaml.YAMLError(f"more than {_MOST_MARKS:,} values: a long vocabulary is a file, in vocabulary_file")
    try:
        return yaml.load(text, Loader=_Loader)
    except RecursionError:
        raise yaml.YAMLError("too many levels of sections and lists, one inside the other") from None
    except (ValueError, TypeError, AttributeError, LookupError, ArithmeticError) as error:
        # What PyYAML raises for a wrong value after a tag, such as `!!int one`.
        raise yaml.YAMLError(f"a value that is not what its tag (!!) says: {error}") from None


def reason(error: yaml.YAMLError, text: str) -> str:
    """Returns what is wrong with a string that is not YAML, and where, in one line."""
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    if mark is None:
        return short(problem)
    line = text.splitlines()[mark.line] if mark.line < len(text.splitlines()) else ""
    found = line[mark.column : mark.column + 1]
    if found == "\t":
        problem = "a tab, where lines are indented by spaces"
    elif found in ("@", "%", "`", "|", ">") and "cannot start any token" in problem:
        problem = f"no value begins with {found}: put the text in quotes"
    elif "mapping values are not allowed" in problem:
        problem = "a second `: ` in one line: put a text that holds one in quotes"
    return f"line {mark.line + 1}, column {mark.column + 1}: {short(problem)}"


def dump(values: Any) -> str:
    """Returns the YAML of nested dicts, lists and scalars; `load` returns them from it."""
    return yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
