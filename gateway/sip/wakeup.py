"""When the SIP library has something to do: its sockets say so, it is asked for the rest."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from pathlib import Path

_IDLE_S = 0.1
"""The library's timers are as late as this (the shortest, T1, is 500 ms)."""
_CALLS_S = 0.05
"""Keys that come by RTP, whose sockets are not known, in calls without a conversation."""
_BUSY_S = 0.033
"""The same in conversations, and TCP connections."""
BATCH_INTERVAL_S = 0.005
"""Between a message and the next: a flood is taken in bundles."""


class Wakeup:
    """Waits for SIP messages, on the loop thread."""

    def __init__(self, port: int, *, is_udp_only: bool) -> None:
        """Find the library's sockets.

        Args:
            port: that they are bound to.
            is_udp_only: there will be no TCP connections.
        """
        self._loop = asyncio.get_running_loop()
        self._sockets = sockets_on(port, socket.SOCK_DGRAM)
        self._has_all = bool(self._sockets)
        self._listener: socket.socket | None = None
        if not is_udp_only:
            found = sockets_on(port, socket.SOCK_STREAM)
            self._has_all &= bool(found)
            if found:  # of our own: `AcceptSwitch` gives that number to another socket now and then
                self._listener = socket.socket(fileno=os.dup(found[0]))
                self._sockets += (self._listener.fileno(),)
        self._awake = asyncio.Event()
        self._is_listening = False

    async def wait(self, *, has_calls: bool, is_busy: bool) -> None:
        """Return when a message or a connection has come, or it is time to look for anything else.

        Args:
            has_calls: there are calls.
            is_busy: there are conversations or TCP connections.
        """
        quiet_s = _CALLS_S if has_calls else _IDLE_S
        limit_s = _BUSY_S if is_busy or not self._has_all else quiet_s
        timer = self._loop.call_later(limit_s, self._awake.set)
        if not self._is_listening:
            self._is_listening = True
            for descriptor in self._sockets:
                self._loop.add_reader(descriptor, self._on_message)
        try:
            await self._awake.wait()
        finally:
            timer.cancel()
            self._awake.clear()

    def close(self) -> None:
        """Listen no more; the library is about to close its sockets."""
        self._stop_listening()
        if self._listener:
            self._listener.close()

    def _stop_listening(self) -> None:
        if self._is_listening:
            self._is_listening = False
            for descriptor in self._sockets:
                self._loop.remove_reader(descriptor)

    def _on_message(self) -> None:
        self._stop_listening()  # until it is read: else the loop turns and turns
        self._awake.set()


def sockets_on(port: int, kind: socket.SocketKind) -> tuple[int, ...]:
    """Find this process's sockets on a port (file descriptors); none where there is no /proc.

    The library does not say which are its own.
    """
    try:
        descriptors = [int(entry.name) for entry in Path("/proc/self/fd").iterdir()]
    except OSError:
        return ()
    return tuple(descriptor for descriptor in descriptors if _is_on(descriptor, port, kind))


def _is_on(descriptor: int, port: int, kind: socket.SocketKind) -> bool:
    try:
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):  # a copy of it would stay open
            return False
        with socket.socket(fileno=os.dup(descriptor)) as found:
            is_wanted = found.family == socket.AF_INET and found.type == kind
            return is_wanted and found.getsockname()[1] == port
    except OSError:  # it was closed meanwhile
        return False
