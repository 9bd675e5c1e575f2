"""The dialplan steps: one small coroutine each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field, replace
from math import inf
from pathlib import Path

import structlog

from gateway.audio.converter import convert_once
from gateway.audio.format import AudioFormat
from gateway.audio.framer import Framer
from gateway.audio.wav import read_wav
from gateway.call import events
from gateway.call.language_watch import LanguageWatch
from gateway.call.line import Digit
from gateway.call.live_call import LiveCall, SayRequest
from gateway.config.dialplans import Collect, Say, Talk, Transfer
from gateway.conversation.agent import Agent, of_call
from gateway.conversation.conversation import Conversation
from gateway.conversation.early_session import EarlyEngine, answer_waits_s, early_engine
from gateway.conversation.figures import TurnFigures
from gateway.conversation.meter import VoiceMeter
from gateway.conversation.reply import Reply
from gateway.conversation.talk import Ending
from gateway.conversation.voice import Voice, pieces_of
from gateway.dialplan.variables import fill_text, fill_uri
from gateway.errors import ProviderError

log = structlog.get_logger(__name__)

_STILL_ENDS_S = 4.0
"""A terminator so soon after a complete input still belongs to it."""


@dataclass(slots=True)
class StepScope:
    """What the steps of one call work on."""

    call: LiveCall
    agents: Mapping[str, Agent]
    default_agent: str
    collected: dict[str, str] = field(default_factory=dict)
    complete_s: float = -inf
    """When the latest input was complete without its terminator, which may still come."""
    to_say: list[str] = field(default_factory=list)
    """What the operator wants said when nothing else is."""
    speech: asyncio.Task[None] | None = None
    """What is being said for the operator while keys are collected."""
    early: EarlyEngine | None = None
    """Of the agent that talks first, where its engine hears and speaks."""
    voices: dict[str, Voice] = field(default_factory=dict)
    """By agent: those that speak in this call, each with its session."""
    _of_call: dict[str, Agent] = field(default_factory=dict)

    def agent(self, name: str) -> Agent:
        """Return the named agent, or the default one, with the engines of this call."""
        name = name or self.default_agent
        if name not in self._of_call:
            self._of_call[name] = of_call(self.agents[name], self.call)
        return self._of_call[name]

    def voice(self, name: str, language: str = "") -> Voice:
        """Return the voice of an agent in a language, which keeps its session for the call."""
        agent = self.agent(name).in_language(language)
        key = f"{agent.name} {agent.config.language}"
        if key not in self.voices:
            call = self.call
            of_line = agent.voice.for_line(call.line.media_format)
            meter = VoiceMeter.of(call, agent.config)
            self.voices[key] = of_line.of_call(call.line.facts.call_id, call.group, meter)
        return self.voices[key]

    def close(self) -> None:
        """End the sessions of engines that no conversation has.  Idempotent."""
        if self.early is not None:
            self.early.drop()
        for voice in self.voices.values():
            voice.close()

    def text(self, template: str) -> str:
        """Fill a text's placeholders."""
        return fill_text(template, self.call.line.facts, self.collected)


async def say(step: Say, scope: StepScope) -> None:
    """Speak to the end."""
    if step.file is not None:
        await _play(scope.call, step.file)
    elif step.text is not None:
        await _speak(scope, scope.voice(step.agent), scope.text(step.text))


async def prepare(step: Talk, scope: StepScope) -> None:
    """Connect with the engine of the agent that will answer; wait for it where it speaks first."""
    agent = scope.agent(step.agent)
    scope.early = early_engine(agent, scope.call)
    wait_s = answer_waits_s(agent)
    if scope.early is not None and wait_s:
        scope.call.line.ring()
        await scope.early.ready(wait_s)


