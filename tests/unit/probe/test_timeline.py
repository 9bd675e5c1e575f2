"""What the probe measures, on audio whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.probe.timeline import (
    Arrival,
    Audio,
    cut_steps,
    frame_gaps_ms,
    lost_packets,
    loud_instants,
    measure_turns,
    spurts,
)

MS = 1_000_000
ORIGIN = 5_000_000_000


def stream(total_ms: int, *loud_ms: tuple[int, int], level: int = 8000) -> list[Audio]:
    """20 ms packets of silence with stretches of a 400 Hz tone."""
    samples = np.zeros(total_ms * 8, np.int16)
    for start, end in loud_ms:
        tone = level * np.sin(2 * np.pi * 400 * np.arange((end - start) * 8) / 8000)
        samples[start * 8 : end * 8] = tone.astype(np.int16)
    frames = samples.reshape(-1, 160)
    return [Audio(ORIGIN + index * 20 * MS, frame) for index, frame in enumerate(frames)]


def at(instant_ns: int) -> float:
    return (instant_ns - ORIGIN) / MS


def test_speech_is_found_to_the_millisecond():
    found = spurts(loud_instants(stream(2000, (103, 507), (1000, 1311))))
    assert [(at(s.start_ns), at(s.end_ns)) for s in found] == [
        (pytest.approx(103, abs=1), pytest.approx(507, abs=1)),
        (pytest.approx(1000, abs=1), pytest.approx(1311, abs=1)),
    ]


def test_short_pauses_belong_to_a_spurt():
    assert len(spurts(loud_instants(stream(1000, (100, 300), (500, 700))))) == 1


@pytest.mark.parametrize("width", [1, 2, 3])
def test_a_click_is_no_speech(width):
    audio = stream(200)
    audio[4].samples[50 : 50 + width] = 20_000
    assert not len(loud_instants(audio))


def test_what_is_below_the_threshold_is_no_speech():
    assert not len(loud_instants(stream(400, (100, 300), level=40)))
    assert not len(loud_instants([]))


@given(st.integers(1, 20), st.integers(0, 40))
def test_response_gap_is_what_was_put_in(caller_frames, gap_frames):
    end = 100 + caller_frames * 20
    answer = end + 100 + gap_frames * 20
    caller = loud_instants(stream(2000, (100, end)))
    bot = loud_instants(stream(2000, (answer, answer + 200)))
    (turn,) = measure_turns([caller], bot)
    assert turn.response_gap_ms == pytest.approx(answer - end, abs=1.5)
    assert turn.barge_in_stop_ms is None
    assert turn.heard_after_stop_ms == 0


def test_barge_in_stop_and_the_answer_after_it():
    caller = loud_instants(stream(4000, (1000, 2000)))
    bot = loud_instants(stream(4000, (200, 1130), (2600, 3000)))
    (turn,) = measure_turns([caller], bot)
    assert turn.barge_in_stop_ms == pytest.approx(130, abs=1.5)
    assert turn.heard_after_stop_ms == 0
    assert turn.response_gap_ms == pytest.approx(600, abs=1.5)


def test_a_bot_that_goes_on_after_its_stop_is_caught():
    caller = loud_instants(stream(4000, (1000, 2000)))
    bot = loud_instants(stream(4000, (200, 1100), (1500, 1600)))
    (turn,) = measure_turns([caller], bot)
    assert turn.heard_after_stop_ms == pytest.approx(100, abs=1.5)


def test_a_bot_that_never_stops():
    caller = loud_instants(stream(4000, (1000, 2000)))
    bot = loud_instants(stream(4000, (200, 3000)))
    (turn,) = measure_turns([caller], bot)
    assert turn.barge_in_stop_ms == pytest.approx(2000, abs=1.5)
    assert turn.response_gap_ms is None


def test_a_caller_who_says_nothing_has_no_turns():
    assert measure_turns([], loud_instants(stream(400, (100, 300)))) == []


def test_an_answer_belongs_to_the_turn_before_it():
    first = loud_instants(stream(4000, (100, 500)))
    second = loud_instants(stream(4000, (1000, 1500)))
    bot = loud_instants(stream(4000, (2000, 2500)))
    turns = measure_turns([first, loud_instants([]), second], bot)
    assert [t.response_gap_ms for t in turns] == [None, pytest.approx(500, abs=1.5)]


def test_a_hard_cut_steps_further_than_speech_and_a_ramp_does_not():
    hard = stream(1000, (100, 600), level=8000)
    hard[29].samples[100:] = 0  # in the middle of a wave
    hard[29].samples[99] = 8000
    (spurt,) = spurts(loud_instants(hard))
    end, own = cut_steps(hard, spurt)
    assert end > own
    ramped = stream(1000, (100, 600), level=8000)
    fade = np.linspace(1, 0, 160)
    ramped[29] = Audio(ramped[29].at_ns, (ramped[29].samples * fade).astype(np.int16))
    (spurt,) = spurts(loud_instants(ramped))
    end, own = cut_steps(ramped, spurt)
    assert end <= own


def arrivals(numbers: list[int], gap_ms: int = 20, ssrc: int = 1) -> list[Arrival]:
    silence = Audio(0, np.zeros(160, np.int16))
    return [
        Arrival(ORIGIN + index * gap_ms * MS, number % 65536, ssrc, silence)
        for index, number in enumerate(numbers)
    ]


@given(st.integers(0, 65535), st.sets(st.integers(1, 98)), st.randoms())
def test_losses_are_counted_across_wrap_and_disorder(base, lost, chance):
    numbers = [base + n for n in range(100) if n not in lost]
    for index in range(0, len(numbers) - 1, 7):
        if chance.random() < 0.5:
            numbers[index], numbers[index + 1] = numbers[index + 1], numbers[index]
    assert lost_packets(arrivals(numbers)) == len(lost)


def test_a_new_stream_is_no_loss():
    assert lost_packets(arrivals([1, 2, 3]) + arrivals([900, 901], ssrc=2)) == 0
    assert lost_packets([]) == 0


def test_frame_gaps_leave_digits_out():
    packets = arrivals([1, 2, 3, 4])
    packets[1] = Arrival(packets[1].at_ns, 2, 1, None)
    assert list(frame_gaps_ms(packets)) == [40.0, 20.0]
