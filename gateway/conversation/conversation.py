"""Conversation: composes ear, floor and engines from greeting to goodbye.  Holds no turn rules."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Literal

import structlog

from gateway.audio.voice_chunk import Chunk
from gateway.conversation.actions import Action, HangUp, SendDigits, Transfer
from gateway.conversation.agent import Agent
from gateway.conversation.answering import Answering
from gateway.conversation.cascade import Cascade
from gateway.conversation.chat_context import ChatContext
from gateway.conversation.figures import TurnFigures
from gateway.conversation.floor import Cut, Floor, ReplyFinished
from gateway.conversation.line import Answered, Digit, Held, HungUp, LineEvent, Resumed
from gateway.conversation.listener import Heard, Listener
from gateway.conversation.live_call import EagernessRequest, LiveCall, SayRequest
from gateway.conversation.reply import Outcome, Reply, Source
from gateway.conversation.voice import pieces_of
from gateway.errors import ProviderError, ProviderTimeout, SipError
from gateway.providers.contracts import Expect
from gateway.turn.digits import DigitCollector
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
    samples,
)
from gateway.turn.state import Move
from gateway.turn.watchdog import Finding, Watchdog, limits_of

log = structlog.get_logger(__name__)

_MAX_FAILURES = 3
_SAME_UTTERANCE = samples(2000)
"""Who talks into an apology for failed recognition makes it fail again: that counts once."""
_BROKEN_OFF = frozenset({"replaced", "failed", "held", "no_transcript"})
"""Why a caller turn is discarded that may have had words."""


@dataclass(frozen=True, slots=True)
class DigitsEntered:
    """The caller has typed an answer."""

    digits: str


Event = Heard | LineEvent | SayRequest | EagernessRequest | ReplyFinished | DigitsEntered | Finding
EndedBy = Literal["bot_hung_up", "transferred", "silence", "failed"]


@dataclass(frozen=True, slots=True)
class Ending:
    """How the talk ended."""

    reason: EndedBy
    text: str = ""


class Conversation:
    """One talk between a caller and an agent."""

    def __init__(self, call: LiveCall, agent: Agent) -> None:
        config = agent.config
        self._call = call
        self._agent = agent
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._context = ChatContext(config.instructions, config.history_messages)
        self._listener = Listener(
            call,
            agent.recognizer,
            config.turn,
            config.silence.reprompt_after_s,
            self._events.put_nowait,
        )
        taker = self._listener.taker
        self._floor = Floor(
            call, self._context, agent.voice, taker, config, self._events.put_nowait
        )
        self._cascade = Cascade(call, agent, self._context)
        self._answering = Answering(
            call,
            config,
            self._context,
            self._floor,
            self._cascade,
            lambda: self._expect,
            lambda: self._listener.is_whole,
        )
        self._watchdog = Watchdog(limits_of(config), call.ear.now)
        self._is_away = False
        """The caller is being transferred, or keys are being sent: nobody is to speak."""
        self._keys = DigitCollector(1)
        self._expect = Expect()
        self._failures = 0
        self._deaf_at: int | None = None
        """When recognition failed last."""
        self._ending: Ending | None = None

    def __str__(self) -> str:
        """The chain that a frame goes through, for the log."""
        agent = self._agent
        return (
            f"line -> ear -> turn taker -> {type(agent.recognizer).__name__} -> "
            f"{type(agent.brain).__name__} -> sentences -> {type(agent.voice).__name__} -> line"
        )

    async def run(self) -> Ending:
        """Talk until one side has had enough.  Being cancelled (hang-up) is its other end."""
        log.info("conversation_started", agent=self._agent.name, chain=str(self))
        if self._call.ear.open():
            self._call.note("ear_opened", now=self._call.ear.now)
        self._call.ear.sink = self._on_frame
        forward = self._call.group.create_task(self._forward_line_events())
        try:
            await self._greet()
            while self._ending is None or self._floor.is_bots:
                await self._handle(await self._events.get())
            return self._ending
        finally:
            forward.cancel()
            self._call.ear.sink = None
            self._listener.end()
            await self._floor.interrupt("hang_up")
            await self._floor.drop_held()

    async def _forward_line_events(self) -> None:
        while True:
            self._events.put_nowait(await self._call.inbox.get())

    def _on_frame(self, pcm: bytes, chunks: list[Chunk], now: int) -> None:
        expects = self._floor.expects
        if expects is not None and expects is not self._expect:
            self._set_expectation(expects)
        self._floor.on_frame(now)
        self._listener.on_frame(pcm, chunks, now)
        if self._ending is None:
            self._floor.cover(self._listener.taker.unanswered_since, now)
        entered = self._keys.advance(self._call.ear.now_s)
        if entered:
            self._events.put_nowait(DigitsEntered(entered))
        finding = self._watchdog.advance(
            now,
            bot_audible=self._call.ear.is_bot_audible,
            caller_speaking=self._listener.taker.is_caller_speaking,
            bot_has_floor=self._floor.is_bots,
            is_held=self._listener.muted or self._is_away,
        )
        if finding is Finding.HANG_UP:  # whatever hangs may be what would handle it
            self._call.group.create_task(self._call.line.hang_up(reason="the line was dead"))
        elif finding is not None:
            self._events.put_nowait(finding)

    async def _handle(self, event: Event) -> None:
        match event:
            case Digit() | DigitsEntered():
                await self._key(event)
            case ReplyFinished(outcome=outcome):
                await self._reply_finished(outcome)
            case ProviderError():
                await self._recognition_failed(event)
            case SayRequest(text=text):
                await self._floor.interrupt("operator")
                await self._say(text)
            case EagernessRequest(eagerness=eagerness):
                self._listener.taker.set_eagerness(eagerness)
            case Held() | Resumed():
                self._hold(event)
            case Finding():
                await self._stuck(event)
            case HungUp() | Answered():
                pass
            case _:
                await self._turn_event(event)

    def _hold(self, event: Held | Resumed) -> None:
        if isinstance(event, Held):
            self._listener.mute()
            self._call.note("held")
        else:
            self._listener.unmute()
            self._call.note("resumed")

    async def _turn_event(self, event: TurnEvent) -> None:
        match event:
            case TurnStarted():
                await self._turn_started(event)
            case EagerEnd():
                if self._ending is None:
                    await self._answering.may_be_over(event)
            case TurnResumed():
                await self._answering.goes_on()
            case TurnEnded():
                await self._turn_ended(event)
            case TurnDiscarded():
                await self._turn_discarded(event)
            case BargeInSuspected() | BargeInRejected():
                self._hold_breath(event)
            case CallerSilent(times=times):
                await self._prompt_silent_caller(times)
            case TranscriptWanted() | BargeInConfirmed():
                pass  # the listener's; `TurnStarted` follows

    def _hold_breath(self, event: BargeInSuspected | BargeInRejected) -> None:
        if isinstance(event, BargeInSuspected):
            self._floor.pause(event)
        else:
            self._floor.go_on(event)

    # --- the bot's moves ---

    async def _greet(self) -> None:
        if self._agent.config.greeting:
            await self._say(self._agent.config.greeting)
        else:
            await self._floor.start(self._cascade.pieces, TurnFigures.at(self._call))

    async def _say(self, text: str) -> None:
        await self._floor.start(self._spoken(text), TurnFigures.at(self._call))

    def _spoken(self, text: str) -> Source:
        async def pieces(_reply: Reply) -> AsyncGenerator[str, None]:
            self._context.add_assistant(text)
            for piece in pieces_of(text):
                yield piece

        return pieces

    # --- what happened ---

    async def _turn_started(self, event: TurnStarted) -> None:
        self._caller_is_there()
        cut: Cut | None = None
        is_late = self._floor.began_after(event.now)  # it began before this event was handled
        if event.is_barge_in or (is_late and self._agent.config.turn.barge_in.interruptible):
            cut = await self._floor.interrupt("speech", event)
        if cut is not None and cut.is_reopened and cut.asked is not None:
            self._set_expectation(cut.asked.expected)
            if cut.asked.onset is not None:
                self._listener.reopen(cut.asked.onset)
            self._call.metrics.false_starts.inc()
        await self._answering.turn_started(cut)
        if not self._floor.is_bots:
            self._floor.move(Move.SPEECH_STARTED)

    def _caller_is_there(self) -> None:
        if self._ending is not None and self._ending.reason == "silence":
            self._ending = None  # there is somebody after all

    async def _turn_discarded(self, event: TurnDiscarded) -> None:
        await self._answering.goes_on()
        self._floor.resume(event.reason)
        if self._floor.is_bots or event.reason in _BROKEN_OFF:
            self._answering.turn_broken_off()
        if self._floor.is_bots:
            return
        self._floor.move(Move.TURN_DISCARDED)
        if self._ending is not None:
            return
        if event.reason == "no_transcript":
            name = type(self._agent.recognizer).__name__
            await self._engine_failed(ProviderTimeout(name, "gave no transcript of a turn"))
        elif event.reason not in _BROKEN_OFF:
            await self._answering.turn_discarded()

    async def _turn_ended(self, event: TurnEnded) -> None:
        if self._ending is None:
            await self._answering.turn_ended(event)

    async def _reply_finished(self, outcome: Outcome) -> None:
        if outcome.expect is not None:
            self._set_expectation(outcome.expect)
        if outcome.error is not None:
            await self._engine_failed(outcome.error)
            return
        if outcome.is_answer:
            self._failures = 0
        for action in outcome.actions:
            await self._perform(action)
        if self._ending is None:
            await self._answering.answer_waiting()

    def _set_expectation(self, expect: Expect) -> None:
        self._expect = expect
        self._listener.expect(expect)
        typed = expect.kind in {"digits", "phone_number"}
        self._keys = DigitCollector(expect.digits if typed else 1)

    async def _perform(self, action: Action) -> None:
        match action:
            case HangUp(reason=reason):
                self._ending = Ending("bot_hung_up", reason)
            case Transfer(target=target):
                self._is_away = True
                await self._transfer(target)
                self._is_away = False
            case SendDigits(digits=digits):
                self._is_away = True
                await self._send_digits(digits)
                self._is_away = False

    async def _send_digits(self, digits: str) -> None:
        try:
            await self._call.line.send_digits(digits)
        except SipError as error:
            log.warning("digits_not_sent", problem=str(error))
            self._call.note("digits_not_sent", digits=digits, problem=str(error))
        else:
            self._call.note("digits_sent", digits=digits)

    async def _transfer(self, target: str) -> None:
        self._call.note("transfer_started", target=target)
        self._listener.mute()
        try:
            await self._call.line.transfer(target)
        except SipError as error:
            log.warning("transfer_failed", target=target, problem=str(error))
            self._call.note("transfer_failed", target=target, problem=str(error))
            self._listener.unmute()
            if not self._floor.is_bots:
                await self._say(self._agent.config.transfer_failed)
            return
        self._call.note("transferred", target=target)
        self._ending = Ending("transferred", target)

    async def _prompt_silent_caller(self, times: int) -> None:
        if self._floor.is_bots or self._ending is not None:
            return
        silence = self._agent.config.silence
        if times <= len(silence.reprompts):
            await self._say(self._expect.reprompt or silence.reprompts[times - 1])
            return
        self._ending = Ending("silence", "the caller said nothing")
        await self._say(silence.goodbye)

    async def _recognition_failed(self, error: ProviderError) -> None:
        if self._listener.taker.in_doubt:
            self._listener.close()  # its sound alone decides: who goes on and on is let through
            await self._engine_failed(error, counts=False)
            return
        now = self._call.ear.now
        is_same = self._deaf_at is not None and now - self._deaf_at < _SAME_UTTERANCE
        self._deaf_at = now
        self._listener.drop_turn("failed")
        await self._engine_failed(error, counts=not is_same)

    async def _engine_failed(self, error: ProviderError, *, counts: bool = True) -> None:
        self._failures += counts
        log.warning("engine_failed", problem=str(error), failures=self._failures)
        self._call.note("engine_failed", problem=str(error))
        self._call.metrics.provider_errors.labels(error.provider, error.kind).inc()
        if self._ending is not None or self._floor.is_bots:
            return
        if self._failures >= _MAX_FAILURES:
            self._ending = Ending("failed", str(error))
            await self._say(self._agent.config.give_up)
        else:
            await self._say(self._agent.config.fallback)

    async def _stuck(self, finding: Finding) -> None:
        """The line was dead for longer than it ever may be: whatever the cause, it ends here."""
        log.error("line_is_dead", finding=finding.value, state=self._floor.state.value)
        self._call.note("line_is_dead", finding=finding.value, state=self._floor.state.value)
        self._call.metrics.watchdog.labels(finding.value).inc()
        self._listener.drop_turn("failed")
        await self._floor.interrupt("watchdog")
        if finding is Finding.SAY_FALLBACK and self._ending is None:
            await self._say(self._agent.config.fallback)
            return
        self._ending = self._ending or Ending("failed", "the line was dead")
        await self._say(self._agent.config.give_up)

    async def _key(self, event: Digit | DigitsEntered) -> None:
        if isinstance(event, Digit):
            self._call.note("digit", digit=event.digit, method=event.method)
            self._caller_is_there()
            self._watchdog.caller_is_there(self._call.ear.now)
            self._listener.taker.caller_is_there(self._call.ear.now)
            self._listener.drop_turn("replaced")
            entered = self._keys.press(event.digit, self._call.ear.now_s)
        else:
            entered = event.digits
        if self._agent.config.turn.barge_in.digits:
            await self._floor.interrupt("digit")
        if entered and self._ending is None:
            await self._answering.typed(entered)
