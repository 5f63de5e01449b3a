"""`python -m export.serving OUT`."""

from export.commands import serving
from tfwd.utils.command_line import run_single

if __name__ == "__main__":
    run_single(serving)
