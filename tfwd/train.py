"""The command `python -m tfwd.train`. In Python: `tfwd.fit(config, output)`, `tfwd.resume(output)`."""

from tfwd.cli.train import train
from tfwd.utils.command_line import refuse_calls, run_single

refuse_calls(__name__)

if __name__ == "__main__":
    run_single(train)
