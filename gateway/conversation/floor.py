"""Floor: decides which side may speak, and is the only place that takes a bot turn back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from gateway.call import events
from gateway.call.live_call import LiveCall
from gateway.call.steering import AnswerRequest, BotTurnEnd
from gateway.config.models import AgentConfig
from gateway.conversation.actions import undone_action
from gateway.conversation.chat_context import ChatContext
from gateway.conversation.cover import Cover
from gateway.conversation.exchange import Asked, Cut
from gateway.conversation.false_interruption import ReversiblePause
from gateway.conversation.figures import TurnFigures, line_delay_ms
from gateway.conversation.preparation import BotTurn, Preparation, end_task
from gateway.conversation.reply import Outcome, Reply, Source, Unfinished
from gateway.conversation.silence_budget import FillerRotation, SilenceBudget
from gateway.conversation.turn_closing import close_turn
from gateway.conversation.voice import Voice
from gateway.errors import TurnStateError
from gateway.providers.contracts import Expect, Message
from gateway.turn.events import (
    BargeInRejected,
    BargeInSuspected,
    TurnEnded,
    TurnStarted,
    samples,
)
from gateway.turn.reopening import REACTION_MS, CutReply, may_reopen
from gateway.turn.taker import TurnTaker

FloorState = Literal["listening", "user_speaking", "thinking", "bot_speaking"]
"""Free, held by the caller, by the bot before its first sound, by the bot after it."""
Cause = Literal["speech", "digit", "operator", "hang_up", "watchdog", "engine", "client"]


@dataclass(frozen=True, slots=True)
class ReplyFinished:
    """A bot turn was played to its end, or its engine failed."""

    outcome: Outcome


class OnOver(Protocol):
    """Is notified of a bot turn that gives up the floor."""

    def __call__(self, turn: BotTurn, heard: str, *, is_cut: bool) -> None:
        """See `Dialogue.bot_turn_over`."""


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
        on_over: OnOver,
        turns: int = 0,
    ) -> None:
        """Start with a free floor.

        Args:
            call: whose line and audio time count.
            context: the history.
            voice: of the agent.
            taker: knows from this what the bot does.
            config: of the agent.
            post: accepts the news that a bot turn which was not cut is over.
            on_over: called at once with each bot turn that gives up the floor, what was heard of
                it, and whether it was cut.
            turns: bot turns that there were before, of other agents.
        """
        self._call = call
        self._context = context
        self._taker = taker
        self._config = config
        self._post = post
        self._on_over = on_over
        self.preparation = Preparation(call, context, voice, self._run, self._first_audio)
        """Replies that are not heard yet."""
        self._fillers = FillerRotation(config.filler.first)
        self._turn: BotTurn | None = None
        self.turns = turns
        """Number of bot turns so far."""
        self._began_at = 0
        self._asked_at: int | None = None
        """When the question of the latest reply was heard, if it was and has one."""
        self._pause = ReversiblePause(call, taker)
        self._cover = Cover(call, voice, config.filler, self._fillers)
        self._is_audible = False
        """The bot has the floor and was heard."""
        self._is_callers = False

    def follow(self, config: AgentConfig) -> None:
        """Go by these settings from the next bot turn on."""
        self._config = config
        self._cover.config = config.filler

    @property
    def state(self) -> FloorState:
        """Return which side has the floor and, for the bot, whether it was heard already."""
        if self._turn is not None:
            return "bot_speaking" if self._is_audible else "thinking"
        return "user_speaking" if self._is_callers else "listening"

    @property
    def is_free(self) -> bool:
        """True while neither the bot nor the caller has the floor."""
        return self.state == "listening"

    @property
    def is_bots(self) -> bool:
        """True while the bot thinks or talks."""
        return self._turn is not None

    @property
    def waits_for_tools(self) -> bool:
        """True while the bot has the floor and waits for tools, which have their own limits."""
        return self._turn is not None and self._turn.reply.waits_for_tools

    @property
    def has_acted(self) -> bool:
        """True while the bot has the floor and has begun what goes on without its reply."""
        return self._turn is not None and self._turn.reply.outcome.has_acted

    @property
    def expects(self) -> Expect | None:
        """What the reply that is being spoken has asked the caller for: the answer may cut it."""
        turn = self._turn
        if turn is None or not self._is_audible:
            return None
        return turn.reply.outcome.expect if self._asked_at is not None else None

    @property
    def will_expect(self) -> Expect | None:
        """The same though it was not heard yet: keys may be pressed ahead."""
        return self._turn.reply.outcome.expect if self._turn else None

    @property
    def is_acting(self) -> bool:
        """True while the bot announces what it does next."""
        return self._turn is not None and bool(self._turn.reply.outcome.actions)

    def is_before_question(self, onset: int) -> bool:
        """Return whether words that began then, and did not cut the bot off, came too early."""
        if self._asked_at is not None:
            return onset < self._asked_at - samples(REACTION_MS)
        return self.will_expect is not None

    def began_after(self, now: int) -> bool:
        """True when the bot has the floor and did not have it at `now` (audio time)."""
        return self.is_bots and self._began_at >= now

    def caller_begins(self) -> None:
        """Give a free floor to the caller."""
        self._is_callers = self._turn is None

    def caller_ends(self, *, discarded: bool = False) -> None:
        """Take the floor back from the caller; a discarded turn needs no filler either."""
        self._is_callers = False
        if discarded:
            self._cover.drop()

    def on_frame(self, now: int) -> None:
        """Let 20 ms pass."""
        evidence = self._pause.advance(now)
        if evidence is not None:
            self.resume(evidence)
        if self._turn is not None:
            is_interrupted = self._taker.is_caller_speaking
            for text in self._turn.reply.on_frame(now, may_bridge=not is_interrupted):
                self._taker.bot_says(text, now)
            if self._asked_at is None and self.will_expect is not None:
                self._asked_at = now if self._turn.reply.has_asked else None

    def answers(self, turn: TurnEnded, asked_s: float) -> None:
        """The reply in progress answers a turn that is known to have ended only now.

        Args:
            turn: the caller's.
            asked_s: loop time from which on it could be answered.
        """
        figures = self._turn.reply.figures if self._turn is not None else None
        if figures is not None and figures.turn is None:
            figures.answers(turn, self._call)
            figures.asked_s = asked_s

    def cover(self, since: int | None, now: int) -> None:
        """Speak a filler while recognition owes the text of a turn: its silence is not dead.

        Args:
            since: when the caller fell silent; None = nothing is owed.
            now: audio time.
        """
        if self._turn is None:
            is_speaking = self._taker.is_caller_speaking
            self._cover.advance(since, now, is_caller_speaking=is_speaking)

    # --- giving it to the bot ---

    async def start(
        self,
        source: Source,
        figures: TurnFigures,
        asked: Asked | None = None,
        *,
        again: bool = False,
        unfinished: Unfinished | None = None,
        request: AnswerRequest | None = None,
    ) -> None:
        """Start a reply in the call's task group.  The floor must be free.

        Args:
            source: its text.
            figures: with the caller's turn, where it answers one.
            asked: what the turn said, unless the history has it already.
            again: it was cut before; what the caller has waited since then does not count.
            unfinished: an answer that it goes on with.
            request: what a client wants of this answer alone.
        """
        reply = await self.preparation.hold(source, figures, asked, request)
        reply.unfinished = unfinished
        self.release(figures.turn, again=again)

    def release(self, turn: TurnEnded | None, *, again: bool = False) -> None:
        """Let the held reply be heard."""
        if self._turn is not None:
            raise TurnStateError("a reply starts while the bot has the floor")
        self._turn = held = self.preparation.take()
        for observer in self._call.observers:
            observer.bot_turn_began()
        self._began_at = now = self._call.audio.now
        self._asked_at = None
        figures = held.reply.figures
        figures.answers(turn, self._call)
        figures.index = self.turns
        self.turns += 1
        self._is_audible = self._is_callers = False
        self._taker.bot_busy(now, busy=True)
        again = self._cover.give_to(held.reply) or again
        quiet_since = now if turn is None or again else turn.speech_end
        sure_at = turn.speech_end + samples(self._sure_ms(turn)) if turn else now
        budget = SilenceBudget(self._config.filler, quiet_since, self._fillers)
        held.reply.release(budget, sure_at)

    def _sure_ms(self, turn: TurnEnded) -> int:
        """Silence after which a turn is surely over: half for a complete, expected answer."""
        sure_ms = self._config.turn.sure_ms
        return sure_ms // 2 if turn.evidence == "expected" else sure_ms

    # --- pausing it ---

    def pause(self, event: BargeInSuspected) -> None:
        """Fall silent within a frame, and keep what is still to be said."""
        if self._turn is not None:
            self._pause.begin(event)

    def go_on(self, event: BargeInRejected) -> None:
        """Go on: at once, or when a nod or sound is over that the caller has not finished yet."""
        evidence = self._pause.rejected(event)
        if evidence is not None:
            self.resume(evidence)

    def resume(self, evidence: str) -> None:
        """Go on as if nothing had been.  Idempotent."""
        interruption = self._pause.end(evidence)
        if interruption is None or self._turn is None:
            return
        self._turn.reply.figures.false_interruptions.append(interruption)
        self._call.metrics.count_false_interruption(evidence)

    # --- taking it back ---

    async def interrupt(self, cause: Cause, started: TurnStarted | None = None) -> Cut | None:
        """Give the floor back to the caller.  Idempotent; the only cancellation of a bot turn.

        Returns:
            The bot turn that ended, if there was one.
        """
        turn, self._turn = self._turn, None
        onset = started.onset if started is not None else self._pause.onset
        self._pause.forget()
        if turn is None:
            return None
        turn.reply.cut()
        self._call.line.outlet.clear()  # 1 playout: silence from the next ptime on
        try:
            await end_task(turn.task)  # 2 LLM, sentences and TTS are one TaskGroup
        finally:
            cut = self._take_back(turn, cause, onset)
        return cut

    def _take_back(self, turn: BotTurn, cause: Cause, onset: int | None) -> Cut:
        heard = turn.reply.heard_text()
        reopens = cause == "speech" and self._may_reopen(turn)
        # 3 history: as heard, or as before
        kept = self._remember(turn, heard, cause, reopens=reopens)
        self._taker.bot_busy(self._call.audio.now, busy=False)  # 4 turn taker
        was_audible = turn.reply.played_ms > 0
        if cause != "speech" or reopens:
            turn.reply.give_up()  # else it may have been no turn
        self._call.note(
            events.Interrupted(cause=cause, heard=heard, was_audible=was_audible, reopened=reopens)
        )
        self._call.metrics.barge_in.labels(cause).inc()
        figures = turn.reply.figures
        figures.interrupted, figures.reopened = True, reopens
        if cause == "speech" and onset is not None and was_audible:
            figures.barge_in_onset = onset
            figures.barge_in_delay_ms = line_delay_ms(self._call.line)
        close_turn(self._call, figures, heard)
        self._on_over(turn, heard, is_cut=True)
        self._tell(BotTurnEnd(heard, kept, is_cut=True, cause=cause))
        reply = turn.reply
        return Cut(
            turn.source, figures, reply.outcome, turn.asked, reopens, reply.unheard(),
            reply.is_thought_out, bool(heard), reply.has_asked, reply.unfinished,
        )  # fmt: skip

    def _may_reopen(self, turn: BotTurn) -> bool:
        """Return whether the caller goes on with the turn that the bot has begun to answer."""
        if turn.asked is None or not turn.asked.may_go_on:
            return False
        reply = turn.reply
        cut = CutReply(reply.played_ms, reply.asks, reply.outcome.has_acted)
        return may_reopen(reply.figures.turn, cut, self._config.turn.reopen_ms)

    def _remember(
        self, turn: BotTurn, heard: str, cause: Cause, *, reopens: bool
    ) -> tuple[Message, ...]:
        if reopens:
            self._context.restore(turn.before)
            return ()
        # Callers who know the menu press keys ahead: to what it was about to ask.  What keys
        # have led to stays so, though words cut it off before it was heard.
        is_typed = cause == "digit" or (turn.asked is not None and bool(turn.asked.typed))
        kept = self._context.commit(heard, interrupted=True, keep_memo=is_typed)
        self._context.amend(map(undone_action, turn.reply.outcome.action_results))
        return kept

    def _tell(self, end: BotTurnEnd) -> None:
        for observer in self._call.observers:
            observer.bot_turn_over(end)

    async def _run(self, reply: Reply) -> None:
        outcome = await reply.run()
        reply.give_up()
        turn = self._turn
        if turn is None or turn.reply is not reply:
            return
        self._turn = None
        self._pause.forget()
        heard = reply.heard_text()
        kept = self._context.commit(heard)
        self._taker.bot_busy(self._call.audio.now, busy=False)
        if outcome.error is not None:
            reply.figures.error = str(outcome.error)
        self._call.note(events.ReplyFinished(heard=heard))
        close_turn(self._call, reply.figures, heard)
        self._on_over(turn, heard, is_cut=False)
        self._tell(BotTurnEnd(heard, kept, is_cut=False, problem=str(outcome.error or "")))
        self._post(ReplyFinished(outcome))

    def _first_audio(self) -> None:
        self._is_audible = True
        self._call.note(events.BotStarted())
