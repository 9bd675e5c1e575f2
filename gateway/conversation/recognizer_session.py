"""RecognizerSession: caller turns at a recognizer, in a session of the call where it has one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from gateway.audio.format import AudioFormat
from gateway.conversation.engine_session import EngineSession
from gateway.errors import ProviderError
from gateway.providers.contracts import (
    Expect,
    ListeningStream,
    SpeechToText,
    SttSession,
    SttStream,
)


def of_line(
    recognizer: SpeechToText, line_format: AudioFormat, *, listens: bool = False
) -> SpeechToText:
    """Return the recognizer for a line, as far as it has its band and encoding.

    Args:
        recognizer: of the agent.
        line_format: how the line codes its audio.
        listens: its sessions are to have `listen`; it `hears_turns`.
    """
    for_line: Callable[[AudioFormat], SpeechToText] | None = getattr(recognizer, "for_line", None)
    found = recognizer if for_line is None else for_line(line_format)
    if not listens:
        return found
    listening: Callable[[], SpeechToText]
    listening = found.listening  # type: ignore[attr-defined]  # of one that `hears_turns`
    return listening()


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
        self.was_open = False
        """True when the latest stream had a session that was open: what fails then was lost."""

    @asynccontextmanager
    async def stream(self, expect: Expect) -> AsyncIterator[SttStream]:
        """Open recognition of one caller turn.  Raises ProviderError."""
        if self._session is None:
            async with self._recognizer.stream(expect) as stream:
                yield stream
            return
        async with self._current() as session, session.stream(expect) as stream:
            yield stream

    @asynccontextmanager
    async def listen(self) -> AsyncIterator[ListeningStream]:
        """Open recognition of everything.  Raises ProviderError."""
        async with self._current() as session:
            listen: Callable[[], AbstractAsyncContextManager[ListeningStream]]
            listen = session.listen  # type: ignore[attr-defined]  # of one that `hears_turns`
            async with listen() as stream:
                yield stream

    @asynccontextmanager
    async def _current(self) -> AsyncIterator[SttSession]:
        assert self._session is not None  # noqa: S101 - a recognizer that listens has sessions
        self.was_open = False
        current = self._session.current
        if current is not None and not getattr(current, "is_usable", True):
            self._session.drop()
        try:
            session = await self._session.get()
            self.was_open = True
            yield session
        except ProviderError:
            self._session.drop()
            raise

    def close(self) -> None:
        """End the session.  Idempotent."""
        if self._session is not None:
            self._session.drop()
