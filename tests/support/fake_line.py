"""A call without SIP: a line, a caller and engines that follow a script, on virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import numpy as np

from gateway.audio.format import ANALYSIS, NARROWBAND, AudioFormat
from gateway.audio.level import peak
from gateway.audio.voice_chunk import CHUNK_SAMPLES, Chunk
from gateway.call.inlet import FrameInlet
from gateway.call.line import (
    CallFacts,
    Capability,
    End,
    HungUp,
    LineEvent,
    MediaStatistics,
    TransferOutcome,
)
from gateway.call.media import FrameOutlet, Tick
from gateway.errors import ProviderUnavailable, TransferFailed
from gateway.providers.contracts import Expect, ReplyRequest, Spoken, Transcript

SPEECH = (np.arange(ANALYSIS.frame_samples) % 2 * 16000 - 8000).astype("<i2").tobytes()
RUSTLE = (np.arange(ANALYSIS.frame_samples) % 2 * 4000 - 2000).astype("<i2").tobytes()
_IS_SPEECH = 4000
"""Peak from which `LevelDetector` is sure."""
TICK_S = ANALYSIS.ptime_ms / 1000


class FakeLine:
    """Satisfies `Line`; `run` is its clock."""

    input_delay_ms = 0.0
    output_delay_ms = 0.0
    ended: HungUp | None = None
    on_hold = False
    is_untrusted = False
    transfer_outcome: TransferOutcome | None = None

    def __init__(self, media_format: AudioFormat = NARROWBAND, **facts: Any) -> None:
        known = {"call_id": "call", "direction": "in", "called": "100", "caller": "200"}
        self.facts = CallFacts(**(known | facts))
        self.media_format = media_format
        self.expected_codec = ""
        self.inlet = FrameInlet(asyncio.get_running_loop(), line_format=media_format)
        self.outlet = FrameOutlet()
        self.played: list[bytes] = []
        """Every frame that was sent, in order."""
        self.done: list[tuple[str, float, object]] = []
        """(what, virtual time, with what) of every command."""
        self.transfer_error: TransferFailed | None = None
        self.transfer_takes_s = 0.0
        self.can: frozenset[Capability] = frozenset({"transfer", "digits"})
        self.is_held = False
        self._received_frames: set[int] = set()
        self._speaks_until = 0
        self._rustles_until = 0
        self._events: asyncio.Queue[LineEvent] = asyncio.Queue()

    async def run(self) -> None:
        """Tick on virtual time, as the media clock does: first what is sent, then both."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        while True:
            self.tick()
            await asyncio.sleep(begun + len(self.played) * TICK_S - loop.time())

    def tick(self) -> None:
        """Carry one frame each way."""
        silence = bytes(self.media_format.frame_bytes)
        sent = silence if self.is_held else self.outlet.pull(self.media_format)
        self.played.append(sent)
        received = self._received(len(self.played))
        at_ns = len(self.played) * ANALYSIS.ptime_ms * 1_000_000
        self.inlet.put(Tick(received, sent, at_ns, not self.is_held))

    def speak(self, seconds: float) -> None:
        """The caller speaks from now on."""
        self._speaks_until = len(self.played) + round(seconds / TICK_S)

    def rustle(self, seconds: float) -> None:
        """From now on something is heard that might be speech and is none."""
        self._rustles_until = len(self.played) + round(seconds / TICK_S)

    def received_anything(self, frame: int) -> bool:
        """Whether something came from the caller in the frame of this number, from 0."""
        return frame in self._received_frames

    def _received(self, frame: int) -> bytes:
        if frame > max(self._speaks_until, self._rustles_until):
            return bytes(self.media_format.frame_bytes)
        self._received_frames.add(frame - 1)
        sound = SPEECH if frame <= self._speaks_until else RUSTLE
        if self.media_format == ANALYSIS:
            return sound
        count = self.media_format.frame_samples
        return np.frombuffer(sound, "<i2").repeat(8)[:count].tobytes()  # 1 kHz: below 4 kHz, too

    @property
    def heard_s(self) -> float:
        """Seconds of bot speech that were sent."""
        return sum(peak(frame) > 0 for frame in self.played) * TICK_S

    def audible(self) -> list[tuple[float, float]]:
        """Stretches of bot speech, in seconds of the call."""
        found: list[tuple[float, float]] = []
        for number, frame in enumerate(self.played):
            start, end = round(number * TICK_S, 3), round((number + 1) * TICK_S, 3)
            if not peak(frame):
                continue
            if found and found[-1][1] == start:
                found[-1] = (found[-1][0], end)
            else:
                found.append((start, end))
        return found

    async def events(self) -> AsyncIterator[LineEvent]:
        while True:
            event = await self._events.get()
            yield event
            if isinstance(event, HungUp):
                return

    def statistics(self) -> MediaStatistics:
        return MediaStatistics("L16")

    def signs_of_life(self) -> tuple[object, ...]:
        return (len(self.played),)

    def ring(self) -> None:
        self._did("ring", None)

    async def answer(self) -> None:
        self._did("answer", None)

    async def wait_answered(self, timeout_s: float) -> None:
        self._did("wait_answered", timeout_s)

    async def hang_up(self, end: End) -> None:
        self.hang_up_nowait(end)

    def hang_up_nowait(self, end: End) -> None:
        self._did("hang_up", end)

    async def transfer(self, target: str, timeout_s: float) -> None:
        self._did("transfer", target)
        await asyncio.sleep(self.transfer_takes_s)
        if self.transfer_error is not None:
            raise self.transfer_error

    async def send_digits(self, digits: str) -> None:
        self._did("digits", digits)

    def _did(self, what: str, how: object) -> None:
        self.done.append((what, round(len(self.played) * TICK_S, 3), how))


