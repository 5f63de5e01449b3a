"""`python -m tfwd.train`: see `tfwd.cli`."""

from tfwd.cli import train, run_single

if __name__ == "__main__":
    run_single(train)
