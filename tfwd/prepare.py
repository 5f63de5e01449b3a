"""The command `python -m tfwd.prepare`. In Python: `tfwd.preparation.prepare.prepare(config, folder)`."""

from tfwd.cli.prepare import prepare
from tfwd.utils.command_line import refuse_calls, run_single

refuse_calls(__name__)

if __name__ == "__main__":
    run_single(prepare)