class LevelDetector:
    """Calls every loud chunk speech; one that is merely not silent might be some."""

    def __init__(self) -> None:
        self._pcm = b""
        self._end = 0

    def push(self, frame: bytes) -> list[Chunk]:
        self._pcm += frame
        found = []
        while len(self._pcm) >= CHUNK_SAMPLES * 2:
            chunk, self._pcm = self._pcm[: CHUNK_SAMPLES * 2], self._pcm[CHUNK_SAMPLES * 2 :]
            self._end += CHUNK_SAMPLES
            level = peak(chunk)
            if level > _IS_SPEECH:
                found.append(Chunk(0.9, self._end, -20.0))
            elif level:
                found.append(Chunk(0.45, self._end, -32.0))
            else:
                found.append(Chunk(0.05, self._end, -70.0))
        return found

    def peek(self) -> None:
        """It does not look ahead."""


class NoteBook:
    """Satisfies `Recorder`."""

    def __init__(self) -> None:
        self.events: list[tuple[str, float, dict[str, object]]] = []
        self.turns: list[Any] = []

    def write_audio(self, received: bytes, sent: bytes) -> None:
        assert len(received) == len(sent) > 0 == len(sent) % ANALYSIS.frame_bytes

    def event(self, kind: str, audio_s: float, /, **data: object) -> None:
        self.events.append((kind, audio_s, data))

    def turn(self, turn: Any, audio_s: float) -> Any:
        self.turns.append(turn)
        return turn

    def tool_uses(self, uses: Any) -> Any:
        return tuple(uses)

    def pause(self, reason: str, audio_s: float) -> None:
        self.events.append(("recording_paused", audio_s, {"reason": reason}))

    def resume(self, reason: str, audio_s: float) -> None:
        if ("recording_paused", {"reason": reason}) in [(e[0], e[2]) for e in self.events]:
            self.events.append(("recording_resumed", audio_s, {"reason": reason}))

    def kinds(self) -> list[str]:
        return [kind for kind, _, _ in self.events]


Said = str | Exception | None


class ScriptedRecognizer:
    """Knows what each turn says; `None` never answers, an exception fails.

    A list holds the answers to the requests of one turn, one after the other, the last for all
    that follow.  `corrects` says something that nobody asked for.  A stream that begins with more
    than a second of audio hears a turn again that goes on: it says what was understood before, and
    what the last has said.
    """

    input_format = NARROWBAND

    def __init__(self, *texts: Said | list[Said], delay_s: float = 0.06) -> None:
        self.texts = list(texts)
        self.delay_s = delay_s
        self.opens_after_s = 0.0
        self.languages: dict[str, str] = {}
        """That it reports, by what is said."""
        self.is_down = False
        """Nothing can be opened any more."""
        self.expected: list[Expect] = []
        self.open = 0
        self.went_on = 0
        """How often a caller went on whose words had been asked for."""
        self._latest: _Recognition | None = None

    async def warm_up(self) -> None: ...

    async def close(self) -> None: ...

    def corrects(self, text: str) -> None:
        """Say without being asked what was understood so far."""
        assert self._latest is not None
        self._latest.corrects(text)

    @asynccontextmanager
    async def stream(self, expect: Expect) -> AsyncIterator[_Recognition]:
        self.expected.append(expect)
        self.open += 1
        try:
            await asyncio.sleep(self.opens_after_s)
            if self.is_down:
                raise ProviderUnavailable("recognizer", "is down")
            before, self._latest = self._latest, _Recognition(self, self.delay_s)
            self._latest.before = before
            yield self._latest
        finally:
            self.open -= 1


