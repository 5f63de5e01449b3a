"""The command `python -m tfwd.predict`. In Python: `run.predict(rows)`, `tfwd.load_scorer(path).predict(rows)`."""

from tfwd.cli import predict, run_single
from tfwd.command_line import refuse_calls

refuse_calls(__name__)

if __name__ == "__main__":
    run_single(predict)
