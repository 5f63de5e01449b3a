"""The token of a server: read from its file, and looked for in the header of a request."""

from __future__ import annotations

import base64
import binascii
import hmac
from pathlib import Path

from tfwd.errors import ConfigError
from tfwd.server.request_error import RequestError


def token_of(file: Path) -> str:
    """Returns the token in a file, its only line.

    Raises:
        ConfigError: the file cannot be read, or holds no token.
    """
    try:
        token = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} cannot be read as a token: {error}") from None
    if not token or any(not 33 <= ord(character) <= 126 for character in token):
        raise ConfigError(f"{file} must hold a token: one line of letters, digits and signs, without spaces.")
    return token


def check(header: bytes, token: str | None) -> None:
    """Refuses a request whose header `Authorization` does not carry the token, if there is one.

    Raises:
        RequestError: it does not.
    """
    if token is not None and not _is(_credentials(header, b"bearer"), token):
        raise RequestError("The header Authorization must be: Bearer TOKEN, with the server's token.", 401)


def opens_page(header: bytes, token: str | None) -> bool:
    """Returns whether a header `Authorization` carries the token, also as the password that a browser asks for."""
    if token is None:
        return True
    try:
        _, _, password = base64.b64decode(_credentials(header, b"basic"), validate=True).partition(b":")
    except binascii.Error:
        return False
    return _is(password, token) or _is(_credentials(header, b"bearer"), token)


def _credentials(header: bytes, scheme: bytes) -> bytes:
    """Returns what follows the scheme, of which upper and lower case are one (RFC 9110, 11.1); nothing if another."""
    found, _, credentials = header.partition(b" ")
    return credentials.strip(b" ") if found.lower() == scheme else b""


def _is(given: bytes, token: str) -> bool:
    # In constant time, so that a token is not found out letter by letter.
    return hmac.compare_digest(given, token.encode())
