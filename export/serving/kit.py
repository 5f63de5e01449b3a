"""`models.config` and a how-to for TF Serving, made from the exported models themselves."""

from __future__ import annotations

import json
import math
from pathlib import Path
from string import Template
from typing import Any

import tensorflow as tf
from google.protobuf import text_format
from tensorflow_serving.apis import prediction_log_pb2
from tensorflow_serving.config import model_server_config_pb2

from tfwd.errors import ExportError
from tfwd.run import write_text
from tfwd.schema import Schema

_HOME = "/models"
_PAGE = Path(__file__).with_name("page.md")


def write(output: str | Path) -> Path:
    """Writes `OUT/serving/models.config` and `OUT/serving/README.md` for all models in a folder.

    Args:
        output: the folder that `export.savedmodel.save` wrote to.

    Returns:
        `OUT/serving`.

    Raises:
        ExportError: there is no exported model in the folder.
    """
    output = Path(output)
    models = _models(output)
    if not models:
        raise ExportError(
            f"{output} must hold exported models, as in {output}/wide_deep/1. Received: a folder without any. "
            "Write one with: python -m export.savedmodel RUN"
        )
    folder = output / "serving"
    folder.mkdir(exist_ok=True)
    # The server reads its configuration again every minute, and must not meet half of one.
    write_text(folder / "models.config", models_config(sorted(models)))
    name = sorted(models)[0]
    write_text(folder / "README.md", _page(output, name, models[name]))
    return folder


def models_config(names: list[str]) -> str:
    """TF Serving's configuration of models, each in `/models/<name>`, as protobuf text."""
    config = model_server_config_pb2.ModelServerConfig()
    for name in names:
        config.model_config_list.config.add(name=name, base_path=f"{_HOME}/{name}", model_platform="tensorflow")
    return text_format.MessageToString(config)


def _models(output: Path) -> dict[str, Path]:
    """The newest version of each model."""
    found: dict[str, Path] = {}
    for facts in output.glob("*/*/assets.extra/tfwd.json"):
        version = facts.parent.parent
        name = version.parent.name
        if version.name.isdecimal() and (name not in found or int(found[name].name) < int(version.name)):
            found[name] = version
    return found


def _page(output: Path, name: str, version: Path) -> str:
    schema = Schema.from_dict(json.loads((version / "assets.extra/tfwd.json").read_text(encoding="utf-8"))["schema"])
    row = _example(version, schema)
    answer = "prediction" if schema.task == "regression" else "probability"
    signature = "regress" if schema.task == "regression" else "classify"
    return Template(_PAGE.read_text(encoding="utf-8")).substitute(
        models=output.resolve(),
        home=_HOME,
        name=name,
        row=json.dumps(row, ensure_ascii=False),
        shell_row=json.dumps(row).replace("'", "'\\''"),
        inputs="\n".join(f"| `{entry.name}` | {entry.kind} | {_missing(entry.kind)} |" for entry in schema.inputs),
        answer=answer,
        signature=signature,
        python_row="\n".join(f"        {key!r}: [{value!r}]," for key, value in row.items()),
        python_dtypes=repr({entry.name: _DTYPES[entry.kind] for entry in schema.inputs}),
    )


_DTYPES = {"string": "object", "integer": "int64", "float": "float32"}


def _missing(kind: str) -> str:
    return {"string": '`""`', "integer": "`-9223372036854775808`", "float": "`NaN`"}[kind]


def _example(version: Path, schema: Schema) -> dict[str, Any]:
    """A row of the warm-up file, preferably one that JSON can write without NaN."""
    rows = []
    for record in tf.data.TFRecordDataset(str(version / "assets.extra/tf_serving_warmup_requests")):
        log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
        if log.WhichOneof("log_type") != "predict_log":
            continue
        inputs = log.predict_log.request.inputs
        values = {entry.name: tf.make_ndarray(inputs[entry.name])[0] for entry in schema.inputs}
        rows.append(
            {key: value.decode() if isinstance(value, bytes) else value.item() for key, value in values.items()}
        )
    complete = [row for row in rows if not any(isinstance(v, float) and math.isnan(v) for v in row.values())]
    return (complete or rows)[0]
