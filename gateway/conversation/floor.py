"""Floor: who may speak; the only place that cancels a bot turn."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import structlog

from gateway.config.models import AgentConfig
from gateway.conversation.chat_context import ChatContext, Snapshot
from gateway.conversation.figures import TurnFigures
from gateway.conversation.live_call import LiveCall
from gateway.conversation.reply import Outcome, Reply, Source
from gateway.conversation.silence_budget import FillerRotation, SilenceBudget
from gateway.conversation.stages import slowest_stage, summary_line
from gateway.conversation.voice import Voice
from gateway.providers.contracts import Expect, ToolResult
from gateway.records.model import HeldBreath
from gateway.threads import Lane
from gateway.turn.barge_in import LASTS
from gateway.turn.events import (
    BargeInRejected,
    BargeInSuspected,
    TurnEnded,
    TurnStarted,
    milliseconds,
    samples,
)
from gateway.turn.state import Move, TurnState, after
from gateway.turn.taker import TurnTaker

log = structlog.get_logger(__name__)

Cause = Literal["speech", "digit", "operator", "hang_up", "watchdog"]
_MAY_GO_ON = frozenset({"backchannel", "no_words", "echo"})
"""Rejected, but more of it may tell: an echo ends soon after the bot has."""
_WIRE_SETTLES_MS = 100
"""A cut is heard for one more frame, ramped down; its tick must have come, too."""
_ASKED_MS = 600
"""So much of a question may be answered already."""
_REACTION_MS = 300
"""Nobody reacts sooner to what he begins to hear: until then he goes on with what he was saying."""


@dataclass(frozen=True, slots=True)
class ReplyFinished:
    """A bot turn was played to its end, or its engine failed."""

    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Asked:
    """What a caller turn has said."""

    text: str
    choice: str | None
    expected: Expect
    """What the dialogue expected when it was said."""
    onset: int | None = None
    """Audio time at which it began, if it was spoken."""

    def means(self, other: Asked) -> bool:
        """True when both say the same, however they are written."""
        return (_letters(self.text), self.choice) == (_letters(other.text), other.choice)


@dataclass(frozen=True, slots=True)
class Cut:
    """A bot turn that was taken away, and what it takes to begin it again."""

    source: Source
    figures: TurnFigures
    outcome: Outcome
    asked: Asked | None
    is_reopened: bool
    """The caller goes on: the history is as it was before `asked`."""
    unheard: tuple[str, ...]
    """Its pieces that were not heard to their end."""
    is_thought_out: bool
    """Nothing more of it was to come from its source."""

    @property
    def has_rest(self) -> bool:
        """True when something of it is still to be said or done."""
        return bool(self.unheard or self.outcome.actions or not self.is_thought_out)


@dataclass(frozen=True, slots=True)
class _BotTurn:
    reply: Reply
    source: Source
    asked: Asked | None
    before: Snapshot
    """The history before `asked`."""
    task: asyncio.Task[None]


@dataclass(frozen=True, slots=True)
class _Cover:
    """A filler over recognition that takes its time: nobody has the floor yet."""

    since: int
    """When the caller fell silent."""
    began: int
    text: str


class Floor:
    """Gives the floor to the bot and takes it back."""

    def __init__(
        self,
        call: LiveCall,
        context: ChatContext,
        voice: Voice,
        taker: TurnTaker,
        config: AgentConfig,
        post: Callable[[ReplyFinished], None],
    ) -> None:
        self._call = call
        self._context = context
        self._voice = voice
        self._taker = taker
        self._config = config
        self._post = post
        self._fillers = FillerRotation(config.filler.first)
        self._turn: _BotTurn | None = None
        self._held: _BotTurn | None = None
        """Prepared for a caller turn that is probably over; nobody hears it."""
        self._count = 0
        self._began_at = 0
        self._suspected: BargeInSuspected | None = None
        self._cover: _Cover | None = None
        self._resumes: tuple[int, str] | None = None
        """(when, why): the bot lets the caller finish."""
        self.state = TurnState.LISTENING

    @property
    def is_bots(self) -> bool:
        """True while the bot thinks or talks."""
        return self._turn is not None

    @property
    def expects(self) -> Expect | None:
        """What the reply that is being spoken expects of the caller: the answer may cut it."""
        if self._turn is None or self.state is not TurnState.BOT_SPEAKING:
            return None
        return self._turn.reply.outcome.expect

    def began_after(self, now: int) -> bool:
        """True when the bot has the floor and did not have it at `now` (audio time)."""
        return self.is_bots and self._began_at >= now

    def move(self, move: Move) -> None:
        """Apply a move of the caller."""
        self.state = after(self.state, move)
        if move is Move.TURN_DISCARDED:
            self._cover = None

    def on_frame(self, now: int) -> None:
        """Let 20 ms pass."""
        if self._resumes is not None and now >= self._resumes[0]:
            self.resume(self._resumes[1])
        if self._turn is not None:
            is_interrupted = self._taker.is_caller_speaking
            for text in self._turn.reply.on_frame(now, may_bridge=not is_interrupted):
                self._taker.bot_says(text, now)

    def cover(self, since: int | None, now: int) -> None:
        """Say a filler while recognition owes the text of a turn: its silence is not dead.

        Args:
            since: when the caller fell silent; None = nothing is owed.
            now: audio time.
        """
        if self._turn is None and self._cover is not None and self._taker.is_caller_speaking:
            self._cover = None  # the caller goes on
            self._call.line.outlet.clear()
        if since is None or self._turn is not None or not self._is_cover_due(since, now):
            return
        text = self._fillers.next_text()
        lane = Lane()
        for frame in self._voice.rendered(text):
            lane.put_nowait(frame)
        self._call.line.outlet.open(lane)
        self._cover = _Cover(since, now, text)
        self._call.metrics.fillers.inc()
        self._call.note("bot_says", text=text, is_filler=True)

    def _is_cover_due(self, since: int, now: int) -> bool:
        config = self._config.filler
        if config.after_ms == 0 or (self._cover is not None and self._cover.since == since):
            return False
        return now - since >= samples(config.after_ms) and bool(self._fillers)

    # --- giving it to the bot ---

    async def start(
        self,
        source: Source,
        figures: TurnFigures,
        asked: Asked | None = None,
        *,
        again: bool = False,
    ) -> None:
        """Start a reply in the call's task group.  The floor must be free.

        Args:
            source: its text.
            figures: with the caller's turn, where it answers one.
            asked: what the turn said, unless the history has it already.
            again: it was cut before; what the caller has waited since then does not count.
        """
        await self.drop_held()
        self._held = self._begin(source, figures, asked)
        self.release(figures.turn, again=again)

    async def prepare(self, source: Source, figures: TurnFigures, asked: Asked) -> None:
        """Start a reply that nobody hears until `release`; the one before is dropped."""
        await self.drop_held()
        figures.speculative = True
        self._held = self._begin(source, figures, asked)
        self._call.speculated("started")

    def has_prepared(self, asked: Asked) -> bool:
        """True when a reply to just this is held and has not failed."""
        held = self._held
        if held is None or held.asked is None or held.reply.outcome.error is not None:
            return False
        return held.asked.means(asked)

    def release(self, turn: TurnEnded | None, *, again: bool = False) -> None:
        """Let the held reply be heard."""
        held, self._held = self._held, None
        assert held is not None  # noqa: S101 - `has_prepared` or `start` came before
        self._turn = held
        self._began_at = now = self._call.ear.now
        figures = held.reply.figures
        figures.turn, figures.index = turn, self._count
        figures.input_delay_ms = self._call.line.input_delay_ms
        self._count += 1
        self.move(Move.REPLY_STARTED)
        self._taker.bot_busy(now, busy=True)
        if figures.speculative:
            self._call.speculated("released")
        cover, self._cover = self._cover, None
        if cover is not None:
            figures.fillers.insert(0, cover.text)
            figures.covered_at = cover.began
        again = again or cover is not None
        quiet_since = now if turn is None or again else turn.speech_end
        sure_at = turn.speech_end + samples(self._sure_ms(turn)) if turn else now
        budget = SilenceBudget(self._config.filler, quiet_since, self._fillers)
        held.reply.release(budget, sure_at)

    def _sure_ms(self, turn: TurnEnded) -> int:
        """Silence after which a turn is surely over: half for a complete, expected answer."""
        sure_ms = self._config.turn.sure_ms
        return sure_ms // 2 if turn.evidence == "expected" else sure_ms

    async def drop_held(self) -> None:
        """Forget the held reply, if there is one: it leaves no trace but its cost."""
        held, self._held = self._held, None
        if held is None:
            return
        held.reply.cut()
        try:
            await _end(held.task)
        finally:
            self._context.restore(held.before)
            self._call.speculated("dropped", held.reply.outcome.tokens)

    def _begin(self, source: Source, figures: TurnFigures, asked: Asked | None) -> _BotTurn:
        before = self._context.snapshot()
        if asked is not None:
            self._context.add_user(asked.text, asked.choice)
        self._context.begin()
        reply = Reply(self._call, self._voice, source, figures, self._first_audio)
        task = self._call.group.create_task(self._run(reply))
        return _BotTurn(reply, source, asked, before, task)

    # --- holding its breath ---

    def pause(self, event: BargeInSuspected) -> None:
        """Fall silent within a frame, and keep what is still to be said."""
        if self._turn is not None:
            self._call.line.outlet.pause()
            self._suspected, self._resumes = event, None

    def go_on(self, event: BargeInRejected) -> None:
        """Go on: at once, or when a nod or sound is over that the caller has not finished yet."""
        if event.evidence in _MAY_GO_ON and self._taker.is_caller_speaking:
            self._resumes = (event.now + LASTS, event.evidence)
        else:
            self.resume(event.evidence)

    def resume(self, evidence: str) -> None:
        """Go on as if nothing had been.  Idempotent."""
        event, self._suspected, self._resumes = self._suspected, None, None
        self._call.line.outlet.resume()
        if event is None or self._turn is None:
            return
        silent_ms = milliseconds(self._call.ear.now - event.now)
        breath = HeldBreath(at_s=milliseconds(event.now) / 1000, evidence=evidence,
                            silent_ms=silent_ms)  # fmt: skip
        self._turn.reply.figures.held_breaths.append(breath)
        self._call.metrics.held_breaths.labels(evidence).inc()

    # --- taking it back ---

    async def interrupt(self, cause: Cause, started: TurnStarted | None = None) -> Cut | None:
        """Give the floor back to the caller.  Idempotent; the only cancellation of a bot turn.

        Returns:
            The bot turn that ended, if there was one.
        """
        turn, self._turn, self._suspected, self._resumes = self._turn, None, None, None
        if turn is None:
            return None
        turn.reply.cut()
        self._call.line.outlet.clear()  # 1 playout: silence from the next ptime on
        try:
            await _end(turn.task)  # 2 LLM, sentences and TTS are one TaskGroup
        finally:
            cut = self._take_back(turn, cause, started)
        return cut

    def _take_back(self, turn: _BotTurn, cause: Cause, started: TurnStarted | None) -> Cut:
        heard = turn.reply.heard_text()
        reopens = cause == "speech" and self._may_reopen(turn)
        self._remember(turn, heard, reopens=reopens)  # 3 history: as heard, or as before
        self._taker.bot_busy(self._call.ear.now, busy=False)  # 4 turn state
        self.move(Move.INTERRUPTED)
        was_audible = turn.reply.played_ms > 0
        self._call.note(
            "interrupted", cause=cause, heard=heard, was_audible=was_audible, reopened=reopens
        )
        self._call.metrics.barge_in.labels(cause).inc()
        figures = turn.reply.figures
        figures.interrupted, figures.reopened = True, reopens
        if started is not None and was_audible:
            figures.barge_in_onset = started.onset
            figures.barge_in_delay_ms = self._call.line.input_delay_ms
        self._close(figures, heard)
        reply = turn.reply
        return Cut(turn.source, figures, reply.outcome, turn.asked, reopens, reply.unheard(),
                   reply.is_thought_out)  # fmt: skip

    def _may_reopen(self, turn: _BotTurn) -> bool:
        """The caller goes on with the turn that the bot has just begun to answer."""
        played_ms, ended = turn.reply.played_ms, turn.reply.figures.turn
        if turn.asked is None or ended is None or turn.reply.outcome.has_acted:
            return False
        # Who has given a complete answer and reacts to the bot does not go on: it is something new.
        # So is what follows a question, unless the turn before looked open.
        is_open = played_ms < _REACTION_MS or ended.evidence != "expected"
        looked_done = ended.evidence == "whole" and played_ms >= _ASKED_MS
        has_asked = looked_done and _asks(turn.reply)
        return is_open and not has_asked and played_ms < self._config.turn.reopen_ms

    def _remember(self, turn: _BotTurn, heard: str, *, reopens: bool) -> None:
        if reopens:
            self._context.restore(turn.before)
        else:
            self._context.commit(heard, interrupted=True)
            self._context.amend(map(_undone, turn.reply.outcome.action_results))

    async def _run(self, reply: Reply) -> None:
        outcome = await reply.run()
        if self._turn is None or self._turn.reply is not reply:
            return
        self._turn = self._suspected = self._resumes = None
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
        record = record.model_copy(update={"slowest_stage": slowest_stage(record)})
        record = self._call.finish_turn(record)
        log.info("turn", slowest_stage=record.slowest_stage, line=summary_line(record))


def _undone(result: ToolResult) -> ToolResult:
    told = '{"error": "not done: the caller interrupted before you had finished speaking"}'
    return replace(result, content=told, is_error=True)


def _asks(reply: Reply) -> bool:
    expect = reply.outcome.expect
    return (expect is not None and expect.kind != "free") or "?" in reply.heard_text()


async def _end(task: asyncio.Task[None]) -> None:
    """Cancel a task and see it end, even if the call is hung up meanwhile.

    It may take its time: a tool that has begun is brought to its end, and into the history.
    """
    task.cancel()
    try:
        await asyncio.wait([task])
    finally:
        if not task.done():
            await asyncio.wait([task])


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text.casefold()))
