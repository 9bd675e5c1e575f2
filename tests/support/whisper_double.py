"""A server with OpenAI's /audio/transcriptions on 127.0.0.1; `openai` judges what it answers."""

from __future__ import annotations

import asyncio
import io
import json
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any

from openai.types.audio import Transcription
from pydantic import TypeAdapter

from tests.support.recognizer_double import KEY, Ear
from tests.support.vendor_types import assert_only_known


class WhisperDouble:
    """Recognizes tones (`recognizer_double.spoken`), or says the text of `script`."""

    def __init__(self, script: list[str] | None = None) -> None:
        self.script = script
        self.status, self.body = 200, ""
        """Answer with them instead."""
        self.hangs = False
        self.requests: list[dict[str, str]] = []
        """The fields of each."""
        self.left = asyncio.Event()
        """A client has gone before its answer."""
        self._port = 0

    def settings(self) -> dict[str, Any]:
        return {"base_url": f"http://127.0.0.1:{self._port}/v1", "api_key": KEY}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[WhisperDouble]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._port = server.sockets[0].getsockname()[1]
        async with server:
            yield self

    @asynccontextmanager
    async def as_server(self) -> AsyncIterator[dict[str, Any]]:
        async with self.running():
            yield self.settings()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                line, _, fields = head.partition(b"\r\n")
                headers = BytesParser(policy=HTTP).parsebytes(fields)
                content = await reader.readexactly(int(headers["Content-Length"]))
                if self.hangs:
                    await reader.read(1)
                    self.left.set()
                    return
                status, body = self._answer(line.decode(), headers, content)
                reply = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body.encode())}\r\n\r\n{body}"
                writer.write(reply.encode())
        except (asyncio.IncompleteReadError, OSError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    def _answer(self, line: str, headers: Any, content: bytes) -> tuple[int, str]:
        assert line.startswith("POST /v1/audio/transcriptions ")
        if self.body:
            return self.status, self.body
        if headers["Authorization"] != f"Bearer {KEY}":
            return 401, f"unknown key {headers['Authorization']}"
        kind = f"Content-Type: {headers['Content-Type']}\r\n\r\n".encode()
        parts = BytesParser(policy=HTTP).parsebytes(kind + content)
        found: dict[str, bytes] = {}
        for part in parts.iter_parts():  # type: ignore[attr-defined]
            name = part.get_param("name", header="content-disposition")
            found[name] = part.get_payload(decode=True)
        wav = found.pop("file")
        self.requests.append({name: value.decode() for name, value in found.items()})
        with wave.open(io.BytesIO(wav)) as recording:
            assert (recording.getnchannels(), recording.getsampwidth()) == (1, 2)
            ear = Ear(self.script)
            ear.end_frames = None
            for _ in ear.hear(
                recording.readframes(recording.getnframes()), recording.getframerate()
            ):
                pass
        answer = {"text": ear.text if self.script else ear.finish()}
        assert_only_known(TypeAdapter(Transcription).validate_python(answer))
        return 200, json.dumps(answer)