class _Recognition:
    before: _Recognition | None = None

    def __init__(self, recognizer: ScriptedRecognizer, delay_s: float) -> None:
        self._recognizer = recognizer
        self.said: list[Said] | None = None
        self._delay_s = delay_s
        self._samples = 0
        self._asked: asyncio.Queue[int] = asyncio.Queue()
        self._corrected: str | None = None

    def push(self, pcm: bytes) -> None:
        if self.said is None:
            self.said = self._again() if len(pcm) // 2 > ANALYSIS.sample_rate_hz else self._next()
        self._samples += len(pcm) // 2

    def _next(self) -> list[Said]:
        said = self._recognizer.texts.pop(0) if self._recognizer.texts else ""
        return said if isinstance(said, list) else [said]

    def _again(self) -> list[Said]:
        later = self.before
        earlier = later.before if later else None
        while earlier is not None and not earlier.has_understood:
            earlier = earlier.before  # it has failed: the sound is heard again nevertheless
        if earlier is None:
            return self._next()  # the connection was lost before anything was understood
        assert later is not None
        assert earlier.said
        assert later.said
        return [
            said if said is None or isinstance(said, Exception) else f"{earlier.said[-1]} {said}"
            for said in later.said
        ]

    @property
    def has_understood(self) -> bool:
        return bool(self.said) and isinstance(self.said[-1], str)

    def request_transcript(self, among: Sequence[str] = ()) -> None:
        self._asked.put_nowait(self._samples)

    def caller_goes_on(self) -> None:
        self._recognizer.went_on += 1

    def corrects(self, text: str) -> None:
        self._corrected = text
        self._asked.put_nowait(self._samples)

    async def __aiter__(self) -> AsyncIterator[Transcript]:
        while True:
            samples = await self._asked.get()
            if self._corrected is not None:
                corrected, self._corrected = self._corrected, None
                yield Transcript(corrected, samples)
                continue
            await asyncio.sleep(self._delay_s)
            assert self.said
            said = self.said[0]
            self.said = self.said[1:] or self.said
            if isinstance(said, Exception):
                raise said
            if said is not None:
                language = self._recognizer.languages.get(said, "")
                yield Transcript(said, samples, requested=True, language=language)


class ScriptedModel:
    """Each reply is a list of events, pauses (seconds) and exceptions."""

    known_texts: Sequence[str] = ()
    counts_tokens = True

    def __init__(self, *replies: Sequence[Any]) -> None:
        self.replies = list(replies)
        self.requests: list[ReplyRequest] = []
        self.open = 0

    async def warm_up(self) -> None: ...

    async def close(self) -> None: ...

    async def reply(self, request: ReplyRequest) -> AsyncIterator[Any]:
        self.requests.append(request)
        self.open += 1
        try:
            for item in self.replies.pop(0) if self.replies else ():
                if isinstance(item, float):
                    await asyncio.sleep(item)
                elif isinstance(item, Exception):
                    raise item
                else:
                    yield item
        finally:
            self.open -= 1


class ScriptedDetection:
    """Voice detection by level."""

    async def warm_up(self) -> None: ...

    async def close(self) -> None: ...

    def open(self) -> LevelDetector:
        return LevelDetector()


class ScriptedVoice:
    """A synthesizer: every letter sounds for 50 ms, the first chunk takes `delay_s`."""

    output_format = NARROWBAND

    def __init__(self, fails: Callable[[str], Exception | None] = lambda _: None) -> None:
        self.fails = fails
        self.delay_s = 0.1
        self.texts: list[str] = []
        self.open = 0

    async def warm_up(self) -> None: ...

    async def close(self) -> None: ...

    async def speak(self, text: str) -> AsyncIterator[Spoken]:
        self.texts.append(text)
        self.open += 1
        try:
            await asyncio.sleep(self.delay_s)
            if (error := self.fails(text)) is not None:
                raise error
            for _ in text:
                yield Spoken(np.full(ANALYSIS.sample_rate_hz // 20, 5000, "<i2").tobytes())
                await asyncio.sleep(0.001)
        finally:
            self.open -= 1
