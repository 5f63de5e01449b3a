"""The Wide & Deep model: its heads joined, its loss, its training step, its files."""
