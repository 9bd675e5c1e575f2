"""VoiceSession: sentences at a synthesizer, in a session of the call where it has one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import cast

from gateway.conversation.engine_session import EngineSession
from gateway.conversation.meter import VoiceMeter
from gateway.errors import ProviderError, ProviderUnavailable
from gateway.providers.contracts import Spoken, TextToSpeech, TtsSession


class VoiceSession:
    """One sentence at a time; a session that can say nothing more is replaced.  Loop thread."""

    def __init__(
        self,
        synthesizer: TextToSpeech,
        call_id: str,
        group: asyncio.TaskGroup,
        meter: VoiceMeter | None = None,
    ) -> None:
        """Open the session, where the synthesizer has such a thing.

        Args:
            synthesizer: with `open_session(call_id)` it has sessions, without it only sentences.
            call_id: the gateway's.
            group: owns the session.
            meter: counts what is said; None = nothing does.
        """
        self._synthesizer = synthesizer
        self._meter = meter
        self._call_id = call_id
        self._group = group
        self._session: EngineSession[TtsSession] | None = EngineSession.of(
            synthesizer, call_id, group
        )
        self._is_busy = False
        self._is_retired = False

    def at(self, synthesizer: TextToSpeech, meter: VoiceMeter) -> VoiceSession:
        """Begin a session of the same call at another synthesizer, which has a meter of its own."""
        return VoiceSession(synthesizer, self._call_id, self._group, meter)

    def retire(self) -> None:
        """End the session behind the sentence that is being spoken."""
        self._is_retired = True
        if not self._is_busy:
            self.close()

    def prepare(self) -> None:
        """Open another session if the present one can say nothing more: a reply begins."""
        self._is_retired = False
        if self._session is None or self._is_busy:
            return
        current = self._session.current
        if self._session.has_failed or (current is not None and not current.is_usable):
            self._session.drop()
        self._session.begin()

    @property
    def takes_beginnings(self) -> bool:
        """True when a sentence can be spoken whose rest is not known yet."""
        is_able = getattr(self._synthesizer, "takes_beginnings", False)
        return is_able and self._session is not None and not self._is_busy

    async def speak(
        self, text: str, rest: asyncio.Future[str] | None = None
    ) -> AsyncGenerator[Spoken, None]:
        """Yield the speech of one sentence; with `rest`, `text` is its beginning.

        A session that is lost before the first sound of the sentence is replaced once.  While one
        sentence is spoken another is left to the synthesizer itself.

        Raises:
            ProviderError: the synthesizer failed.
        """
        said = self._said(text, rest)
        if self._meter is None:
            async with aclosing(said) as pieces:
                async for piece in pieces:
                    yield piece
            return
        with self._meter.saying(text, rest, self._synthesizer.output_format) as sounded:
            async with aclosing(said) as pieces:
                async for piece in pieces:
                    sounded(piece.pcm)
                    yield piece

    def close(self) -> None:
        """End the session.  Idempotent."""
        if self._session is not None:
            self._session.drop()

    async def _said(
        self, text: str, rest: asyncio.Future[str] | None
    ) -> AsyncGenerator[Spoken, None]:
        if self._session is None or self._is_busy:
            if rest is not None:
                text = f"{text} {await asyncio.shield(rest)}"
            async with aclosing(_pieces(self._synthesizer.speak(text))) as pieces:
                async for piece in pieces:
                    yield piece
            return
        self._is_busy = True
        try:
            async with aclosing(self._in_session(self._session, text, rest)) as pieces:
                async for piece in pieces:
                    yield piece
        finally:
            self._is_busy = False
            if self._is_retired:
                self.close()

    async def _in_session(
        self, session: EngineSession[TtsSession], text: str, rest: asyncio.Future[str] | None
    ) -> AsyncGenerator[Spoken, None]:
        was_open = session.current is not None
        has_begun = False
        try:
            async with aclosing(_said(session, text, rest)) as pieces:
                async for piece in pieces:
                    has_begun = True
                    yield piece
        except ProviderUnavailable:
            if has_begun or not was_open:
                raise
        else:
            return
        async with aclosing(_said(session, text, rest)) as pieces:
            async for piece in pieces:
                yield piece


async def _said(
    session: EngineSession[TtsSession], text: str, rest: asyncio.Future[str] | None
) -> AsyncGenerator[Spoken, None]:
    """Speak in a session; drop it where it can say nothing more afterwards."""
    try:
        current = await session.get()
    except ProviderError:
        session.drop()
        raise
    try:
        speech = current.speak(text) if rest is None else current.speak_begun(text, rest)
        async with aclosing(_pieces(speech)) as pieces:
            async for piece in pieces:
                yield piece
    except ProviderError:
        session.drop()
        raise
    finally:
        if not current.is_usable:
            session.drop()


def _pieces(speech: AsyncIterator[Spoken]) -> AsyncGenerator[Spoken, None]:
    return cast("AsyncGenerator[Spoken, None]", speech)
