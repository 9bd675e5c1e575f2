"""Where frames cross between clock thread and loop; the clock thread is played by the test."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.audio.format import ANALYSIS
from gateway.audio.resume_point import REACH_FRAMES
from gateway.call.inlet import FrameInlet, TickBell
from gateway.call.media import SILENCE, FrameOutlet, Lane, Tick
from tests.support.virtual_time import run

LOUD = np.full(ANALYSIS.frame_samples, 8000, "<i2").tobytes()


def samples(frame):
    return np.frombuffer(frame, "<i2").astype(int)


class Wire:
    """An outlet, its clock thread, and what must come out of it.

    No frame touches zero, so every missing ramp would be a click; each one has its own level.
    """

    def __init__(self):
        self.outlet = FrameOutlet()
        self.levels = {}
        """Of each lane's frames."""
        self.count = 0
        self.end = 0
        """The latest sample."""
        self.is_broken_off = False
        self.lane = self.add(self.outlet.open())

    def add(self, lane):
        self.levels[lane] = []
        return lane

    def put(self, lane):
        self.count += 1
        self.levels[lane].append(8000 + self.count)
        lane.put_nowait(np.full(ANALYSIS.frame_samples, 8000 + self.count, "<i2").tobytes())

    def change(self, lane):
        """The lane was replaced: what of the old one sounds must fade, and that alone."""
        old, before = self.lane, self.lane.played
        self.lane, self.is_broken_off = lane, False
        if not old.frames:  # it had ended
            self.end = 0
            return
        wave = self.pull_wave()
        assert self.is_fade(wave, old, before) if self.end else not wave.any()
        assert old.played == before + (self.end > 0)
        self.end = 0

    def pull_wave(self):
        sent = self.outlet.pull()
        assert self.outlet.last is sent
        wave = samples(sent)
        assert len(wave) == ANALYSIS.frame_samples
        assert np.abs(np.diff(wave)).max() <= 220
        return wave

    def is_fade(self, wave, lane, index):
        return abs(wave[0] - self.levels[lane][index]) < 100 and wave[-1] == 0

    def pull(self):
        lane, before = self.lane, self.lane.played
        left = len(self.levels[lane]) - before
        wave = self.pull_wave()
        if self.outlet.is_paused:
            assert lane.played == before
            assert self.is_fade(wave, lane, before) if self.end and left else not wave.any()
            self.is_broken_off = self.is_broken_off or wave.any()
        elif self.is_broken_off:
            assert before - REACH_FRAMES <= lane.played - 1 <= before
            assert wave[0] == 0
            assert abs(wave[-1] - self.levels[lane][lane.played - 1]) < 100
            self.is_broken_off = False
        elif left:
            assert lane.played == before + 1
            assert (wave == self.levels[lane][before]).all()
        else:
            assert not wave.any()
        self.end = int(wave[-1])

    def take_step(self, step, count):
        if step in ("put", "pull"):
            for _ in range(count):
                self.put(self.lane) if step == "put" else self.pull()
        elif step == "pause":
            self.outlet.pause()
            assert self.outlet.is_paused
        elif step == "resume":
            self.outlet.resume()
            assert not self.outlet.is_paused
        elif step == "clear":
            assert self.outlet.clear() is self.lane
            assert not self.outlet.is_paused
            self.change(self.add(self.outlet.open()))
        else:
            lane = self.add(Lane())
            for _ in range(count):
                self.put(lane)
            assert self.outlet.open(lane) is lane
            self.change(lane)


STEPS = st.one_of(
    st.tuples(st.just("put"), st.integers(1, 70)),
    st.tuples(st.just("pull"), st.integers(1, 70)),
    st.tuples(st.just("pull"), st.integers(1, 3)),
    st.tuples(st.sampled_from(["pause", "resume"]), st.just(0)),
    st.tuples(st.sampled_from(["pause", "resume"]), st.just(0)),
    st.tuples(st.just("clear"), st.just(0)),
    st.tuples(st.just("open"), st.integers(0, 5)),
)


@settings(max_examples=300)
@given(st.lists(STEPS, max_size=50))
def test_outlet(steps):
    wire = Wire()
    for step, count in steps:
        wire.take_step(step, count)
    wire.outlet.resume()
    while wire.lane.played < wire.lane.queued:  # nothing is lost
        wire.pull()


def playing(frames, pulls):
    outlet = FrameOutlet()
    lane = outlet.open()
    for _ in range(frames):
        lane.put_nowait(LOUD)
    for _ in range(pulls):
        outlet.pull()
    return outlet, lane


def test_a_pause_ramps_down_holds_and_ramps_up_again():
    outlet, lane = playing(frames=30, pulls=10)
    outlet.pause()
    outlet.pause()
    fade = samples(outlet.pull())
    assert fade[0] > 7900
    assert fade[-1] == 0
    for _ in range(5):
        assert outlet.pull() == SILENCE
    assert lane.played == 10
    outlet.resume()
    outlet.resume()
    rise = samples(outlet.pull())
    assert rise[0] == 0
    assert rise[-1] > 7900
    assert lane.played == 10 - 6 + 1
    rest = [outlet.pull() for _ in range(lane.queued - lane.played)]
    assert rest == [LOUD] * 25
    assert outlet.pull() == SILENCE


