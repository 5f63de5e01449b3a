"""Exports a trained model as SavedModel for TF Serving and as ONNX, and compares both with the Keras model."""
