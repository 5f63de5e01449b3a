"""The command `python -m tfwd.evaluate`. In Python: `run.evaluate(rows)`, `tfwd.load_scorer(path).evaluate(rows)`."""

from tfwd.cli.evaluate import evaluate
from tfwd.utils.command_line import refuse_calls, run_single

refuse_calls(__name__)

if __name__ == "__main__":
    run_single(evaluate)
