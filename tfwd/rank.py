"""The command `python -m tfwd.rank`. In Python: `run.recommend(users)`."""

from tfwd.cli.rank import rank
from tfwd.utils.command_line import refuse_calls, run_single

refuse_calls(__name__)

if __name__ == "__main__":
    run_single(rank)
