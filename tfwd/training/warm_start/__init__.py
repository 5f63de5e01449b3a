"""Warm start from an older run: what it has learned, carried over by name (Cheng et al. 2016, section 4.2)."""
