"""`python -m tfwd.evaluate`: see `tfwd.cli`."""

from tfwd.cli import evaluate, run_single

if __name__ == "__main__":
    run_single(evaluate)
