"""`models.config` and a how-to for TF Serving, made from the exported models themselves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf import text_format
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from tensorflow_serving.apis import prediction_log_pb2
from tensorflow_serving.config import model_server_config_pb2

from tfwd.errors import ExportError
from tfwd.inference.metadata import Metadata, of_saved_model
from tfwd.schema import SINCE_1970, Input, Kind, Schema, is_missing
from tfwd.utils.files import write_text

_WARMUP = ("assets.extra", "tf_serving_warmup_requests")
_HOME = "/models"
_PAGE, _LISTS = (Path(__file__).with_name(name) for name in ("page.md", "lists.md"))


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
    # The server rereads its configuration every minute, and must not find a partial one.
    write_text(folder / "models.config", models_config(sorted(models)))
    name = sorted(models)[0]
    write_text(folder / "README.md", _page(output, name, models[name]))
    return folder


def models_config(names: list[str]) -> str:
    """Returns TF Serving's configuration of models, each in `/models/<name>`, as protobuf text."""
    config = model_server_config_pb2.ModelServerConfig()
    for name in names:
        config.model_config_list.config.add(name=name, base_path=f"{_HOME}/{name}", model_platform="tensorflow")
    return text_format.MessageToString(config)


def _models(output: Path) -> dict[str, Path]:
    """Returns the newest version of each model."""
    found: dict[str, Path] = {}
    for facts in output.glob("*/*/assets.extra/tfwd.json"):
        version = facts.parent.parent
        name = version.parent.name
        if version.name.isdecimal() and (name not in found or int(found[name].name) < int(version.name)):
            found[name] = version
    return found


def _page(output: Path, name: str, version: Path) -> str:
    described = of_saved_model(version)
    schema = described.schema
    row = _example(version, schema)
    signature = "regress" if schema.task == "regression" else "classify"
    return Template(_PAGE.read_text(encoding="utf-8")).substitute(
        models=output.resolve(),
        home=_HOME,
        name=name,
        shell_row=_in_shell(row),
        inputs="\n".join(f"| `{e.name}` | {_type(e)} | {_missing(e.kind)} |" for e in schema.inputs),
        outside=_outside(described),
        answer=schema.answer,
        signature=signature,
        lists=_lists(name, version, schema),
        python_row="\n".join(f"        {key!r}: [{value!r}]," for key, value in row.items()),
        python_dtypes=repr({entry.name: _DTYPES[entry.kind] for entry in schema.inputs}),
    )


def _outside(described: Metadata) -> str:
    """Returns what a client has to compute, if anything."""
    found = [] if described.reading is None else described.reading.outside(described.schema)
    lines = "".join(f"- {line}\n" for line in found)
    head = "The training computed these from other columns, and the model does not: send the computed values."
    return f"\n{head}\n\n{lines}" if found else ""


_DTYPES = {"string": "object", "integer": "int64", "float": "float32"}


def _type(entry: Input) -> str:
    if entry.fixed:
        return f"list of {entry.length} {entry.kind}s"
    if entry.moment is not None:
        return f"{entry.kind}, {SINCE_1970}"
    return f"list of {entry.kind}, of which the latest {entry.length} count" if entry.length else entry.kind


def _missing(kind: Kind) -> str:
    return {"string": '`""`', "integer": "`-9223372036854775808`", "float": "`NaN`"}[kind]


def _in_shell(value: Any) -> str:
    """Returns a value as JSON for use between single quotes in a shell."""
    return json.dumps(value).replace("'", "'\\''")


def _lists(name: str, version: Path, schema: Schema) -> str:
    """Returns how to request a list, if the model makes lists."""
    found = list(_asked(version, "recommend"))
    if not found:
        return ""
    user = _best([_row(inputs, schema) for inputs in found])
    options = {key: _plain(value) for key, value in found[0].items() if key not in user}
    inputs = {key: [value] for key, value in user.items()} | options
    return Template(_LISTS.read_text(encoding="utf-8")).substitute(name=name, inputs=_in_shell(inputs))


def _example(version: Path, schema: Schema) -> dict[str, Any]:
    """Returns a row of the warm-up file."""
    found = [_row(inputs, schema) for inputs in _asked(version, "serving_default")]
    if not found:
        raise ExportError(f"{version.joinpath(*_WARMUP)} is damaged: it holds no request. Export the model again.")
    return _best(found)


def _asked(version: Path, signature: str) -> Iterator[dict[str, NDArray[Any]]]:
    """Yields the inputs of a signature in the requests of the warm-up file.

    Raises:
        ExportError: the file does not exist, or is damaged.
    """
    file = version.joinpath(*_WARMUP)
    try:
        for record in tf.data.TFRecordDataset(str(file)):
            log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
            request = log.predict_log.request
            if log.WhichOneof("log_type") == "predict_log" and request.model_spec.signature_name == signature:
                yield {key: tf.make_ndarray(value) for key, value in request.inputs.items()}
    except (tf.errors.OpError, DecodeError, TypeError, ValueError) as error:
        raise ExportError(f"{file} is damaged: {str(error).splitlines()[0]}. Export the model again.") from None


def _row(inputs: dict[str, NDArray[Any]], schema: Schema) -> dict[str, Any]:
    """Returns the first row of a request as JSON values; lists lose their padding, but keep at least one value."""
    by_column = {entry.column: entry.name for entry in schema.inputs}
    row = {}
    for entry in schema.inputs:
        if entry.name in inputs:
            value = _plain(inputs[entry.name][0])
            if entry.length and not entry.fixed:
                # Weights are at the positions of their values.
                own = value if entry.weighs is None else _plain(inputs[by_column[entry.weighs]][0])
                last = max((place for place, one in enumerate(own) if not is_missing(one)), default=0)
                value = value[: last + 1]
            row[entry.name] = value
    return row


def _best(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns a row, preferably without a missing value, which JSON may not be able to express."""
    complete = (r for r in rows if not any(map(is_missing, (one for v in r.values() for one in _listed(v)))))
    return next(complete, rows[0])


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _plain(value: Any) -> Any:
    """Returns a NumPy value or array as Python values."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value.decode() if isinstance(value, bytes) else value
