"""`python -m export.mlflow RUN`."""

from export.commands import mlflow
from tfwd.utils.command_line import run_single

if __name__ == "__main__":
    run_single(mlflow)
