"""QuietAudio: the silence of a caller is sent to an engine in fewer, longer messages.  Pure.

Each message costs a system call and its reader another one.  Speech, and the silence in which an
engine looks for its end, goes on at once.
"""

from __future__ import annotations

from gateway.audio.level import has_sound

_QUIET_FRAMES = 100
"""2 s: longer than an engine waits for a caller to go on."""
_SETTLED_FRAMES = 15
"""300 ms, where the caller waits for nothing."""
_TOGETHER_FRAMES = 5
"""100 ms: what a first consonant without `has_sound` may be late by."""


class QuietAudio:
    """Gathers frames of one call; a line with noise above `has_sound` is never held back."""

    def __init__(self) -> None:
        """Start with a caller that may be speaking."""
        self._quiet_frames = 0
        self._waiting: list[bytes] = []
        self.is_calm = False
        """The caller is silent, and it is not known to matter when the engine hears that."""

    def push(self, frame: bytes, *, may_wait: bool = False) -> bytes:
        """Accept 20 ms, s16 mono; return what is to be sent now, which may be nothing.

        Args:
            frame: of the caller.
            may_wait: the bot has the floor and the caller is not about to take it: no engine looks
                for the end of a turn.
        """
        self._waiting.append(frame)
        self._quiet_frames = 0 if has_sound(frame) else self._quiet_frames + 1
        self.is_calm = self._quiet_frames > (_SETTLED_FRAMES if may_wait else _QUIET_FRAMES)
        if self.is_calm and len(self._waiting) < _TOGETHER_FRAMES:
            return b""
        return self.take()

    def take(self) -> bytes:
        """Return what waits."""
        waiting, self._waiting = self._waiting, []
        return waiting[0] if len(waiting) == 1 else b"".join(waiting)
