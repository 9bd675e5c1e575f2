"""A synthesizer with sessions, which fail when they are told to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.errors import ProviderUnavailable
from gateway.providers.contracts import Spoken
from tests.support.fake_line import ScriptedVoice

GONE = ProviderUnavailable("acme", "the connection was closed")


class WithSessions(ScriptedVoice):
    """Knows when its sessions were opened and closed, and what each has said."""

    def __init__(self, *, can_be_cut: bool = False, fails_to_open: int = 0) -> None:
        super().__init__()
        self.can_be_cut = can_be_cut
        self.pace_s = 0.0
        """For 50 ms of speech, in sessions."""
        self.fails_to_open = fails_to_open
        self.call_ids: list[str] = []
        self.sessions: list[Session] = []
        self.closed = 0

    @asynccontextmanager
    async def open_session(self, call_id: str) -> AsyncIterator[Session]:
        self.call_ids.append(call_id)
        await asyncio.sleep(0.2)
        if self.fails_to_open:
            self.fails_to_open -= 1
            raise GONE
        session = Session(self)
        self.sessions.append(session)
        try:
            yield session
        finally:
            self.closed += 1

    @property
    def said(self) -> list[list[str]]:
        """What each session has said to its end."""
        return [session.said for session in self.sessions]


class Session:
    """One of them."""

    def __init__(self, voice: WithSessions) -> None:
        self.voice = voice
        self.said: list[str] = []
        self.is_usable = True
        self.fails_at: tuple[str, int] | None = None
        """(sentence, pieces before the error)"""
        self.error: Exception = GONE

    async def speak(self, sentence: str) -> AsyncIterator[Spoken]:
        self.is_usable = self.is_usable and self.voice.can_be_cut
        pieces = 0
        async for piece in self.voice.speak(sentence):
            if self.fails_at == (sentence, pieces):
                raise self.error
            pieces += 1
            yield piece
            await asyncio.sleep(self.voice.pace_s)
        self.said.append(sentence)
        self.is_usable = True
