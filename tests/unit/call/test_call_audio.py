"""Call audio that is not listened to costs next to nothing; once open it knows what time it is."""

from __future__ import annotations

import asyncio

from gateway.audio.echo_control import Dry
from gateway.audio.format import ANALYSIS
from gateway.audio.voice_chunk import Chunk
from gateway.call.call_audio import BotSound, CallAudio, judged
from gateway.call.inlet import FrameInlet
from gateway.call.media import Tick

LOUD = b"\x00\x20" * ANALYSIS.frame_samples
TICK_NS = ANALYSIS.ptime_ms * 1_000_000


class Detector:
    """One chunk per frame, all of it speech."""

    def __init__(self) -> None:
        self.frames = 0

    def push(self, frame: bytes) -> list[Chunk]:
        self.frames += 1
        return [Chunk(0.9, self.frames * ANALYSIS.frame_samples, -10.0)]

    def peek(self) -> None:
        """It does not look ahead."""

    def opened(self) -> Detector:
        return self


class Notes:
    def __init__(self) -> None:
        self.frames = 0
        self.gaps: list[float] = []
        self.heard: list[tuple[int, int]] = []

    def write(self, received: bytes, sent: bytes) -> None:
        assert len(received) == len(sent)
        self.frames += len(received) // ANALYSIS.frame_bytes

    def hear(self, pcm: bytes, chunks: list[Chunk], now: int) -> None:
        self.heard += [(chunk.end, now) for chunk in chunks]


def test_nobody_is_listened_to_before_the_ear_is_open() -> None:
    detector, notes = Detector(), Notes()

    async def call() -> CallAudio:
        inlet = FrameInlet(asyncio.get_running_loop())
        audio = CallAudio(inlet, notes.write, notes.gaps.append)
        running = asyncio.create_task(audio.run())
        for number in range(8):
            if number == 5:
                for _ in range(5):  # turns of the loop, until all is taken
                    await asyncio.sleep(0)
                assert audio.open(detector.opened)
                assert not audio.open(detector.opened)
                audio.sink = notes.hear
            inlet.put(Tick(LOUD, LOUD, number * TICK_NS + 1, has_media=True))
        inlet.close()
        await running
        return audio

    audio = asyncio.run(call())
    assert notes.frames == 8
    assert len(notes.gaps) == 7
    assert detector.frames == 3
    assert notes.heard == [(at, at) for at in (960, 1120, 1280)]
    assert audio.recent(1280) == (8 * LOUD, 0)
    assert audio.meter.first_caller_sample(200) < 480


def test_until_there_is_a_conversation_ticks_are_taken_ten_at_a_time_and_none_is_missed() -> None:
    notes = Notes()

    async def call() -> None:
        inlet = FrameInlet(asyncio.get_running_loop())
        audio = CallAudio(inlet, notes.write, notes.gaps.append)
        running = asyncio.create_task(audio.run())
        for number in range(25):
            inlet.put(Tick(LOUD, LOUD, number * TICK_NS + 1, has_media=True))
        for _ in range(5):
            await asyncio.sleep(0)
        before = notes.frames
        inlet.put(Tick(LOUD, LOUD, 25 * TICK_NS + 1, has_media=True))
        for _ in range(5):
            await asyncio.sleep(0)
        assert notes.frames == before == 25  # all that was there; the next waits for nine more
        assert audio.now == 26 * ANALYSIS.frame_samples  # but what is asked is up to date
        assert notes.frames == 26
        inlet.close()
        await running

    asyncio.run(call())


def test_the_next_chunk_is_looked_at_while_the_bot_talks() -> None:
    class Ahead(Detector):
        def peek(self) -> Chunk:
            return Chunk(0.6, self.frames * ANALYSIS.frame_samples, -20.0, is_provisional=True)

    silent = bytes(ANALYSIS.frame_bytes)
    bot = BotSound()
    assert not bot.hear(silent)
    assert bot.hear(LOUD)
    assert [bot.hear(silent) for _ in range(60)] == [True] * 49 + [False] * 11
    detector = Ahead()
    assert len(judged(Dry(LOUD, LOUD), detector, 0)) == 1
    _, ahead = judged(Dry(LOUD, LOUD), detector, 160, looks_ahead=True)
    assert (ahead.is_provisional, ahead.end, ahead.probability) == (True, 480, 0.6)
    (_, echo) = judged(Dry(LOUD, LOUD, is_echo=True), detector, 0, looks_ahead=True)
    assert echo.probability == 0.0


def test_the_detector_of_another_agent_replaces_the_one_before() -> None:
    first, second = Detector(), Detector()

    async def call() -> list[tuple[int, int]]:
        inlet, notes = FrameInlet(asyncio.get_running_loop()), Notes()
        audio = CallAudio(inlet, notes.write, notes.gaps.append)
        audio.sink = notes.hear
        for number, detector in enumerate((first, first, second)):
            assert audio.open(detector.opened) == (number != 1)
            inlet.put(Tick(LOUD, LOUD, number * TICK_NS + 1, has_media=True))
            audio.settle()
        return notes.heard

    assert asyncio.run(call()) == [(160, 160), (320, 320), (480, 480)]
    assert (first.frames, second.frames) == (2, 1)
