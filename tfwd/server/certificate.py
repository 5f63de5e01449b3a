"""The certificate of a server, checked before anything starts."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import NoReturn

from tfwd.errors import ConfigError


def check_certificate(certificate: Path, key: Path) -> None:
    """Refuses files that are not a certificate and its key.

    Raises:
        ConfigError: one cannot be read, is no PEM file, or the key is of another certificate or has a password.
    """
    for file, option in ((certificate, "--tls-cert"), (key, "--tls-key")):
        try:
            file.read_bytes()
        except OSError as error:
            raise ConfigError(f"{option}: {file} cannot be read: {error.strerror}. Give a PEM file.") from None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_verify_locations(certificate)
    except ssl.SSLError as error:
        raise ConfigError(f"--tls-cert: {certificate} holds no certificate in the form PEM: {_why(error)}") from None

    def password() -> NoReturn:
        raise ConfigError(f"--tls-key: {key} has a password. Give the key without: openssl pkey -in {key} -out NEW")

    try:
        context.load_cert_chain(certificate, key, password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise ConfigError(f"--tls-key: {key} is the key of another certificate than {certificate}.") from None
        raise ConfigError(f"--tls-key: {key} holds no key for {certificate} in the form PEM: {_why(error)}") from None


def _why(error: ssl.SSLError) -> str:
    return (error.reason or str(error)).replace("_", " ").lower() + "."
