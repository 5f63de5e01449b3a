"""Answers of an ONNX file, or of its two halves, by the reference of the standard; no tfwd in it.

`python reference.py MODEL [SECOND_HALF] ROWS OUTPUT`
"""

import base64
import json
import sys

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

*models, rows, output = sys.argv[1:]
with open(rows, encoding="utf-8") as file:
    described = json.load(file)
feeds = {}
for name, entry in described["inputs"].items():
    if entry["kind"] == "string":
        values = np.empty(len(entry["values"]), object)
        values[:] = entry["values"]
    else:
        values = np.frombuffer(base64.b64decode(entry["values"]), {"float": "<f4", "integer": "<i8"}[entry["kind"]])
    feeds[name] = values.reshape(entry["shape"])
with np.errstate(all="ignore"):
    for model in map(ReferenceEvaluator, models):
        given = {name: feeds[name] for name in model.input_names}
        feeds = dict(zip(model.output_names, model.run(None, given), strict=True))
with open(output, "wb") as file:
    file.write(feeds[described["answer"]].astype("<f4").tobytes())
print(f"onnx.reference {onnx.__version__}")
