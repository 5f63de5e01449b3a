"""The page that comes with TF Serving's kit: inputs, requests, and what to do with each file."""

from __future__ import annotations

import json
import math
from pathlib import Path
from string import Template
from typing import Any

from export.serving.found import Version
from export.serving.monitoring import TF_SERVING
from export.serving.rows import examples, user
from export.serving.server_config import arguments
from export.serving.settings import HOME, Settings, template
from tfwd.dates import SINCE_1970
from tfwd.inference.metadata import Metadata, of_saved_model
from tfwd.schema import Input, Kind, Schema

_DTYPES = {"string": "object", "integer": "int64", "float": "float32"}


def page(output: Path, version: Version, settings: Settings, unbatched: dict[str, str], largest: int) -> str:
    """Returns the page.

    Args:
        output: the folder of all models.
        version: the newest one of the model that the page is about.
        settings: the choices.
        unbatched: why a model is not batched, by name.
        largest: the most rows of a request that is batched; 0 if no model is.
    """
    described = of_saved_model(version.folder)
    schema = described.schema
    row = examples(version.folder, schema)[0]
    return Template(template("tf_serving/README.md")).substitute(
        models=output.resolve(),
        home=HOME,
        name=version.name,
        image=settings.tf_serving_image,
        claim=settings.claim,
        metrics=TF_SERVING.metrics,
        cores=settings.cores,
        arguments=" \\\n".join(f"      {argument}" for argument in arguments(bool(largest))),
        batching=_batching(unbatched, largest),
        shell_row=_in_shell(row),
        inputs="\n".join(f"| `{e.name}` | {_type(e)} | {_missing(e.kind)} |" for e in schema.inputs),
        outside=_outside(described),
        answer=schema.answer,
        answers=_answers(schema),
        signature="regress" if schema.task == "regression" else "classify",
        lists=_lists(version, schema),
        python_row="\n".join(f"        {key!r}: [{_in_python(value)}]," for key, value in row.items()),
        python_dtypes=repr({entry.name: _DTYPES[entry.kind] for entry in schema.inputs}),
    )


def _batching(unbatched: dict[str, str], largest: int) -> str:
    batched = (
        f"Requests of at most {largest} rows are put together into batches; one with more is refused. Each batched\n"
        "version has a file `batching_params.pbtxt` beside its `saved_model.pb`, and so will the next one that is\n"
        "exported."
    )
    alone = "\n".join(f"- `{name}` is not batched: {why}." for name, why in sorted(unbatched.items()))
    return "\n\n".join(part for part in (batched if largest else "", alone) if part)


def _outside(described: Metadata) -> str:
    """Returns what a client has to compute, if anything."""
    found = [] if described.reading is None else described.reading.outside(described.schema)
    lines = "".join(f"- {line}\n" for line in found)
    head = "The training computed these from other columns, and the model does not: send the computed values."
    return f"\n{head}\n\n{lines}" if found else ""


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


def _in_python(value: Any) -> str:
    """Returns a value as an expression in Python, which knows neither `nan` nor `inf` by name."""
    if isinstance(value, list):
        return f"[{', '.join(map(_in_python, value))}]"
    return f"float({str(value)!r})" if isinstance(value, float) and not math.isfinite(value) else repr(value)


def _answers(schema: Schema) -> str:
    """Returns what the server answers to rows: an object for each, or for one output its bare value."""
    if schema.task == "regression":
        return f'`{{"predictions": [...]}}`, a number a row: the {schema.answer}'
    if schema.task == "multiclass":
        return (
            f'`{{"predictions": [{{"{schema.answer}": [...], "logit": [...], "classes": [...]}}]}}`, an object a row '
            "with a value for each class"
        )
    return f'`{{"predictions": [{{"{schema.answer}": ..., "logit": ...}}]}}`, an object a row'


def _lists(version: Version, schema: Schema) -> str:
    """Returns how to request a list, if the model makes lists."""
    inputs = user(version.folder, schema)
    if inputs is None:
        return ""
    return Template(template("tf_serving/lists.md")).substitute(name=version.name, inputs=_in_shell(inputs))
