"""The command `python -m tfwd.predict`. In Python: `run.predict(rows)`, `tfwd.load_scorer(path).predict(rows)`."""

from tfwd.cli.predict import predict
from tfwd.utils.command_line import refuse_calls, run_single

refuse_calls(__name__)

if __name__ == "__main__":
    run_single(predict)
