"""Audio time of a session: what the client appends; and how far its audio is sent ahead.  Pure.

Audio that comes is heard at once, however fast it comes.  When none comes for a while the time of a
call goes on with silence: the bot may speak and turns may end though a client sends nothing.  The
while is longer than the client's pieces are, so that no silence gets into its words.
"""

from __future__ import annotations

FRAME_S = 0.02
_LEAST_WAIT_S = 0.2
_MOST_WAIT_S = 1.0
_MARKS = 2000
_WAIT_FACTOR = 1.5
"""Times the length of the client's pieces."""


class InputClock:
    """When silence is heard instead of the client."""

    def __init__(self, now_s: float) -> None:
        self._heard_s = now_s
        """Up to when audio time has come."""
        self._wait_s = 0.0

    def appended(self, duration_s: float, now_s: float) -> None:
        """The client has sent audio, which is heard at once."""
        self._heard_s = now_s
        self._wait_s = min(_MOST_WAIT_S, max(_LEAST_WAIT_S, _WAIT_FACTOR * duration_s))

    def rest(self, now_s: float) -> None:
        """Nothing happens: audio time stands still."""
        self._heard_s = now_s
        self._wait_s = 0.0

    def silent_frames(self, now_s: float) -> int:
        """Return how many frames of silence are due, and count them as heard."""
        if now_s - self._heard_s < self._wait_s + FRAME_S:
            return 0
        self._wait_s = 0.0
        count = int((now_s - self._heard_s) / FRAME_S + 1e-6)
        self._heard_s += count * FRAME_S
        return count


class OutputPace:
    """How many frames may be sent now: real time, and a lead."""

    def __init__(self, lead_frames: int) -> None:
        self._lead = lead_frames
        self._began_s: float | None = None
        self._sent = 0

    def due(self, now_s: float) -> int:
        """Return how many frames may be sent."""
        if self._began_s is None:
            return self._lead + 1
        return int((now_s - self._began_s) / FRAME_S + 1e-6) + 1 + self._lead - self._sent

    def sent(self, now_s: float) -> None:
        """Count one frame."""
        if self._began_s is None:
            self._began_s, self._sent = now_s, 0
        self._sent += 1

    def stopped(self, now_s: float) -> None:
        """There was nothing to send: what follows begins anew once the client has played it all."""
        if self._began_s is not None and not self.is_ahead(now_s):
            self._began_s = None

    def cut(self) -> None:
        """The client plays nothing of it any more."""
        self._began_s = None

    def is_ahead(self, now_s: float) -> bool:
        """Return whether the client has not played all yet."""
        return self._began_s is not None and self._began_s + self._sent * FRAME_S > now_s


class Positions:
    """Where in the client's own audio a moment of audio time is."""

    def __init__(self) -> None:
        self._ticks = 0
        self._client_ticks = 0
        self._marks: list[tuple[int, int]] = [(0, 0)]
        """(frames of audio time, frames of the client by then) at each change between both."""
        self._was_client = False

    def tick(self, *, of_client: bool) -> None:
        """Let a frame of audio time pass."""
        if of_client != self._was_client:
            self._was_client = of_client
            self._marks.append((self._ticks, self._client_ticks))
            if len(self._marks) > _MARKS:
                del self._marks[0]
        self._ticks += 1
        self._client_ticks += of_client

    @property
    def client_ms(self) -> int:
        """How much the client has sent that was heard."""
        return round(self._client_ticks * FRAME_S * 1000)

    def at(self, audio_ms: float) -> int:
        """Return the ms of the client's audio at an audio time."""
        frames = audio_ms / 1000 / FRAME_S
        at = len(self._marks) - 1
        while at and self._marks[at][0] > frames:
            at -= 1
        begun, client = self._marks[at]
        after = self._marks[at + 1][1] if at + 1 < len(self._marks) else self._client_ticks
        return round(min(client + max(0.0, frames - begun), float(after)) * FRAME_S * 1000)
