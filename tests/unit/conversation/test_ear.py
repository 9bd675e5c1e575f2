"""An ear that nobody has opened costs next to nothing; an open one knows what time it is."""

from __future__ import annotations

import asyncio

from gateway.audio.format import LINE
from gateway.audio.voice_chunk import Chunk
from gateway.conversation.ear import Ear
from gateway.threads import FrameInlet, Tick

LOUD = b"\x00\x20" * LINE.frame_samples
TICK_NS = LINE.ptime_ms * 1_000_000


class Detector:
    """One chunk per frame, all of it speech."""

    def __init__(self) -> None:
        self.frames = 0

    def push(self, frame: bytes) -> list[Chunk]:
        self.frames += 1
        return [Chunk(0.9, self.frames * LINE.frame_samples, -10.0)]


class Notes:
    def __init__(self) -> None:
        self.frames = 0
        self.gaps: list[float] = []
        self.heard: list[tuple[int, int]] = []

    def write(self, received: bytes, sent: bytes) -> None:
        self.frames += 1

    def hear(self, pcm: bytes, chunks: list[Chunk], now: int) -> None:
        self.heard += [(chunk.end, now) for chunk in chunks]


def test_nobody_is_listened_to_before_the_ear_is_open() -> None:
    detector, notes = Detector(), Notes()

    async def call() -> Ear:
        inlet = FrameInlet(asyncio.get_running_loop())
        ear = Ear(inlet, detector, notes.write, notes.gaps.append)
        running = asyncio.create_task(ear.run())
        for number in range(8):
            if number == 5:
                for _ in range(5):  # turns of the loop, until all is taken
                    await asyncio.sleep(0)
                assert ear.open()
                assert not ear.open()
                ear.sink = notes.hear
            inlet.put(Tick(LOUD, LOUD, number * TICK_NS + 1, has_media=True))
        inlet.close()
        await running
        return ear

    ear = asyncio.run(call())
    assert notes.frames == 8
    assert len(notes.gaps) == 7
    assert detector.frames == 3
    assert notes.heard == [(at, at) for at in (960, 1120, 1280)]
    assert ear.recent(1280) == (8 * LOUD, 0)
    assert ear.meter.first_caller_sample(200) < 480
