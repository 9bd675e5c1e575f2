"""Conversation: composes audio, floor, engines from greeting to goodbye.  Holds no turn rules."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from functools import partial

import structlog

from gateway.audio.format import ANALYSIS
from gateway.audio.voice_chunk import Chunk
from gateway.call import events
from gateway.call.control import AgentWanted, ControlBegan, ControlEnded, LanguageWanted
from gateway.call.line import Answered, Digit, End, Held, HungUp, MediaSource, Resumed
from gateway.call.live_call import CallEvent, EagernessRequest, LiveCall, SayRequest
from gateway.call.steering import ClientAsks
from gateway.conversation.action_runner import ActionRunner
from gateway.conversation.actions import FAILED, undone_action
from gateway.conversation.agenda import Agenda, SilenceToFill
from gateway.conversation.agent import Agent, adapted
from gateway.conversation.call_variables import filled_text, local_now
from gateway.conversation.cascade_dialogue import CascadeDialogue
from gateway.conversation.change import change
from gateway.conversation.chat_context import ChatContext
from gateway.conversation.control_follower import ControlFollower
from gateway.conversation.dialogue import Dialogue, Due
from gateway.conversation.duplex_dialogue import DuplexDialogue
from gateway.conversation.exchange import Cut
from gateway.conversation.first_words import FirstWordIsOurs, FirstWords
from gateway.conversation.floor import Floor, ReplyFinished
from gateway.conversation.handover import Handover, leave_events
from gateway.conversation.keypad import Keypad
from gateway.conversation.keys import Keys
from gateway.conversation.listener import Heard, Listener
from gateway.conversation.live_settings import LiveSettings
from gateway.conversation.meter import VoiceMeter
from gateway.conversation.preparation import BotTurn
from gateway.conversation.profiling import Profiling
from gateway.conversation.reply import Outcome
from gateway.conversation.running_tools import RunningTools
from gateway.conversation.steering import Steering
from gateway.conversation.takeover import Takeover
from gateway.conversation.talk import AgentChange, Ending, Talk
from gateway.conversation.tools import CallContext
from gateway.conversation.trouble import Trouble
from gateway.errors import ProviderError, ProviderTimeout
from gateway.providers.contracts import Expect
from gateway.turn.digits import Entry
from gateway.turn.events import (
    BargeInConfirmed,
    BargeInRejected,
    BargeInSuspected,
    CallerSilent,
    EagerEnd,
    TranscriptWanted,
    TurnDiscarded,
    TurnEnded,
    TurnEvent,
    TurnResumed,
    TurnStarted,
)
from gateway.turn.watchdog import Finding, Watchdog, limits_of

log = structlog.get_logger(__name__)

_WATCHED_SAMPLES = 5 * ANALYSIS.frame_samples
"""100 ms: how often it is looked whether the line is dead."""
_BROKEN_OFF = frozenset({"replaced", "failed", "held", "no_transcript"})
"""Why a caller turn is discarded that may have had words."""


@dataclass(frozen=True, slots=True)
class DigitsEntered:
    """The caller has paused after some keys."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class ToolFinished:
    """A tool has given its result after its reply was cut."""


TalkEvent = (
    Heard | ReplyFinished | ToolFinished | FirstWordIsOurs | SilenceToFill | Finding | Due
)  # fmt: skip
Event = TalkEvent | CallEvent | DigitsEntered


