"""A receiver of webhooks on 127.0.0.1; the openai package judges every signature."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import openai

SECRET = "a secret of the receiver, long enough"


class Receiver:
    """Answers `statuses` in turn, then 204."""

    def __init__(self, statuses: list[int] | None = None, port: int = 0) -> None:
        self.statuses = statuses or []
        self.port = port
        self.attempts: list[tuple[int, dict[str, Any]]] = []
        """Status that was answered, and the event."""
        self.news = asyncio.Event()
        self._client = openai.OpenAI(api_key="none", webhook_secret=SECRET)

    @property
    def events(self) -> list[dict[str, Any]]:
        """What was taken."""
        return [event for status, event in self.attempts if status < 300]

    def of(self, call_id: str) -> list[str]:
        """The types that were taken of a call, in order."""
        return [event["type"] for event in self.events if event["call_id"] == call_id]

    def config(self, **more: Any) -> dict[str, Any]:
        return {"name": "crm", "url": f"http://127.0.0.1:{self.port}/", "secret": SECRET} | more

    async def until(self, last_type: str, count: int = 1) -> None:
        """Wait for so many events of a type."""
        async with asyncio.timeout(30):
            while [event["type"] for event in self.events].count(last_type) < count:
                self.news.clear()
                await self.news.wait()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Receiver]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                fields = (line.partition(": ") for line in head.split("\r\n")[1:] if line)
                headers = {name.lower(): value for name, _, value in fields}
                body = await reader.readexactly(int(headers["content-length"]))
                self._client.webhooks.verify_signature(body, headers)
                event = json.loads(body)
                assert headers["webhook-id"] == event["id"]
                status = self.statuses.pop(0) if self.statuses else 204
                self.attempts.append((status, event))
                writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n".encode())
                self.news.set()
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.close()
