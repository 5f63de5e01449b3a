"""SavedModel, as TF Serving loads it."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={"writer": ["save", "next_version"]})
