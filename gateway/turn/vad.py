"""When speech starts and stops: hysteresis over the speech probabilities of a voice detector."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.audio.voice_chunk import CHUNK_SAMPLES
from gateway.turn.events import samples


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """The caller began to speak."""

    at_sample: int
    """Estimated onset: where the first speech chunk began."""
    detected_at_sample: int
    """Audio time of the decision."""


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """The caller fell silent."""

    at_sample: int
    """End of the last speech chunk."""
    detected_at_sample: int
    """Audio time of the decision: the hangover later."""


SpeechEdge = SpeechStarted | SpeechStopped


class SpeechDetector:
    """Turn probabilities into edges.  All times are samples since the call's first."""

    def __init__(
        self,
        start_probability: float,
        start_chunks: int,
        stop_probability: float,
        hangover_ms: int,
    ) -> None:
        self._run_chunks = 0
        self._onset_sample = 0
        self._speech_end_sample = 0
        self.is_speaking = False
        """True between `SpeechStarted` and `SpeechStopped`."""
        self.set_limits(start_probability, start_chunks, stop_probability, hangover_ms)

    def set_limits(
        self,
        start_probability: float,
        start_chunks: int,
        stop_probability: float,
        hangover_ms: int,
    ) -> None:
        """Go by these limits from the next chunk on."""
        self._start_probability = start_probability
        self._start_chunks = start_chunks
        self._stop_probability = stop_probability
        self._hangover_samples = samples(hangover_ms)

    def update(self, probability: float, chunk_end_sample: int) -> SpeechEdge | None:
        """Advance by one chunk.

        Args:
            probability: that the chunk is speech, 0..1.
            chunk_end_sample: index of the sample after its last.

        Returns:
            The edge crossed with this chunk, if any.
        """
        if self.is_speaking:
            return self._update_speaking(probability, chunk_end_sample)
        return self._update_silent(probability, chunk_end_sample)

    def set_start(self, probability: float) -> None:
        """Set the probability from which a chunk is speech."""
        self._start_probability = probability

    def reset(self) -> None:
        """Reset to silence."""
        self.is_speaking = False
        self._run_chunks = 0

    def _update_silent(self, probability: float, end: int) -> SpeechStarted | None:
        if probability < self._start_probability:
            self._run_chunks = 0
            return None
        if self._run_chunks == 0:
            self._onset_sample = max(0, end - CHUNK_SAMPLES)
        self._run_chunks += 1
        if self._run_chunks < self._start_chunks:
            return None
        self.is_speaking = True
        self._run_chunks = 0
        self._speech_end_sample = end
        return SpeechStarted(self._onset_sample, end)

    def _update_speaking(self, probability: float, end: int) -> SpeechStopped | None:
        if probability >= self._stop_probability:
            self._speech_end_sample = end
            return None
        if end - self._speech_end_sample < self._hangover_samples:
            return None
        self.is_speaking = False
        return SpeechStopped(self._speech_end_sample, end)
