"""What other libraries call a key is answered with where it lives here, and that is there."""

from __future__ import annotations

import re
import typing
from typing import Any

import pytest
from config_cases import SMALL
from pydantic import BaseModel

from tfwd.config import synonyms
from tfwd.config.config import Config
from tfwd.config.features.bucketized import Bucketized
from tfwd.config.features.categorical import Categorical
from tfwd.config.features.cross import Cross
from tfwd.config.features.numeric import Numeric
from tfwd.errors import ConfigError


def refused(section: str, values: dict[str, Any]) -> str:
    if section == "features":
        changed = {**SMALL, "features": [*SMALL["features"], values]}
    else:
        old = SMALL.get(section, {})
        changed = {**SMALL, **values} if section == "" else {**SMALL, section: {**old, **values}}
    with pytest.raises(ConfigError) as caught:
        Config.of(changed)
    return str(caught.value)


@pytest.mark.parametrize(
    ("section", "values", "message"),
    [
        ("data", {"sep": ";"}, "data.sep: unknown key. Did you mean data.csv.delimiter?"),
        ("data", {"csv": {"sep": ";"}}, "data.csv.sep: unknown key. Did you mean data.csv.delimiter?"),
        ("data", {"csv": {"index_col": 0}}, "a column that no feature reads is left out, an index too."),
        ("train", {"learning_rate": 1}, "Did you mean train.wide_optimizer.learning_rate or train.deep_optimizer.lea"),
        ("train", {"dropout": 0.1}, "train.dropout: unknown key. Did you mean model.dropout?"),
        ("train", {"lr": 0.1}, "train.lr: unknown key. Did you mean train.wide_optimizer.learning_rate or "),
        ("train", {"patience": 3}, "Did you mean train.early_stopping.patience?"),
        ("model", {"num_classes": 3}, "Did you mean data.label.classes, the list of them?"),
        ("model", {"dnn_hidden_units": [3]}, "Did you mean model.hidden_units?"),
        ("", {"dnn_feature_columns": []}, "Did you mean embedding, one_hot or deep of each feature of the deep head?"),
        ("", {"label": "y"}, "label: unknown key. Did you mean data.label?"),
        (
            "features",
            {"type": "cross", "columns": ["city", "zip"], "bins": 5, "name": "c"},
            "Did you mean keys, the n",
        ),
        (
            "features",
            {"type": "categorical", "column": "x", "hash_bucket_size": 5},
            "Did you mean hash_bins of a c",
        ),
        ("features", {"type": "numeric", "column": "x", "default_value": 5}, "Did you mean fill?"),
        ("train", {"deep_optimizer": {"l2": 1}}, "has no option 'l2'. Did you mean 'l2_regularization_strength'?"),
        # YAML 1.1 would have made truth values of these.
        ("train", {"early_stopping": "no"}, "Received: 'no'. Did you mean null?"),
        ("train", {"early_stopping": False}, "Received: False. Did you mean null?"),
    ],
)
def test_a_name_of_another_library(section: str, values: dict[str, Any], message: str) -> None:
    assert message in refused(section, values)


def models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in typing.get_args(annotation) for model in models(part)]


def is_key(path: str) -> bool:
    """Whether a path is that of a key, by the classes of the sections."""
    found: list[type[BaseModel]] = [Config]
    *sections, last = path.split(".")
    for name in sections:
        fields = [model.model_fields[name] for model in found if name in model.model_fields]
        found = [model for field in fields for model in models(field.annotation)]
    return any(last in model.model_fields for model in found)


def test_every_place_that_is_named_is_there() -> None:
    tables = [synonyms._ANYWHERE, *synonyms._SECTIONS.values()]
    texts = [place for table in tables for place in table.values()]
    paths = [
        path for text in texts for path in re.findall(r"\b(?:data|model|train|export|ranking)(?:\.[a-z_0-9]+)+", text)
    ]
    assert len(paths) > 100
    assert [path for path in paths if not is_key(path)] == []


def test_no_key_of_a_section_is_taken_for_another() -> None:
    for feature in (Numeric, Bucketized, Categorical, Cross):
        own = synonyms._SECTIONS[feature.__name__].keys() & feature.model_fields.keys()
        assert own == set(), feature
