"""Conversation: composes ear, floor and engines from greeting to goodbye.  Holds no turn rules."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Literal

import structlog

from gateway.conversation.actions import HangUp, SendDigits, Transfer
from gateway.conversation.agent import Agent
from gateway.conversation.cascade import Cascade
from gateway.conversation.chat_context import ChatContext
from gateway.conversation.figures import TurnFigures
from gateway.conversation.floor import Floor, ReplyFinished, Unheard
from gateway.conversation.line import Answered, Digit, Held, HungUp, LineEvent, Resumed
from gateway.conversation.listener import Heard, Listener
from gateway.conversation.live_call import LiveCall, SayRequest
from gateway.conversation.reply import Outcome, Source
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
    TurnResumed,
    TurnStarted,
)
from gateway.turn.state import Move
from gateway.turn.vad import Chunk

log = structlog.get_logger(__name__)

_MAX_FAILURES = 3


@dataclass(frozen=True, slots=True)
class DigitsEntered:
    """The caller has typed an answer."""

    digits: str


Event = Heard | LineEvent | SayRequest | ReplyFinished | DigitsEntered
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
        self._floor = Floor(
            call, self._context, agent.voice, self._listener.taker, self._events.put_nowait
        )
        self._cascade = Cascade(call, agent, self._context)
        self._keys = DigitCollector(1)
        self._expect = Expect()
        self._turn_count = 0
        self._failures = 0
        self._unheard: Unheard | None = None
        """What the caller turn in progress has cut before it could be heard."""
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
        self._call.ear.sink = self._on_frame
        forward = self._call.group.create_task(self._forward_line_events())
        try:
            self._greet()
            while self._ending is None or self._floor.is_bots:
                await self._handle(await self._events.get())
            return self._ending
        finally:
            forward.cancel()
            self._call.ear.sink = None
            self._listener.end()
            await self._floor.interrupt("hang_up")

    async def _forward_line_events(self) -> None:
        while True:
            self._events.put_nowait(await self._call.inbox.get())

    def _on_frame(self, pcm: bytes, chunks: list[Chunk], now: int) -> None:
        expects = self._floor.expects
        if expects is not None and expects is not self._expect:
            self._set_expectation(expects)
        self._listener.on_frame(pcm, chunks, now)
        entered = self._keys.advance(self._call.ear.now_s)
        if entered:
            self._events.put_nowait(DigitsEntered(entered))

    async def _handle(self, event: Event) -> None:
        match event:
            case TurnStarted() | TurnEnded() | TurnDiscarded():
                await self._turn_event(event)
            case Digit() | DigitsEntered():
                await self._key(event)
            case ReplyFinished(outcome=outcome):
                await self._reply_finished(outcome)
            case CallerSilent(times=times):
                self._prompt_silent_caller(times)
            case ProviderError():
                self._listener.drop_turn("failed")
                await self._engine_failed(event)
            case SayRequest(text=text):
                await self._floor.interrupt("operator")
                self._say(text)
            case Held():
                self._listener.mute()
                self._call.note("held")
            case Resumed():
                self._listener.unmute()
                self._call.note("resumed")
            case TranscriptWanted() | EagerEnd() | TurnResumed() | HungUp() | Answered():
                pass
            case BargeInSuspected() | BargeInConfirmed() | BargeInRejected():
                pass

    async def _turn_event(self, event: TurnStarted | TurnEnded | TurnDiscarded) -> None:
        if isinstance(event, TurnStarted):
            await self._turn_started(event)
        elif isinstance(event, TurnEnded):
            await self._turn_ended(event)
        else:
            await self._turn_discarded(event)

    # --- the bot's moves ---

    def _greet(self) -> None:
        if self._agent.config.greeting:
            self._say(self._agent.config.greeting)
        else:
            self._floor.give_to_bot(self._cascade.pieces, self._figures())

    def _say(self, text: str) -> None:
        self._floor.give_to_bot(self._spoken(text), self._figures())

    def _spoken(self, text: str) -> Source:
        async def pieces(figures: TurnFigures, outcome: Outcome) -> AsyncGenerator[str, None]:
            self._context.add_assistant(text)
            for piece in pieces_of(text):
                yield piece

        return pieces

    def _answer(self, text: str, choice: str | None, turn: TurnEnded | None) -> None:
        self._context.add_user(text, choice)
        figures = self._figures(turn)
        figures.caller_text = text
        self._floor.give_to_bot(self._cascade.pieces, figures)

    def _figures(self, turn: TurnEnded | None = None) -> TurnFigures:
        index, self._turn_count = self._turn_count, self._turn_count + 1
        figures = TurnFigures(index, asyncio.get_running_loop().time(), self._call.ear.now, turn)
        figures.input_delay_ms = self._call.line.input_delay_ms
        return figures

    # --- what happened ---

    async def _turn_started(self, event: TurnStarted) -> None:
        self._caller_is_there()
        self._unheard = None
        if (
            self._agent.config.turn.barge_in.interruptible
        ):  # even a reply that began after the event
            self._unheard = await self._floor.interrupt("speech", event)
        if not self._floor.is_bots:
            self._floor.move(Move.SPEECH_STARTED)

    def _caller_is_there(self) -> None:
        if self._ending is not None and self._ending.reason == "silence":
            self._ending = None  # there is somebody after all

    async def _turn_discarded(self, event: TurnDiscarded) -> None:
        unheard, self._unheard = self._unheard, None
        if self._floor.is_bots:
            return
        self._floor.move(Move.TURN_DISCARDED)
        if self._ending is not None:
            return
        if event.reason == "no_transcript":
            name = type(self._agent.recognizer).__name__
            await self._engine_failed(ProviderTimeout(name, "gave no transcript of a turn"))
        elif event.reason == "no_words" and unheard is not None:
            self._begin_again(unheard)

    def _begin_again(self, unheard: Unheard) -> None:
        """A noise has cut a reply before it could be heard: the caller still waits for it."""

        async def pieces(figures: TurnFigures, outcome: Outcome) -> AsyncGenerator[str, None]:
            outcome.actions += unheard.outcome.actions
            async with aclosing(unheard.source(figures, outcome)) as found:
                async for piece in found:
                    yield piece

        figures = self._figures(unheard.figures.turn)
        figures.caller_text = unheard.figures.caller_text
        self._floor.give_to_bot(pieces, figures)

    async def _turn_ended(self, event: TurnEnded) -> None:
        self._unheard = None
        if self._ending is not None:
            return
        if self._floor.is_bots:
            if not self._agent.config.turn.barge_in.interruptible:
                self._call.note("turn_ignored", text=event.text, reason="barge_in is off")
                return
            await self._floor.interrupt("speech")
        self._floor.move(Move.TURN_ENDED)
        self._answer(event.text, event.choice, event)

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

    def _set_expectation(self, expect: Expect) -> None:
        self._expect = expect
        self._listener.expect(expect)
        typed = expect.kind in {"digits", "phone_number"}
        self._keys = DigitCollector(expect.digits if typed else 1)

    async def _perform(self, action: HangUp | Transfer | SendDigits) -> None:
        match action:
            case HangUp(reason=reason):
                self._ending = Ending("bot_hung_up", reason)
            case Transfer(target=target):
                await self._transfer(target)
            case SendDigits(digits=digits):
                await self._send_digits(digits)

    async def _send_digits(self, digits: str) -> None:
        try:
            await self._call.line.send_digits(digits)
        except SipError as error:
            log.warning("digits_not_sent", digits=digits, problem=str(error))
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
                self._say(self._agent.config.transfer_failed)
            return
        self._call.note("transferred", target=target)
        self._ending = Ending("transferred", target)

    def _prompt_silent_caller(self, times: int) -> None:
        if self._floor.is_bots or self._ending is not None:
            return
        silence = self._agent.config.silence
        if times <= len(silence.reprompts):
            self._say(self._expect.reprompt or silence.reprompts[times - 1])
            return
        self._ending = Ending("silence", "the caller said nothing")
        self._say(silence.goodbye)

    async def _engine_failed(self, error: ProviderError) -> None:
        self._failures += 1
        log.warning("engine_failed", problem=str(error), failures=self._failures)
        self._call.note("engine_failed", problem=str(error))
        self._call.metrics.provider_errors.labels(error.provider, error.kind).inc()
        if self._ending is not None or self._floor.is_bots:
            return
        if self._failures >= _MAX_FAILURES:
            self._ending = Ending("failed", str(error))
            self._say(self._agent.config.give_up)
        else:
            self._say(self._agent.config.fallback)

    async def _key(self, event: Digit | DigitsEntered) -> None:
        if isinstance(event, Digit):
            self._call.note("digit", digit=event.digit, method=event.method)
            self._caller_is_there()
            self._listener.taker.caller_is_there(self._call.ear.now)
            self._listener.drop_turn("replaced")
            entered = self._keys.press(event.digit, self._call.ear.now_s)
        else:
            entered = event.digits
        await self._floor.interrupt("digit")
        if entered and self._ending is None:
            self._answer(entered, None, None)
