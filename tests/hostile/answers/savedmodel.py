"""Answers of a SavedModel by TensorFlow alone: `python savedmodel.py MODEL ROWS OUTPUT`; knows nothing of tfwd."""

import base64
import json
import sys

import numpy as np
import tensorflow as tf

model, rows, output = sys.argv[1:]
serve = tf.saved_model.load(model).signatures["serving_default"]
with open(rows, encoding="utf-8") as file:
    described = json.load(file)
feeds = {}
for name, entry in described["inputs"].items():
    if entry["kind"] == "string":
        feeds[name] = tf.constant(entry["values"], tf.string, entry["shape"])
    else:
        dtype = {"float": "<f4", "integer": "<i8"}[entry["kind"]]
        feeds[name] = tf.constant(np.frombuffer(base64.b64decode(entry["values"]), dtype).reshape(entry["shape"]))
found = serve(**feeds)[described["answer"]].numpy()
with open(output, "wb") as file:
    file.write(found.astype("<f4").tobytes())
print(f"TensorFlow {tf.__version__}; tfwd here: {'tfwd' in sys.modules}")
