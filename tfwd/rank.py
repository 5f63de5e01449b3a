"""`python -m tfwd.rank`: see `tfwd.cli`."""

from tfwd.cli import rank, run_single

if __name__ == "__main__":
    run_single(rank)
