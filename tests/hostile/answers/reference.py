"""Answers of an ONNX file by the reference of the standard: `python reference.py MODEL ROWS OUTPUT`; no tfwd in it."""

import base64
import json
import sys

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

model, rows, output = sys.argv[1:]
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
    (found,) = ReferenceEvaluator(model).run([described["answer"]], feeds)
with open(output, "wb") as file:
    file.write(found.astype("<f4").tobytes())
print(f"onnx.reference {onnx.__version__}")
