"""DuplexDialogue: one engine hears the caller and speaks; the gateway keeps floor and history.

Our turn taker stays on.  Its suspicion of an interruption pauses the bot; the verdict is the
engine's or its own, whichever comes first.  Turns end by the engine (`turns = "engine"`), by our
silence (`"gateway"`), or not at all (`"none"`, full duplex: the taker only observes).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial

import structlog

from gateway.audio.format import AudioFormat
from gateway.call import events
from gateway.conversation.asking import expected_by
from gateway.conversation.day_ledger import DayLedger
from gateway.conversation.dialogue import Due, Hearing
from gateway.conversation.duplex_caller import CallerTurns
from gateway.conversation.duplex_hearing import EngineHearing
from gateway.conversation.engine_replies import EngineReplies
from gateway.conversation.engine_reply import EngineAnswer, EngineReply
from gateway.conversation.exchange import Asked, Cut
from gateway.conversation.figures import TurnFigures
from gateway.conversation.preparation import BotTurn
from gateway.conversation.reply import Source
from gateway.conversation.reply_tools import ReplyTools
from gateway.conversation.speech_link import SpeechLink
from gateway.conversation.speech_usage import SpeechUsage
from gateway.conversation.spending import Spending
from gateway.conversation.talk import Talk
from gateway.errors import ProviderError
from gateway.providers.contracts import AssistantMessage, Expect, ToolResult, Typed, UserMessage
from gateway.providers.speech_to_speech import (
    CallerEnded,
    CallerStarted,
    CallerText,
    EngineNotice,
    EngineUsage,
    Opening,
    ReplyAudio,
    ReplyEnded,
    ReplyStarted,
    ReplyText,
    SpeechEvent,
    SpeechToSpeech,
    ToolAsked,
    ToolsWithdrawn,
)
from gateway.turn.digits import Entry
from gateway.turn.events import EagerEnd, TurnEnded, milliseconds

log = structlog.get_logger(__name__)


class DuplexDialogue:
    """Satisfies `Dialogue` with a speech-to-speech engine.  Loop thread only."""

    def __init__(
        self,
        talk: Talk,
        engine: SpeechToSpeech,
        post: Callable[[Due], None],
        on_lost: Callable[[ProviderError, bool], Due],
        greeting: str = "",
    ) -> None:
        """Begin to connect.

        Args:
            talk: the conversation.
            engine: of the agent.
            post: accepts what is to be done in the order of the conversation's events.
            on_lost: makes what is to be done when the engine cannot be used any more; told
                whether the caller waits for an answer.
            greeting: what the engine speaks first; empty = nothing.
        """
        call = talk.call
        self._talk = talk
        self._post = post
        self._on_lost = on_lost
        self._greeting = greeting
        self._turns = engine.turns
        self._replies = EngineReplies(
            type(engine).__name__, call.line.media_format,
            lambda part: post(Due(partial(self._begin, part))),
            lambda part: post(Due(partial(self._was_interrupted, part))),
        )  # fmt: skip
        self._answer: EngineAnswer | None = None
        """On the floor."""
        self._pending: deque[tuple[EngineAnswer, Asked | None, TurnEnded | None]] = deque()
        """For when the floor is free."""
        self._own_opening: Source | None = None
        """First words of ours in answer to the caller: the engine's answer is not wanted then."""
        self._opening_source: Source | None = None
        self._ended: TurnEnded | None = None
        """The latest turn that no reply has answered yet."""
        self._caller = CallerTurns(talk)
        self._tools = ReplyTools(call, talk.agent.tools, talk.context, talk.tools)
        self._link = SpeechLink(
            call, engine, self._opening, self._on_event, self._session_over, self._lost
        )
        spending = Spending(
            talk.agent.config.llm_limits, call.spent, call.line.facts, DayLedger.of_machine()
        )
        self._usage = SpeechUsage(talk.agent.name, call, spending)
        self.hearing: Hearing = EngineHearing(self._link, call, self._is_idle)
        self.engine_names: tuple[str, ...] = (type(engine).__name__,)
        self.greets = bool(greeting)
        self.answers_anything = True
        self.answers_meanwhile = True
        talk.listener.taker.know_words(known=False)

    def _opening(self) -> Opening:
        """Return what a session begins with: the first, or one that goes on with the call."""
        talk = self._talk
        return Opening(
            call_id=talk.call.line.facts.call_id,
            instructions=talk.context.instructions,
            messages=talk.context.messages(),
            tools=talk.agent.tools.specs,
            language=talk.agent.config.language,
            greeting=self._greeting,
            line=_line_format(talk),
        )

    def _session_over(self) -> None:
        """Let the session that follows answer what the one before owes."""
        self._replies.end()
        if self._owed is not None and not self._greeting:
            self._link.tell([], answer=True)

    def _is_idle(self) -> bool:
        return self._talk.floor.is_free and not self._talk.listener.taker.in_turn

    # --- what the engine reports ---

    def _on_event(self, event: SpeechEvent) -> None:
        match event:
            case ReplyStarted() | ReplyAudio() | ReplyText() | ReplyEnded():
                self._replies.hear(event, self._link.session)
            case ToolAsked():
                self._replies.ask(event, self._link.session)
            case ToolsWithdrawn(call_ids=call_ids):
                if self._answer is not None:
                    self._answer.withdraw(call_ids)
            case CallerStarted() | CallerEnded():
                self._post(Due(partial(self._caller_event, event)))
            case CallerText():
                self._caller.text(event)
            case EngineUsage() | EngineNotice():
                self._noted(event)
            case _:
                pass  # corrections: the history has what was played; expiry is the link's

    def _noted(self, event: EngineUsage | EngineNotice) -> None:
        if isinstance(event, EngineNotice):
            log.info("speech_engine_notice", text=event.text)
            self._talk.call.note(events.EngineNoted(text=event.text))
            return
        limit = self._usage.used(event)
        if limit is not None:
            self._lost(limit)

    async def _begin(self, part: EngineReply) -> None:
        """Let a reply of the engine be heard, unless it is not wanted any more."""
        self._greeting = ""
        owed = self._owed
        is_asked = owed is not None or self._turns != "gateway"
        if self._talk.ending is not None or self._own_opening is not None or not is_asked:
            self._refuse(part)
            return
        if owed is not None:
            owed.adopt(part)
            return
        self._end_turn()
        answer = self._new_answer()
        answer.adopt(part)
        await self._start(answer, self._caller.take(), self._take_ended())

    @property
    def _owed(self) -> EngineAnswer | None:
        """The bot turn that the engine has still to speak in."""
        waiting = (self._answer, *(answer for answer, _, _ in self._pending))
        return next((each for each in waiting if each is not None and each.is_owed), None)

    def _refuse(self, part: EngineReply) -> None:
        self._replies.forget([part])
        part.end()
        if part.reply_id:
            self._link.cut(part.session, part.reply_id, 0)

    async def _caller_event(self, event: CallerStarted | CallerEnded) -> None:
        talk = self._talk
        what = "started" if isinstance(event, CallerStarted) else "ended"
        talk.call.note(events.EngineHears(what=what, at_ms=event.at_ms))
        if self._turns == "none":
            self._caller.speaks()
        elif what == "started":
            self._caller.speaks()
            await self._taken_by_caller()
        elif self._turns == "engine":
            self._end_turn()
            if self._owed is None and self._own_opening is None:
                await self._start(self._new_answer(), self._caller.take(), self._take_ended())

    def _end_turn(self) -> None:
        """The engine has taken the caller's turn for over: so does our turn taker."""
        taker = self._talk.listener.taker
        if self._turns == "engine" and taker.in_turn and not taker.in_doubt:
            taker.end_turn()

    async def _was_interrupted(self, part: EngineReply) -> None:
        if self._answer is not None and self._answer.has(part):
            await self._taken_by_caller()

    async def _taken_by_caller(self) -> None:
        """The engine has heard the caller take the floor, and has stopped by itself."""
        talk = self._talk
        if not talk.agent.config.turn.barge_in.interruptible:
            return
        talk.caller_is_there()
        self._drop_pending()
        if self._answer is not None:
            await talk.floor.interrupt("speech")
            talk.floor.caller_begins()

    def _lost(self, error: ProviderError) -> None:
        is_awaited = self._owed is not None
        self._replies.end()
        self._post(self._on_lost(error, is_awaited))

    # --- bot turns ---

    def _new_answer(self) -> EngineAnswer:
        return EngineAnswer(self._link, self._talk.context, self._tools)

    async def _start(
        self, answer: EngineAnswer, asked: Asked | None = None, turn: TurnEnded | None = None
    ) -> None:
        talk = self._talk
        if talk.ending is not None:
            return
        if talk.floor.is_bots or talk.call.control.is_busy:
            self._pending.append((answer, asked, turn))
            return
        figures = TurnFigures.at(talk.call, turn)
        figures.caller_text = asked.text if asked else None
        if turn is not None:
            figures.asked_s = self._engine_began_s(turn)
        self._answer = answer
        await talk.floor.start(answer.say, figures, asked)
        if asked is not None:
            self._caller.is_answered_by(figures)

    def _engine_began_s(self, turn: TurnEnded) -> float:
        """Return the loop time from which on the engine could answer: its own share begins."""
        since = turn.now if self._turns == "gateway" else turn.speech_end
        ago_s = milliseconds(self._talk.call.audio.now - since) / 1000
        return asyncio.get_running_loop().time() - ago_s

    def _take_ended(self) -> TurnEnded | None:
        ended, self._ended = self._ended, None
        return ended

    def _drop_pending(self) -> None:
        """What the engine has begun meanwhile answers something else than is said now."""
        pending, self._pending = self._pending, deque()
        for answer, _, _ in pending:
            answer.over(is_cut=True)
            self._replies.forget(answer.parts)

    def bot_turn_over(self, turn: BotTurn, heard: str, *, is_cut: bool) -> None:
        """Report to the engine what was heard of it."""
        answer = self._answer
        if answer is not None and turn.source == answer.say:
            self._answer = None
            answer.over(is_cut=is_cut)
            if is_cut:
                self._replies.forget(answer.parts)
            self._report_to_next(answer, heard, is_cut=is_cut)
        elif heard:
            self._link.tell([AssistantMessage(heard, interrupted=is_cut)], answer=False)
        if turn.source is self._own_opening:
            self._own_opening = None

    def _report_to_next(self, answer: EngineAnswer, heard: str, *, is_cut: bool) -> None:
        """Tell the session in use of a reply that another one has made; have it go on with it."""
        if all(map(self._link.has, (part.session for part in answer.parts))):
            return
        goes_on = answer.is_broken_off and not is_cut
        if heard:
            said = AssistantMessage(heard, interrupted=is_cut or goes_on)
            self._link.tell([said], answer=False)
        if goes_on:
            self._post(Due(self._go_on))

    async def _go_on(self) -> None:
        """Have the engine say the rest of what the end of its session has cut off."""
        talk = self._talk
        if self._turns == "none":
            self._link.tell([], answer=True)
        elif talk.floor.is_free and talk.ending is None and not talk.call.control.is_busy:
            await self.answer()

    # --- the caller's turns ---

    async def turn_started(self, cut: Cut | None) -> None:
        """The caller took the floor, from the bot if there is a `cut`."""
        self._caller.speaks()
        if self._turns != "none":
            self._drop_pending()

    async def may_be_over(self, event: EagerEnd) -> None:
        """Nothing is prepared: the engine answers when it is its turn."""

    async def goes_on(self) -> None:
        """Nothing was prepared."""

    async def turn_ended(
        self, event: TurnEnded, source: Source | None = None, *, is_told: bool = True
    ) -> None:
        """Let the engine answer, where turns are ours; see `Dialogue.turn_ended`."""
        talk = self._talk
        talk.floor.caller_ends()
        if source is not None:
            asked = self._caller.take(event.onset) if is_told else None
            self._own_opening = source if source != self._opening_source else None
            await talk.floor.start(source, TurnFigures.at(talk.call, event), asked)
        elif self._turns == "gateway":
            self._link.commit()
            await self._start(self._new_answer(), self._caller.take(event.onset), event)
        elif self._answer is not None:
            talk.floor.answers(event, self._engine_began_s(event))
        else:
            self._ended = event

    async def turn_discarded(self) -> None:
        """It was no turn."""
        await self.answer_waiting()

    def turn_broken_off(self) -> None:
        """The engine has heard what there was."""

    async def typed(self, entry: Entry, *, is_speaking: bool) -> None:
        """Report keys to the engine; see `Dialogue.typed`."""
        typed: Typed = "ended" if entry.is_ended else "paused"
        self._link.tell([UserMessage(entry.digits, typed=typed)], answer=not is_speaking)
        if is_speaking:
            self._caller.types(entry.digits)
            self._talk.call.note(events.TurnWaits(text=entry.digits))
        elif self._turns != "none":
            asked = Asked(entry.digits, None, self._talk.expected, typed=typed, may_go_on=False)
            await self._start(self._new_answer(), asked)

    # --- the bot's ---

    def opening_line(self) -> Source:
        """Return the first words, which the engine makes up unless it was given a greeting."""
        answer = self._answer = self._new_answer()
        if not self.greets:
            self._link.tell([], answer=True)
        self._opening_source = answer.say
        return answer.say

    def expected_by(self, text: str) -> Expect | None:
        """Return what a text of the configuration or the operator asks the caller for."""
        return expected_by(text)

    async def answer(self) -> None:
        """Answer what the history ends with, on the free floor."""
        self._link.tell([], answer=True)
        await self._start(self._new_answer())

    async def answer_waiting(self) -> None:
        """Let the engine's next reply be heard."""
        if self._pending and not self._talk.floor.is_bots:
            await self._start(*self._pending.popleft())

    async def tell_results(self) -> None:
        """Report what came of tools whose reply was cut, unless the floor is taken."""
        talk = self._talk
        if not (talk.tools.owes and talk.floor.is_free) or talk.call.control.is_busy:
            return
        late = talk.context.bring_forward()
        results = [
            message
            for message in talk.context.messages()
            if isinstance(message, ToolResult) and message.call_id in late
        ]
        talk.context.told(late)
        if results:
            self._link.tell(results, answer=True)
            await self._start(self._new_answer())

    def close(self) -> None:
        """End the session."""
        self._drop_pending()
        self._link.close()


def _line_format(talk: Talk) -> AudioFormat:
    """Return how the line codes its audio: an engine that takes it needs no conversion."""
    line = talk.call.line
    codec = line.statistics().codec.upper()
    if codec.startswith("PCMU"):
        return AudioFormat(8000, encoding="pcmu")
    if codec.startswith("PCMA"):
        return AudioFormat(8000, encoding="pcma")
    return line.media_format
