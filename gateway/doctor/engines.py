"""Engines: every agent's recognizer, language model and voice, asked for real, and timed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from pydantic import ValidationError

from gateway.audio.converter import convert_once
from gateway.audio.format import NARROWBAND
from gateway.config.engine_table import EngineTable
from gateway.config.models import GatewayConfig
from gateway.doctor.deployment import Deployment
from gateway.doctor.finding import Finding, fail, ok, skip, warn
from gateway.doctor.speech import fix_of, try_session
from gateway.errors import (
    ProviderError,
    ProviderProtocolError,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
    QuotaExceeded,
)
from gateway.probe import voices
from gateway.providers import registry
from gateway.providers.contracts import (
    Expect,
    LanguageModel,
    ReplyRequest,
    SpeechToText,
    TextDelta,
    TextToSpeech,
    UserMessage,
)
from gateway.providers.kit.speech import speech

LIMIT_S = 30.0
"""For one engine, loading included."""
_RECOGNIZER_LIMIT_S = LIMIT_S + 60.0
"""A recognizer may start a process of its own first, at a low priority; it says itself when that
takes too long (60 s)."""
SPOKEN = "What time do you open tomorrow morning?"
Kind = Literal["stt", "llm", "tts", "s2s"]
"""What may be slow; voice detectors are tried with the models."""
TITLES = {
    "stt": "recognizer",
    "llm": "language model",
    "tts": "voice",
    "s2s": "speech-to-speech engine",
}
SLOW_MS = {"stt": 600.0, "llm": 1000.0, "tts": 400.0, "s2s": 1500.0}
"""Beyond that a caller notices: to the transcript, the first token, the first audio, a session."""
_SILENT_PEAK = 300


@dataclass(frozen=True, slots=True)
class Engine:
    """One engine table, and the agents that share it."""

    kind: Kind
    table: EngineTable
    agents: tuple[str, ...]
    language: str = "en"

    @property
    def name(self) -> str:
        """Name in the report."""
        return f"{TITLES[self.kind]} {self.table.provider} of {', '.join(self.agents)}"


@dataclass(frozen=True, slots=True)
class Trial:
    """What an engine did."""

    ms: float
    """To the transcript, the first token or the first audio, loading and connecting not counted; or
    to a session."""
    text: str = ""
    """What it gave, in words."""
    is_empty: bool = False


async def check_engines(deployment: Deployment) -> AsyncIterator[Finding]:
    """Ask each distinct engine once, as a call would."""
    for engine in distinct_engines(deployment.config):
        if not deployment.may_ask_engines:
            yield skip(engine.name, "not asked (--quick)")
            continue
        limit_s = _RECOGNIZER_LIMIT_S if engine.kind == "stt" else LIMIT_S
        try:
            async with asyncio.timeout(limit_s):
                trial = await _try(engine)
        except ProviderError as error:
            yield judge_error(engine, error)
        except ValidationError as error:
            yield fail(engine.name, f"its settings are wrong: {error.title}", "gateway check")
        except TimeoutError:
            late = ProviderTimeout(engine.table.provider, f"nothing within {limit_s:g} s")
            yield judge_error(engine, late)
        else:
            yield judge_trial(engine, trial)


def distinct_engines(config: GatewayConfig) -> Iterator[Engine]:
    """Yield each engine table once, however many agents have it.  Pure."""
    for kind in get_args(Kind):
        seen: list[tuple[EngineTable, str, list[str]]] = []
        for name, agent in config.agents.items():
            used: EngineTable | None = getattr(agent, kind)
            for table in used.leaves() if used is not None else ():
                known = next((entry for entry in seen if entry[0] == table), None)
                if known:
                    known[2].append(name)
                else:
                    seen.append((table, agent.language, [name]))
        for table, language, names in seen:
            yield Engine(kind, table, tuple(names), language)


def judge_trial(engine: Engine, trial: Trial) -> Finding:
    """Decide over an engine that answered."""
    what = _WHAT[engine.kind]
    text = f"{what} after {trial.ms:.0f} ms{trial.text}"
    if trial.is_empty:
        return warn(engine.name, f"it answered with nothing{trial.text}", _EMPTY[engine.kind])
    if trial.ms > SLOW_MS[engine.kind]:
        return warn(engine.name, f"{text}: callers will wait for it", _SLOW[engine.kind])
    return ok(engine.name, text)


def judge_error(engine: Engine, error: ProviderError) -> Finding:
    """Explain why an engine failed."""
    fix = fix_of(error) if engine.kind == "s2s" else _fix(engine.kind, error)
    return fail(engine.name, error.problem, fix)


_WHAT = {
    "stt": "transcript",
    "llm": "first token",
    "tts": "first audio",
    "s2s": "session accepted",
}
_EMPTY = {
    "stt": "is it made for this agent's language? Other audio than English was not tried",
    "llm": "try the model with its own tools; does it need other settings (extra_body)?",
    "tts": "listen to it (gateway demo); is the voice right for this agent?",
}
_SLOW = {
    "stt": "look at the load of this machine: recognition wants a core to itself while it runs",
    "llm": "use a smaller or nearer model, or keep it loaded on its server",
    "tts": "use a faster voice, or one on this machine",
    "s2s": "is there a region of the vendor's that is nearer (base_url)? How busy is this machine?",
}


_KEY = "check api_key: is the variable behind ${...} set for the gateway's own process?"
_HTTP_FIXES = {
    401: _KEY,
    402: "the account has nothing left: pay, or raise its quota at the server",
    403: _KEY,
    404: "check model (does the server have it?) and base_url (it mostly ends in /v1)",
    429: "the server limits you: raise the quota there, or use another server",
}


def _fix(kind: Kind, error: ProviderError) -> str:
    status = getattr(error.__cause__, "status_code", None)
    if isinstance(error, QuotaExceeded):
        status = 402
    if status in _HTTP_FIXES:
        return _HTTP_FIXES[status]
    match error:
        case ProviderTimeout():
            return (
                "is the server overloaded, or still loading the model? Ask it from here with curl"
            )
        case ProviderRejected():
            return f"check the {kind} table of the agent: model, api_key and what else it sends"
        case ProviderProtocolError():
            return "is that an OpenAI-compatible server? base_url mostly ends in /v1"
        case ProviderUnavailable() if kind == "llm":
            return "is the server running, and can this machine reach it? Check base_url"
        case _:
            return "install what is missing; `gateway providers` lists what is ready"


async def _try(engine: Engine) -> Trial:
    match engine.kind:
        case "stt":
            return await _try_recognizer(registry.create("stt", engine.table), engine.language)
        case "llm":
            return await _try_model(registry.create("llm", engine.table))
        case "tts":
            return await _try_voice(registry.create("tts", engine.table))
        case "s2s":
            return Trial(*await try_session(engine.table, engine.language))


async def _try_recognizer(recognizer: SpeechToText, language: str) -> Trial:
    pcm = convert_once(await _speech(), NARROWBAND, recognizer.input_format)
    try:
        await recognizer.warm_up()
        async with recognizer.stream(Expect()) as stream:
            stream.push(pcm)
            started_s = time.monotonic()
            stream.request_transcript()
            async for transcript in stream:
                if transcript.requested:
                    ms = (time.monotonic() - started_s) * 1000
                    said = f', "{transcript.text}"' if transcript.text else ""
                    return Trial(ms, said, is_empty=not transcript.text and language == "en")
        raise ProviderProtocolError("stt", "the stream ended without a transcript")
    finally:
        await recognizer.close()


async def _try_model(model: LanguageModel) -> Trial:
    question = (UserMessage("Please say the word yes."),) if model.counts_tokens else ()
    request = ReplyRequest("You are being tested. Answer with one word.", question)
    try:
        await model.warm_up()
        started_s = time.monotonic()
        async with aclosing(model.reply(request)) as events:  # type: ignore[type-var]
            async for event in events:
                if isinstance(event, TextDelta) and event.text:
                    return Trial((time.monotonic() - started_s) * 1000)
        return Trial((time.monotonic() - started_s) * 1000, is_empty=model.counts_tokens)
    finally:
        await model.close()


async def _try_voice(voice: TextToSpeech) -> Trial:
    first_ms, pcm = 0.0, bytearray()
    try:
        await voice.warm_up()
        started_s = time.monotonic()
        async with aclosing(speech(voice, "Good morning.", NARROWBAND)) as parts:
            async for part in parts:
                first_ms = first_ms or (time.monotonic() - started_s) * 1000
                pcm += part.pcm
    finally:
        await voice.close()
    samples = np.frombuffer(bytes(pcm), "<i2")
    seconds = NARROWBAND.seconds(bytes(pcm))
    is_silent = not len(samples) or int(np.abs(samples.astype(np.int32)).max()) < _SILENT_PEAK
    return Trial(first_ms, f" ({seconds:.1f} s of sound)", is_empty=is_silent)


async def _speech() -> bytes:
    """Return a sentence in another voice than the bot's; silence where there is none."""
    try:
        samples = await voices.render(SPOKEN)
    except ProviderUnavailable:
        samples = np.zeros(NARROWBAND.sample_rate_hz, np.int16)
    return samples.astype("<i2").tobytes()
