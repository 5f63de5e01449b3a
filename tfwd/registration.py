"""tfwd's Keras classes by the names they have in saved files, known to Keras as soon as both are imported.

Keras finds a class only if the module that registers it was imported. Importing all of tfwd whenever Keras is imported
would be a cost to those who don't need it, and could happen in the middle of tfwd's own import. So each class has a
stand-in until a file names it.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

PACKAGE = "tfwd"
# Together these modules import every class.
_MODULES = ("tfwd.model.build", "tfwd.optimizers.configured")
CLASSES = (
    "AgeInDays",
    "BagWeights",
    "Bucketize",
    "CrossFeatures",
    "CyclicalEncoding",
    "DatetimeParts",
    "DeepHead",
    "DenseAdam",
    "DenseFtrl",
    "Fingerprint",
    "HashedLookup",
    "IdentityLookup",
    "JoinColumns",
    "JointOptimizer",
    "LatestValues",
    "LazyAdam",
    "LogitSum",
    "NumericScaling",
    "PoissonDeviance",
    "ScaledSquaredError",
    "SeededDropout",
    "SharedTable",
    "SparseAdagrad",
    "SparseFtrl",
    "SparseRmsprop",
    "SparseSgd",
    "TableIds",
    "VocabularyLookup",
    "WarmupDecay",
    "WideDeep",
    "WideHead",
)


def register_when_keras_is_imported() -> None:
    """Registers the classes now if Keras is imported already, else when it is; Keras need not be installed."""
    keras = sys.modules.get("keras")
    if keras is None:
        sys.meta_path.insert(0, _Finder())
    else:
        _register(keras)


class _Finder(importlib.abc.MetaPathFinder):
    """Finds nothing itself: makes the module found by the other finders register the classes after it has run."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != "keras":
            return None
        sys.meta_path.remove(self)
        try:
            spec = importlib.util.find_spec("keras")
        finally:
            # A spec may be requested without an import, for example to check whether Keras is installed.
            sys.meta_path.insert(0, self)
        if spec is None or spec.loader is None:
            return None
        loader: Any = spec.loader
        run = loader.exec_module

        def run_and_register(module: ModuleType) -> None:
            loader.exec_module = run
            # If the import fails, it may be tried again.
            run(module)
            if self in sys.meta_path:
                sys.meta_path.remove(self)
            _register(module)

        loader.exec_module = run_and_register
        return spec


def _register(keras: Any) -> None:
    registered = keras.saving.get_custom_objects()
    for name in CLASSES:
        registered.setdefault(f"{PACKAGE}>{name}", _stand_in(keras, name))


def _stand_in(keras: Any, name: str) -> type:
    def from_config(config: dict[str, Any], **options: Any) -> Any:
        for module in _MODULES:
            importlib.import_module(module)
        # The class has registered itself where it is defined.
        return keras.saving.get_custom_objects()[f"{PACKAGE}>{name}"].from_config(config, **options)

    return type(name, (), {"from_config": staticmethod(from_config), "__doc__": f"Stands in for tfwd's {name}."})
