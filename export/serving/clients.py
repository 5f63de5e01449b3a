"""Example clients for TF Serving's dialect, with real rows: Python over REST and gRPC, JavaScript, curl."""

from __future__ import annotations

import json
from string import Template

from export.serving.found import Version
from export.serving.rows import asked, examples, rectangular, user
from export.serving.settings import template
from tfwd.inference.metadata import of_saved_model

_ROWS = 3


def files(version: Version) -> dict[str, str]:
    """Returns the clients of a model and the requests that they send, by file name.

    Args:
        version: one with a SavedModel.
    """
    schema = of_saved_model(version.folder).schema
    rows = rectangular(examples(version.folder, schema, _ROWS), schema)
    own = user(version.folder, schema)
    requests = {"predict.json": json.dumps({"instances": rows}, ensure_ascii=False, indent=1) + "\n"}
    if own is not None:
        body = {"signature_name": "recommend", "inputs": own}
        requests["recommend.json"] = json.dumps(body, ensure_ascii=False, indent=1) + "\n"
    return {
        "rest.py": _filled("rest.py.in", version),
        "grpc_client.py": _filled("grpc_client.py.in", version, dtypes=repr(dtypes(version))),
        "client.mjs": _filled("client.mjs", version),
        "client.sh": _filled("client.sh", version),
        **requests,
    }


def dtypes(version: Version) -> dict[str, str]:
    """Returns NumPy's name of the type of each input of a SavedModel, those of `recommend` included."""
    found = {}
    for signature in ("serving_default", "recommend"):
        for name, values in next(iter(asked(version.folder, signature)), {}).items():
            found[name] = values.dtype.name
    return found


def _filled(name: str, version: Version, **values: str) -> str:
    return Template(template(f"clients/{name}")).substitute(name=version.name, **values)
