"""The WebSocket of a session without a network: handshake, fragments, closes, slow clients."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.uri import parse_uri

from gateway.realtime.websocket import WebSocket
from tests.support.virtual_time import run


class Wire:
    """The client's end, and the transport between."""

    def __init__(self) -> None:
        self.client = ClientProtocol(parse_uri("ws://127.0.0.1/v1/realtime"))
        self.client.send_request(self.client.connect())
        head = b"".join(self.client.data_to_send())
        self.messages: list[str | bytes] = []
        self.closed: list[str] = []
        self.socket = WebSocket(head, 1000, self.messages.append, self.closed.append)
        self.unsent = 0
        self.is_aborted = self.is_shut = False
        self.socket.connection_made(self)  # type: ignore[arg-type]

    # --- asyncio.Transport ---

    def write(self, data: bytes) -> None:
        self.client.receive_data(data)

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def close(self) -> None:
        self.is_shut = True

    def abort(self) -> None:
        self.is_aborted = True
        self.socket.connection_lost(None)

    def is_closing(self) -> bool:
        return self.is_shut

    # --- the client ---

    def send(self) -> None:
        """Carry over what the client has written."""
        self.socket.data_received(b"".join(self.client.data_to_send()))

    def received(self) -> list[str]:
        frames = [e for e in self.client.events_received() if isinstance(e, Frame)]
        return [bytes(f.data).decode() for f in frames if f.opcode is Opcode.TEXT]


def scene(act: Callable[[Wire], Coroutine[Any, Any, None]]) -> None:
    async def acted() -> None:
        wire = Wire()
        await act(wire)
        if not wire.is_aborted:
            wire.abort()
        await asyncio.sleep(10)  # no timer of it is left

    run(acted())


def test_messages_go_both_ways_and_fragments_are_joined() -> None:
    async def act(wire: Wire) -> None:
        assert wire.socket.is_open
        wire.client.send_text(b"hel", fin=False)
        wire.client.send_continuation(b"lo", fin=True)
        wire.client.send_binary(b"\x00")
        wire.send()
        assert wire.messages == [b"hello", b"\x00"]
        wire.socket.send("welcome")
        assert wire.received() == ["welcome"]
        assert wire.socket.sent_bytes > 0

    scene(act)


def test_a_client_that_reads_nothing_is_left_with_the_reason() -> None:
    async def act(wire: Wire) -> None:
        wire.unsent = 5_000_000
        wire.socket.send("audio")
        assert wire.closed == ["the client reads too slowly"]
        assert wire.client.close_rcvd is not None
        assert wire.client.close_rcvd.code == 1008
        wire.socket.send("more")
        await asyncio.sleep(4)
        assert wire.is_aborted

    scene(act)


def test_a_message_beyond_the_limit_closes() -> None:
    async def act(wire: Wire) -> None:
        wire.client.send_text(b"x" * 2000)
        wire.send()
        assert wire.messages == []
        assert wire.client.close_rcvd is not None
        assert wire.client.close_rcvd.code == 1009

    scene(act)


def test_a_client_that_is_gone_is_noticed_by_its_pings() -> None:
    async def act(wire: Wire) -> None:
        await asyncio.sleep(90)
        assert wire.is_aborted
        assert wire.closed == ["connection lost"]

    scene(act)


def test_our_close_is_answered_or_cut_off() -> None:
    async def act(wire: Wire) -> None:
        wire.socket.close(1000, "session_expired")
        assert wire.client.close_rcvd is not None
        assert wire.client.close_rcvd.reason == "session_expired"
        assert not wire.socket.is_open
        wire.send()
        assert wire.is_shut

    scene(act)
