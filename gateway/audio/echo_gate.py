"""EchoGate: distinguishes the residual echo from a caller, by level.  Pure."""

from __future__ import annotations

from gateway.audio.echo_path import Samples
from gateway.audio.format import ANALYSIS

WINDOW_SAMPLES = 3 * ANALYSIS.frame_samples
BEFORE_SAMPLES = 2 * ANALYSIS.frame_samples
AFTER_SAMPLES = 6 * ANALYSIS.frame_samples
"""How long an echo may begin before its peak, and ring after it."""
WENT_SAMPLES = BEFORE_SAMPLES + WINDOW_SAMPLES + AFTER_SAMPLES
_ABOVE_AT_FIRST, _ABOVE = 4.0, 8.0
"""A caller counts as heard at 6 dB (9 dB once little is left) above what may be left."""
_FIRST_FRAMES = 50
_LOUD_ENERGY = 1000.0 * WINDOW_SAMPLES
"""Of the sent audio whose echo is due (-60 dBFS): less teaches nothing."""
_SMOOTHING, _UNSURE = 0.1, 0.002
"""The expectation follows what is left, hardly so when that may be a caller."""
_SURE_FRAMES, _OPEN_FRAMES = 3, 6
"""A caller above it for 60 ms is passed for 100 ms more: syllables end softly."""


class EchoGate:
    """Knows which share of the bot's energy is still heard: much at first, next to nothing later.

    A caller has to be louder than that.  So in the first half second of a call's first echo, when
    nothing is cancelled yet, a caller quieter than the echo is not heard.
    """

    def __init__(self) -> None:
        self._left = self._due = 0.0
        self._frames = 0
        self._heard_frames = 0
        self._frames_open = 0

    def hides(self, came: Samples, left: Samples, went: Samples) -> bool:
        """Judge one frame.

        Args:
            came: the latest 60 ms received.
            left: what the canceller left of them.
            went: `WENT_SAMPLES` that were sent around the time that their echo is of.

        Returns:
            True when all that is left may be echo.
        """
        due = went[AFTER_SAMPLES : AFTER_SAMPLES + WINDOW_SAMPLES]
        due_energy, left_energy = float(due @ due), float(left @ left)
        is_loud = due_energy > _LOUD_ENERGY
        if is_loud and not self._due:
            self._left, self._due = float(came @ came), due_energy
        share = self._left / self._due if self._due else 1.0
        above = _ABOVE if self._frames > _FIRST_FRAMES else _ABOVE_AT_FIRST
        is_hidden = left_energy < above * share * _loudest(went)
        if is_loud:
            self._frames += 1
            weight = _SMOOTHING if is_hidden else _UNSURE
            self._left += weight * (left_energy - self._left)
            self._due += weight * (due_energy - self._due)
        return not self._is_open(is_hidden=is_hidden)

    def _is_open(self, *, is_hidden: bool) -> bool:
        """A caller that was surely heard is heard for a little longer."""
        self._heard_frames = 0 if is_hidden else self._heard_frames + 1
        is_sure = self._heard_frames >= _SURE_FRAMES
        self._frames_open = _OPEN_FRAMES if is_sure else max(0, self._frames_open - 1)
        return not is_hidden or self._frames_open > 0


def _loudest(samples: Samples) -> float:
    """Energy of the loudest window."""
    frames = samples.reshape(-1, ANALYSIS.frame_samples)
    energies = (frames**2).sum(axis=1)
    return float((energies[:-2] + energies[1:-1] + energies[2:]).max())
