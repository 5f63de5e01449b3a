"""What the README, the documents and the notebooks of older versions import and call is there, in this version too.

The lists were collected from those of 0.4.0 (`git grep`), at the places that 0.5.0 gave the names.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

# `from MODULE import NAME`, or `MODULE.NAME` after `import MODULE`.
IMPORTED = {
    "tfwd": """Bucketized Categorical Config ConfigError Cross CsvConfig DataConfig DataError EarlyStoppingConfig
        ExportConfig ExportError FeatureStatistics Input JointOptimizer LabelConfig LazyAdam ModelConfig Numeric
        OptimizerConfig RankingConfig Recommender Rows Run RunError ScheduleConfig Schema Scorer Source SparseAdagrad
        SparseFtrl SparseRmsprop SparseSgd TfwdError TrainConfig WideDeep __version__ analyze build_model evaluate
        export_onnx export_savedmodel fit load_model load_scorer predict prepare rank resolve_schema resume train
        wide_weights""",
    "tfwd.data": "write_tfrecord",
    "tfwd.datasets": "census",
    "tfwd.datasets.census": "load path",
    "tfwd.layers.seeded_dropout": "SeededDropout",
    "tfwd.metrics.tasks": "binary_metrics",
    "tfwd.inference.evaluation": "evaluate",
    "tfwd.inference.prediction": "predict",
    "export": "baseline onnx parity savedmodel",
    "export.baseline": "compare",
    "export.onnx": "fingerprints save write",
    "export.parity": "check_onnx check_savedmodel",
    "export.pipeline": "export_run",
    "export.savedmodel": "save",
    "export.serving.tf_serving": "write",
}
COMMANDS = """tfwd.train tfwd.evaluate tfwd.predict tfwd.prepare tfwd.rank export.onnx export.savedmodel export.serving
    export.baseline"""
# With the names of the arguments, as `docs/python-api.md` lists them.
CALLED = """
    tfwd.Config(data, features, task, model, train, export)
    tfwd.Config.load(source, overrides)
    tfwd.Config.of(values)
    tfwd.Config.dump(self)
    tfwd.fit(config, output, train, validation, test, tower, optimizers, callbacks, warm_start_from, overwrite)
    tfwd.resume(output, train, validation, test, tower, callbacks)
    tfwd.Run.open(path)
    tfwd.Run.recommend(users, k, candidates, include_seen)
    tfwd.build_model(config, statistics, schema, tower)
    tfwd.load_model(path)
    tfwd.wide_weights(model, features, statistics, nonzero)
    tfwd.JointOptimizer(wide, deep)
    tfwd.SparseFtrl(learning_rate, l1_regularization_strength, l2_regularization_strength, beta)
    tfwd.LazyAdam(learning_rate, beta_1, beta_2, epsilon)
    tfwd.SparseAdagrad(learning_rate, initial_accumulator_value)
    tfwd.SparseRmsprop(learning_rate, rho, epsilon, centered)
    tfwd.SparseSgd(learning_rate)
    tfwd.Source.open(data, csv, format, filter)
    tfwd.data.write_tfrecord(data, path, shards, compression, columns)
    tfwd.resolve_schema(config, source)
    tfwd.Rows(source, schema, split, fraction, labelled, key)
    tfwd.Rows.batches(batch_size, order)
    tfwd.Rows.dataset(batch_size, order)
    tfwd.Rows.with_classes(classes)
    tfwd.analyze(rows, config)
    tfwd.FeatureStatistics.save(folder)
    tfwd.FeatureStatistics.load(folder)
    tfwd.datasets.census.load(split)
    tfwd.datasets.census.path(split)
    tfwd.load_scorer(path)
    tfwd.Scorer.predict(data, key)
    tfwd.Scorer.evaluate(data)
    tfwd.Scorer.source(data, labelled, key, delimiter)
    tfwd.inference.evaluation.evaluate(scorer, rows, ranking)
    tfwd.inference.prediction.predict(scorer, source, output, key)
    tfwd.Recommender(run, items)
    tfwd.layers.seeded_dropout.SeededDropout(rate, seed)
    tfwd.export_savedmodel(source, output, name, version, rows)
    tfwd.export_onnx(source, output_file, fingerprint_inputs, sparse_wide, half_tables, rows)
    export.savedmodel.save(model, output, name, rows, version)
    export.onnx.save(model, output_file, fingerprint_inputs, sparse_wide, half_tables, rows)
    export.parity.check_savedmodel(model, folder, rows)
    export.parity.check_onnx(model, file, rows)
    export.onnx.fingerprints(values)
    export.baseline.compare(new, old, rows, limits)
    export.pipeline.export_run(run)
    export.serving.tf_serving.write(output)
"""
# What objects have, by how one comes to them.
HELD = {
    "run": "evaluate metrics model path predict provenance recommend statistics status config wide_weights",
    "run.config": "replace dump features",
    "run.model": """call compile evaluate export fit layout link logits predict ranker save schema
        train_on_batch transform transformed""",
    "run.model.schema": "inputs",
    "scorer": "evaluate kind predict score score_chunk source",
}


@pytest.mark.parametrize("module", IMPORTED)
def test_what_the_documents_import_is_there(module: str) -> None:
    for name in IMPORTED[module].split():
        scope: dict[str, Any] = {}
        exec(f"from {module} import {name}", scope)
        assert scope[name] is not None


@pytest.mark.parametrize("module", COMMANDS.split())
def test_what_the_documents_run_is_there(module: str) -> None:
    spec = importlib.util.find_spec(module)
    assert spec is not None
    if spec.submodule_search_locations is not None:
        assert importlib.util.find_spec(f"{module}.__main__") is not None


@pytest.mark.parametrize("call", CALLED.strip().splitlines())
def test_what_the_documents_call_takes_what_it_took(call: str) -> None:
    path, arguments = re.fullmatch(r"\s*([\w.]+)\((.*)\)", call).groups()  # type: ignore[union-attr]
    found: Any = importlib.import_module(path.split(".")[0])
    for place, name in enumerate(path.split(".")[1:], start=1):
        if inspect.ismodule(found) and not hasattr(found, name):
            importlib.import_module(".".join(path.split(".")[: place + 1]))
        found = getattr(found, name)
    taken = inspect.signature(found).parameters
    named = set(taken) | set(getattr(found, "model_fields", {}))
    assert set(arguments.split(", ")) <= named, f"{path} takes {sorted(named)}"


def test_what_objects_had_they_have() -> None:
    import tfwd

    path = Path(__file__).parent / "run_folder" / "files" / "0.4.0" / "finished"
    run = tfwd.Run.open(path)
    objects = {"run": run, "run.config": run.config, "run.model": run.model, "run.model.schema": run.model.schema}
    objects["scorer"] = tfwd.load_scorer(path / "model.keras")
    for what, names in HELD.items():
        assert not [name for name in names.split() if not hasattr(objects[what], name)], what
