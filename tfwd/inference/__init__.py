"""Scoring of raw rows, including the readers of the exports' metadata."""
