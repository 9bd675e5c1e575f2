"""Where audio and keys may travel without TLS: to this host, or to a private network."""

from __future__ import annotations

import asyncio
import socket as sockets

from gateway.providers.kit import rules


async def near_address(host: str, port: int) -> str:
    """Return the address that a name leads to; empty where it leads to others than near ones.

    The address that was judged is the one to use: a name must not lead elsewhere meanwhile.

    Raises:
        OSError: the name is not known.
    """
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=sockets.SOCK_STREAM)
    found.sort(key=lambda entry: entry[0] != sockets.AF_INET)  # most servers listen on that alone
    addresses = [str(entry[4][0]) for entry in found]
    return addresses[0] if addresses and all(map(rules.is_near, addresses)) else ""
