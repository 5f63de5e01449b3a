"""tfwd: Wide & Deep Learning (Cheng et al. 2016) for TensorFlow and Keras 3.

Declare features once, train a linear head with FTRL and a deep head with Adam jointly, export one SavedModel and one
ONNX file that take raw features. Everything a notebook needs is here; TensorFlow is imported when it is first needed.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from tfwd.registration import register_when_keras_is_imported
from tfwd.version import __version__

if TYPE_CHECKING:
    from export.pipeline import export_onnx, export_savedmodel
    from tfwd.analysis.analyze import analyze
    from tfwd.analysis.statistics import FeatureStatistics
    from tfwd.config import (
        Config,
        CsvConfig,
        DataConfig,
        EarlyStoppingConfig,
        ExportConfig,
        LabelConfig,
        ModelConfig,
        OptimizerConfig,
        RankingConfig,
        ScheduleConfig,
        TrainConfig,
    )
    from tfwd.data.rows import Rows
    from tfwd.data.schema import resolve_schema
    from tfwd.data.source import Source
    from tfwd.errors import ConfigError, DataError, ExportError, RunError, TfwdError
    from tfwd.features.columns import Bucketized, Categorical, Cross, Numeric
    from tfwd.inspection import wide_weights
    from tfwd.model import WideDeep, build_model
    from tfwd.optimizers import JointOptimizer, LazyAdam, SparseAdagrad, SparseFtrl, SparseRmsprop, SparseSgd
    from tfwd.recommend.recommender import Recommender
    from tfwd.run import Run, load_model
    from tfwd.schema import Input, Schema
    from tfwd.scoring import Scorer, load_scorer
    from tfwd.training import fit, resume

_PLACES = {
    "tfwd.analysis.analyze": ("analyze",),
    "tfwd.analysis.statistics": ("FeatureStatistics",),
    "tfwd.config": (
        "Config",
        "CsvConfig",
        "DataConfig",
        "EarlyStoppingConfig",
        "ExportConfig",
        "LabelConfig",
        "ModelConfig",
        "OptimizerConfig",
        "RankingConfig",
        "ScheduleConfig",
        "TrainConfig",
    ),
    "tfwd.data.rows": ("Rows",),
    "tfwd.data.schema": ("resolve_schema",),
    "tfwd.data.source": ("Source",),
    "tfwd.errors": ("ConfigError", "DataError", "ExportError", "RunError", "TfwdError"),
    "tfwd.features.columns": ("Bucketized", "Categorical", "Cross", "Numeric"),
    "tfwd.inspection": ("wide_weights",),
    "tfwd.model": ("WideDeep", "build_model"),
    "tfwd.optimizers": ("JointOptimizer", "LazyAdam", "SparseAdagrad", "SparseFtrl", "SparseRmsprop", "SparseSgd"),
    "tfwd.recommend.recommender": ("Recommender",),
    "tfwd.run": ("Run", "load_model"),
    "tfwd.schema": ("Input", "Schema"),
    "tfwd.scoring": ("Scorer", "load_scorer"),
    "tfwd.training": ("fit", "resume"),
}
# Modules that are commands, as `tfwd.predict`: where they are called they say what there is in Python for it.
_COMMANDS = ("evaluate", "predict", "prepare", "rank", "train")
# With `tfwd.cli` the only ones that know the package `export`, which knows tfwd.
_EXPORTS = ("export_onnx", "export_savedmodel")
_PLACE = {name: module for module, names in _PLACES.items() for name in names}

__all__ = [
    "Bucketized",
    "Categorical",
    "Config",
    "ConfigError",
    "Cross",
    "CsvConfig",
    "DataConfig",
    "DataError",
    "EarlyStoppingConfig",
    "ExportConfig",
    "ExportError",
    "FeatureStatistics",
    "Input",
    "JointOptimizer",
    "LabelConfig",
    "LazyAdam",
    "ModelConfig",
    "Numeric",
    "OptimizerConfig",
    "RankingConfig",
    "Recommender",
    "Rows",
    "Run",
    "RunError",
    "ScheduleConfig",
    "Schema",
    "Scorer",
    "Source",
    "SparseAdagrad",
    "SparseFtrl",
    "SparseRmsprop",
    "SparseSgd",
    "TfwdError",
    "TrainConfig",
    "WideDeep",
    "__version__",
    "analyze",
    "build_model",
    "export_onnx",
    "export_savedmodel",
    "fit",
    "load_model",
    "load_scorer",
    "resolve_schema",
    "resume",
    "wide_weights",
]


register_when_keras_is_imported()


def __getattr__(name: str) -> Any:
    if name in _COMMANDS:
        return importlib.import_module(f"tfwd.{name}")
    if name in _EXPORTS:
        from tfwd.exporting import export_module

        value = getattr(export_module("pipeline"), name)
    elif name in _PLACE:
        value = getattr(importlib.import_module(_PLACE[name]), name)
    else:
        raise AttributeError(f"module 'tfwd' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
