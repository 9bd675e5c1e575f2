"""Since when the caller is quiet."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.audio.voice_chunk import Chunk
from gateway.turn.silence_tracker import SilenceTracker

CHUNK = 256
LOUD, LOW, NOBODY = (0.9, -20.0), (0.9, -50.0), (0.1, -20.0)


def since(*chunks: tuple[float, float]) -> int | None:
    tracker = SilenceTracker(0.35)
    for number, (probability, level_dbfs) in enumerate(chunks, 1):
        tracker.hear(Chunk(probability, number * CHUNK, level_dbfs))
    return tracker.since


def test_quiet_begins_with_the_first_chunk_of_little_level_or_little_voice() -> None:
    assert since(LOUD, LOUD, LOW, NOBODY, LOW) == 2 * CHUNK
    assert since(LOUD, LOUD, NOBODY, LOW) == 2 * CHUNK
    assert since(LOUD, LOW, LOUD) is None


def test_a_quiet_caller_is_heard() -> None:
    assert since(LOW, LOW, LOW) is None


def test_how_loud_the_caller_was_is_forgotten() -> None:
    shout = (0.9, -5.0)
    assert since(shout, (0.9, -31.0)) == CHUNK
    assert since(shout, *[(0.9, -31.0)] * 20) is None

    tracker = SilenceTracker(0.35)
    tracker.hear(Chunk(0.9, CHUNK, -5.0))
    tracker.reset()
    tracker.hear(Chunk(0.9, 2 * CHUNK, -50.0))
    assert tracker.since is None


MISSED, HUM = (0.02, -26.0), (0.02, -40.0)


def since_dictated(*chunks: tuple[float, float]) -> int | None:
    tracker = SilenceTracker(0.35)
    for number, (probability, level_dbfs) in enumerate(chunks, 1):
        tracker.hear(Chunk(probability, number * CHUNK, level_dbfs), is_dictated=True)
    return tracker.since


def test_a_digit_that_the_detector_misses_is_heard_by_its_level() -> None:
    hushed = (0.0, -70.0)
    said = (hushed, LOUD, hushed, hushed, MISSED, MISSED)
    assert since(*said) == 2 * CHUNK
    assert since_dictated(*said) is None
    assert since_dictated(*said, hushed) == 6 * CHUNK
    assert since_dictated(LOUD, hushed, HUM) == CHUNK  # too low for this caller


def test_a_sound_before_anybody_spoke_is_nobody_s() -> None:
    assert since_dictated(MISSED) == 0


def test_noise_as_loud_as_the_caller_is_known_as_noise_after_a_while() -> None:
    assert since_dictated(LOUD, *[MISSED] * 20) is None
    assert since_dictated(LOUD, *[MISSED] * 150) is not None
    assert since_dictated(*[NOBODY] * 200, LOUD, NOBODY) == 201 * CHUNK


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(-100, 0)), min_size=1))
def test_quiet_never_begins_in_the_future(chunks: list[tuple[float, float]]) -> None:
    begins = since(*chunks)

    assert begins is None or 0 <= begins < len(chunks) * CHUNK
    assert begins is not None or chunks[-1][0] >= 0.35
