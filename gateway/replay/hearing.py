"""Hearing: recorded audio through voice detection, exactly as the ear of a call does it."""

from __future__ import annotations

from collections.abc import Callable

from gateway.conversation.ear import VoiceDetector
from gateway.replay.stereo import Stereo

Chunks = list[tuple[float, int]]
"""(speech probability, end position) of the VAD chunks that one frame completed."""
Hearing = Callable[[bytes, bytes], Chunks]
"""Takes one frame of what was received and of what was sent in the same tick."""


def hearing_with(detector: VoiceDetector) -> Hearing:
    """Hear what was received as it is."""
    return lambda received, _sent: detector.push(received)


def silero_hearing() -> Hearing:
    """Hear as a call of this version does.

    Raises:
        ProviderUnavailable: the voice detector is not installed.
    """
    # Imported late: only who hears needs the network.
    from gateway.providers.vad.silero import SileroModel, SpeechProbability  # noqa: PLC0415

    return hearing_with(SpeechProbability(SileroModel()))


def listen(audio: Stereo, hearing: Hearing) -> list[Chunks]:
    """Hear a whole call: the chunks of each frame from its first."""
    return [hearing(received, sent) for received, sent in audio.frames]