def test_pausing_often_goes_no_further_back_than_once():
    outlet, lane = playing(frames=200, pulls=100)
    at = []
    for _ in range(4):
        outlet.pause()
        outlet.pull()
        outlet.resume()
        outlet.pull()
        at.append(lane.played)
    assert at == [at[0]] * 4


@pytest.mark.parametrize("was_played", [False, True])
def test_a_pause_that_breaks_nothing_off_changes_nothing(was_played):
    outlet, lane = playing(frames=2 * was_played, pulls=2 * was_played)
    outlet.pause()
    lane.put_nowait(LOUD)
    if not was_played:
        assert outlet.pull() == SILENCE
    outlet.resume()
    assert outlet.pull() == LOUD
    assert outlet.pull() == SILENCE


@pytest.mark.parametrize("end", [FrameOutlet.clear, FrameOutlet.open])
def test_a_cut_in_a_pause_is_not_heard(end):
    outlet, lane = playing(frames=30, pulls=10)
    outlet.pause()
    outlet.pull()
    end(outlet)
    assert not outlet.is_paused
    assert [outlet.pull() for _ in range(3)] == [SILENCE] * 3
    assert lane.played == 10


def test_speech_waits_for_what_is_heard_aside():
    outlet = FrameOutlet()
    lane = outlet.open()
    frames = [bytes([n]) * ANALYSIS.frame_bytes for n in range(1, 4)]
    for frame in frames:
        lane.put_nowait(frame)
    with outlet.aside() as aside:
        aside.put_nowait(b"\x07" * ANALYSIS.frame_bytes)
        assert outlet.pull() == b"\x07" * ANALYSIS.frame_bytes
        assert outlet.pull() == SILENCE
    assert [outlet.pull(), outlet.pull(), outlet.pull()] == frames
    assert lane.played == 3


def test_what_is_broken_off_for_something_aside_is_faded_and_said_again():
    outlet = FrameOutlet()
    lane = outlet.open()
    loud = (np.ones(ANALYSIS.frame_samples) * 9000).astype("<i2").tobytes()
    for _ in range(6):
        lane.put_nowait(loud)
    outlet.pull()
    with outlet.aside():
        faded = outlet.pull()
        assert faded not in {SILENCE, loud}
        assert outlet.pull() == SILENCE
        played = lane.played
    outlet.pull()
    assert lane.played <= played + 1
    assert lane.queued == 6


def test_a_cut_does_not_end_what_is_heard_aside():
    outlet = FrameOutlet()
    outlet.open().put_nowait(b"\x01" * ANALYSIS.frame_bytes)
    with outlet.aside() as aside:
        outlet.clear()
        aside.put_nowait(b"\x07" * ANALYSIS.frame_bytes)
        assert outlet.pull() == SILENCE
        assert outlet.pull() == b"\x07" * ANALYSIS.frame_bytes
    assert aside.closed
    assert outlet.pull() == SILENCE


def test_a_closed_lane_is_opened_silent():
    outlet, lane = FrameOutlet(), Lane()
    lane.put_nowait(LOUD)
    lane.closed = True
    outlet.open(lane)
    assert outlet.pull() == SILENCE


def test_a_lane_is_filled_before_it_is_opened():
    async def main():
        outlet, lane = FrameOutlet(), Lane()

        async def fill():
            for _ in range(60):
                await lane.write(LOUD)

        async with asyncio.TaskGroup() as group:
            group.create_task(fill())
            await asyncio.sleep(3)
            assert (lane.queued, lane.played) == (lane.LEAD_FRAMES, 0)
            assert outlet.open(lane) is lane
            group.create_task(pulling(outlet, 80))
        assert (lane.queued, lane.played) == (60, 60)

    run(main())


async def pulling(outlet, frames):
    for _ in range(frames):
        outlet.pull()
        await asyncio.sleep(0.02)


def test_waiting_lasts_through_pause_and_rewind():
    async def main():
        outlet = FrameOutlet()
        lane = outlet.open()
        loop = asyncio.get_running_loop()
        over_s = []

        async def speak():
            for _ in range(50):
                await lane.write(LOUD)
            await lane.played_out()
            over_s.append(loop.time())

        async with asyncio.TaskGroup() as group:
            group.create_task(speak())
            group.create_task(pulling(outlet, 250))
            await asyncio.sleep(0.97)
            outlet.pause()  # the last frame is faded: it is not over
            await asyncio.sleep(1)
            assert (over_s, lane.played) == ([], 49)
            outlet.resume()
        assert lane.played == 50
        assert 2.1 <= over_s[0] <= 2.2  # six frames again, and the last one

    run(main())


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
        found = []
        await inlet.deliver(lambda ticks: found.extend(each.at_ns for each in ticks))
        assert found == list(range(max(0, count - inlet.CAPACITY), count))
        assert inlet.dropped_frames == count - len(found)

    run(main())


