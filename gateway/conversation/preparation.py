"""Preparation: replies that are begun before the caller's turn is surely over.

A held reply thinks and speaks into a lane that is not heard.  It is released when the turn ends
with what it answers, and leaves no trace but its cost and its tools when it is dropped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from gateway.call.live_call import LiveCall
from gateway.call.steering import AnswerRequest
from gateway.conversation.chat_context import ChatContext, Snapshot
from gateway.conversation.exchange import Asked
from gateway.conversation.figures import TurnFigures
from gateway.conversation.reply import Reply, Source
from gateway.conversation.voice import Voice
from gateway.conversation.written_reply import WrittenReply


@dataclass(frozen=True, slots=True)
class BotTurn:
    """A reply, and what it takes to forget it."""

    reply: Reply
    source: Source
    asked: Asked | None
    before: Snapshot
    """The history before `asked`."""
    task: asyncio.Task[None]


class Preparation:
    """Begins replies, and holds at most one that is not heard yet."""

    def __init__(
        self,
        call: LiveCall,
        context: ChatContext,
        voice: Voice,
        run: Callable[[Reply], Coroutine[Any, Any, None]],
        on_first_audio: Callable[[], None],
    ) -> None:
        """Start without any.

        Args:
            call: owns their tasks.
            context: their history.
            voice: of the agent.
            run: is one reply from beginning to end, in a task of its own.
            on_first_audio: called when the first audio of one is queued for the line.
        """
        self._call = call
        self._context = context
        self._voice = voice
        self._run = run
        self._on_first_audio = on_first_audio
        self._held: BotTurn | None = None

    async def prepare(self, source: Source, figures: TurnFigures, asked: Asked) -> None:
        """Hold a reply to what was probably asked; the one before is dropped."""
        figures.speculative = True
        await self.hold(source, figures, asked)
        self._call.speculated("started")

    def has_prepared(self, asked: Asked) -> bool:
        """Return whether a reply to just this is held and has not failed."""
        held = self._held
        if held is None or held.asked is None or held.reply.outcome.error is not None:
            return False
        return held.asked.means(asked)

    async def hold(
        self,
        source: Source,
        figures: TurnFigures,
        asked: Asked | None,
        request: AnswerRequest | None = None,
    ) -> Reply:
        """Begin a reply and hold it; the one before is dropped."""
        await self.drop()
        before = self._context.snapshot()
        if asked is not None:
            self._context.add_user(
                asked.text, asked.choice, typed=asked.typed, is_answer=asked.is_answer
            )
        self._context.begin()
        own = None if request is None else request.speaks
        kind = Reply if (self._call.terms.speaks if own is None else own) else WrittenReply
        reply = kind(self._call, self._voice, source, figures, self._on_first_audio)
        reply.request = request
        task = self._call.group.create_task(self._run(reply))
        self._held = BotTurn(reply, source, asked, before, task)
        return reply

    def take(self) -> BotTurn:
        """Return the held reply, which is to be heard now."""
        held, self._held = self._held, None
        assert held is not None  # noqa: S101 - `has_prepared` or `hold` came before
        if held.reply.figures.speculative:
            self._call.speculated("released")
        return held

    async def drop(self) -> None:
        """Forget the held reply, if there is one: it leaves no trace but its cost and its tools."""
        held, self._held = self._held, None
        if held is None:
            return
        held.reply.cut()
        try:
            await end_task(held.task)
        finally:
            held.reply.give_up()
            self._context.restore(held.before)
            figures = held.reply.figures
            self._call.tool_uses += figures.earlier_tools
            self._call.tool_uses += (
                use.model_copy(update={"is_dropped": True}) for use in figures.tools
            )
            self._call.speculated("dropped", held.reply.outcome.tokens)


async def end_task(task: asyncio.Task[None]) -> None:
    """Cancel a task and see it end, even if the call is hung up meanwhile."""
    task.cancel()
    try:
        await asyncio.wait([task])
    finally:
        if not task.done():
            await asyncio.wait([task])