def connect_while_ringing(step: Talk, scope: StepScope) -> None:
    """Connect with the engine of the agent that will speak, if it wants that, before the answer."""
    agent = scope.agent(step.agent)
    table = agent.config.s2s
    if table is None or not table.connect_while_ringing_s:
        return
    scope.early = early_engine(agent, scope.call)
    if scope.early is not None:
        scope.early.expire(table.connect_while_ringing_s)


async def talk(step: Talk, scope: StepScope) -> Ending:
    """Let an agent talk, and those that it is followed by, until one is done."""
    control = scope.call.control
    control.agents = frozenset(scope.agents)
    name, language, earlier = step.agent, "", None
    try:
        while True:
            voice = scope.voice(name, language)  # the same session
            agent = replace(scope.agent(name).in_language(language), voice=voice)
            control.languages = frozenset(agent.languages)
            control.watch = _language_watch(agent)
            early, scope.early = scope.early, None
            if early is not None:
                agent = replace(agent, speech=early)
            scope.call.begin_agent(agent.name, is_recorded=agent.config.record)
            ending = await Conversation(scope.call, agent, earlier).run()
            if isinstance(ending, Ending):
                return ending
            name, earlier = ending.change.agent, ending
            language = ending.change.language or language
    finally:
        control.agents = control.languages = frozenset()
        control.watch = None


def _language_watch(agent: Agent) -> LanguageWatch | None:
    config = agent.config
    return LanguageWatch(agent.languages, config.language) if config.detect_language else None


async def collect(step: Collect, scope: StepScope) -> None:
    """Gather keys into `scope.collected`; empty when the caller gave none that fit."""
    scope.collected[step.into] = ""
    for attempt in range(step.tries):
        digits = await _ask(step, scope, is_retry=attempt > 0)
        if len(digits) >= step.min_digits:
            scope.collected[step.into] = digits
            break
    scope.call.note(events.KeysCollected(into=step.into, count=len(scope.collected[step.into])))


async def say_requests(scope: StepScope, agent: str) -> None:
    """Speak what the operator has asked for during a step; keys that were typed ahead stay."""
    while _take_requests(scope):
        await _speak(scope, scope.voice(agent), scope.to_say.pop(0))


def _take_requests(scope: StepScope) -> bool:
    inbox = scope.call.inbox
    waiting = [inbox.get_nowait() for _ in range(inbox.qsize())]
    for event in waiting:
        if isinstance(event, SayRequest):
            scope.to_say.append(event.text)
        else:
            inbox.put_nowait(event)
    return bool(scope.to_say)


async def transfer(step: Transfer, scope: StepScope) -> Ending | None:
    """Send the caller elsewhere; None when that was refused."""
    if step.announce:
        await _speak(scope, scope.voice(step.agent), scope.text(step.announce))
    await say_requests(scope, step.agent)
    target = fill_uri(step.target, scope.call.line.facts, scope.collected)
    agent = scope.agent(step.agent).config.transfer
    settings = agent.model_copy(update={"timeout_s": step.timeout_s or agent.timeout_s})
    end = await scope.call.control.transfer(target, "dialplan", settings)
    return Ending("transferred", target) if end.error is None else None


async def _ask(step: Collect, scope: StepScope, *, is_retry: bool) -> str:
    """One try: prompt until the first key, then keys until there are enough."""
    prompt = scope.call.group.create_task(_prompt(step, scope, is_retry=is_retry))
    try:
        digits = await _first_key(step, scope, prompt)
    finally:
        await _cut(prompt, scope.call)
    while digits and digits[-1] != step.terminator and len(digits) < step.digits:
        key = await _key(step, scope, step.digit_timeout_s)
        if not key:
            break
        digits += key
    if scope.speech is not None:
        await asyncio.wait([scope.speech])
    if step.terminator and digits.endswith(step.terminator):
        return digits.removesuffix(step.terminator)
    if len(digits) == step.digits:
        scope.complete_s = asyncio.get_running_loop().time()
    return digits


