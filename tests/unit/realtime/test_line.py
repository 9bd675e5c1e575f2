"""The line of a session: bursts, gaps and rest of its clock; what is sent ahead, paused and cut."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

import pytest

from gateway.audio.format import NARROWBAND, AudioFormat
from gateway.call.line import Answered, CallFacts, End, HungUp
from gateway.call.media import Tick
from gateway.realtime.line import RealtimeLine, close_code
from tests.support.virtual_time import run

PCM24 = AudioFormat(24000)
SOUND = b"\x10\x20" * 160
LEAD_MS = 100


class Peer:
    """Satisfies the line's `Peer`."""

    def __init__(self) -> None:
        self.closed: tuple[int, str] | None = None
        self.may_read = True
        self.sent_bytes = 0

    def close(self, code: int, reason: str) -> None:
        self.closed = (code, reason)

    def read_on(self, *, may_read: bool) -> None:
        self.may_read = may_read


class Desk:
    """A line with a clock, and what has come of it."""

    def __init__(self, line_format: AudioFormat = NARROWBAND) -> None:
        self.peer = Peer()
        self.line = RealtimeLine(CallFacts("c", "in", "desk", "realtime"), self.peer, LEAD_MS)
        self.line.use(line_format, line_format, is_fixed=False)
        self.line.keeps_time = lambda: self.needs_time
        self.line.sink = lambda audio, ms: self.sent.append((asyncio.get_running_loop().time(), ms))
        self.needs_time = True
        self.sent: list[tuple[float, int]] = []
        self.ticks: list[Tick] = []

    async def live(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.02)):
            await asyncio.sleep(0.02)
            self.line.beat()

    async def read(self) -> None:
        """Be the call that listens."""
        await self.line.inlet.deliver(self.ticks.extend)

    def heard_s(self) -> float:
        return len(self.ticks) * 0.02


def scene(
    act: Callable[[Desk], Coroutine[None, None, None]], line_format: AudioFormat = NARROWBAND
) -> None:
    async def acted() -> None:
        desk = Desk(line_format)
        await desk.line.answer()
        async with asyncio.TaskGroup() as group:
            group.create_task(desk.read())
            await act(desk)
            desk.line.inlet.close()

    run(acted())


def test_a_file_that_is_appended_at_once_is_heard_at_once() -> None:
    async def act(desk: Desk) -> None:
        assert desk.line.hear(bytes(2 * 24000 * 4)) == 4000
        await desk.live(0.2)
        assert desk.heard_s() == pytest.approx(4.0, abs=0.05)

    scene(act, PCM24)


def test_a_client_at_real_time_has_no_silence_in_its_words() -> None:
    async def act(desk: Desk) -> None:
        for _ in range(25):
            desk.line.hear(SOUND * 2)
            await desk.live(0.04)
        assert [tick.received for tick in desk.ticks] == [SOUND] * 50

    scene(act)


def test_time_goes_on_when_the_client_is_silent_and_stands_still_at_rest() -> None:
    async def act(desk: Desk) -> None:
        await desk.live(3.0)
        assert desk.heard_s() == pytest.approx(3.0, abs=0.05)
        desk.needs_time = False
        await desk.live(10.0)
        assert desk.heard_s() < 5.5
        desk.line.hear(SOUND)
        await desk.live(1.0)
        assert desk.heard_s() > 4.9

    scene(act)


def test_too_much_at_once_lets_the_client_wait() -> None:
    async def act(desk: Desk) -> None:
        desk.line.hear(SOUND * 2000)
        assert not desk.peer.may_read
        await desk.live(2.0)
        assert desk.peer.may_read
        assert desk.heard_s() > 40

    scene(act)


def test_audio_is_sent_ahead_and_recorded_when_it_is_played() -> None:
    async def act(desk: Desk) -> None:
        lane = desk.line.outlet.open()
        for _ in range(100):
            lane.put_nowait(SOUND)
        await desk.live(0.02)
        assert sum(ms for _, ms in desk.sent) == LEAD_MS + 20
        await desk.live(1.0)
        assert sum(ms for _, ms in desk.sent) == pytest.approx(LEAD_MS + 1020, abs=20)
        played = sum(tick.sent == SOUND for tick in desk.ticks) * 20
        assert played == pytest.approx(1020, abs=60)
        assert desk.line.is_playing

    scene(act)


def test_a_cut_sends_nothing_more() -> None:
    async def act(desk: Desk) -> None:
        lane = desk.line.outlet.open()
        for _ in range(100):
            lane.put_nowait(SOUND)
        await desk.live(0.5)
        desk.line.outlet.clear()
        desk.line.cut()
        before = sum(ms for _, ms in desk.sent)
        await desk.live(0.5)
        assert sum(ms for _, ms in desk.sent) - before <= 20  # one frame is ramped down
        assert not desk.line.is_playing

    scene(act)


def test_a_burst_of_the_client_does_not_hurry_the_bot() -> None:
    async def act(desk: Desk) -> None:
        lane = desk.line.outlet.open()
        for _ in range(200):
            lane.put_nowait(SOUND)
        desk.line.hear(bytes(320) * 150)
        await desk.live(0.1)
        assert desk.heard_s() >= 3.0
        assert sum(ms for _, ms in desk.sent) <= LEAD_MS + 120

    scene(act)


def test_the_end_says_why() -> None:
    async def act(desk: Desk) -> None:
        await desk.line.hang_up(End("max_duration", "longer than 60 s"))
        events = [event async for event in desk.line.events()]
        assert isinstance(events[0], Answered)
        assert isinstance(events[-1], HungUp)
        assert desk.peer.closed == (1000, "session_expired")

    scene(act)
    assert close_code(End("shutdown"))[0] == 1001
    assert close_code(End("crashed"))[0] == 1011
