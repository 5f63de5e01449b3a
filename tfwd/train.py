"""`python -m tfwd.train`: see `tfwd.cli`."""

from tfwd.cli import run_single, train

if __name__ == "__main__":
    run_single(train)
