"""Ear: everything that happens once per 20 ms of a call, from answer to hang-up."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

from gateway.audio.echo_control import Dry, EchoControl
from gateway.audio.format import LINE
from gateway.audio.voice_chunk import Chunk
from gateway.conversation.wire import WireMeter
from gateway.threads import FrameInlet, Tick

FrameSink = Callable[[bytes, list[Chunk], int], None]
"""(caller frame without echo, VAD chunks that it completed, audio time at its end)."""

_KEPT_FRAMES = 1000
"""20 s: a turn that is reopened is recognized again from its beginning."""
_SPEECH_PROBABILITY = 0.35
"""Above it the echo figures leave a frame out: it is not the echo alone."""


class VoiceDetector(Protocol):
    """Speech probabilities of one call."""

    def push(self, frame: bytes) -> list[Chunk]:
        """Take a frame; return the chunks that are whole now."""


def judged(caller: Dry, detector: VoiceDetector, since: int) -> list[Chunk]:
    """Give the chunks that a frame completes.

    The network's memory of speech outlasts speech: in noise that stands for echo nobody speaks,
    whatever it says.

    Args:
        caller: the frame.
        detector: has heard all frames before it from `since` on.
        since: audio time at which the detector's own begins.
    """
    chunks = detector.push(caller.evidence)
    if caller.is_echo:
        chunks = [chunk._replace(probability=0.0) for chunk in chunks]
    return [chunk._replace(end=chunk.end + since) for chunk in chunks] if since else chunks


class Ear:
    """Takes the ticks of one call: recording, wire figures, voice detection, whoever listens."""

    def __init__(
        self,
        inlet: FrameInlet,
        detector: VoiceDetector,
        record: Callable[[bytes, bytes], None],
        observe_gap_s: Callable[[float], None],
        echo: EchoControl | None = None,
    ) -> None:
        self._inlet = inlet
        self._detector = detector
        self._record = record
        self._observe_gap_s = observe_gap_s
        self._echo = echo
        self._is_speech = False
        self._recent: deque[bytes] = deque(maxlen=_KEPT_FRAMES)
        self._due: list[tuple[int, Callable[[], None]]] = []
        self._last_at_ns = 0
        self._opened_at: int | None = None
        self.meter = WireMeter()
        self.sink: FrameSink | None = None
        """The conversation that listens now, if any."""

    @property
    def now(self) -> int:
        """Audio time: samples since the call's first frame."""
        return self.meter.now

    @property
    def is_bot_audible(self) -> bool:
        """True when something of the bot was sent in the latest frame."""
        return self.meter.is_bot_audible

    @property
    def now_s(self) -> float:
        """Audio time in seconds."""
        return round(self.meter.now / LINE.sample_rate_hz, 3)

    def open(self) -> bool:
        """Listen for speech from now on, to the end of the call; True when it did not before.

        Until then nobody asks who speaks (a recording is played, a queue waits): what that takes
        is most of what a call without a conversation would cost.
        """
        if self._opened_at is not None:
            return False
        self._opened_at = self.now
        return True

    async def run(self) -> None:
        """Take all ticks until the line is closed."""
        async for tick in self._inlet.ticks():
            self._take(tick)

    def recent(self, samples: int) -> tuple[bytes, int]:
        """Caller audio that has just passed, without echo.

        Returns:
            The frames that cover at least the last `samples` samples, as far as they are kept,
            and the audio time at which they begin.
        """
        count = min(len(self._recent), -(-samples // LINE.frame_samples))
        frames = list(self._recent)[len(self._recent) - count :]
        return b"".join(frames), self.now - count * LINE.frame_samples

    def keeps(self, since: int) -> bool:
        """True when caller audio from `since` on is still here."""
        return self.now - since <= len(self._recent) * LINE.frame_samples

    def at(self, when: int, act: Callable[[], None]) -> None:
        """Do something once audio time has reached `when`."""
        self._due.append((when, act))

    def settle(self) -> None:
        """The call is over: do at once what was to be done a little later."""
        due, self._due = self._due, []
        for _, act in due:
            act()

    def _take(self, tick: Tick) -> None:
        self._record(tick.received, tick.sent)
        if self._last_at_ns:
            self._observe_gap_s((tick.at_ns - self._last_at_ns) / 1e9)
        self._last_at_ns = tick.at_ns
        if self._opened_at is None:
            self._pass(tick, tick.received)
        else:
            self._hear(tick, self._opened_at)
        if self._due:
            self._run_due()

    def _hear(self, tick: Tick, since: int) -> None:
        caller = self._without_echo(tick)
        self._pass(tick, caller.audio)
        chunks = judged(caller, self._detector, since)
        if chunks:
            self._is_speech = chunks[-1].probability > _SPEECH_PROBABILITY
        if self.sink is not None:
            self.sink(caller.audio, chunks, self.now)

    def _pass(self, tick: Tick, caller: bytes) -> None:
        self.meter.feed(caller, tick.sent)
        self._recent.append(caller)

    def _without_echo(self, tick: Tick) -> Dry:
        if self._echo is None:
            return Dry(tick.received, tick.received)
        return self._echo.push(tick.received, tick.sent, is_speech=self._is_speech)

    def _run_due(self) -> None:
        now = self.now
        ready = [act for when, act in self._due if when <= now]
        self._due = [item for item in self._due if item[0] > now]
        for act in ready:
            act()
