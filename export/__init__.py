"""Exports of a trained model: SavedModel for TF Serving, ONNX, and the comparison of both with the Keras model."""
