"""A client that does not read its events is disconnected."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from datetime import UTC, datetime
from typing import cast

import pytest

from gateway.config.models import HttpConfig
from gateway.http import connections
from gateway.http.api import create_app
from gateway.http.event_feed import CallNotice, EventFeed
from gateway.http.port import GatewayPort
from gateway.http.server import serve

ASKED = b"GET /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


def test_a_client_that_reads_nothing_is_disconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_STALLED_S", 0.3)

    async def body() -> None:
        feed, config = EventFeed(), HttpConfig()
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            app = create_app(cast("GatewayPort", None), config, feed)
            web = group.create_task(serve(app, config, listener))
            client = socket.create_connection(("127.0.0.1", port))
            client.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(client, ASKED)
            assert b"200" in await loop.sock_recv(client, 100)
            now = datetime.now(UTC)
            for _ in range(1500):
                feed.publish(CallNotice("a", now, 0.0, "say", {"text": "x" * 10_000}))
            await asyncio.sleep(1)  # it reads nothing
            received = 0
            with suppress(ConnectionResetError):
                while piece := await loop.sock_recv(client, 2**20):
                    received += len(piece)
            assert received < 15_000_000
            client.close()
            feed.close()
            web.cancel()

    asyncio.run(body())
