"""`python -m export.onnx RUN`."""

from export.commands import onnx
from tfwd.utils.command_line import run_single

if __name__ == "__main__":
    run_single(onnx)