async def _cut(prompt: asyncio.Task[None], call: LiveCall) -> None:
    """End a prompt that is still being said."""
    if not prompt.done():
        prompt.cancel()
        call.line.outlet.clear()
        await asyncio.wait([prompt])
        call.line.outlet.clear()  # what it may have queued while it ended


async def _first_key(step: Collect, scope: StepScope, prompt: asyncio.Task[None]) -> str:
    """Wait for a key that does not only end the input before."""
    key = await _key(step, scope, step.timeout_s, prompt)
    late_s = asyncio.get_running_loop().time() - scope.complete_s
    if key == step.terminator and late_s < _STILL_ENDS_S:
        scope.complete_s = -inf
        return await _key(step, scope, step.timeout_s, prompt)
    return key


async def _key(
    step: Collect, scope: StepScope, timeout_s: float, prompt: asyncio.Task[None] | None = None
) -> str:
    """Wait for a key; the time limit counts while nothing is said.

    What the operator wants said meanwhile is said at once, or behind the prompt.  Keys do not cut
    it off.
    """
    group = scope.call.group
    speech = prompt or scope.speech
    reading = group.create_task(_event(scope))
    try:
        while True:
            if speech is None:
                await asyncio.wait([reading], timeout=timeout_s)
            else:
                await asyncio.wait([reading, speech], return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                event = reading.result()
                if isinstance(event, Digit):
                    return event.digit
                scope.to_say.append(event.text)
                reading = group.create_task(_event(scope))
            elif speech is None:
                return ""
            if speech is None or speech.done():
                speech = scope.speech = _next_speech(step, scope)
    finally:
        reading.cancel()


def _next_speech(step: Collect, scope: StepScope) -> asyncio.Task[None] | None:
    if not scope.to_say:
        return None
    voice = scope.voice(step.agent)
    return scope.call.group.create_task(_speak(scope, voice, scope.to_say.pop(0)))


async def _event(scope: StepScope) -> Digit | SayRequest:
    """Wait for a key, or for what the operator wants said."""
    while True:
        event = await scope.call.inbox.get()
        if isinstance(event, Digit):
            scope.call.note(events.KeyPressed(digit=event.digit, method=event.method))
            return event
        if isinstance(event, SayRequest):
            return event


async def _prompt(step: Collect, scope: StepScope, *, is_retry: bool) -> None:
    text = (step.retry_prompt if is_retry else "") or step.prompt
    if step.prompt_file is not None and not (is_retry and step.retry_prompt):
        await _play(scope.call, step.prompt_file)
    elif text:
        await _speak(scope, scope.voice(step.agent), scope.text(text))


async def _speak(scope: StepScope, voice: Voice, text: str) -> None:
    async def pieces(_reply: Reply) -> AsyncGenerator[str, None]:
        for piece in pieces_of(text):
            yield piece

    call = scope.call
    figures = TurnFigures(len(call.turns), asyncio.get_running_loop().time(), call.audio.now)
    call.note(events.Say(text=text))
    reply = Reply(call, voice, pieces, figures, _nothing)
    reply.release()
    outcome = await reply.run()
    if outcome.error is not None:
        _count_failure(call, outcome.error)


async def _play(call: LiveCall, recording: Path) -> None:
    frames = _frames_of(recording, call.line.media_format)
    lane = call.line.outlet.open()
    for frame in frames:
        await lane.write(frame)
    await lane.played_out()


def _frames_of(path: Path, line_format: AudioFormat) -> list[bytes]:
    pcm, rate_hz = read_wav(path)
    framer = Framer(line_format.frame_bytes)
    return [*framer.push(convert_once(pcm, AudioFormat(rate_hz), line_format)), *framer.flush()]


def _count_failure(call: LiveCall, error: ProviderError) -> None:
    log.warning("engine_failed", problem=str(error), cause=error.kind)
    call.note(events.EngineFailed(problem=str(error), cause=error.kind))
    call.metrics.provider_errors.labels(error.provider, error.kind).inc()


def _nothing() -> None:
    return None
