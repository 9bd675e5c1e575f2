"""Voices with a connection for each sentence: its end is the end of the sentence.

For vendors that report the end of a sentence in no other way (`VoiceProtocol.ends_by_closing`).
What is cut off is stopped by the end of its connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, asynccontextmanager, suppress

from gateway.audio.format import AudioFormat
from gateway.errors import ProviderError
from gateway.providers.contracts import Spoken, TtsSession
from gateway.providers.kit.endpoint import Endpoint
from gateway.providers.kit.voices import SocketVoice, VoiceConnection, VoiceProtocol
from gateway.providers.kit.websocket import Socket, opened


class SentenceVoice(SocketVoice):
    """Satisfies `TextToSpeech`; a session of a call may have its next connection open already."""

    def __init__(
        self,
        endpoint: Endpoint,
        output_format: AudioFormat,
        protocol: Callable[[Endpoint], VoiceProtocol],
        *,
        timeout_s: float,
        opens_ahead: bool,
        streams_text: bool = True,
        language: str = "",
        cache_bytes: int = 0,
    ) -> None:
        """Prepare as `SocketVoice`.

        Args:
            endpoint: of the vendor; nothing is connected yet.
            output_format: of its sound.
            protocol: makes what speaks for one connection.
            timeout_s: how long the vendor may send nothing of a sentence that is wanted.
            opens_ahead: keep a connection open for the next sentence; not where an idle one takes
                the place of another caller at the server.
            streams_text: begin sentences that are still being written, where the vendor can.
            language: of the voice, where settings choose one.
            cache_bytes: speech that is kept for the next time the same text is said.
        """
        super().__init__(
            endpoint,
            output_format,
            protocol,
            timeout_s=timeout_s,
            streams_text=streams_text,
            language=language,
            cache_bytes=cache_bytes,
        )
        self._opens_ahead = opens_ahead

    @asynccontextmanager
    async def open_session(self, call_id: str) -> AsyncGenerator[TtsSession, None]:
        """Begin for one call.  Raises ProviderError."""
        session = _Session(self._endpoint, self._protocol, self._timeout_s)
        session.opens_ahead = self._opens_ahead
        try:
            session.prepare()
            yield session
        finally:
            await session.close()


class _Session:
    """Satisfies `TtsSession`."""

    opens_ahead = False

    def __init__(
        self, endpoint: Endpoint, protocol: Callable[[Endpoint], VoiceProtocol], timeout_s: float
    ) -> None:
        self._endpoint = endpoint
        self._protocol = protocol
        self._timeout_s = timeout_s
        self._next: asyncio.Task[Socket] | None = None
        self.is_usable = True

    async def speak(self, text: str) -> AsyncGenerator[Spoken, None]:
        async with self._connection() as connection, aclosing(connection.speak(text)) as pieces:
            async for piece in pieces:
                yield piece

    async def speak_begun(
        self, text: str, rest: asyncio.Future[str]
    ) -> AsyncGenerator[Spoken, None]:
        async with (
            self._connection() as connection,
            aclosing(connection.speak_begun(text, rest)) as pieces,
        ):
            async for piece in pieces:
                yield piece

    def prepare(self) -> None:
        """Begin to open the next connection."""
        if self.opens_ahead and self.is_usable and self._next is None:
            self._next = asyncio.get_running_loop().create_task(opened(self._endpoint))

    async def close(self) -> None:
        """End it, and the connection that was opened ahead."""
        self.is_usable = False
        ahead, self._next = self._next, None
        if ahead is None:
            return
        if not ahead.done():
            ahead.cancel()
        await asyncio.wait({ahead})
        if not ahead.cancelled() and ahead.exception() is None:
            await ahead.result().end(at_once=True)

    @asynccontextmanager
    async def _connection(self) -> AsyncGenerator[VoiceConnection, None]:
        socket = await self._open()
        self.prepare()
        try:
            yield VoiceConnection(socket, self._protocol(self._endpoint), self._timeout_s)
        finally:
            await socket.end(at_once=True)  # nothing is left to be said on it

    async def _open(self) -> Socket:
        ahead, self._next = self._next, None
        if ahead is None:
            return await opened(self._endpoint)
        try:
            with suppress(ProviderError):  # it is tried again, for this sentence
                socket = await ahead
                if socket.is_open:
                    return socket
                await socket.end(at_once=True)
        except asyncio.CancelledError:  # the caller interrupts while it is awaited
            ahead.cancel()
            await asyncio.wait({ahead})
            if not ahead.cancelled() and ahead.exception() is None:
                await ahead.result().end(at_once=True)
            raise
        return await opened(self._endpoint)
