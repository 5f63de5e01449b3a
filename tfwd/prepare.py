"""The command `python -m tfwd.prepare`. In Python: `tfwd.preparation.prepare.prepare(config, folder)`."""

from tfwd.cli import prepare, run_single
from tfwd.command_line import refuse_calls

refuse_calls(__name__)

if __name__ == "__main__":
    run_single(prepare)
