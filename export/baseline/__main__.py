"""`python -m export.baseline NEW OLD`."""

from export.commands import baseline
from tfwd.utils.command_line import run_single

if __name__ == "__main__":
    run_single(baseline)
