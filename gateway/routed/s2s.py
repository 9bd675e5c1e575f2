"""RoutedSpeech: speech-to-speech engines behind a router, as one engine.

The conversation itself opens the next session with the history when one is lost: it gets the next
engine.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from itertools import pairwise
from typing import Any, cast

from gateway.call.live_call import LiveCall
from gateway.config.models import AgentConfig
from gateway.errors import ProviderError, ProviderRejected, ProviderTimeout, ProviderUnavailable
from gateway.providers.speech_to_speech import (
    Opening,
    SpeechEvent,
    SpeechSession,
    SpeechToSpeech,
    TurnOwner,
)
from gateway.routed.route import Route, Router

_CONNECT_S = 2.0
"""A caller waits for a session for 5 s: an engine that has another one behind it gets less."""


class RoutedSpeech:
    """Satisfies `SpeechToSpeech`."""

    def __init__(
        self, router: Router[SpeechToSpeech], route: Route[SpeechToSpeech] | None = None
    ) -> None:
        """Make it, for all calls or with the route of one."""
        engines = list(router.engines.values())
        self._router = router
        self._route: Route[SpeechToSpeech] = route or Route(router)
        self.turns: TurnOwner = engines[0].turns
        self.takes_tools = all(each.takes_tools for each in engines)
        self.takes_greeting = all(getattr(each, "takes_greeting", True) for each in engines)
        self.may_be_warm = all(getattr(each, "may_be_warm", False) for each in engines)

    def of_call(self, call: LiveCall, config: AgentConfig) -> RoutedSpeech:
        """Return the engine of one call: one that was lost comes last to its end."""
        router = self._router.of_call(call, config)
        return RoutedSpeech(router, Route(router, call, config, keeps_s=math.inf))

    def keep_warm(self, count: int) -> None:
        """Keep connections ready at the engines that a call may begin with."""
        for name in self._router.firsts:
            keep: Callable[[int], None] | None
            keep = getattr(self._router.engines[name], "keep_warm", None)
            if keep is not None:
                keep(count)

    async def warm_up(self) -> None:
        """Do nothing: the engines are warmed by their owner."""

    def connect(self, opening: Opening) -> AbstractAsyncContextManager[SpeechSession]:
        """Open a session at the first engine that gives one."""
        return self._connected(opening)

    async def close(self) -> None:
        """Do nothing: the engines are closed by their owner."""

    @asynccontextmanager
    async def _connected(self, opening: Opening) -> AsyncGenerator[SpeechSession, None]:
        async with AsyncExitStack() as stack:
            name, session = await self._first_session(opening, stack)
            yield cast("SpeechSession", _RoutedSession(session, name, self._route))

    async def _first_session(
        self, opening: Opening, stack: AsyncExitStack
    ) -> tuple[str, SpeechSession]:
        order = self._route.candidates()
        for name, following in pairwise(order):
            try:
                return name, await self._session(name, opening, stack, limit_s=_CONNECT_S)
            except ProviderError as error:
                self._route.failed(name, error)
                self._route.switched(name, following, error)
        try:
            return order[-1], await self._session(order[-1], opening, stack)
        except ProviderError as error:
            self._route.failed(order[-1], error)
            raise

    async def _session(
        self, name: str, opening: Opening, stack: AsyncExitStack, limit_s: float | None = None
    ) -> SpeechSession:
        self._route.asks(name)
        limit = asyncio.timeout(limit_s)
        try:
            async with limit:
                return await stack.enter_async_context(self._route.engine(name).connect(opening))
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise ProviderTimeout(name, f"no session within {limit_s:g} s") from error


class _RoutedSession:
    """Satisfies `SpeechSession`: the session of an engine, whose end is reported."""

    def __init__(self, session: SpeechSession, name: str, route: Route[SpeechToSpeech]) -> None:
        self._session = session
        self._name = name
        self._route = route
        self.billed_as = (name, route.router.prices.get(name))
        """Name and prices for what the session costs."""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the session has
        """Return what the session has of that name."""
        return getattr(self._session, name)

    async def __aiter__(self) -> AsyncIterator[SpeechEvent]:
        """Yield what happens.  Raises ProviderError."""
        try:
            async for event in self._session:
                yield event
        except ProviderError as error:
            self._route.failed(self._name, error)
            others = [name for name in self._route.candidates() if name != self._name]
            if not others:
                raise
            self._route.switched(self._name, others[0], error)
            if isinstance(error, ProviderRejected):  # by this engine, and there is another one
                raise ProviderUnavailable(error.provider, error.problem) from error
            raise
        self._route.worked(self._name)
