"""`gateway say`: hear how an agent would say a text, without a call."""

from __future__ import annotations

import asyncio
import sys
import time
import wave
from dataclasses import dataclass, field
from pathlib import Path

from gateway.audio.format import NARROWBAND, SAMPLE_BYTES, WIDEBAND, AudioFormat
from gateway.audio.loudness import active_dbfs
from gateway.config.models import AgentConfig, GatewayConfig, LogConfig
from gateway.conversation.voice import Voice, pieces_of
from gateway.errors import CommandError, ProviderError, leaves
from gateway.providers.contracts import TextToSpeech
from gateway.routed.build import made_engine
from gateway.setup.loader import load_config
from gateway.telemetry.logging import configure_logging


@dataclass(slots=True)
class Said:
    """What came of a text."""

    pcm: bytes = b""
    first_ms: float = 0.0
    """To the first sound; the connection of the call is made meanwhile."""
    has_words: bool = False
    read: list[str] = field(default_factory=list)
    error: ProviderError | None = None


def run(path: Path | None, text: str, agent: str, out: Path, *, is_wide: bool) -> int:
    """Render a text as a call would, write it as WAV and print figures.

    Args:
        path: configuration; None = the built-in default.
        text: any; it is cut, read and levelled as an answer of the agent.
        agent: its name; empty = the default agent.
        out: file to write.
        is_wide: at 16 kHz, as on a line with G.722.

    Returns:
        0; 1 when the voice failed or gave no sound.

    Raises:
        ConfigError: the configuration is wrong.
        CommandError: no such agent.
    """
    config = load_config(path)
    name, found = _agent(config, agent)
    configure_logging(LogConfig(level="error"))
    form = WIDEBAND if is_wide else NARROWBAND
    said = asyncio.run(_said(found, text, form))
    if said.error is not None or not said.pcm:
        problem = said.error or f"{found.tts.label}: gave no sound for this text"
        sys.stderr.write(f"gateway: {problem}\n")
        return 1
    try:
        _write(out, said.pcm, form)
    except OSError as error:
        raise CommandError(500, f"{out} cannot be written: {error.strerror or error}") from error
    level = active_dbfs(said.pcm, form.sample_rate_hz)
    words = "reported by the voice" if said.has_words else "estimated from their length"
    sys.stdout.write(
        f"agent      {name}, voice {found.tts.label}\n"
        f"read as    {' | '.join(said.read)}\n"
        f"first      {said.first_ms:.0f} ms to the first sound\n"
        f"speech     {form.seconds(said.pcm):.2f} s at {level:.1f} dBFS\n"
        f"words      {words}\n"
        f"written    {out} ({form.sample_rate_hz} Hz)\n"
    )
    return 0


def _agent(config: GatewayConfig, name: str) -> tuple[str, AgentConfig]:
    chosen = name or config.default_agent or next(iter(config.agents), "")
    if chosen not in config.agents:
        known = ", ".join(sorted(config.agents)) or "none"
        raise CommandError(404, f'there is no agent "{chosen}"; configured: {known}')
    return chosen, config.agents[chosen]


async def _said(agent: AgentConfig, text: str, form: AudioFormat) -> Said:
    made: list[TextToSpeech] = []
    synthesizer: TextToSpeech = made_engine("tts", agent.tts, made)
    said = Said()
    try:
        await _warm_up(made)
        async with asyncio.TaskGroup() as group:
            voice = Voice(synthesizer, agent.language).for_line(form).of_call("say", group)
            try:
                await _render(voice, text, said, form)
            finally:
                voice.close()
    except* ProviderError as errors:
        said.error = next(e for e in leaves(errors) if isinstance(e, ProviderError))
    finally:
        for engine in made:
            await engine.close()
    return said


async def _warm_up(made: list[TextToSpeech]) -> None:
    """Load the voices; behind a router one that works is enough."""
    failures: list[ProviderError] = []
    for engine in made:
        try:
            await engine.warm_up()
        except ProviderError as error:
            failures.append(error)
    if len(failures) == len(made):
        raise failures[0]


async def _render(voice: Voice, text: str, said: Said, form: AudioFormat) -> None:
    began_s = time.perf_counter()
    found = bytearray()
    for piece in pieces_of(text):
        said.read.append(voice.reading(piece))
        async for frame in voice.frames(piece):
            if frame.pcm and not found:
                said.first_ms = (time.perf_counter() - began_s) * 1000
            said.has_words |= bool(frame.text)
            found += frame.pcm
    said.pcm = bytes(found)


def _write(out: Path, pcm: bytes, form: AudioFormat) -> None:
    with out.open("wb") as target, wave.open(target, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(SAMPLE_BYTES)
        file.setframerate(form.sample_rate_hz)
        file.writeframes(pcm)
