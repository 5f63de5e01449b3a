"""Helpers that know nothing of features, rows or models: files and their locks, names, and the console."""
