"""The server: a run, an ONNX file or a folder of versions, answered over HTTP.

It needs NumPy, ONNX Runtime and the packages of the extra `serve`, and no TensorFlow unless a model has no ONNX file.
"""
