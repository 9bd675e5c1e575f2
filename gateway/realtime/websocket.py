"""A WebSocket whose TCP connection came from another process: handshake, frames, clean closes.

The protocol is that of the library `websockets` without I/O; this is the I/O.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import cast

from websockets.exceptions import ProtocolError as FramingError
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import OPEN
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

SUBPROTOCOL = "realtime"
_UNSENT_LIMIT_BYTES = 4 * 1024 * 1024
"""About 80 s of audio at 24 kHz."""
_PING_S = 20.0
_DEAD_AFTER_S = 60.0
_CLOSE_S = 3.0
_TOO_SLOW = (1008, "the client reads too slowly")


class WebSocket(asyncio.Protocol):
    """One connection.  Satisfies `Peer`.  Loop thread only."""

    def __init__(
        self,
        head: bytes,
        most_bytes: int,
        on_message: Callable[[str | bytes], None],
        on_closed: Callable[[str], None],
    ) -> None:
        """Prepare; the handshake is made as soon as there is a transport.

        Args:
            head: the HTTP request.
            most_bytes: of one message.
            on_message: takes messages.
            on_closed: told once why it is closed.
        """
        self._loop = asyncio.get_running_loop()
        self._head = head
        self._most_bytes = most_bytes
        self._on_message = on_message
        self._on_closed = on_closed
        self._protocol = ServerProtocol(
            subprotocols=[Subprotocol(SUBPROTOCOL)], select_subprotocol=_selected,
            max_size=most_bytes,
        )  # fmt: skip
        self._transport: asyncio.Transport | None = None
        self._parts: list[bytes] = []
        self._is_text = True
        self._heard_s = self._loop.time()
        self._ping: asyncio.TimerHandle | None = None
        self._is_closing = False
        self._may_read = True
        self._sent_bytes = 0

    @property
    def sent_bytes(self) -> int:
        """How much was written."""
        return self._sent_bytes

    # --- asyncio.Protocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Answer the handshake."""
        self._transport = cast("asyncio.Transport", transport)
        self._protocol.receive_data(self._head)
        for event in self._protocol.events_received():
            if isinstance(event, Request):
                self._protocol.send_response(self._protocol.accept(event))
        self._flush()
        self._ping = self._loop.call_later(_PING_S, self._keep_alive)

    @property
    def is_open(self) -> bool:
        """True once the handshake was made, until the close begins."""
        return self._protocol.state is OPEN and not self._is_closing

    def data_received(self, data: bytes) -> None:
        """Take bytes of the client."""
        self._heard_s = self._loop.time()
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, Frame):
                self._frame(event)
        self._flush()

    def eof_received(self) -> bool:
        """The client sends nothing more."""
        self._protocol.receive_eof()
        self._flush()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        if self._ping is not None:
            self._ping.cancel()
        self._is_closing = True
        rcvd = self._protocol.close_rcvd
        reason = f"closed by the client ({rcvd.code})" if rcvd else str(exc or "connection lost")
        on_closed, self._on_closed = self._on_closed, lambda _: None
        on_closed(reason)

    def _frame(self, frame: Frame) -> None:
        if frame.opcode in (Opcode.TEXT, Opcode.BINARY):
            self._parts, self._is_text = [bytes(frame.data)], frame.opcode is Opcode.TEXT
        elif frame.opcode is Opcode.CONT:
            self._parts.append(bytes(frame.data))
        else:
            return
        if frame.fin:
            whole, self._parts = b"".join(self._parts), []
            if not self._is_closing:
                self._on_message(whole)

    # --- Peer ---

    def send(self, text: str) -> None:
        """Send a message; a client that does not read is left."""
        if not self.is_open or self._transport is None:
            return
        if self._transport.get_write_buffer_size() > _UNSENT_LIMIT_BYTES:
            self.close(*_TOO_SLOW)
            self._on_closed_by_us(_TOO_SLOW[1])
            return
        self._protocol.send_text(text.encode("utf-8", "surrogatepass"))
        self._flush()

    def close(self, code: int, reason: str) -> None:
        """Close with a code, and leave a client that does not answer it.  Idempotent."""
        if self._is_closing:
            return
        if self._protocol.state is OPEN:
            self._protocol.send_close(code, reason[:120])
            self._flush()
        self._is_closing = True
        self._loop.call_later(_CLOSE_S, self._abort)

    def read_on(self, *, may_read: bool) -> None:
        """Read what the client sends, or let it wait."""
        if self._transport is None or may_read is self._may_read or self._transport.is_closing():
            return
        self._may_read = may_read
        if may_read:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def _on_closed_by_us(self, reason: str) -> None:
        on_closed, self._on_closed = self._on_closed, lambda _: None
        on_closed(reason)

    def _abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _keep_alive(self) -> None:
        if self._loop.time() - self._heard_s > _DEAD_AFTER_S:
            self._abort()
            return
        if self.is_open:
            try:
                self._protocol.send_ping(b"")
            except FramingError:
                return
            self._flush()
        self._ping = self._loop.call_later(_PING_S, self._keep_alive)

    def _flush(self) -> None:
        transport = self._transport
        if transport is None:
            return
        for data in self._protocol.data_to_send():
            if data:
                self._sent_bytes += len(data)
                transport.write(data)
            else:
                transport.close()
        if self._protocol.close_expected() and not self._is_closing:
            self._is_closing = True
            self._loop.call_later(_CLOSE_S, self._abort)


def _selected(_: ServerProtocol, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """Choose `realtime` where a browser offers it; the others carry its key."""
    return Subprotocol(SUBPROTOCOL) if SUBPROTOCOL in offered else None
