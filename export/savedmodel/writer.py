"""SavedModel for TF Serving: `OUT/<name>/<version>/`, which appears only when it is complete and checked.

`python -m export.savedmodel RUN`
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from export.parity import compare as parity
from export.parity.answers import answers, class_names, lookups, tables
from export.parity.known_values import known_values, ordinary_rows
from export.parity.rows import Rows, as_rows
from export.quiet import quiet
from export.savedmodel import recommend, warmup
from export.serving import batching
from export.serving.found import refuse_kits_name
from tfwd.data.raw import refuse_weights
from tfwd.errors import ExportError
from tfwd.inference import metadata
from tfwd.model.wide_deep import WideDeep
from tfwd.recommend.top_k import ListMaker
from tfwd.schema import DTYPES, MISSING, Schema
from tfwd.utils.files import disk_errors, hidden_folder, left_folders, remove
from tfwd.utils.naming import is_valid

Tensors = dict[str, tf.Tensor]

DEFAULT, TRANSFORM, CLASSIFY, REGRESS = "serving_default", "transform", "classify", "regress"
_METHODS = {CLASSIFY: "tensorflow/serving/classify", REGRESS: "tensorflow/serving/regress"}
_ROWS = 256
_STAGING = "tmp"
_LARGEST = 2**63 - 1


def save(
    model: WideDeep,
    output: str | Path,
    *,
    name: str,
    rows: Mapping[str, Any] | None = None,
    version: int | None = None,
    lists: ListMaker | None = None,
    k: int = 10,
) -> Path:
    """Writes a model as `OUT/<name>/<version>/`, compared with the model row by row before it appears.

    Signatures: `serving_default` (raw inputs by name, `(B,)` -> see `export.parity.answers.answers`), `transform` (raw
    inputs -> the ids and numbers that the heads read), `classify` (not for regression: `inputs`, serialized
    `tf.Example` `(N,)` -> `classes` string and `scores` float32 `(N, C)`) and `regress` (not for multi-class:
    `inputs` -> `outputs` float32 `(N, 1)`, the probability or the prediction). A feature that an Example lacks is
    missing. In REST's `classify` and `regress` a float must be written as one (39.0): TF Serving makes an integer of
    39.

    Args:
        model: a trained model.
        output: the folder of all models.
        name: the model's name in TF Serving, and its folder's.
        rows: raw rows by input, for the warm-up and the comparison; without them, rows are made from the values that
            the model knows.
        version: the version; the next one if None.
        lists: adds the signature `recommend` over its catalogue; see `export.savedmodel.recommend.signature`.
        k: the length of its lists by default.

    Returns:
        The folder of the version.

    Raises:
        ExportError: the version exists, the name is invalid, the lists are of another model, or the export disagrees
            with the model.
    """
    if lists is not None and lists.model is not model:
        raise ExportError("The lists belong to another model than the one to save: make them from this one.")
    folder = _model_folder(Path(output), name, version)
    schema = model.schema
    given = as_rows(schema, rows) if rows is not None else ordinary_rows(schema, known_values(model), _ROWS)
    for left in left_folders(folder / _STAGING, {"whole"}):
        remove(left)
    # TF Serving takes any folder named by a number, complete or not, so a version is made under another name.
    with hidden_folder(folder / _STAGING) as staging:
        whole = staging / "whole"
        with quiet(), disk_errors(folder):
            _write(model, whole, name, given, lists, k)
        parity.check_savedmodel(model, whole, given)
        if lists is not None:
            recommend.check(model, lists, tf.saved_model.load(str(whole)), given)
        batching.inherit(whole, folder, _versions(folder), model.schema, lists is not None)
        return _publish(whole, folder, version)


def _model_folder(output: Path, name: str, version: int | None) -> Path:
    if not is_valid(name):
        raise ExportError(f"The name becomes a folder: letters, digits and _, a letter first. Received: {name!r}")
    folder = output / name
    refuse_kits_name(name, folder)
    if version is not None:
        fault = None
        if not 1 <= version <= _LARGEST:
            fault = f"is not a version: TF Serving takes 1 to {_LARGEST}"
        elif version in _versions(folder) or os.path.lexists(folder / str(version)):
            fault = "exists already"
        if fault:
            raise ExportError(f"{folder / str(version)} {fault}. The next free version is {next_version(folder)}.")
    else:
        next_version(folder)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def next_version(folder: Path) -> int:
    """Returns the version after the largest one in a model's folder.

    Raises:
        ExportError: there is no version after it.
    """
    found = max(_versions(folder), default=0) + 1
    if found > _LARGEST:
        raise ExportError(f"{folder} holds the version {_LARGEST}, after which TF Serving takes none. Remove it.")
    return found


def _versions(folder: Path) -> set[int]:
    """Returns the existing versions, as TF Serving reads the names of folders: 64 bits, in ASCII digits."""
    names = [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
    return {int(name) for name in names if name.isascii() and name.isdecimal() and int(name) <= _LARGEST}


def _publish(whole: Path, folder: Path, version: int | None) -> Path:
    while True:
        target = folder / str(version if version is not None else next_version(folder))
        try:
            os.rename(whole, target)
        except OSError:
            if not target.exists():
                raise
            # Another export has taken the version in the meantime.
            if version is not None:
                raise ExportError(
                    f"{target} exists already. The next free version is {next_version(folder)}."
                ) from None
        else:
            return target


def _write(model: WideDeep, folder: Path, name: str, rows: Rows, lists: ListMaker | None, k: int) -> None:
    signatures, predict = _signatures(model)
    # Only what the functions need: the module knows neither the optimizer nor the Keras model.
    module = tf.Module(name="wide_deep")
    module.tables = {table: variable.value for table, variable in tables(model.ranker).items()}
    module.weights = [variable.value for variable in (*model.transform.variables, *model.ranker.variables)]
    module.vocabularies = [layer.table for layer in lookups(model)]
    # What `keras.layers.TFSMLayer` calls, with a dict; signatures take keywords.
    module.serve = predict
    plain = tuple(signatures)
    if lists is not None:
        module.lists = lists.resources
        signatures[recommend.RECOMMEND] = recommend.signature(lists, k)
    tf.saved_model.save(module, str(folder), signatures=signatures)
    methods = {key: method for key, method in _METHODS.items() if key in signatures}
    updater = tf.compat.v1.saved_model.signature_def_utils.MethodNameUpdater(str(folder))
    for key, method in methods.items():
        updater.replace_method_name(signature_key=key, method_name=method, tags="serve")
    updater.save()
    extra = folder / "assets.extra"
    extra.mkdir()
    described = metadata.facts(model.schema, model.reading)
    facts = {"version": model.schema.version, **described, "layout": model.layout.to_dict()}
    if lists is not None:
        facts["catalogue"] = {"items": len(lists.catalogue)}
    text = json.dumps(facts, ensure_ascii=False, indent=1) + "\n"
    folder.joinpath(*metadata.DESCRIBED).write_text(text, encoding="utf-8")
    asked = None if lists is None else functools.partial(recommend.requests, lists, k=k)
    warmup.write(extra / "tf_serving_warmup_requests", model.schema, rows, name, plain, asked)


def _signatures(model: WideDeep) -> tuple[dict[str, Any], Any]:
    """Returns the signatures by name, and the function of a dict of raw inputs that they use."""
    schema = model.schema
    raw = {e.name: tf.TensorSpec(e.shape, DTYPES[e.kind], name=e.name) for e in schema.inputs}
    examples = tf.TensorSpec([None], tf.string, name="inputs")

    @functools.partial(tf.function, input_signature=[raw], autograph=False)
    def predict(inputs: Tensors) -> Tensors:
        return answers(model, model.ranker(model.transform(inputs), training=False))

    def transform(inputs: Tensors) -> Tensors:
        return dict(model.transform(inputs))

    def classify(inputs: tf.Tensor) -> Tensors:
        scores = predict(_parsed(schema, inputs))[schema.answer]
        if schema.task == "binary":
            scores = tf.stack([1.0 - scores, scores], axis=1)
        return {"classes": class_names(schema, scores), "scores": scores}

    def regress(inputs: tf.Tensor) -> Tensors:
        return {"outputs": predict(_parsed(schema, inputs))[schema.answer][:, tf.newaxis]}

    functions = {DEFAULT: (predict, raw), TRANSFORM: (transform, raw)}
    if schema.task != "regression":
        functions[CLASSIFY] = (classify, examples)
    if schema.task != "multiclass":
        functions[REGRESS] = (regress, examples)
    # They are traced as they are saved: what is traced before that is traced then once more.
    signatures = {
        key: tf.function(function, input_signature=[spec], autograph=False)
        for key, (function, spec) in functions.items()
    }
    return signatures, predict


def _parsed(schema: Schema, examples: tf.Tensor) -> Tensors:
    """Parses serialized `tf.Example`s into a raw batch; lists are padded to the longest of all."""
    features = {
        entry.name: tf.io.FixedLenFeature([entry.length], tf.float32, [MISSING["float"]] * entry.length)
        if entry.fixed
        else tf.io.RaggedFeature(tf.as_dtype(DTYPES[entry.kind]))
        if entry.length
        else tf.io.FixedLenFeature([], tf.as_dtype(DTYPES[entry.kind]), MISSING[entry.kind])
        for entry in schema.inputs
    }
    parsed = tf.io.parse_example(examples, features)
    for entry in schema.inputs:
        if entry.weighs is not None:
            values = next(other.name for other in schema.inputs if other.column == entry.weighs)
            given = parsed[entry.name].row_lengths()
            fits = tf.reduce_all((given == 0) | (given == parsed[values].row_lengths()))
            # Padding would hide it, and padding weighs 1.
            message = str(refuse_weights(entry.name, values, "an Example with more or fewer"))
            with tf.control_dependencies([tf.debugging.Assert(fits, [message])]):
                parsed[entry.name] = parsed[entry.name].with_values(tf.identity(parsed[entry.name].values))
    lists = [entry for entry in schema.inputs if entry.length and not entry.fixed]
    longest = [parsed[entry.name].bounding_shape(1) for entry in lists]
    for entry in lists:
        values = parsed[entry.name].to_tensor(MISSING[entry.kind])
        missing = tf.cast(tf.reduce_max(tf.stack(longest)), tf.int32) - tf.shape(values)[1]
        fill = tf.constant(MISSING[entry.kind], values.dtype)
        parsed[entry.name] = tf.pad(values, [[0, 0], [0, missing]], constant_values=fill)
    return parsed