class CountingLoop:
    """Counts how often a foreign thread wakes it."""

    def __init__(self):
        self.woken = []

    def call_soon_threadsafe(self, callback, inlets):
        self.woken.append(len(inlets))
        callback(inlets)


def test_the_loop_is_woken_once_per_tick_however_many_calls_there_are():
    loop = CountingLoop()
    bell = TickBell(loop)
    inlets = [FrameInlet(loop, bell) for _ in range(4)]
    for number in range(10):
        for inlet in inlets:
            inlet.put(tick(number))
    assert loop.woken[-9:] == [4] * 9
    assert loop.woken[:-9] == [1] * 4  # of the first tick, whose size was not known
    assert all(len(inlet.take_nowait()) == 10 for inlet in inlets)


def test_a_call_that_ends_keeps_no_other_waiting():
    loop = CountingLoop()
    bell = TickBell(loop)
    one, other = FrameInlet(loop, bell), FrameInlet(loop, bell)
    for number in range(3):
        one.put(tick(number))
        other.put(tick(number))
    other.close()
    for number in range(3, 6):
        loop.woken.clear()
        one.put(tick(number))
        assert loop.woken == [1]


def test_a_call_that_misses_a_tick_delays_no_other_by_more_than_that_tick():
    loop = CountingLoop()
    bell = TickBell(loop)
    one, other = FrameInlet(loop, bell), FrameInlet(loop, bell)
    for number in range(3):
        one.put(tick(number))
        other.put(tick(number))
    loop.woken.clear()
    for number in range(3, 6):
        one.put(tick(number))
    assert sum(loop.woken) >= 2
    assert len(loop.woken) >= 2


def timed(number, received=SILENCE):
    return Tick(received, SILENCE, number * 20_000_000, has_media=True)


def test_who_reads_in_batches_is_woken_for_a_batch():
    loop = CountingLoop()
    bell = TickBell(loop)
    batched, eager = FrameInlet(loop, bell), FrameInlet(loop, bell)
    batched.batch = 5
    read = []
    for number in range(1, 21):
        eager.put(timed(number))
        batched.put(timed(number))
        assert len(eager.take_nowait()) == 1
        if not batched.is_due:
            read.append(len(batched.take_nowait()))
    assert sum(size > 1 for size in read) <= 4
    assert len(loop.woken) == 20  # with the other call, never for itself


class ReadingLoop(CountingLoop):
    """Reads what it is woken for."""

    def call_soon_threadsafe(self, callback, inlets):
        super().call_soon_threadsafe(callback, inlets)
        self.read = [len(inlet.take_nowait()) for inlet in inlets]


@pytest.mark.parametrize("tick_ns", [20_000_000, 0])
def test_calls_that_are_read_in_batches_are_read_together(tick_ns):
    loop = ReadingLoop()
    bell = TickBell(loop)
    inlets = [FrameInlet(loop, bell) for _ in range(4)]
    for inlet in inlets:
        inlet.batch = 5
    for number in range(1, 36):
        for inlet in inlets:
            inlet.put(Tick(SILENCE, SILENCE, number * tick_ns, has_media=True))
    assert loop.woken == [4] * (
        6 if tick_ns else 5
    )  # without times by their number, a little later
    assert all(0 <= size - 5 <= 2 for size in loop.read)


def test_what_may_be_speech_ends_the_wait_for_a_batch():
    loop = CountingLoop()
    inlet = FrameInlet(loop, TickBell(loop))
    inlet.batch = 5
    for number in (6, 7):
        inlet.put(timed(number))
    loop.woken.clear()
    inlet.put(timed(8, LOUD))
    assert not loop.woken  # without a conversation all of it is only recorded
    inlet.is_heard = True
    inlet.put(timed(9))
    assert not loop.woken
    inlet.put(timed(9, LOUD))
    assert loop.woken == [1]


def test_what_a_reader_raises_comes_out_of_the_delivery():
    async def main():
        inlet = FrameInlet(asyncio.get_running_loop())

        def fail(_ticks):
            raise ValueError("broken")

        inlet.put(tick(1))
        with pytest.raises(ValueError, match="broken"):
            await inlet.deliver(fail)

    run(main())


def test_inlet_after_the_loop_was_closed():
    loop = asyncio.new_event_loop()
    inlet = FrameInlet(loop)
    loop.close()
    inlet.put(tick(1))
    inlet.put(tick(2))
    assert inlet.dropped_frames == 0


def test_who_writes_ahead_is_not_woken_for_each_frame():
    async def main():
        outlet = FrameOutlet()
        lane = outlet.open()
        waits = []

        async def speak():
            for _ in range(100):
                before = lane.played
                await lane.write(LOUD)
                if lane.played > before:
                    waits.append(lane.played - before)

        async with asyncio.TaskGroup() as group:
            group.create_task(speak())
            group.create_task(pulling(outlet, 100))
        assert lane.played == 100
        assert min(waits) >= lane.REFILL_FRAMES - 1

    run(main())
