"""The run directory: its files, its life cycle, and what killed processes leave in it."""
