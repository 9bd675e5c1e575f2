"""A server with OpenAI's `POST /v1/audio/speech` on 127.0.0.1, by the types of the vendor's SDK."""

from __future__ import annotations

import asyncio
import json
from http import HTTPStatus
from typing import Any

from openai.types.audio import SpeechCreateParams
from pydantic import ConfigDict, TypeAdapter, with_config

from gateway.audio.format import AudioFormat
from tests.support.faults import GARBAGE, Fault
from tests.support.vendor_double import KEY
from tests.support.voice_double import CHARACTER_MS, REFUSALS, tone

REQUEST: TypeAdapter[Any] = TypeAdapter(with_config(ConfigDict(extra="forbid"))(SpeechCreateParams))
FORM = AudioFormat(24_000)
_CHUNK_CHARACTERS = 4


class SpeechServer:
    """Set `fault`, `trouble` or `is_mute` at any moment; they hold from the next request on."""

    def __init__(self) -> None:
        self.fault = Fault.NONE
        self.trouble = ""
        self.is_mute = False
        self.pace_s = 0.0
        self.requests: list[dict[str, Any]] = []
        self.problems: list[str] = []
        self.chunks = 0
        self._open = 0
        self._server: asyncio.Server | None = None

    @property
    def base_url(self) -> str:
        assert self._server
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"

    async def __aenter__(self) -> SpeechServer:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                line, *rows = head.decode().split("\r\n")
                headers = {
                    name.lower(): value.strip()
                    for name, _, value in (row.partition(":") for row in rows)
                }
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                if not await self._answer(line.split()[1], headers, body, writer):
                    break
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _answer(
        self, path: str, headers: dict[str, str], body: bytes, writer: asyncio.StreamWriter
    ) -> bool:
        """Answer one request; False = the connection ends."""
        if self.fault is Fault.REFUSED or headers.get("authorization") != f"Bearer {KEY}":
            self._whole(writer, *REFUSALS["key"])
        elif self.fault is Fault.DOWN:
            self._whole(writer, HTTPStatus.SERVICE_UNAVAILABLE, "down", "down")
        elif path == "/v1/models":
            self._whole(writer, HTTPStatus.NOT_FOUND, "no", "no such path")
        elif self.trouble:
            self._whole(writer, *REFUSALS[self.trouble])
        elif self.fault is Fault.GARBAGE:
            head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(GARBAGE)}"
            writer.write(f"{head}\r\n\r\n".encode() + GARBAGE)
        else:
            return await self._speak(json.loads(body), writer)
        await writer.drain()
        return True

    async def _speak(self, request: dict[str, Any], writer: asyncio.StreamWriter) -> bool:
        self.requests.append(request)
        try:
            REQUEST.validate_python(request)
        except ValueError as error:
            self.problems.append(str(error))
        text = request["input"]
        head = "HTTP/1.1 200 OK\r\nContent-Type: audio/pcm\r\nTransfer-Encoding: chunked\r\n\r\n"
        writer.write(head.encode())
        for at in range(0, 0 if self.is_mute else len(text), _CHUNK_CHARACTERS):
            if at >= len(text) // 2 and self.fault is Fault.CLOSE:
                return False
            if at >= len(text) // 2 and self.fault is Fault.STALL:
                await writer.drain()
                await asyncio.sleep(2)
                return False
            ms = len(text[at : at + _CHUNK_CHARACTERS]) * CHARACTER_MS
            chunk = tone(ms, FORM, at * CHARACTER_MS)
            writer.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
            await writer.drain()
            self.chunks += 1
            await asyncio.sleep(self.pace_s)
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True

    def _whole(
        self, writer: asyncio.StreamWriter, status: HTTPStatus, code: str, words: str
    ) -> None:
        body = json.dumps({"error": {"message": words, "type": code, "code": code}}).encode()
        head = (
            f"HTTP/1.1 {int(status)} {status.phrase}\r\nContent-Type: application/json\r\n"
            f"Retry-After: 60\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
