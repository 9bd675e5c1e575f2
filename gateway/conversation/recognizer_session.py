"""RecognizerSession: caller turns at a recognizer, in a session of the call where it has one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from gateway.audio.format import AudioFormat
from gateway.conversation.engine_session import EngineSession
from gateway.errors import ProviderError
from gateway.providers.contracts import Expect, SpeechToText, SttSession, SttStream


def of_line(recognizer: SpeechToText, line_format: AudioFormat) -> SpeechToText:
    """Return the recognizer in the band of a line, as far as it has it."""
    for_line: Callable[[AudioFormat], SpeechToText] | None = getattr(recognizer, "for_line", None)
    return recognizer if for_line is None else for_line(line_format)


class RecognizerSession:
    """Opens caller turns; a session that fails is opened again with the next.  Loop thread."""

    def __init__(self, recognizer: SpeechToText, call_id: str, group: asyncio.TaskGroup) -> None:
        """Open the session, where the recognizer has such a thing.

        Args:
            recognizer: with `open_session(call_id)` it has sessions, without it only turns.
            call_id: the gateway's.
            group: owns the session.
        """
        self._recognizer = recognizer
        self._session: EngineSession[SttSession] | None = EngineSession.of(
            recognizer, call_id, group
        )

    @asynccontextmanager
    async def stream(self, expect: Expect) -> AsyncIterator[SttStream]:
        """Open recognition of one caller turn.  Raises ProviderError."""
        if self._session is None:
            async with self._recognizer.stream(expect) as stream:
                yield stream
            return
        try:
            session = await self._session.get()
            async with session.stream(expect) as stream:
                yield stream
        except ProviderError:
            self._session.drop()
            raise

    def close(self) -> None:
        """End the session.  Idempotent."""
        if self._session is not None:
            self._session.drop()
