"""Where frames cross between clock thread and loop; the clock thread is played by the test."""

from __future__ import annotations

import asyncio

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gateway.audio.format import LINE
from gateway.threads import SILENCE, FrameInlet, FrameOutlet, Tick
from tests.support.virtual_time import run

LOUD = np.full(LINE.frame_samples, 8000, "<i2").tobytes()


def samples(frame):
    return np.frombuffer(frame, "<i2").astype(int)


@given(st.lists(st.sampled_from(["write", "write", "pull", "clear", "open"]), max_size=80))
def test_outlet(steps):
    outlet = FrameOutlet()
    lane = outlet.open()
    lanes = [lane]
    after_cut, last, pulled = None, 0, 0
    for step in steps:
        if step == "write":
            lane.put_nowait(LOUD)
            after_cut = None if not lane.closed and after_cut is None else after_cut
        elif step == "pull":
            frame = outlet.pull()
            assert len(frame) == LINE.frame_bytes
            assert outlet.last is frame
            wave = np.concatenate([[last], samples(frame)])
            if frame not in (SILENCE, LOUD):  # a ramp: from where we were to nothing
                assert np.abs(np.diff(wave[1:])).max() <= 200
                assert wave[-1] == 0
                assert last in (0, 8000)
            pulled += frame != SILENCE
            last = int(wave[-1])
        elif step == "clear":
            outlet.clear()
        else:
            lane = outlet.open()
            lanes.append(lane)
    assert sum(each.played for each in lanes) == pulled
    assert all(each.played <= each.queued for each in lanes)


def test_after_a_cut_at_most_one_frame_is_sent_and_it_fades():
    outlet = FrameOutlet()
    lane = outlet.open()
    for _ in range(5):
        lane.put_nowait(LOUD)
    assert outlet.pull() == LOUD
    assert outlet.clear() is lane
    outlet.clear()
    new = outlet.open()
    new.put_nowait(LOUD)
    outlet.clear()  # cut before anything of it was sent: the fade is the old one's
    fade = samples(outlet.pull())
    assert abs(fade[0] - 8000) < 100
    assert fade[-1] == 0
    assert (lane.played, new.played) == (2, 0)
    assert outlet.pull() == SILENCE
    lane.put_nowait(LOUD)
    assert outlet.pull() == SILENCE


def test_write_keeps_a_bounded_lead_and_playout_is_waited_for():
    async def main():
        outlet = FrameOutlet()
        lane = outlet.open()
        loop = asyncio.get_running_loop()

        async def clock():
            for _ in range(120):
                outlet.pull()
                await asyncio.sleep(0.02)

        async with asyncio.TaskGroup() as group:
            group.create_task(clock())
            for _ in range(100):
                await lane.write(LOUD)
                assert lane.queued - lane.played <= lane.LEAD_FRAMES + 1
            await lane.played_out()
            assert lane.played == 100
            assert 1.98 <= loop.time() <= 2.06

    run(main())


def test_a_cut_frees_who_waits():
    async def main():
        outlet = FrameOutlet()
        lane = outlet.open()
        for _ in range(lane.LEAD_FRAMES):
            lane.put_nowait(LOUD)
        async with asyncio.TaskGroup() as group:
            group.create_task(lane.write(LOUD))
            group.create_task(lane.played_out())
            await asyncio.sleep(0)
            outlet.clear()
        assert lane.queued == lane.LEAD_FRAMES

    run(main())


def tick(number):
    return Tick(SILENCE, SILENCE, number, has_media=True)


@given(st.integers(0, 600))
def test_inlet_keeps_the_latest_in_order(count):
    async def main():
        inlet = FrameInlet(asyncio.get_running_loop())
        for number in range(count):
            inlet.put(tick(number))
        inlet.close()
        inlet.put(tick(-1))
        found = [each.at_ns async for each in inlet.ticks()]
        assert found == list(range(max(0, count - inlet.CAPACITY), count))
        assert inlet.dropped_frames == count - len(found)

    run(main())


def test_inlet_after_the_loop_was_closed():
    loop = asyncio.new_event_loop()
    inlet = FrameInlet(loop)
    loop.close()
    inlet.put(tick(1))
    inlet.put(tick(2))
    assert inlet.dropped_frames == 0
