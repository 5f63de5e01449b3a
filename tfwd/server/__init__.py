"""Answers requests over HTTP with exported models, without TensorFlow."""
