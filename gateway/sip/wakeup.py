"""When the SIP library has something to do: its sockets say so, it is asked for the rest."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from pathlib import Path

_IDLE_S = 0.045
"""The library's timers are as late as this (the shortest, T1, is 500 ms)."""
_BUSY_S = 0.02
"""Digits that come by RTP, and TCP connections, whose sockets come and go."""
BREATH_S = 0.005
"""Between a message and the next: a flood is taken in bundles."""


class Wakeup:
    """Waits for SIP messages, on the loop thread."""

    def __init__(self, port: int, *, is_udp_only: bool) -> None:
        """Find the library's UDP sockets.

        Args:
            port: that they are bound to.
            is_udp_only: there will be no TCP connections.
        """
        self._loop = asyncio.get_running_loop()
        self._udp = udp_sockets(port)
        self._has_all = bool(self._udp) and is_udp_only
        self._awake = asyncio.Event()

    async def wait(self, *, has_calls: bool) -> None:
        """Return when a message has come by UDP, or it is time to look for anything else."""
        is_idle = self._has_all and not has_calls
        timer = self._loop.call_later(_IDLE_S if is_idle else _BUSY_S, self._awake.set)
        for descriptor in self._udp:
            self._loop.add_reader(descriptor, self._awake.set)
        try:
            await self._awake.wait()
        finally:
            for descriptor in self._udp:
                self._loop.remove_reader(descriptor)
            timer.cancel()
            self._awake.clear()


def udp_sockets(port: int) -> tuple[int, ...]:
    """Find this process's UDP sockets on a port (file descriptors); none where there is no /proc.

    The library does not say which are its own.
    """
    try:
        descriptors = [int(entry.name) for entry in Path("/proc/self/fd").iterdir()]
    except OSError:
        return ()
    return tuple(descriptor for descriptor in descriptors if _is_udp_on(descriptor, port))


def _is_udp_on(descriptor: int, port: int) -> bool:
    try:
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):  # a copy of it would stay open
            return False
        with socket.socket(fileno=os.dup(descriptor)) as found:
            is_udp = found.family == socket.AF_INET and found.type == socket.SOCK_DGRAM
            return is_udp and found.getsockname()[1] == port
    except OSError:  # it was closed meanwhile
        return False
