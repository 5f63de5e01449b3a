"""The command `python -m tfwd.train`. In Python: `tfwd.fit(config, output)`, `tfwd.resume(output)`."""

from tfwd.cli import run_single, train
from tfwd.command_line import refuse_calls

refuse_calls(__name__)

if __name__ == "__main__":
    run_single(train)
