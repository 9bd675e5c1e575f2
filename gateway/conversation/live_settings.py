"""LiveSettings: other settings for the agent of a conversation, while it goes on.

What is wanted is validated as a whole, and engines that it needs are made and warmed, before any of
it is used: a request changes all of its keys or none.  What is being said is said to its end by the
engines it began with; the voice changes with its next sentence, everything else with the next turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

import structlog

from gateway.call import events
from gateway.call.control import By
from gateway.config.models import AgentConfig
from gateway.config.models.pace import Pace, paced
from gateway.config.models.table import flat, nested
from gateway.conversation.agent import Agent, adapted, fixed_texts
from gateway.conversation.call_variables import filled_text
from gateway.conversation.dialogue import Due
from gateway.conversation.meter import VoiceMeter
from gateway.conversation.talk import Talk
from gateway.conversation.voice import Voice
from gateway.errors import CommandError, ProviderError

log = structlog.get_logger(__name__)

_MOST_CHANGES = 100


class LiveSettings:
    """Changes the settings of one conversation, one request after the other.  Loop thread only."""

    def __init__(
        self,
        talk: Talk,
        agent: Agent,
        now: datetime,
        post: Callable[[Due], None],
        on_change: Callable[[AgentConfig], None],
    ) -> None:
        """Prepare.

        Args:
            talk: the conversation.
            agent: its agent, as it is configured.
            now: what `{now}` stands for in its instructions.
            post: accepts what is to be done in the order of the conversation's events.
            on_change: called with the new settings as they are configured.
        """
        self._talk = talk
        self._agent = agent
        self._configured = agent.config
        self._now = now
        self._post = post
        self._on_change = on_change
        talk.tools.change_pace = self.pace
        self._turn = asyncio.Lock()
        self._engines = AsyncExitStack()
        self._rendering: asyncio.Task[None] | None = None
        self._is_over = False
        self._count = 0

    async def change(self, wanted: Mapping[str, Any], by: By) -> tuple[str, ...]:
        """Go by other settings; see `CallControl.change_settings`."""
        async with self._turn:
            try:
                changes = await self._change(wanted, by)
            finally:
                if self._is_over:
                    await self._engines.aclose()
        return tuple(changes)

    async def _change(self, wanted: Mapping[str, Any], by: By) -> dict[str, Any]:
        self._count += 1
        if self._count > _MOST_CHANGES:  # the engines of each are kept to the end
            raise CommandError(429, f"more than {_MOST_CHANGES} changes of settings in a call")
        before, adjust = self._agent, self._agent.adjust
        if adjust is None:
            raise CommandError(409, "the settings of this agent cannot be changed in a call")
        agent = await adjust(before, wanted, self._engines)
        if self._is_over:
            raise CommandError(409, "no agent talks in this call any more")
        changes = changed_settings(before.config, agent.config)
        if changes:
            self._agent = replace(agent, voice=before.voice)  # the call's, which adopts another
            voice = agent.voice if agent.voice is not before.voice else None
            self._post(Due(partial(self._apply, self._agent, voice, changes, by)))
        return changes

    async def pace(self, pace: Pace) -> str:
        """Speak slower or faster, for the agent's tool; return in words what came of it.

        Raises:
            CommandError: it cannot be changed.
            ProviderError: the engine refuses it, or cannot be reached.
        """
        config, configured = self._agent.config, self._configured
        is_engine = self._talk.agent.speech is not None
        kind = "s2s" if is_engine else "tts"
        table = config.s2s if is_engine else config.tts
        first = configured.s2s if is_engine else configured.tts
        if table is None or first is None:
            raise CommandError(409, "this agent has no voice")
        wanted = paced(table, first, pace)
        if not wanted:
            raise CommandError(422, f"{table.provider} has no setting of its rate of speech")
        changed = await self.change({kind: wanted}, "agent")
        return "done: it holds from your next sentence on" if changed else f"it is {pace} already"

    async def close(self) -> None:
        """Release the engines of changed settings: the conversation is over."""
        if self._rendering is not None:
            self._rendering.cancel()
        self._is_over = True
        if not self._turn.locked():
            await self._engines.aclose()

    async def _apply(
        self, agent: Agent, voice: Voice | None, changes: Mapping[str, Any], by: By
    ) -> None:
        talk, before = self._talk, self._talk.agent
        talk.call.note(events.SettingsChanged(settings=dict(changes), by=by))
        await talk.floor.preparation.drop()  # it was made by the settings from before
        if voice is not None:
            agent.voice.change(voice, VoiceMeter.of(talk.call, agent.config))
            self._render(voice, agent.config)
        speech = agent.speech if before.speech is not None else None  # it may have been lost
        agent = replace(agent, speech=speech)
        agent = replace(agent, config=adapted(agent))
        talk.agent = agent
        text = agent.config.instructions
        text = filled_text(text, talk.call.line.facts, self._now, agent.config.language)
        self._change_turns(before.config, agent.config, changes)
        talk.floor.follow(agent.config)
        talk.dialogue.follow(agent)
        talk.instruct(text)
        self._on_change(self._agent.config)

    def _change_turns(
        self, before: AgentConfig, after: AgentConfig, changes: Mapping[str, Any]
    ) -> None:
        talk = self._talk
        old, new = flat(before.turn.model_dump()), flat(after.turn.model_dump())
        turn = {key: value for key, value in new.items() if value != old[key]}
        silence_s = after.silence.reprompt_after_s
        is_other_silence = silence_s != before.silence.reprompt_after_s
        if turn or is_other_silence:
            taker = talk.listener.taker
            taker.change(nested(turn), silence_s if is_other_silence else None)
        if "turn.eagerness" in changes:  # also where it was set to another value meanwhile
            talk.listener.taker.set_eagerness(after.turn.eagerness)
            talk.listener.hearing.set_eagerness(after.turn.eagerness)

    def _render(self, voice: Voice, config: AgentConfig) -> None:
        """Render what the configuration says; until then it is said as before."""
        if self._rendering is not None:
            self._rendering.cancel()
        self._rendering = self._talk.call.group.create_task(_rendered(voice, config))


async def _rendered(voice: Voice, config: AgentConfig) -> None:
    try:
        await voice.render_ahead(fixed_texts(config))
    except ProviderError as error:  # each is tried again when it is needed
        log.warning("render_ahead_failed", problem=str(error))


def changed_settings(before: AgentConfig, after: AgentConfig) -> dict[str, Any]:
    """Return the settings that differ, by dotted keys, with their new values.  Pure."""
    old, new = (flat(each.model_dump(by_alias=True)) for each in (before, after))
    return {key: new.get(key) for key in (old | new) if old.get(key) != new.get(key)}
