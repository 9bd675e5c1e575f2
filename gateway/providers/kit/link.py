"""Link: a connection, as a session sees it; a WebSocket (`Socket`) is one."""

from __future__ import annotations

from typing import Protocol


class Link(Protocol):
    """What a session needs of its connection.  Loop thread only."""

    @property
    def is_open(self) -> bool:
        """False once it is lost."""

    def post(self, message: str | bytes) -> None:
        """Queue a message; never raises."""

    async def receive(self) -> str | bytes:
        """Return the next message.  Raises ProviderError."""

    def parsed(self, message: str | bytes) -> dict[str, object]:
        """Read a message.  Raises ProviderProtocolError."""
