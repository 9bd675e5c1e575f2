"""EarlyEngine: the session with a speech-to-speech engine, opened before the call is answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace

from gateway.call.line import coding_of
from gateway.call.live_call import LiveCall
from gateway.conversation.agent import Agent
from gateway.conversation.call_variables import filled_text, local_now
from gateway.conversation.engine_session import EngineSession
from gateway.errors import ProviderError
from gateway.providers.speech_to_speech import Opening, SpeechSession, SpeechToSpeech, TurnOwner


class EarlyEngine:
    """Satisfies `SpeechToSpeech`; the first session of the conversation is the early one."""

    def __init__(self, engine: SpeechToSpeech, opening: Opening, call: LiveCall) -> None:
        """Begin to connect.

        Args:
            engine: of the agent.
            opening: what the conversation will begin with.
            call: owns the session.
        """
        self.turns: TurnOwner = engine.turns
        self.takes_tools = engine.takes_tools
        self._engine = engine
        self._opening = opening
        self._session: EngineSession[SpeechSession] | None = EngineSession(
            lambda _: engine.connect(opening), opening.call_id, call.group
        )
        self._limit: asyncio.TimerHandle | None = None

    def expire(self, after_s: float) -> None:
        """End the session after this time unless it was taken: it costs money while it rings."""
        self._limit = asyncio.get_running_loop().call_later(after_s, self.drop)

    async def ready(self, within_s: float) -> None:
        """Wait for the session; a failure is reported to the one that connects."""
        if self._session is None:
            return
        try:
            async with asyncio.timeout(within_s):
                await self._session.get()
        except (TimeoutError, ProviderError):
            return

    async def warm_up(self) -> None:
        """Check what can be checked without cost."""
        await self._engine.warm_up()

    def connect(self, opening: Opening) -> AbstractAsyncContextManager[SpeechSession]:
        """Return the early session if it began as this one is to, once; else open another.

        The time of day in the instructions may have gone on.
        """
        early, self._session = self._session, None
        self._no_limit()
        if early is None:
            return self._engine.connect(opening)
        if replace(opening, instructions=self._opening.instructions) != self._opening:
            early.drop()
            return self._engine.connect(opening)
        return _taken(early)

    def drop(self) -> None:
        """End the session unless it was taken.  Idempotent."""
        early, self._session = self._session, None
        self._no_limit()
        if early is not None:
            early.drop()

    def _no_limit(self) -> None:
        if self._limit is not None:
            self._limit.cancel()

    async def close(self) -> None:
        """Do nothing: the engine is the agent's."""


@asynccontextmanager
async def _taken(early: EngineSession[SpeechSession]) -> AsyncGenerator[SpeechSession, None]:
    try:
        yield await early.get()
    finally:
        early.drop()


def early_engine(agent: Agent, call: LiveCall) -> EarlyEngine | None:
    """Begin to connect for an agent whose engine hears and speaks; None for any other agent."""
    config, speech = agent.config, agent.speech
    if speech is None or config.s2s is None:
        return None
    facts, now = call.line.facts, local_now(config.timezone)

    def filled(text: str) -> str:
        return filled_text(text, facts, now, config.language)

    opening = Opening(
        call_id=facts.call_id,
        instructions=filled(config.instructions),
        messages=(),
        tools=agent.tools.specs,
        language=config.language,
        greeting=filled(config.greeting) if config.s2s.greeting == "engine" else "",
        line=coding_of(call.line),
    )
    return EarlyEngine(speech, opening, call)


def answer_waits_s(agent: Agent) -> float:
    """Return how long the answer waits for the session: our own voice needs none to greet."""
    table = agent.config.s2s
    if table is None or (table.greeting == "voice" and agent.config.greeting):
        return 0.0
    return table.connect_before_answer_ms / 1000
