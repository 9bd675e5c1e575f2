"""RoutedVoice: voices behind a router, as one voice.

What it yields is finished: level, silence and rate are those of the voice that has spoken.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager

from gateway.audio.format import NARROWBAND, WIDEBAND, AudioFormat
from gateway.call.live_call import LiveCall
from gateway.config.models import AgentConfig
from gateway.conversation.voice_session import VoiceSession
from gateway.providers.contracts import Spoken, TextToSpeech, TtsSession
from gateway.providers.kit.reach import is_remote
from gateway.providers.kit.speech import speech
from gateway.routed.route import Route, Router
from gateway.routed.sentence import Sentence
from gateway.routing.joint import SpeakingRate

Speak = Callable[[str, str, "asyncio.Future[str] | None"], AsyncGenerator[Spoken, None]]
"""(engine, text, rest of the text that is still being written) -> its finished speech."""


class RoutedVoice:
    """Satisfies `contracts.TextToSpeech`."""

    def __init__(
        self,
        router: Router[TextToSpeech],
        route: Route[TextToSpeech] | None = None,
        *,
        only: str = "",
        paces: dict[str, SpeakingRate] | None = None,
    ) -> None:
        """Make it, for all calls or with the route of one.

        Args:
            router: the voices.
            route: of a call.
            only: the one voice that is used, to render ahead.
            paces: of the voices, learned from all calls.
        """
        self._router = router
        self._route: Route[TextToSpeech] = route or Route(router)
        self._only = only
        self._paces = {name: SpeakingRate() for name in router.engines} if paces is None else paces
        voices = router.engines.values()
        widest_hz = max(each.output_format.sample_rate_hz for each in voices)
        is_wide = widest_hz >= WIDEBAND.sample_rate_hz
        self.output_format: AudioFormat = WIDEBAND if is_wide else NARROWBAND
        self.is_remote = all(map(is_remote, voices))
        self.voice_name = only or (route.candidates()[0] if route is not None else "")
        first = router.engines.get(self.voice_name)
        self.language: str = getattr(first, "language", "")
        self.takes_beginnings = bool(getattr(first, "takes_beginnings", False))

    @property
    def voices(self) -> tuple[RoutedVoice, ...]:
        """Return each voice that a call may begin with, alone: what is rendered ahead needs all."""
        if self._only:
            return ()
        return tuple(
            RoutedVoice(self._router, only=name, paces=self._paces) for name in self._router.firsts
        )

    def of_call(self, call: LiveCall, config: AgentConfig) -> RoutedVoice:
        """Return the voice of one call: after a failure it keeps the other one to its end."""
        router = self._router.of_call(call, config)
        route = Route(router, call, config, keeps_s=math.inf)
        return RoutedVoice(router, route, paces=self._paces)

    async def warm_up(self) -> None:
        """Do nothing: the engines are warmed by their owner."""

    @asynccontextmanager
    async def open_session(self, call_id: str) -> AsyncGenerator[TtsSession, None]:
        """Open a session at the first voice; others follow when they are needed."""
        async with asyncio.TaskGroup() as group:
            session = _Session(self._route, self.output_format, self._saying, call_id, group)
            try:
                yield session
            finally:
                session.close()

    async def speak(self, text: str) -> AsyncIterator[Spoken]:
        """Yield speech, from the first voice that can give it."""
        async with aclosing(self._saying(text, None, self._speech)) as pieces:
            async for piece in pieces:
                yield piece

    async def close(self) -> None:
        """Do nothing: the engines are closed by their owner."""

    def _speech(
        self, name: str, text: str, rest: asyncio.Future[str] | None
    ) -> AsyncGenerator[Spoken, None]:
        assert rest is None  # noqa: S101 - sessions speak what is still being written
        return speech(self._route.engine(name), text, self.output_format)

    def _saying(
        self, text: str, rest: asyncio.Future[str] | None, speak: Speak
    ) -> AsyncGenerator[Spoken, None]:
        order = (self._only,) if self._only else self._route.candidates()
        sentence = Sentence(self._route, self._paces, self.output_format, speak)
        return sentence.said(text, rest, order)


class _Session:
    """Satisfies `contracts.TtsSession`: a session at each voice that has spoken."""

    is_usable = True

    def __init__(
        self,
        route: Route[TextToSpeech],
        output_format: AudioFormat,
        saying: Callable[[str, asyncio.Future[str] | None, Speak], AsyncGenerator[Spoken, None]],
        call_id: str,
        group: asyncio.TaskGroup,
    ) -> None:
        self._route = route
        self._output_format = output_format
        self._saying = saying
        self._call_id = call_id
        self._group = group
        self._sessions: dict[str, VoiceSession] = {}
        self._session(route.candidates()[0])

    async def speak(self, text: str) -> AsyncIterator[Spoken]:
        """Yield the speech of one sentence."""
        async with aclosing(self._saying(text, None, self._speech)) as pieces:
            async for piece in pieces:
                yield piece

    async def speak_begun(self, text: str, rest: asyncio.Future[str]) -> AsyncIterator[Spoken]:
        """Yield the speech of a sentence that is still being written."""
        async with aclosing(self._saying(text, rest, self._speech)) as pieces:
            async for piece in pieces:
                yield piece

    def close(self) -> None:
        """End the sessions with all voices."""
        for session in self._sessions.values():
            session.close()

    def _session(self, name: str) -> VoiceSession:
        if name not in self._sessions:
            engine = self._route.engine(name)
            self._sessions[name] = VoiceSession(engine, self._call_id, self._group)
        return self._sessions[name]

    def _speech(
        self, name: str, text: str, rest: asyncio.Future[str] | None
    ) -> AsyncGenerator[Spoken, None]:
        session = self._session(name)
        session.prepare()

        async def speak(words: str) -> AsyncGenerator[Spoken, None]:
            begun = rest
            if begun is not None and not session.takes_beginnings:
                words, begun = f"{words} {await asyncio.shield(begun)}", None
            async with aclosing(session.speak(words, begun)) as pieces:
                async for piece in pieces:
                    yield piece

        return speech(self._route.engine(name), text, self._output_format, speak)
