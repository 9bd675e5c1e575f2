"""DuplexDialogue: one engine hears the caller and speaks; the gateway keeps floor and history.

Our turn taker stays on.  Its suspicion of an interruption pauses the bot; the verdict is the
engine's or its own, whichever comes first.  Turns end by the engine (`turns = "engine"`), by our
silence (`"gateway"`), or not at all (`"none"`, full duplex: the taker only observes).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import structlog

from gateway.call import events
from gateway.call.steering import AnswerRequest
from gateway.conversation.agent import Agent
from gateway.conversation.asking import expected_by
from gateway.conversation.delegate import Delegate
from gateway.conversation.dialogue import Due, Hearing
from gateway.conversation.duplex_caller import CallerTurns, is_answerable
from gateway.conversation.duplex_hearing import EngineHearing
from gateway.conversation.engine_replies import EngineReplies
from gateway.conversation.engine_reply import EngineReply
from gateway.conversation.engine_turns import EngineTurns
from gateway.conversation.engine_watch import EngineWatch
from gateway.conversation.exchange import Asked, Cut
from gateway.conversation.figures import TurnFigures
from gateway.conversation.preparation import BotTurn
from gateway.conversation.reply import Source
from gateway.conversation.reply_tools import ReplyTools
from gateway.conversation.session_settings import SessionSettings
from gateway.conversation.speech_link import SpeechLink
from gateway.conversation.speech_usage import SpeechUsage
from gateway.conversation.talk import Ending, Talk
from gateway.errors import ProviderError, ProviderTimeout
from gateway.providers.contracts import AssistantMessage, Expect, Typed, UserMessage
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
    SessionExpires,
    SpeechEvent,
    SpeechSession,
    SpeechToSpeech,
    ToolAsked,
    ToolsWithdrawn,
)
from gateway.turn.digits import Entry
from gateway.turn.events import EagerEnd, TurnEnded

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
        self._owner = engine.turns
        self._settings = SessionSettings(talk)
        usage = SpeechUsage.of(talk, type(engine).__name__)
        self._name = usage.provider
        self._replies = EngineReplies(
            self._name, call.line.media_format,
            lambda part: post(Due(partial(self._begin, part))),
            lambda part: post(Due(partial(self._was_interrupted, part))),
        )  # fmt: skip
        self._own_opening: Source | None = None
        """First words of ours in answer to the caller: the engine's answer is not wanted then."""
        self._opening_source: Source | None = None
        self._ended: TurnEnded | None = None
        """The latest turn that no reply has answered yet."""
        self._has_hung_up = False
        self._caller = CallerTurns(talk)
        self._delegate = Delegate(talk)
        talk.tools.delegate = self._delegate.run
        self._watch = EngineWatch(talk.agent.config.llm_timeout_s)
        self._link = SpeechLink(call, engine, usage, self)
        tools = ReplyTools(call, talk.agent.tools, talk.context, talk.tools)
        self._turns = EngineTurns(
            talk, self._link, self._replies, self._caller, tools, engine.turns
        )
        self.hearing: Hearing = EngineHearing(
            self._link, call, talk.agent.config.turn.preroll_ms, self._on_frame, self._may_wait
        )
        self.engine_names: tuple[str, ...] = (self._name,)
        self.greets = bool(greeting)
        self.answers_anything = True
        self.answers_meanwhile = True
        talk.listener.taker.know_words(known=False)

    def follow(self, agent: Agent) -> None:
        """Go by other settings, in the session where it can change them, else in a new one."""
        self._delegate.follow(agent)
        self._settings.follow(agent, self._link)

    def _on_frame(self) -> bool:
        """Let 20 ms pass; return whether neither side says anything."""
        is_idle = self._talk.floor.is_free and not self._talk.listener.taker.in_turn
        finding = self._watch.advance(is_free=is_idle, is_owed=self._turns.is_silent)
        if finding == "owes":
            self._post(Due(self._await_answer))
        elif finding == "silent":
            limit_s = self._talk.agent.config.llm_timeout_s
            problem = f"the engine is connected, but does not answer (within {limit_s:g} s)"
            self._link.fail(ProviderTimeout(self._name, problem))
        return is_idle

    def _may_wait(self) -> bool:
        return self._talk.floor.is_bots and self._talk.listener.taker.is_idle

    async def _await_answer(self) -> None:
        """Take the floor for what the engine will say: fillers and time limits count from now."""
        if self._ended is not None and self._talk.floor.is_free:
            await self._turns.start(self._turns.new(), self._caller.take(), self._take_ended())

    # --- the session (satisfies `SessionUser`) ---

    def opening(self) -> Opening:
        """Return what a session begins with: the first, or one that goes on with the call."""
        opening = self._settings.opening(self._greeting)
        self._delegate.begin(opening.messages)
        return opening

    def session_over(self) -> None:
        """Let the session that follows answer what the one before owes."""
        self._watch.restart()
        self._replies.end()
        self._ask_for_owed()

    def _ask_for_owed(self) -> None:
        owed = self._turns.owed
        if owed is None or not owed.is_due or self._greeting:
            return
        if is_answerable(self._talk.context.messages()):
            self._link.tell([], answer=True)
        else:
            self._post(Due(self._ask_again))

    def hung_up(self) -> None:
        """End the call once all that the engine has said was played."""
        self._talk.call.note(events.EngineHungUp())
        self._has_hung_up = True
        self._replies.end()
        self._link.close()
        if self._turns.owed is not None:
            self._turns.owed.give_up()
        self._post(Due(self._hang_up))

    def lost(self, error: ProviderError) -> None:
        """Let the agent's other engines take over, or end the call."""
        is_awaited = self._turns.owed is not None
        self._replies.end()
        self._post(self._on_lost(error, is_awaited))

    def take(self, event: SpeechEvent) -> None:
        """Sort what the engine reports: into a reply, into the order of events, or into the log."""
        match event:
            case ReplyStarted() | ReplyAudio() | ReplyText() | ReplyEnded():
                self._replies.hear(event, self._link.session)
            case ToolAsked():
                self._replies.ask(event, self._link.session)
            case ToolsWithdrawn(call_ids=call_ids):
                if self._turns.current is not None:
                    self._turns.current.withdraw(call_ids)
            case CallerStarted() | CallerEnded():
                self._watch.sign(self._talk.call.audio.now)
                self._post(Due(partial(self._caller_event, event, self._link.session)))
            case CallerText(traits=traits):
                self._watch.sign(self._talk.call.audio.now)
                self._caller.text(event)
                if traits:
                    self._talk.reported(traits)
            case EngineNotice(text=text):
                log.info("speech_engine_notice", text=text)
                self._talk.call.note(events.EngineNoted(text=text))
            case EngineUsage() | SessionExpires():
                pass  # the link's

    async def _ask_again(self) -> None:
        """The session that knew the caller's words is gone: ask for them."""
        await self._talk.floor.interrupt("engine")
        if self._talk.ending is None:
            await self._talk.say(self._talk.agent.config.fallback)

    async def _hang_up(self) -> None:
        """End the talk behind the replies that wait."""
        if self._turns.are_waiting:
            await self._turns.start_next()
        elif self._talk.ending is None:
            self._talk.ending = Ending("bot_hung_up", "the engine has ended the conversation")

    # --- what the engine reports, in the order of events ---

    async def _begin(self, part: EngineReply) -> None:
        """Let a reply of the engine be heard, unless it is not wanted any more."""
        self._greeting = ""
        self._watch.answers()
        owed = self._turns.owed
        is_asked = owed is not None or self._owner != "gateway"
        if self._talk.ending is not None or self._own_opening is not None or not is_asked:
            self._turns.refuse(part)
            return
        if owed is not None:
            owed.adopt(part)
            return
        self._end_turn()
        answer = self._turns.new()
        answer.adopt(part)
        await self._turns.start(answer, self._caller.take(), self._take_ended())

    async def _caller_event(self, event: CallerStarted | CallerEnded, by: SpeechSession) -> None:
        talk = self._talk
        what = "started" if isinstance(event, CallerStarted) else "ended"
        talk.call.note(events.EngineHears(what=what, at_ms=event.at_ms))
        if self._owner == "none":
            self._caller.speaks()
        elif what == "started":
            self._caller.speaks()
            await self._taken_by_caller()
        elif self._owner == "engine":
            self._end_turn()
            if self._turns.owed is None and self._own_opening is None:
                await self._turns.start(self._turns.new(), self._caller.take(), self._take_ended())
                if not self._link.has(by):  # it was lost before it could answer
                    self._ask_for_owed()

    def _end_turn(self) -> None:
        """The engine has taken the caller's turn for over: so does our turn taker."""
        taker = self._talk.listener.taker
        if self._owner == "engine" and taker.in_turn and not taker.in_doubt:
            taker.end_turn()

    async def _was_interrupted(self, part: EngineReply) -> None:
        current = self._turns.current
        if current is not None and current.has(part):
            await self._taken_by_caller()

    async def _taken_by_caller(self) -> None:
        """The engine has heard the caller take the floor, and has stopped by itself."""
        talk = self._talk
        if not talk.agent.config.turn.barge_in.interruptible:
            return
        talk.caller_is_there()
        self._turns.drop_waiting()
        if self._turns.current is not None:
            await talk.floor.interrupt("speech")
            talk.floor.caller_begins()

    def _take_ended(self) -> TurnEnded | None:
        self._watch.answers()
        ended, self._ended = self._ended, None
        return ended

    def bot_turn_over(self, turn: BotTurn, heard: str, *, is_cut: bool) -> None:
        """Let the engine know what the caller has heard; see `Dialogue.bot_turn_over`."""
        answer = self._turns.over(turn, heard, is_cut=is_cut)
        if answer is None and heard:
            self._link.tell([AssistantMessage(heard, interrupted=is_cut)], answer=False)
        if turn.source is self._own_opening:
            self._own_opening = None
        if self._has_hung_up:
            self._post(Due(self._hang_up))
        elif answer is not None and answer.is_broken_off and not is_cut:
            self._post(Due(self._go_on))

    async def _go_on(self) -> None:
        """Have the engine say the rest of what the end of its session has cut off."""
        talk = self._talk
        if self._owner == "none":
            self._link.tell([], answer=True)
        elif talk.floor.is_free and talk.ending is None and not talk.call.control.is_busy:
            await self.answer()

    # --- the caller's turns ---

    async def turn_started(self, cut: Cut | None) -> None:
        """The caller took the floor, from the bot if there is a `cut`."""
        self._caller.speaks()
        if self._owner != "none":
            self._turns.drop_waiting()

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
        if talk.ending is not None:
            talk.leave(self._caller.take(event.onset))
            return
        if source is not None:
            asked = self._caller.take(event.onset) if is_told else None
            self._own_opening = source if source != self._opening_source else None
            await talk.floor.start(source, TurnFigures.at(talk.call, event), asked)
        elif self._owner == "gateway":
            self._link.commit()
            await self._turns.start(self._turns.new(), self._caller.take(event.onset), event)
        elif self._turns.current is not None:
            talk.floor.answers(event, self._turns.engine_began_s(event))
        else:
            self._ended = event
            self._watch.turn_ended(event)

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
            return
        asked = Asked(entry.digits, None, self._talk.expected, typed=typed, may_go_on=False)
        if self._owner == "none":
            self._caller.types_alone(asked)
        else:
            await self._turns.start(self._turns.new(), asked)

    # --- the bot's ---

    def opening_line(self) -> Source:
        """Return the first words, which the engine makes up unless it was given a greeting."""
        answer = self._turns.current = self._turns.new()
        if not self.greets:
            self._link.tell([], answer=True)
        self._opening_source = answer.say
        return answer.say

    def expected_by(self, text: str) -> Expect | None:
        """Return what a text of the configuration or the operator asks the caller for."""
        return expected_by(text, self._talk.agent.questions)

    keep_turn = turn_ended  # an engine holds no answer back

    async def answer(self, request: AnswerRequest | None = None) -> None:
        """Answer what the history ends with, on the free floor; `request` has no place here."""
        self._link.tell([], answer=True)
        await self._turns.start(self._turns.new())

    async def answer_waiting(self) -> None:
        """Let the engine's next reply be heard."""
        await self._turns.start_next()

    async def tell_results(self) -> None:
        """Report what came of tools whose reply was cut, unless the floor is taken."""
        talk = self._talk
        if not (talk.tools.owes and talk.floor.is_free) or talk.call.control.is_busy:
            return
        late = talk.context.bring_forward()
        results = talk.context.results_of(late)
        talk.context.told(late)
        if results:
            self._link.tell(results, answer=True)
            await self._turns.start(self._turns.new())

    def close(self) -> None:
        """End the session."""
        self._turns.drop_waiting()
        self._link.close()
