"""Hearing: recorded audio through echo canceller and voice detector, as a call's ear does it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from gateway.audio.echo_control import Dry, EchoControl
from gateway.audio.format import LINE
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


def listen(
    audio: Stereo, detector: VoiceDetector, echo: Echoless | None, since: int = 0
) -> list[Heard]:
    """Hear a whole call.

    Args:
        audio: both directions.
        detector: a fresh one.
        echo: a fresh one; None for calls without echo cancelling.
        since: audio time at which the call's ear was opened.
    """
    heard = []
    for number, (received, sent) in enumerate(audio.frames):
        if number * LINE.frame_samples < since:
            heard.append(Heard(received, []))
            continue
        dry = Dry(received, received) if echo is None else echo.push(received, sent)
        heard.append(Heard(dry.audio, judged(dry, detector, since)))
    return heard


def chunks_of(heard: Iterable[Heard]) -> list[Chunks]:
    """Give what the voice detector said, frame by frame."""
    return [each.chunks for each in heard]


def listen_as_recorded(audio: Stereo, events: Sequence[Mapping[str, Any]]) -> list[Heard]:
    """Hear a call with its own echo settings.

    Raises:
        MediaError: libspeexdsp is not installed, but was at the time of the call.
        ProviderUnavailable: the voice detector is not installed.
    """
    # Imported late: only who hears needs the network.
    from gateway.providers.vad.silero import SileroModel, SpeechProbability  # noqa: PLC0415

    settings = next((e.get("echo") for e in events if e["kind"] == "listening"), None)
    since = next((int(e["now"]) for e in events if e["kind"] == "ear_opened"), 0)
    detector = SpeechProbability(SileroModel())
    if not settings:
        return listen(audio, detector, None, since)
    echo = EchoControl(int(settings["tail_ms"]), int(settings["max_delay_ms"]))
    try:
        return listen(audio, detector, echo, since)
    finally:
        echo.close()
