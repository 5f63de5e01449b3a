"""`python -m export.savedmodel RUN`."""

from export.commands import savedmodel
from tfwd.utils.command_line import run_single

if __name__ == "__main__":
    run_single(savedmodel)
