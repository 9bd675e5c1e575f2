"""RealtimeTransport: the sessions of one worker; clients come through a socket."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Mapping
from pathlib import Path

import structlog

from gateway.call.line import Line
from gateway.config.models import RealtimeConfig
from gateway.errors import SipError
from gateway.realtime.clock import FRAME_S
from gateway.realtime.connection import ClientConnection, SessionSink
from gateway.realtime.handoff import Handoff, receive
from gateway.realtime.line import RealtimeLine
from gateway.realtime.protocol.errors import ProtocolError

log = structlog.get_logger(__name__)

_LATE_S = 1.0
_SLOW_BEAT_S = 0.1
"""While there is no session."""


class RealtimeTransport:
    """Satisfies `Transport`.  Loop thread only."""

    def __init__(self, config: RealtimeConfig, path: Path, sink: SessionSink) -> None:
        """Prepare; `run` serves.

        Args:
            config: `[realtime]`.
            path: of the socket that clients are passed through.
            sink: serves the sessions.
        """
        self._config = config
        self._path = path
        self._sink = sink
        self._connections: set[ClientConnection] = set()
        self._group: asyncio.TaskGroup | None = None
        self._beat_s = 0.0
        self.draining = False
        self.is_listening = asyncio.Event()

    @property
    def slots(self) -> int:
        """How many sessions it carries at once."""
        return self._config.sessions_per_worker

    def active_calls(self) -> int:
        """Return how many sessions there are."""
        return len(self._connections)

    def clock_late_s(self) -> float:
        """Return by how much the clock of the sessions is overdue."""
        if not self._connections or not self._beat_s:
            return 0.0
        return max(0.0, asyncio.get_running_loop().time() - self._beat_s - FRAME_S)

    def release(self, line: Line) -> None:
        """Forget a session that is over.  Idempotent."""
        for connection in [one for one in self._connections if one.line is line]:
            self._connections.discard(connection)

    def place(self, target: str, trunk: str, caller_id: str, variables: Mapping[str, str]) -> Line:
        """Raise SipError: clients come to us."""
        del target, trunk, caller_id, variables
        raise SipError(501, "a realtime worker places no calls")

    async def run(self) -> None:
        """Carry sessions until cancelled."""
        listener = _listener(self._path)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                loop.add_reader(listener, self._accept, listener)
                self.is_listening.set()
                await self._beat()
        finally:
            loop.remove_reader(listener)
            listener.close()
            self._path.unlink(missing_ok=True)

    async def _beat(self) -> None:
        """Be the clock of all sessions."""
        loop = asyncio.get_running_loop()
        due_s = loop.time()
        while True:
            now_s = loop.time()
            self._beat_s = now_s
            for connection in tuple(self._connections):
                connection.beat()
            due_s += FRAME_S if self._connections else _SLOW_BEAT_S
            if due_s < now_s - _LATE_S:
                due_s = now_s
            await asyncio.sleep(due_s - loop.time())

    # --- clients ---

    def _accept(self, listener: socket.socket) -> None:
        try:
            source, _ = listener.accept()
        except OSError:
            return
        source.setblocking(False)  # noqa: FBT003 - its only form
        asyncio.get_running_loop().add_reader(source, self._receive, source)

    def _receive(self, source: socket.socket) -> None:
        try:
            found = receive(source)
        except BlockingIOError:
            return
        except (OSError, ValueError, TypeError):
            log.exception("handoff_not_understood")
            return
        if found is None:
            asyncio.get_running_loop().remove_reader(source)
            source.close()
            return
        handoff, client = found
        assert self._group is not None  # noqa: S101 - `run` has begun
        self._group.create_task(self._begin(handoff, client))

    async def _begin(self, handoff: Handoff, client: socket.socket) -> None:
        is_full = self.draining or len(self._connections) >= self.slots
        connection = ClientConnection(handoff, self._config, self._sink, self._over)
        self._connections.add(connection)
        try:
            client.setblocking(False)  # noqa: FBT003 - its only form
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: connection.socket, client
            )
            if is_full:
                text = "All sessions of this gateway are taken: try again later."
                connection.refuse(ProtocolError(text, "session_limit_reached"), 1013)
            else:
                connection.begin()
        except Exception:  # the other sessions go on
            log.exception("session_not_begun")
            self._over(connection)
            connection.socket.close(1011, "internal error")

    def _over(self, connection: ClientConnection) -> None:
        """The connection is closed; one with a call is released with that."""
        if not isinstance(connection.line, RealtimeLine) or connection.link is None:
            self._connections.discard(connection)


def _listener(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    mask = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(mask)
    listener.listen(8)
    listener.setblocking(False)  # noqa: FBT003 - its only form
    return listener
