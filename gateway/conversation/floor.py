"""Floor: who may speak; the only place that cancels a bot turn."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import structlog

from gateway.conversation.chat_context import ChatContext
from gateway.conversation.figures import TurnFigures
from gateway.conversation.live_call import LiveCall
from gateway.conversation.reply import Outcome, Reply, Source
from gateway.conversation.voice import Voice
from gateway.providers.contracts import Expect
from gateway.turn.events import TurnStarted, samples
from gateway.turn.state import Move, TurnState, after
from gateway.turn.taker import TurnTaker

log = structlog.get_logger(__name__)

Cause = Literal["speech", "digit", "operator", "hang_up"]
_WIRE_SETTLES_MS = 100


@dataclass(frozen=True, slots=True)
class ReplyFinished:
    """A bot turn was played to its end, or its engine failed."""

    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Unheard:
    """A reply that was cut before anything of it was sent: what it takes to begin again."""

    source: Source
    figures: TurnFigures
    outcome: Outcome


@dataclass(slots=True)
class _BotTurn:
    reply: Reply
    source: Source
    task: asyncio.Task[None]


class Floor:
    """Gives the floor to the bot and takes it back."""

    def __init__(
        self,
        call: LiveCall,
        context: ChatContext,
        voice: Voice,
        taker: TurnTaker,
        post: Callable[[ReplyFinished], None],
    ) -> None:
        self._call = call
        self._context = context
        self._voice = voice
        self._taker = taker
        self._post = post
        self._turn: _BotTurn | None = None
        self.state = TurnState.LISTENING

    @property
    def is_bots(self) -> bool:
        """True while the bot thinks or talks."""
        return self._turn is not None

    @property
    def expects(self) -> Expect | None:
        """What the reply that is being spoken expects of the caller: the answer may cut it."""
        is_spoken = self._turn is not None and self.state is TurnState.BOT_SPEAKING
        return self._turn.reply.outcome.expect if self._turn and is_spoken else None

    def move(self, move: Move) -> None:
        """Apply a move of the caller."""
        self.state = after(self.state, move)

    def give_to_bot(self, source: Source, figures: TurnFigures) -> None:
        """Start a reply in the call's task group.  The floor must be free."""
        self.move(Move.REPLY_STARTED)
        self._context.begin()
        self._taker.bot_busy(self._call.ear.now, busy=True)
        reply = Reply(self._call, self._voice, source, figures, self._first_audio)
        self._turn = _BotTurn(reply, source, self._call.group.create_task(self._run(reply)))

    async def interrupt(self, cause: Cause, started: TurnStarted | None = None) -> Unheard | None:
        """Give the floor back to the caller.  Idempotent; the only cancellation of a bot turn.

        Returns:
            The reply, if there was one and the caller has not heard anything of it.
        """
        turn, self._turn = self._turn, None
        if turn is None:
            return None
        turn.reply.cut()
        self._call.line.outlet.clear()  # 1 playout: silence from the next ptime on
        turn.task.cancel()  # 2 LLM, sentences and TTS are one TaskGroup
        await asyncio.wait([turn.task])
        heard = turn.reply.heard_text()
        outcome = turn.reply.outcome
        self._context.commit(heard, interrupted=True, undone=outcome.action_calls)  # 3 as heard
        self._taker.bot_busy(self._call.ear.now, busy=False)  # 4 turn state
        self.move(Move.INTERRUPTED)
        was_audible = turn.reply.was_audible
        self._call.note("interrupted", cause=cause, heard=heard, was_audible=was_audible)
        self._call.metrics.barge_in.labels(cause).inc()
        figures = turn.reply.figures
        figures.interrupted = True
        if started is not None and was_audible:
            figures.barge_in_onset = started.onset
        self._close(figures, heard)
        return None if was_audible else Unheard(turn.source, figures, outcome)

    async def _run(self, reply: Reply) -> None:
        outcome = await reply.run()
        if self._turn is None or self._turn.reply is not reply:
            return
        self._turn = None
        heard = reply.heard_text()
        self._context.commit(heard)
        self._taker.bot_busy(self._call.ear.now, busy=False)
        self.move(Move.REPLY_FINISHED)
        if outcome.error is not None:
            reply.figures.error = str(outcome.error)
        self._call.note("reply_finished", heard=heard)
        self._close(reply.figures, heard)
        self._post(ReplyFinished(outcome))

    def _first_audio(self) -> None:
        self.move(Move.FIRST_AUDIO)
        self._call.note("bot_started")

    def _close(self, figures: TurnFigures, heard: str) -> None:
        """Write the turn's record once the wire has seen its last sample."""
        figures.heard = heard
        settled = self._call.ear.now + samples(_WIRE_SETTLES_MS)
        self._call.ear.at(settled, lambda: self._finish(figures))

    def _finish(self, figures: TurnFigures) -> None:
        record = figures.record(self._call.ear.meter)
        self._call.finish_turn(record)
        log.info("turn", **record.model_dump(exclude_none=True, exclude={"tools"}))
