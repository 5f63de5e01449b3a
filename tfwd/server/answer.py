"""What a request is answered with."""

from __future__ import annotations

from dataclasses import dataclass, field

_JSON = (b"content-type", b"application/json")

Header = tuple[bytes, bytes]


@dataclass
class Answer:
    """An answer over HTTP.

    Attributes:
        body: its content.
        status: the HTTP status.
        type: the header Content-Type.
        model: the model that was asked, "" if none.
        kind: what was asked, as TensorFlow Serving's metrics call it; "" if it is not counted.
        version: the version that answered.
        rows: the number of rows.
        headers: further headers.
    """

    body: bytes
    status: int = 200
    type: Header = _JSON
    model: str = ""
    kind: str = ""
    version: bytes | None = None
    rows: int = 0
    headers: list[Header] = field(default_factory=list)
