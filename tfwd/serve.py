"""The command `python -m tfwd.serve`."""

from tfwd.cli.serve import serve
from tfwd.utils.command_line import refuse_calls, run_single

refuse_calls(__name__)

if __name__ == "__main__":
    run_single(serve)
