"""What each dialplan step does: one small coroutine each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from gateway.audio.format import LINE
from gateway.audio.framer import Framer
from gateway.audio.resample import resample_once
from gateway.audio.wav import read_wav
from gateway.config.dialplans import Collect, Say, Talk, Transfer
from gateway.conversation.agent import Agent
from gateway.conversation.conversation import Conversation, Ending
from gateway.conversation.figures import TurnFigures
from gateway.conversation.line import Digit
from gateway.conversation.live_call import LiveCall, Request
from gateway.conversation.reply import Reply
from gateway.conversation.voice import Voice, pieces_of
from gateway.dialplan.variables import fill_text, fill_uri
from gateway.errors import OutgoingRefused, ProviderError, TransferFailed

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class StepScope:
    """What the steps of one call work on."""

    call: LiveCall
    agents: Mapping[str, Agent]
    default_agent: str
    collected: dict[str, str] = field(default_factory=dict)

    def agent(self, name: str) -> Agent:
        """Give the named agent, or the default one."""
        return self.agents[name or self.default_agent]

    def text(self, template: str) -> str:
        """Fill a text's placeholders."""
        return fill_text(template, self.call.line.facts, self.collected)


async def say(step: Say, scope: StepScope) -> None:
    """Speak to the end."""
    if step.file is not None:
        await _play(scope.call, _recording(step.file))
    elif step.text is not None:
        await _speak(scope, scope.agent(step.agent).voice, scope.text(step.text))


async def talk(step: Talk, scope: StepScope) -> Ending:
    """Let an agent talk until it is done."""
    agent = scope.agent(step.agent)
    scope.call.begin_agent(agent.name, is_recorded=agent.config.record)
    return await Conversation(scope.call, agent).run()


async def collect(step: Collect, scope: StepScope) -> None:
    """Gather keys into `scope.collected`; empty when the caller gave none that fit."""
    scope.collected[step.into] = ""
    for attempt in range(step.tries):
        digits = await _ask(step, scope, is_retry=attempt > 0)
        if len(digits) >= step.min_digits:
            scope.collected[step.into] = digits
            break
    scope.call.note("collected", into=step.into, count=len(scope.collected[step.into]))


async def transfer(step: Transfer, scope: StepScope) -> Ending | None:
    """Send the caller elsewhere; None when that was refused."""
    if step.announce:
        await _speak(scope, scope.agent(step.agent).voice, scope.text(step.announce))
    target = fill_uri(step.target, scope.call.line.facts, scope.collected)
    scope.call.note("transfer_started", target=target)
    try:
        await scope.call.line.transfer(target)
    except (TransferFailed, OutgoingRefused) as error:
        log.warning("transfer_failed", target=target, problem=str(error))
        scope.call.note("transfer_failed", target=target, problem=str(error))
        return None
    scope.call.note("transferred", target=target)
    return Ending("transferred", target)


async def _ask(step: Collect, scope: StepScope, *, is_retry: bool) -> str:
    """One try: prompt until the first key, then keys until there are enough."""
    prompt = scope.call.group.create_task(_prompt(step, scope, is_retry=is_retry))
    try:
        digits = await _first_key(scope.call, prompt, step.timeout_s)
    finally:
        prompt.cancel()
        scope.call.line.outlet.clear()
        await asyncio.wait([prompt])
        scope.call.line.outlet.clear()  # what it may have queued while it ended
    while digits and digits[-1] != step.terminator and len(digits) < step.digits:
        key = await _key(scope.call, step.digit_timeout_s)
        if not key:
            break
        digits += key
    return digits.removesuffix(step.terminator) if step.terminator else digits


async def _first_key(call: LiveCall, prompt: asyncio.Task[None], timeout_s: float) -> str:
    """Wait for a key during the prompt, and so long after it."""
    waiting = call.group.create_task(_key(call, None))
    try:
        await asyncio.wait([waiting, prompt], return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait([waiting], timeout=timeout_s)
        return waiting.result() if waiting.done() else ""
    finally:
        waiting.cancel()


async def _key(call: LiveCall, timeout_s: float | None) -> str:
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                event = await call.inbox.get()
                if isinstance(event, Digit):
                    call.note("digit", digit=event.digit, method=event.method)
                    return event.digit
                if isinstance(event, Request):
                    name = type(event).__name__
                    log.warning("request_ignored", request=name, reason="the call collects keys")
    except TimeoutError:
        return ""


async def _prompt(step: Collect, scope: StepScope, *, is_retry: bool) -> None:
    text = (step.retry_prompt if is_retry else "") or step.prompt
    if step.prompt_file is not None and not (is_retry and step.retry_prompt):
        await _play(scope.call, _recording(step.prompt_file))
    elif text:
        await _speak(scope, scope.agent(step.agent).voice, scope.text(text))


async def _speak(scope: StepScope, voice: Voice, text: str) -> None:
    async def pieces(_reply: Reply) -> AsyncGenerator[str, None]:
        for piece in pieces_of(text):
            yield piece

    call = scope.call
    figures = TurnFigures(len(call.turns), asyncio.get_running_loop().time(), call.ear.now)
    call.note("say", text=text)
    reply = Reply(call, voice, pieces, figures, _nothing)
    reply.release()
    outcome = await reply.run()
    if outcome.error is not None:
        _count_failure(call, outcome.error)


async def _play(call: LiveCall, frames: list[bytes]) -> None:
    lane = call.line.outlet.open()
    for frame in frames:
        await lane.write(frame)
    await lane.played_out()


def _recording(path: Path) -> list[bytes]:
    pcm, rate_hz = read_wav(path)
    framer = Framer(LINE.frame_bytes)
    return [*framer.push(resample_once(pcm, rate_hz, LINE.sample_rate_hz)), *framer.flush()]


def _count_failure(call: LiveCall, error: ProviderError) -> None:
    log.warning("engine_failed", problem=str(error))
    call.note("engine_failed", problem=str(error))
    call.metrics.provider_errors.labels(error.provider, error.kind).inc()


def _nothing() -> None:
    return None
