"""RoutedRecognizer: recognizers behind a router, as one recognizer.

It keeps the audio of the caller's turn: what one recognizer has failed to hear goes to the next.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from copy import copy
from dataclasses import replace

from gateway.audio.format import NARROWBAND, WIDEBAND, AudioFormat
from gateway.call.live_call import LiveCall
from gateway.config.models import AgentConfig
from gateway.conversation.recognizer_session import RecognizerSession
from gateway.providers.contracts import Expect, ListeningStream, SpeechToText, SttSession, SttStream
from gateway.providers.kit.reach import is_remote
from gateway.routed.hearing import Hearing, Opened
from gateway.routed.route import Route, Router


class RoutedRecognizer:
    """Satisfies `contracts.SpeechToText`.  It takes the line's band as linear audio."""

    def __init__(
        self,
        router: Router[SpeechToText],
        route: Route[SpeechToText] | None = None,
        input_format: AudioFormat = NARROWBAND,
        *,
        listens: bool = False,
    ) -> None:
        """Make it, for all calls or with the route of one.

        Args:
            router: the recognizers.
            route: of a call.
            input_format: of the audio that it gets.
            listens: its sessions have `listen`, and are used for nothing else.
        """
        self._router = router
        self._route: Route[SpeechToText] = route or Route(router)
        self.input_format = input_format
        self._listens = listens
        recognizers = router.engines.values()
        self.is_remote = all(map(is_remote, recognizers))
        self.hears_turns = all(getattr(each, "hears_turns", False) for each in recognizers)

    def of_call(self, call: LiveCall, config: AgentConfig) -> RoutedRecognizer:
        """Return the recognizer of one call."""
        router = self._router.of_call(call, config)
        return RoutedRecognizer(router, Route(router, call, config), self.input_format)

    def for_line(self, line_format: AudioFormat) -> RoutedRecognizer:
        """Return the same for a line: each recognizer as that line needs it."""
        is_wide = line_format.sample_rate_hz >= WIDEBAND.sample_rate_hz
        chosen = {name: _of_line(each, line_format) for name, each in self._router.engines.items()}
        return self._with(chosen, WIDEBAND if is_wide else NARROWBAND, listens=self._listens)

    def listening(self) -> RoutedRecognizer:
        """Return the same with sessions that listen all the time."""
        chosen = {name: _listening(each) for name, each in self._router.engines.items()}
        return self._with(chosen, self.input_format, listens=True)

    def _with(
        self, engines: dict[str, SpeechToText], input_format: AudioFormat, *, listens: bool
    ) -> RoutedRecognizer:
        route = copy(self._route)  # what it has recorded is shared
        route.router = replace(self._router, engines=engines)
        return RoutedRecognizer(route.router, route, input_format, listens=listens)

    async def warm_up(self) -> None:
        """Do nothing: the engines are warmed by their owner."""

    @asynccontextmanager
    async def open_session(self, call_id: str) -> AsyncGenerator[SttSession, None]:
        """Open a session at the first recognizer; others follow when they are needed."""
        async with asyncio.TaskGroup() as group:
            session = _Session(self._route, self.input_format, call_id, group)
            try:
                yield session
            finally:
                session.close()

    @asynccontextmanager
    async def stream(self, expect: Expect) -> AsyncGenerator[SttStream, None]:
        """Open recognition of one caller turn without a session."""
        async with self.open_session("") as session, session.stream(expect) as stream:
            yield stream

    async def close(self) -> None:
        """Do nothing: the engines are closed by their owner."""


class _Session:
    """Satisfies `contracts.SttSession`: a session at each recognizer that was needed."""

    is_usable = True

    def __init__(
        self,
        route: Route[SpeechToText],
        input_format: AudioFormat,
        call_id: str,
        group: asyncio.TaskGroup,
    ) -> None:
        self._route = route
        self._input_format = input_format
        self._call_id = call_id
        self._group = group
        self._sessions: dict[str, RecognizerSession] = {}
        self._session(route.candidates()[0])

    def stream(self, expect: Expect) -> AbstractAsyncContextManager[SttStream]:
        """Open recognition of one caller turn."""
        return self._hearing(lambda session: session.stream(expect))

    def listen(self) -> AbstractAsyncContextManager[ListeningStream]:
        """Open recognition of everything."""
        return self._hearing(RecognizerSession.listen)

    def close(self) -> None:
        """End the sessions with all recognizers."""
        for session in self._sessions.values():
            session.close()

    @asynccontextmanager
    async def _hearing(
        self, opening: Callable[[RecognizerSession], AbstractAsyncContextManager[Opened]]
    ) -> AsyncGenerator[Hearing, None]:
        hearing = Hearing(self._route, self._input_format, lambda n: opening(self._session(n)))
        try:
            yield hearing
        finally:
            hearing.close()

    def _session(self, name: str) -> RecognizerSession:
        if name not in self._sessions:
            engine = self._route.engine(name)
            self._sessions[name] = RecognizerSession(engine, self._call_id, self._group)
        return self._sessions[name]


def _of_line(recognizer: SpeechToText, line_format: AudioFormat) -> SpeechToText:
    choose: Callable[[AudioFormat], SpeechToText] | None = getattr(recognizer, "for_line", None)
    return recognizer if choose is None else choose(line_format)


def _listening(recognizer: SpeechToText) -> SpeechToText:
    listen: Callable[[], SpeechToText]
    listen = recognizer.listening  # type: ignore[attr-defined]  # of one that `hears_turns`
    return listen()
