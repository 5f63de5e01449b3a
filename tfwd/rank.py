"""The command `python -m tfwd.rank`. In Python: `run.recommend(users)`."""

from tfwd.cli import rank, run_single
from tfwd.command_line import refuse_calls

refuse_calls(__name__)

if __name__ == "__main__":
    run_single(rank)
