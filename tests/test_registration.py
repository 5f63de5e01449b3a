"""A file that Keras saved loads where tfwd was imported, and `import tfwd` alone asks for nothing."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from census_cases import trained

from tfwd.registration import CLASSES

REPOSITORY = Path(__file__).parent.parent


def python(code: str, *options: str) -> str:
    done = subprocess.run(
        [sys.executable, *options, "-c", code], capture_output=True, text=True, timeout=200, cwd=REPOSITORY
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_keras_loads_a_run_and_then_knows_every_class() -> None:
    """With tfwd imported first. With Keras first a checkpoint is loaded in tests/optimizers/test_mirrored.py."""
    path, model = trained().path / "model.keras", trained().model
    # Somebody may look whether Keras is there before it is imported, which changes nothing.
    code = (
        "import importlib.util, tfwd; importlib.util.find_spec('keras'); importlib.util.find_spec('keras')\n"
        "import keras, sys; assert 'tfwd.model.wide_deep' not in sys.modules\n"
        "assert 'tfwd>WideDeep' in keras.saving.get_custom_objects()\n"
        f"model = keras.saving.load_model({str(path)!r})\n"
        "print(type(model).__module__, float(sum(abs(w).sum() for w in model.get_weights())))\n"
        # Whichever class a file names first, all are found from then on.
        "from tfwd.registration import CLASSES\n"
        "print([n for n in CLASSES if 'Stands in' in (keras.saving.get_registered_object(f'tfwd>{n}').__doc__ or '')])"
    )
    *_, loaded, standing_in = python(code).splitlines()
    assert standing_in == "[]"
    module, total = loaded.split()
    expected = sum(np.abs(weights).sum() for weights in model.get_weights())
    assert module == "tfwd.model.wide_deep"
    assert float(total) == pytest.approx(float(expected))


def test_tfwd_alone_imports_neither_and_needs_neither() -> None:
    heavy = "('keras', 'tensorflow', 'duckdb', 'numpy', 'pandas', 'pydantic')"
    code = f"import tfwd, sys; print([name for name in {heavy} if name in sys.modules])"
    assert python(code) == "[]"
    # Without the packages that are installed, as where Keras is not.
    code = f"import sys; sys.path.insert(0, {str(REPOSITORY)!r}); import tfwd\ntry:\n import keras\n"
    code += "except ModuleNotFoundError as error:\n print(error)"
    assert python(code, "-I", "-S") == "No module named 'keras'"


def test_every_class_that_a_file_may_name_is_known() -> None:
    registered = set()
    for file in (REPOSITORY / "tfwd").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and any(
                "register_keras_serializable" in ast.unparse(decorator) for decorator in node.decorator_list
            ):
                registered.add(node.name)
    assert set(CLASSES) == registered
    for name in CLASSES:
        assert keras.saving.get_registered_object(f"tfwd>{name}") is not None
