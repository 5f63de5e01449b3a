"""What the routes need of the server that they belong to."""

from __future__ import annotations

from typing import Protocol

from tfwd.server.body import Receive
from tfwd.server.repository import Repository
from tfwd.server.settings import Settings


class Host(Protocol):
    """A server, as its routes see it."""

    @property
    def settings(self) -> Settings:
        """What it was told."""

    @property
    def repository(self) -> Repository:
        """Its models."""

    @property
    def ready(self) -> bool:
        """Whether requests are answered."""

    @property
    def alone(self) -> bool:
        """Whether the request that is being answered is the only one."""

    async def read(self, headers: dict[bytes, bytes], receive: Receive) -> bytes:
        """Returns the body of a request, within the limits."""
