"""Compares a model with the one that it would replace."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, submod_attrs={"comparison": ["Limits", "compare", "comparison_rows"]}
)
