"""EchoGate: tells echo from caller by level, until the canceller has learned the path.  Pure."""

from __future__ import annotations

from gateway.audio.echo_path import Samples
from gateway.audio.format import LINE

_WINDOW_SAMPLES = 3 * LINE.frame_samples
_ABOVE = 4.0
"""A caller counts as heard at 6 dB above the loudest echo that is to be expected."""
_LOUD_ENERGY = 1000.0 * _WINDOW_SAMPLES
"""Of the sent audio whose echo is due (-60 dBFS): less teaches nothing."""
_SMOOTHING = 0.1
_LEARNED_FRAMES = 40
_LEARNED_RATIO = 100.0
"""The canceller takes 20 dB away ..."""
_LEARNED_ENERGY = 3400.0 * _WINDOW_SAMPLES
"""... or leaves less than -55 dBFS."""
_PATIENCE_FRAMES = 100
"""After 2 s of echo it has learned, or never will."""


class EchoGate:
    """The first half second of the first echo: nothing is cancelled yet.

    Only what is clearly louder than the echo can be is let through; for that moment a quiet
    caller is not heard.
    """

    def __init__(self) -> None:
        self._frames = 0
        self._came = self._went = 0.0
        self._came_now = self._left_now = 0.0
        self.is_open = False
        """True once the canceller is to be trusted."""

    def hides(self, came: Samples, left: Samples, went: Samples) -> bool:
        """Judge one frame.

        Args:
            came: the latest 60 ms received.
            left: what the canceller left of them.
            went: what was sent around the time that their echo is of; that time in the middle.

        Returns:
            True when all that is heard may be echo.
        """
        middle = (len(went) - len(came)) // 2
        due = went[middle : middle + len(came)]
        if float(due @ due) > _LOUD_ENERGY:
            self._learn(came, left, due)
        loudest = max(
            float(part @ part)
            for end in range(_WINDOW_SAMPLES, len(went) + 1, LINE.frame_samples)
            if len(part := went[end - _WINDOW_SAMPLES : end])
        )
        coupling = self._came / self._went if self._went else 1.0
        return float(came @ came) < _ABOVE * coupling * loudest

    def _learn(self, came: Samples, left: Samples, went: Samples) -> None:
        self._frames += 1
        self._came += float(came @ came)
        self._went += float(went @ went)
        self._came_now += _SMOOTHING * (float(came @ came) - self._came_now)
        self._left_now += _SMOOTHING * (float(left @ left) - self._left_now)
        enough = max(_LEARNED_ENERGY, self._came_now / _LEARNED_RATIO)
        has_learned = self._left_now < enough
        if self._frames >= (_LEARNED_FRAMES if has_learned else _PATIENCE_FRAMES):
            self.is_open = True