class Conversation:
    """One talk between a caller and an agent."""

    def __init__(self, call: LiveCall, agent: Agent, earlier: Handover | None = None) -> None:
        """Prepare; `earlier` is what the agent leaves that has led the call before."""
        voice, meter = (
            agent.voice.for_line(call.line.media_format),
            VoiceMeter.of(call, agent.config),
        )
        agent = replace(agent, voice=voice.of_call(call.line.facts.call_id, call.group, meter))
        own, agent = agent, replace(agent, config=adapted(agent))
        config = agent.config
        self._call = call
        self._agent = agent
        self._now = local_now(config.timezone)
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._earlier = earlier
        self._talk = talk = self._make_talk()
        self._floor, self._listener, self._keypad = talk.floor, talk.listener, talk.keypad
        self._context = talk.context
        self._watchdog = Watchdog(limits_of(config), call.audio.now)
        call.control.settings = config.transfer
        self._actions = ActionRunner(call.control)
        self._first_words = FirstWords(talk, self._filled(config.greeting), self._events.put_nowait)
        self._opening = self._first_words.opening
        self._agenda = Agenda(talk, self._first_words, self._actions)
        self._control = ControlFollower(talk, self._agenda, self._actions)
        self._keys = Keys(talk, self._first_words, self._agenda, self._watchdog.caller_is_there)
        self._trouble = Trouble(talk)
        self._steering = Steering(talk, self._filled(config.greeting))
        post = self._events.put_nowait
        self._takeover = Takeover(talk, own.config, self._first_words, self._trouble, post)
        self._profiling = Profiling(talk) if config.profile else None
        self._settings = LiveSettings(talk, own, self._now, post, self._takeover.follow)

    def _make_talk(self) -> Talk:
        call, agent, post = self._call, self._agent, self._events.put_nowait
        config = agent.config
        instructions = self._filled(config.instructions)
        limits = config.history_messages, config.history_tokens
        earlier = self._earlier
        passed_on = ChatContext if earlier is None else earlier.context.passed_on
        context = passed_on(instructions, *limits)
        listener = Listener(call, config.turn, config.silence.reprompt_after_s, post)
        turns = 0 if earlier is None else earlier.turns
        floor = Floor(
            call, context, agent.voice, listener.taker, config, post, self._bot_turn_over, turns
        )
        facts = CallContext.of(call.line.facts, agent.name, call.voice.known)
        tools = RunningTools(call, agent.tools, facts, context, lambda: post(ToolFinished()))
        is_costly = agent.speech is not None or agent.llm.counts_tokens
        keypad = Keypad(config.keys, is_costly=is_costly)
        talk = Talk(call, agent, context, listener, floor, keypad, tools)
        talk.instructions = instructions
        talk.use(self._make_dialogue(talk))
        return talk

    def _make_dialogue(self, talk: Talk) -> Dialogue:
        agent, post = self._agent, self._events.put_nowait
        if agent.speech is None:
            return CascadeDialogue(talk, post)
        greets = agent.config.s2s is not None and agent.config.s2s.greeting == "engine"
        greeting = self._filled(agent.config.greeting) if greets else ""
        return DuplexDialogue(talk, agent.speech, post, self._engine_lost, greeting)

    def _bot_turn_over(self, turn: BotTurn, heard: str, *, is_cut: bool) -> None:
        self._talk.dialogue.bot_turn_over(turn, heard, is_cut=is_cut)
        self._steering.bot_turn_over()

    def _engine_lost(self, error: ProviderError, is_awaited: bool) -> Due:  # noqa: FBT001
        return Due(partial(self._takeover.engine_lost, error, is_awaited=is_awaited))

    def _filled(self, text: str) -> str:
        return filled_text(text, self._call.line.facts, self._now, self._agent.config.language)

    def __str__(self) -> str:
        """The chain that a frame goes through, for the log."""
        engines = " -> ".join(self._talk.dialogue.engine_names)
        return f"line {self._call.line.media_format} -> audio -> turn taker -> {engines} -> line"

    async def run(self) -> Ending | Handover:
        """Talk until one side has had enough, or another agent is to go on.

        Being cancelled (hang-up) is its other end.
        """
        log.info("conversation_started", agent=self._agent.name, chain=str(self))
        if self._call.audio.open(self._agent.make_detector):
            vad = self._agent.config.vad.provider
            self._call.note(events.HearingStarted(now=self._call.audio.now, vad=vad))
        self._call.audio.sink = self._on_frame
        self._call.control.on_settings = self._settings.change
        self._call.audio.may_wait = self._may_wait
        self._call.audio.may_look = self._listener.may_look
        forward = self._call.group.create_task(self._forward_line_events())
        try:
            if self._earlier is None:
                await self._first_words.greet(self._call.terms)
            else:
                await self._earlier.accept(self._talk, self._first_words)
            while (ending := self._ending()) is None:
                await self._handle(await self._events.get())
        finally:
            forward.cancel()
            self._call.audio.let_go()
            self._call.control.on_settings = None
            self._listener.end()
            await self._floor.interrupt("hang_up")
            await self._floor.preparation.drop()
            self._talk.dialogue.close()
            self._steering.close()
            self._agent.voice.close()
            await self._settings.close()
            if self._profiling is not None:
                self._profiling.close()
        if isinstance(ending, Ending):
            return ending
        leave_events(self._events, self._call.inbox)
        return Handover.of(self._talk, ending)

    def _ending(self) -> Ending | AgentChange | None:
        """Return how it ended, if it has: the bot's last words are said before.

        An agent that follows begins between turns: it has not heard what the caller says now.
        """
        ending = self._talk.ending
        is_free = (
            self._floor.is_free if isinstance(ending, AgentChange) else not self._floor.is_bots
        )
        return ending if is_free else None

    async def _forward_line_events(self) -> None:
        while True:
            self._events.put_nowait(await self._call.inbox.get())

    # --- every 20 ms ---

    def _on_frame(self, pcm: bytes, chunks: list[Chunk], now: int) -> None:
        expects = self._floor.expects
        if expects is not None and expects is not self._talk.expected:
            self._talk.expect(expects)
        self._floor.on_frame(now)
        self._listener.on_frame(pcm, chunks, now)
        if self._talk.ending is None:
            self._floor.cover(self._listener.taker.unanswered_since, now)
        if self._agenda.has_silence_to_fill:
            self._events.put_nowait(SilenceToFill())
        entered = self._keypad.advance(self._call.audio.now_s)
        if entered is not None:
            self._events.put_nowait(DigitsEntered(entered))
        if now % _WATCHED_SAMPLES < ANALYSIS.frame_samples:
            self._watch(now)

    def _may_wait(self) -> bool:
        return self._listener.may_wait and not self._call.line.outlet.is_paused

    def _watch(self, now: int) -> None:
        finding = self._watchdog.advance(
            now,
            bot_audible=self._call.audio.is_bot_audible,
            caller_speaking=self._listener.taker.is_caller_speaking,
            bot_has_floor=self._floor.is_bots,
            is_held=self._listener.muted
            or self._call.control.is_busy
            or self._floor.waits_for_tools,
        )
        if finding is Finding.HANG_UP:  # whatever hangs may be what would handle it
            self._call.group.create_task(
                self._call.line.hang_up(End("failed", "the line was dead"))
            )
        elif finding is not None:
            self._events.put_nowait(finding)

    # --- what happened ---

    async def _handle(self, event: Event) -> None:
        self._call.audio.catch_up()
        match event:
            case Digit():
                await self._keys.pressed(event)
            case DigitsEntered(entry=entry):
                await self._keys.entered(entry)
            case SayRequest(text=text):
                await self._agenda.operator_wants(text)
            case ControlBegan() | ControlEnded():
                await self._control.changed(event)
            case AgentWanted() | LanguageWanted():
                await change(self._talk, event)
            case EagernessRequest(eagerness=eagerness):
                self._listener.taker.set_eagerness(eagerness)
                self._listener.hearing.set_eagerness(eagerness)
            case Held() | Resumed():
                self._hold(event)
            case ClientAsks(asked=asked):
                await self._steering.do(asked)
            case Answered() | HungUp() | MediaSource():
                pass  # the session's
            case _:
                await self._talk_event(event)

    async def _talk_event(self, event: TalkEvent) -> None:
        match event:
            case ReplyFinished(outcome=outcome):
                await self._reply_finished(outcome)
            case ProviderError():
                await self._trouble.recognition_failed(event)
            case Due(act=act):
                await act()
            case Finding():
                await self._trouble.line_is_dead(event)
            case FirstWordIsOurs():
                self._opening.heard_out()
                await self._agenda.say_next()
            case SilenceToFill():
                await self._agenda.fill_silence()
            case ToolFinished():
                await self._agenda.say_next()
            case CallerSilent(times=times):
                await self._agenda.prompt_silent_caller(times)
            case _:
                await self._turn_event(event)

    def _hold(self, event: Held | Resumed) -> None:
        if isinstance(event, Held):
            self._talk.mute("hold")
            self._call.note(events.Held())
        else:
            self._talk.unmute("hold")
            self._call.note(events.Resumed())

    async def _turn_event(self, event: TurnEvent) -> None:
        match event:
            case TurnStarted():
                await self._turn_started(event)
            case EagerEnd():
                await self._may_be_over(event)
            case TurnResumed():
                await self._talk.dialogue.goes_on()
            case TurnEnded():
                await self._turn_ended(event)
            case TurnDiscarded():
                await self._turn_discarded(event)
            case BargeInSuspected():
                self._floor.pause(event)
            case BargeInRejected():
                self._floor.go_on(event)
            case TranscriptWanted() | BargeInConfirmed() | CallerSilent():
                pass  # the listener's; `TurnStarted` follows; handled before

    async def _turn_started(self, event: TurnStarted) -> None:
        self._talk.caller_is_there()
        cut: Cut | None = None
        is_late = self._floor.began_after(event.now)  # it began before this event was handled
        interruptible = self._talk.agent.config.turn.barge_in.interruptible
        if event.is_barge_in or (is_late and interruptible):
            cut = await self._floor.interrupt("speech", event)
        if cut is not None and cut.is_reopened and cut.asked is not None:
            self._talk.expect(cut.asked.expected)
            if cut.asked.onset is not None:
                self._listener.hearing.reopen(cut.asked.onset)
            self._call.metrics.false_starts.inc()
        elif cut is not None and cut.has_open_question:
            self._talk.expect(Expect())  # the last question was answered, this one not heard
        self._first_words.were_cut(cut)
        await self._talk.dialogue.turn_started(cut)
        self._floor.caller_begins()

    async def _may_be_over(self, event: EagerEnd) -> None:
        if self._talk.ending is None and not (self._opening.listens or self._opening.is_due):
            await self._talk.dialogue.may_be_over(event)

    async def _turn_ended(self, event: TurnEnded) -> None:
        if self._profiling is not None:
            self._profiling.turn_ended(event)
        if self._talk.ending is not None:
            await self._talk.dialogue.turn_ended(event)
            return
        self._opening.heard_out()
        self._keypad.turn_ended()
        if self._opening.is_due and not self._floor.is_bots:
            await self._first_words.begin(event)
        elif not await self._steering.turn_ended(event):
            await self._talk.dialogue.turn_ended(event)

    async def _turn_discarded(self, event: TurnDiscarded) -> None:
        await self._talk.dialogue.goes_on()
        await self._steering.turn_is_over()
        self._floor.resume(event.reason)
        if self._floor.is_bots or event.reason in _BROKEN_OFF:
            self._talk.dialogue.turn_broken_off()
        if self._floor.is_bots:
            return
        self._floor.caller_ends(discarded=True)
        if self._talk.ending is not None:
            return
        if event.reason == "no_transcript":
            name = self._talk.dialogue.engine_names[0]
            problem = ProviderTimeout(name, "gave no transcript of a turn")
            await self._trouble.engine_failed(problem)
        elif event.reason not in _BROKEN_OFF:
            self._opening.go_on()
            await self._talk.dialogue.turn_discarded()
        await self._agenda.say_next()

    async def _reply_finished(self, outcome: Outcome) -> None:
        if outcome.expect is not None:
            if outcome.expect is not self._talk.expected:
                self._talk.expect(outcome.expect)
        elif outcome.is_answer and self._talk.expected != Expect():
            self._talk.expect(Expect())  # what was asked for before was answered
        if outcome.error is not None:
            self._context.amend(undone_action(told, FAILED) for told in outcome.action_results)
            await self._trouble.engine_failed(outcome.error)
            return
        if outcome.is_answer:
            self._trouble.engines_work()
        self._actions.add(outcome)
        await self._agenda.go_on()
