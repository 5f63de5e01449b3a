"""The version of tfwd, also written into runs and exports."""

__version__ = "0.6.0"
