"""tfwd's Keras classes by the names they have in saved files, known to Keras as soon as both are imported.

Keras finds a class only if the module that registers it was imported. To import all of tfwd where Keras is imported
would cost whoever needs none of it, and could come in the middle of an import of tfwd's own. So each class is stood in
for until a file names it.
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
# Between them they import every class.
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
    """Registers the classes now if Keras is imported already, else when it is; Keras need not be there."""
    keras = sys.modules.get("keras")
    if keras is None:
        sys.meta_path.insert(0, _Finder())
    else:
        _register(keras)


class _Finder(importlib.abc.MetaPathFinder):
    """Finds nothing itself: has the module that the other finders find register the classes after it was run."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != "keras":
            return None
        sys.meta_path.remove(self)
        try:
            spec = importlib.util.find_spec("keras")
        finally:
            # A spec may be asked for and nothing imported, as by those who look whether Keras is there.
            sys.meta_path.insert(0, self)
        if spec is None or spec.loader is None:
            return None
        loader: Any = spec.loader
        run = loader.exec_module

        def run_and_register(module: ModuleType) -> None:
            loader.exec_module = run
            # Where it cannot be imported, it may be once more.
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
        # Where it is defined the class has registered itself.
        return keras.saving.get_custom_objects()[f"{PACKAGE}>{name}"].from_config(config, **options)

    return type(name, (), {"from_config": staticmethod(from_config), "__doc__": f"Stands in for tfwd's {name}."})
