"""`python -m tfwd` is the command `tfwd`."""

from tfwd.cli.main import main

if __name__ == "__main__":
    main()
