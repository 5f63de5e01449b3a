"""`python -m tfwd.predict`: see `tfwd.cli`."""

from tfwd.cli import predict, run_single

if __name__ == "__main__":
    run_single(predict)
