"""Handover: what the conversation of one agent leaves to that of the next, in the same call."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from gateway.call.live_call import CallEvent
from gateway.conversation.chat_context import ChatContext
from gateway.conversation.duplex_caller import is_answerable
from gateway.conversation.first_words import FirstWords
from gateway.conversation.running_tools import RunningTools
from gateway.conversation.talk import AgentChange, Talk
from gateway.providers.contracts import UserMessage


@dataclass(frozen=True, slots=True)
class Handover:
    """History, tools that run, and the state of the line."""

    change: AgentChange
    context: ChatContext
    tools: RunningTools
    turns: int
    """Number of bot turns so far."""
    muted_for: frozenset[str]
    """Why no one is listened to."""

    @classmethod
    def of(cls, talk: Talk, change: AgentChange) -> Handover:
        """Take what a conversation that is over leaves."""
        return cls(change, talk.context, talk.tools, talk.floor.turns, frozenset(talk.muted_for))

    async def accept(self, talk: Talk, first_words: FirstWords) -> None:
        """Go on with the call: with an answer if the caller, or the agent before, waits for one.

        Args:
            talk: of the agent that leads the call from now on; its history is this one's.
            first_words: of that agent; they are not said.
        """
        first_words.opening.begin()
        talk.tools.take_over(self.tools)
        talk.listener.taker.caller_is_there(talk.call.audio.now)
        for reason in self.muted_for:
            talk.mute(reason)
        messages = talk.context.messages()
        is_asked = bool(messages) and isinstance(messages[-1], UserMessage)
        if not is_asked and self.change.by != "agent":
            return
        if is_answerable(messages):
            await talk.dialogue.answer()
        else:
            await talk.say(talk.agent.config.fallback)


def leave_events(queue: asyncio.Queue[Any], inbox: asyncio.Queue[CallEvent]) -> None:
    """Put back what has happened to the call and was not handled, before what came after it.

    Args:
        queue: of the conversation that is over.
        inbox: of the call.
    """
    waiting = [each.get_nowait() for each in (queue, inbox) for _ in range(each.qsize())]
    for event in waiting:
        if isinstance(event, CallEvent):
            inbox.put_nowait(event)
