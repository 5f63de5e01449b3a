"""YAML as people write it: the core schema of YAML 1.2, where PyYAML reads the 1.1 of 2005.

With YAML 1.1 `learning_rate: 1e-3` is a text, a vocabulary of `[no, yes]` is `[false, true]`, and the postal code 00701
is the octal number 449.
"""

from __future__ import annotations

import json
import re
from typing import Any

import yaml

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


class _Loader(yaml.SafeLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        for key, _ in node.value:
            if keys.count(key.value) > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} stands in one section twice", key.start_mark
                )
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                # A key is a text whatever it looks like: `null:` is a key of data.csv, `0:` one of train.class_weights.
                key.tag = "tag:yaml.org,2002:str"
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    def represent_str(self, data: str) -> yaml.ScalarNode:
        # PyYAML writes these line breaks as they are, and reads them as spaces.
        style = '"' if any(line_break in data for line_break in "\x85\u2028\u2029") else None
        return self.represent_scalar("tag:yaml.org,2002:str", data, style=style)


_Dumper.add_representer(str, _Dumper.represent_str)
# Before anything is added, which would be to a copy of YAML 1.1's.
_Loader.yaml_implicit_resolvers = {}
_Dumper.yaml_implicit_resolvers = {}
for _name, (_pattern, _first) in _SCALARS.items():
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", re.compile(rf"(?:{_pattern})\Z"), _first)


def load(text: str) -> Any:
    """The value of a YAML text.

    Raises:
        yaml.YAMLError: it is not YAML, a key stands twice in a section, or a section stands in itself.
    """
    try:
        values = yaml.load(text, Loader=_Loader)
        # An anchor may lead to what it stands in, which is no tree.
        json.dumps(values, default=str)
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        # What PyYAML makes of a wrong value behind a tag, as `!!int one` is.
        raise yaml.YAMLError(str(error)) from None
    return values


def dump(values: Any) -> str:
    """The YAML text of nested dicts, lists and scalars; `load` of it gives them back."""
    return yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
