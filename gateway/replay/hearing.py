"""Hearing: recorded audio through echo canceller and voice detector, as a call's ear does it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Protocol

from gateway.audio.echo_control import Dry, EchoControl
from gateway.audio.voice_chunk import Chunk
from gateway.conversation.ear import VoiceDetector, judged
from gateway.replay.stereo import Stereo

Chunks = list[Chunk]
"""The VAD chunks that one frame completed."""


class Echoless(Protocol):
    """Takes the bot's echo out of what was received."""

    def push(self, received: bytes, sent: bytes) -> Dry:
        """Take both directions of one tick."""


class Heard(NamedTuple):
    """What the ear made of one tick."""

    audio: bytes
    """160 samples from the caller without echo: what recognition gets."""
    chunks: Chunks


def listen(audio: Stereo, detector: VoiceDetector, echo: Echoless | None) -> list[Heard]:
    """Hear a whole call.

    Args:
        audio: both directions.
        detector: a fresh one.
        echo: a fresh one; None for calls without echo cancelling.
    """
    heard = []
    for received, sent in audio.frames:
        dry = Dry(received, received) if echo is None else echo.push(received, sent)
        heard.append(Heard(dry.audio, judged(dry, detector)))
    return heard


def chunks_of(heard: Iterable[Heard]) -> list[Chunks]:
    """Give what the voice detector said, frame by frame."""
    return [each.chunks for each in heard]


def listen_as_recorded(audio: Stereo, events: Iterable[Mapping[str, Any]]) -> list[Heard]:
    """Hear a call with its own echo settings.

    Raises:
        MediaError: libspeexdsp is not installed, but was at the time of the call.
        ProviderUnavailable: the voice detector is not installed.
    """
    # Imported late: only who hears needs the network.
    from gateway.providers.vad.silero import SileroModel, SpeechProbability  # noqa: PLC0415

    settings = next((e.get("echo") for e in events if e["kind"] == "listening"), None)
    detector = SpeechProbability(SileroModel())
    if not settings:
        return listen(audio, detector, None)
    echo = EchoControl(int(settings["tail_ms"]), int(settings["max_delay_ms"]))
    try:
        return listen(audio, detector, echo)
    finally:
        echo.close()
