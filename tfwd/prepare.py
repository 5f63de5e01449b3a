"""`python -m tfwd.prepare`: see `tfwd.cli`."""

from tfwd.cli import prepare, run_single

if __name__ == "__main__":
    run_single(prepare)
