"""CallAudio: everything that happens once per 20 ms of a call, from answer to hang-up."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from gateway.audio.echo_control import Dry, EchoControl
from gateway.audio.format import ANALYSIS, AudioFormat
from gateway.audio.level import has_sound
from gateway.audio.voice_chunk import Chunk, VoiceDetector
from gateway.call.audibility import AudibilityMeter
from gateway.call.inlet import FrameInlet
from gateway.call.media import Tick
from gateway.call.wideband import Wideband

FrameSink = Callable[[bytes, list[Chunk], int], None]
"""(caller frame without echo in `CallAudio.format`, VAD chunks that it completed, audio time at its
end)."""

_KEPT_FRAMES = 1000
"""20 s: a turn that is reopened is recognized again from its beginning."""
_LATELY_FRAMES = 50
_BATCH_FRAMES = 10
"""200 ms: until there is a conversation, what comes is only recorded."""
_SETTLED_FRAMES = 15
"""300 ms without anything that may be speech: then `_TOGETHER_FRAMES` may be read at once."""
_TOGETHER_FRAMES = 5
_METERED_FRAMES = 300
"""6 s: sound before a conversation, from which it measures the noise behind the voice."""
_SPEECH_PROBABILITY = 0.35
"""Above it a frame is neither the echo alone nor the noise behind the caller."""


def _never() -> bool:
    return False


def _always() -> bool:
    return True


class BotSound:
    """Whether the bot talks, pauses within speech included: only then it may have to stop."""

    def __init__(self) -> None:
        self._frames_ago = _LATELY_FRAMES

    def hear(self, sent: bytes) -> bool:
        """Accept the audio sent in a tick; return whether it or one shortly before was audible."""
        is_silent = sent.count(0) == len(sent)
        self._frames_ago = self._frames_ago + 1 if is_silent else 0
        return self._frames_ago < _LATELY_FRAMES


def judged(
    caller: Dry, detector: VoiceDetector, since: int, *, looks_ahead: bool = False
) -> list[Chunk]:
    """Return the chunks that a frame completes, and perhaps a look ahead at the next.

    The network's memory of speech outlasts speech: noise that replaces echo counts as no speech,
    whatever the network's result is.

    Args:
        caller: the frame.
        detector: has heard all frames before it from `since` on.
        since: audio time at which the detector's own begins.
        looks_ahead: every 20 ms count, for the bot talks.
    """
    chunks = detector.push(caller.evidence)
    if looks_ahead and (ahead := detector.peek()) is not None:
        chunks = [*chunks, ahead]
    if caller.is_echo:
        chunks = [chunk._replace(probability=0.0) for chunk in chunks]
    return [chunk._replace(end=chunk.end + since) for chunk in chunks] if since else chunks


class CallAudio:
    """Passes the ticks of one call on: to recording, wire figures, voice detection, listeners."""

    def __init__(
        self,
        inlet: FrameInlet,
        record: Callable[[bytes, bytes], None],
        observe_gap_s: Callable[[float], None],
        echo: EchoControl | None = None,
    ) -> None:
        """Start without a conversation.

        Args:
            inlet: delivers the ticks.
            record: accepts whole frames of the caller and as many that were sent.
            observe_gap_s: accepts the time between two ticks.
            echo: removes it, once there is a conversation.
        """
        self._inlet = inlet
        self._make_detector: Callable[[], VoiceDetector] | None = None
        self._detector: VoiceDetector | None = None
        self._record = record
        self._observe_gap_s = observe_gap_s
        self._echo = echo
        self._is_speech = False
        self._bot_sound = BotSound()
        self._recent: deque[bytes] = deque(maxlen=_KEPT_FRAMES)
        self._due: list[tuple[int, Callable[[], None]]] = []
        self._last_at_ns = 0
        self._opened_at: int | None = None
        self._now = 0
        self._is_taking = False
        self._quiet_frames = 0
        """Without anything that may be speech, one after the other."""
        self._before: deque[Tick] = deque(maxlen=_METERED_FRAMES)
        """Ticks that were not measured, for there was no conversation."""
        self._wideband: Wideband | None = None
        """Once the line carries more than is analysed."""
        self.format = ANALYSIS
        """Of what `sink` and `recent` deliver.  The line's own, from the first conversation on."""
        self.meter = AudibilityMeter()
        """Measures from the call's first conversation on, and what was shortly before."""
        self.sink: FrameSink | None = None
        """The conversation that listens now, if any."""
        self.may_wait: Callable[[], bool] = _never
        """Whether it makes no difference to the conversation that frames without sound come up to
        100 ms later.  Asked only while there is nothing that may be speech."""
        self.may_look: Callable[[], bool] = _always
        """Whether the conversation minds looks ahead."""
        self.tones: Callable[[bytes], None] | None = None
        """Listens for keys in the audio as received."""
        inlet.batch = _BATCH_FRAMES

    @property
    def now(self) -> int:
        """Audio time: samples since the call's first frame."""
        if self._opened_at is None:
            self.catch_up()
        return self._now

    @property
    def is_bot_audible(self) -> bool:
        """True when something of the bot was sent in the latest frame."""
        return self.meter.is_bot_audible

    @property
    def now_s(self) -> float:
        """Audio time in seconds."""
        return round(self.now / ANALYSIS.sample_rate_hz, 3)

    def open(self, make_detector: Callable[[], VoiceDetector]) -> bool:
        """Listen for speech from now on, to the end of the call; True when a detector begins.

        Until then nothing needs voice detection (a recording is played, a queue waits), and it
        would be most of what a call without a conversation costs.

        Args:
            make_detector: of the agent that talks; that of another agent replaces it, if it is
                another one.
        """
        if self._make_detector == make_detector:
            return False
        was_open = self._opened_at is not None
        now = self.now
        self._make_detector, self._detector = make_detector, make_detector()
        self._opened_at = now
        if was_open:
            return True
        self._settle_format(self._inlet.format)
        self._inlet.batch, self._inlet.is_heard = 1, True
        self.meter.begin(now - len(self._before) * ANALYSIS.frame_samples)
        if self._before:
            received = b"".join([tick.received for tick in self._before])
            self.meter.feed(received, b"".join([tick.sent for tick in self._before]))
            self._before.clear()
        return True

    def let_go(self) -> None:
        """Forget the conversation that listened: another one may follow."""
        self.sink, self.may_wait, self.may_look = None, _never, _always

    async def run(self) -> None:
        """Accept all ticks until the line is closed."""
        await self._inlet.deliver(self._take)

    def catch_up(self) -> None:
        """Accept what has come and was not read yet, unless that is going on.

        For all that happens beside the audio and has to come behind what was before it.
        """
        if self._inlet.waiting and not self._is_taking:
            self._take(self._inlet.take_nowait())

    def recent(self, samples: int) -> tuple[bytes, int]:
        """Caller audio that has just passed, without echo.

        Returns:
            The frames that cover at least the last `samples` samples of audio time, as far as they
            are kept, in `format`, and the audio time at which they begin.
        """
        count = min(len(self._recent), -(-samples // ANALYSIS.frame_samples))
        frames = list(self._recent)[len(self._recent) - count :]
        return b"".join(frames), self._now - count * ANALYSIS.frame_samples

    def keeps(self, since: int) -> bool:
        """True when caller audio from `since` on is still here."""
        return self._now - since <= len(self._recent) * ANALYSIS.frame_samples

    def at(self, when: int, act: Callable[[], None]) -> None:
        """Do something once audio time has reached `when`."""
        self._due.append((when, act))

    def settle(self) -> None:
        """The call is over: accept what is here, do at once what was to be done a little later."""
        self.catch_up()
        due, self._due = self._due, []
        for _, act in due:
            act()

    def _settle_format(self, line_format: AudioFormat) -> None:
        """Deliver this from now on; what came at another rate before counts as silence."""
        self.format = line_format
        self._expect(line_format)
        size = line_format.frame_bytes
        frames = [frame if len(frame) == size else bytes(size) for frame in self._recent]
        self._recent = deque(frames, maxlen=_KEPT_FRAMES)

    def _expect(self, line_format: AudioFormat) -> None:
        if self._wideband is None and line_format.frame_bytes != ANALYSIS.frame_bytes:
            self._wideband = Wideband(line_format)

    def _take(self, ticks: list[Tick]) -> None:
        if not ticks:
            return
        if self._inlet.format is not ANALYSIS:
            self._expect(self._inlet.format)
        for tick in ticks:
            if self._last_at_ns:
                self._observe_gap_s((tick.at_ns - self._last_at_ns) / 1e9)
            self._last_at_ns = tick.at_ns
        if self._opened_at is None:
            self._keep(ticks)
            return
        self._is_taking = True
        try:
            self._hear_all(ticks, self._opened_at)
        finally:
            self._is_taking = False
        is_calm = self._quiet_frames >= _SETTLED_FRAMES and self.may_wait()
        self._inlet.batch = _TOGETHER_FRAMES if is_calm else 1

    def _keep(self, ticks: list[Tick]) -> None:
        """Record ticks that no conversation listens to."""
        if self._wideband is None:
            self._recent.extend([tick.received for tick in ticks])
        else:
            ticks = [self._keep_wide(tick, self._wideband) for tick in ticks]
        received = b"".join([tick.received for tick in ticks])
        self._record(received, b"".join([tick.sent for tick in ticks]))
        if self.tones is not None:
            for tick in ticks:
                self.tones(tick.received)
        self._before.extend(ticks)
        self._now += len(ticks) * ANALYSIS.frame_samples
        self._run_due()

    def _keep_wide(self, tick: Tick, wideband: Wideband) -> Tick:
        """Keep a tick in the line's band; return it at 8 kHz."""
        narrow = wideband.narrow(tick)
        self._recent.append(wideband.caller(narrow.received, narrow.received))
        return narrow

    def _hear_all(self, ticks: list[Tick], since: int) -> None:
        """Pass ticks on to a conversation: one by one, or as many as have no sound at once."""
        if self._wideband is not None:
            for tick in map(self._wideband.narrow, ticks):
                self._hear([tick], since)
            return
        calm = list[Tick]()
        for tick in ticks:
            if has_sound(tick.received):
                self._quiet_frames = 0
                if calm:
                    self._hear(calm, since)
                    calm = []
                self._hear([tick], since)
            else:
                self._quiet_frames += 1
                calm.append(tick)
        if calm:
            self._hear(calm, since)

    def _hear(self, ticks: list[Tick], since: int) -> None:
        heard = [self._judged(tick, since) for tick in ticks]
        received, sent, audio = ticks[0].received, ticks[0].sent, heard[0][0]
        if len(ticks) > 1:
            received = b"".join([tick.received for tick in ticks])
            sent = b"".join([tick.sent for tick in ticks])
            audio = b"".join([frame for frame, _ in heard])
        self._record(received, sent)
        self.meter.feed(audio, sent, is_speech=self._is_speech)
        for tick, (frame, chunks) in zip(ticks, heard, strict=True):
            if self.tones is not None:
                self.tones(tick.received)
            self._deliver(tick, frame, chunks)

    def _deliver(self, tick: Tick, frame: bytes, chunks: list[Chunk]) -> None:
        if self._wideband is not None and self.format.frame_bytes != len(frame):
            frame = self._wideband.caller(tick.received, frame)
        self._recent.append(frame)
        self._now += ANALYSIS.frame_samples
        if self.sink is not None:
            self.sink(frame, chunks, self._now)
        self._run_due()

    def _judged(self, tick: Tick, since: int) -> tuple[bytes, list[Chunk]]:
        """Return a frame without echo, and the chunks that it completes."""
        caller = self._without_echo(tick)
        looks_ahead = self._bot_sound.hear(tick.sent) and self.may_look()
        assert self._detector is not None  # noqa: S101 - it is made when the audio is opened
        chunks = judged(caller, self._detector, since, looks_ahead=looks_ahead)
        for chunk in chunks:
            if not chunk.is_provisional:
                self._is_speech = chunk.probability > _SPEECH_PROBABILITY
        return caller.audio, chunks

    def _without_echo(self, tick: Tick) -> Dry:
        if self._echo is None:
            return Dry(tick.received, tick.received)
        return self._echo.push(tick.received, tick.sent, is_speech=self._is_speech)

    def _run_due(self) -> None:
        if not self._due:
            return
        now = self._now
        ready = [act for when, act in self._due if when <= now]
        self._due = [item for item in self._due if item[0] > now]
        for act in ready:
            act()
