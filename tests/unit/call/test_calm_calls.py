"""A call without sound is read in batches, and nothing that is decided depends on that."""

from __future__ import annotations

import asyncio

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.audio.echo_control import EchoControl
from gateway.audio.format import ANALYSIS
from gateway.audio.voice_chunk import Chunk
from gateway.call.call_audio import CallAudio
from gateway.call.inlet import FrameInlet
from gateway.call.media import Tick

TICK_NS = 20_000_000
SILENCE = bytes(ANALYSIS.frame_bytes)
LOUD = np.full(ANALYSIS.frame_samples, 3000, "<i2").tobytes()


class Detector:
    """Says of each frame how many it has seen."""

    def __init__(self) -> None:
        self.frames = 0

    def push(self, _frame: bytes) -> list[Chunk]:
        self.frames += 1
        return [Chunk(0.0, self.frames * ANALYSIS.frame_samples)]

    def peek(self) -> None:
        """It does not look ahead."""


class Ear:
    """A conversation that wants to know at once of sound only."""

    def __init__(self, *, may_wait: bool) -> None:
        self.recorded = b""
        self.heard: list[tuple[bytes, int, int]] = []
        self.reads = 0
        self.may_wait = may_wait

    def record(self, received: bytes, _sent: bytes) -> None:
        self.recorded += received
        self.reads += 1

    def hear(self, pcm: bytes, chunks: list[Chunk], now: int) -> None:
        self.heard.append((pcm, chunks[0].end, now))


def heard(frames: list[bytes], *, may_wait: bool) -> Ear:
    ear = Ear(may_wait=may_wait)

    async def call() -> None:
        inlet = FrameInlet(asyncio.get_running_loop())
        audio = CallAudio(inlet, ear.record, lambda _: None)
        running = asyncio.create_task(audio.run())
        await asyncio.sleep(0)
        audio.open(Detector)
        audio.sink, audio.may_wait = ear.hear, lambda: ear.may_wait
        for number, frame in enumerate(frames, 1):
            inlet.put(Tick(frame, SILENCE, number * TICK_NS, has_media=True))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            if frame is LOUD:
                assert audio.now == number * ANALYSIS.frame_samples  # sound never waits
        audio.let_go()
        inlet.close()
        await running

    asyncio.run(call())
    return ear


def test_a_calm_call_is_read_five_frames_at_a_time() -> None:
    frames = [SILENCE] * 115
    assert heard(frames, may_wait=False).reads == 115
    assert heard(frames, may_wait=True).reads <= 15 + 21


@settings(max_examples=25)
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 40)), min_size=1, max_size=6))
def test_all_is_heard_in_order_as_if_it_were_read_frame_by_frame(
    stretches: list[tuple[bool, int]],
) -> None:
    frames = [LOUD if is_loud else SILENCE for is_loud, count in stretches for _ in range(count)]
    eager, calm = heard(frames, may_wait=False), heard(frames, may_wait=True)
    assert calm.recorded == eager.recorded == b"".join(frames)
    count = len(eager.heard)
    assert calm.heard == eager.heard[: len(calm.heard)]
    assert count - len(calm.heard) <= 6  # the conversation was over before they were read


def test_what_is_put_off_does_not_change_what_an_echo_control_finds() -> None:
    """2.5 s of bot speech without echo, then an echo: it is found, and cancelled."""
    rng = np.random.default_rng(5)
    sent = (rng.standard_normal(8 * 8000) * 4000 * np.repeat(rng.random(400), 160)).astype("<i2")
    echo = np.zeros_like(sent)
    began, delay = 3 * 8000, 800
    echo[began + delay :] = sent[began:-delay] * 0.2
    control = EchoControl()
    left = []
    for at in range(0, len(sent), 160):
        dry = control.push(echo[at : at + 160].tobytes(), sent[at : at + 160].tobytes())
        left.append(np.frombuffer(dry.audio, "<i2").astype(float))
    figures = control.figures()
    control.close()
    assert figures is not None
    assert abs(figures.delay_ms - 100) < 5
    came, rest = echo[-16000:].astype(float), np.concatenate(left[-100:])
    assert 10 * np.log10((came @ came) / (rest @ rest)) > 15
