"""MLflow: a model that `mlflow models serve` and `mlflow.pyfunc.load_model` answer with, without tfwd or TensorFlow."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={"writer": ["log", "save"]})
