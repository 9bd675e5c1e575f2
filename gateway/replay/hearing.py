"""Run recorded audio through echo canceller and voice detector, as a live call does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from gateway.audio.echo_control import Dry, EchoControl
from gateway.audio.format import ANALYSIS
from gateway.audio.voice_chunk import Chunk, VoiceDetector
from gateway.call.call_audio import BotSound, judged
from gateway.call.events import HearingStarted, Listening
from gateway.providers import registry
from gateway.replay.recording import LoggedEvent
from gateway.replay.stereo import Stereo

_BEFORE = "silero"
"""What listened before calls said which."""
Chunks = list[Chunk]
"""The VAD chunks that one frame completed."""


class Echoless(Protocol):
    """Takes the bot's echo out of what was received."""

    def push(self, received: bytes, sent: bytes) -> Dry:
        """Accept both directions of one tick."""


class Heard(NamedTuple):
    """The result for one tick."""

    audio: bytes
    """160 samples from the caller without echo: what recognition gets."""
    chunks: Chunks


def listen(
    audio: Stereo, detectors: Sequence[tuple[int, VoiceDetector]], echo: Echoless | None
) -> list[Heard]:
    """Hear a whole call.

    Args:
        audio: both directions.
        detectors: fresh ones, each with the audio time from which on it listened.
        echo: a fresh one; None for calls without echo cancelling.
    """
    heard = []
    bot = BotSound()
    coming = list(detectors)
    begun: list[tuple[int, VoiceDetector]] = []
    for number, (received, sent) in enumerate(audio.frames):
        while coming and coming[0][0] <= number * ANALYSIS.frame_samples:
            begun.append(coming.pop(0))
        if not begun:
            heard.append(Heard(received, []))
            continue
        since, detector = begun[-1]
        dry = Dry(received, received) if echo is None else echo.push(received, sent)
        looks_ahead = bot.hear(sent)
        heard.append(Heard(dry.audio, judged(dry, detector, since, looks_ahead=looks_ahead)))
    return heard


def chunks_of(heard: Iterable[Heard]) -> list[Chunks]:
    """Return what the voice detector said, frame by frame."""
    return [each.chunks for each in heard]


def detectors_of(events: Sequence[LoggedEvent]) -> list[tuple[int, str]]:
    """Return since when a call was listened to, by which voice detectors."""
    opened = [one.event for one in events if isinstance(one.event, HearingStarted)]
    return [(event.now, event.vad) for event in opened] or [(0, _BEFORE)]


def listen_as_recorded(audio: Stereo, events: Sequence[LoggedEvent]) -> list[Heard]:
    """Hear a call with its own echo settings.

    Raises:
        MediaError: libspeexdsp is not installed, but was at the time of the call.
        ProviderUnavailable: the voice detector is not installed.
    """
    settings = next((e.event.echo for e in events if isinstance(e.event, Listening)), None)
    detectors = [
        (since, registry.create("vad", {"provider": name}).open())
        for since, name in detectors_of(events)
    ]
    if not settings:
        return listen(audio, detectors, None)
    echo = EchoControl(int(settings["tail_ms"]), int(settings["max_delay_ms"]))
    try:
        return listen(audio, detectors, echo)
    finally:
        echo.close()
