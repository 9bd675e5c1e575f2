"""Remote procedure calls to a running Kamailio: JSON-RPC over a Unix datagram socket."""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
from contextlib import suppress
from pathlib import Path
from typing import TypedDict

from gateway.errors import EdgeError

_TIMEOUT_S = 3.0
_LONGEST = 65536
_PATH_LENGTH = 107  # sun_path of unix(7)


class _Error(TypedDict):
    message: str


class _Reply(TypedDict, total=False):
    id: int
    result: object
    error: _Error


class Control:
    """Speaks to the socket in a folder; one call at a time."""

    def __init__(self, socket_path: Path) -> None:
        self._path = socket_path
        self._numbers = itertools.count(1)
        self._lock = asyncio.Lock()

    async def call(self, method: str, *parameters: str | int) -> object:
        """Call a method of Kamailio, such as `dispatcher.list`, and give its result.

        Raises:
            EdgeError: Kamailio does not run or answer, or it refused.
        """
        async with self._lock:
            number = next(self._numbers)
            request = {"jsonrpc": "2.0", "method": method, "params": parameters, "id": number}
            try:
                async with asyncio.timeout(_TIMEOUT_S):
                    reply = await self._exchange(json.dumps(request).encode(), number)
            except (OSError, TimeoutError, ValueError) as error:
                reason = str(error) or f"no answer within {_TIMEOUT_S:g} s"
                raise EdgeError(f"Kamailio cannot be asked for {method}: {reason}") from error
        if "error" in reply:
            raise EdgeError(f"Kamailio refused {method}: {reply['error']['message']}")
        return reply.get("result")

    async def _exchange(self, request: bytes, number: int) -> _Reply:
        loop = asyncio.get_running_loop()
        mine = self._path.with_name(f"reply-{number % 100}.sock")
        mine.unlink(missing_ok=True)
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
                link.setblocking(False)  # noqa: FBT003 (positional only)
                link.bind(str(mine))
                await loop.sock_sendto(link, request, str(self._path))
                while True:
                    reply: _Reply = json.loads(await loop.sock_recv(link, _LONGEST))
                    if reply.get("id") == number:
                        return reply
        finally:
            with suppress(FileNotFoundError):
                mine.unlink()


def is_short_enough(folder: Path) -> bool:
    """Return whether a socket's path in this folder fits the system's limit."""
    return len(str(folder / "reply-99.sock").encode()) <= _PATH_LENGTH
