"""Errors that the user can fix: the command line prints them as one message and exits with 2."""

from __future__ import annotations


class TfwdError(Exception):
    """Base of every error that tfwd raises on purpose."""


class ConfigError(TfwdError):
    """A configuration that cannot be carried out: an unknown key, a wrong type, an impossible cross."""


class DataError(TfwdError):
    """Data that does not fit the configuration: a missing column, a string in a numeric column."""


class RunError(TfwdError):
    """A run directory that cannot be used: it exists already, is of another version, or is incomplete."""


class ExportError(TfwdError):
    """A model that cannot be exported, or an export that disagrees with its model."""


def first_line(error: BaseException) -> str:
    """Returns the first line of another library's error, or its class if it says nothing."""
    return (str(error).splitlines() or [type(error).__name__])[0]
