"""Echo cancelling on a real voice with the real library and the real voice detector."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from gateway.audio import echo
from gateway.audio.echo_control import Dry, EchoControl
from gateway.call.call_audio import judged
from gateway.errors import MediaError, UnsupportedFormat
from gateway.providers.vad import silero
from gateway.turn.vad import SpeechDetector, SpeechStarted
from tests.support.echo import (
    RATE,
    at_level,
    bot_speech,
    echo_of,
    frames,
    level_db,
    on_the_line,
    pcm,
    slipped,
    speech,
)


@pytest.fixture(scope="module", autouse=True)
def _library():
    if hint := echo.probe():
        pytest.skip(hint)


@pytest.fixture(scope="module")
def model():
    if hint := silero.probe():
        pytest.skip(hint)
    return silero.SileroModel()


def listen(received, sent):
    """Through one call's echo control: frames, figures."""
    control = EchoControl()
    dry = [control.push(*both) for both in zip(frames(received), frames(sent), strict=True)]
    figures = control.figures()
    control.close()
    return dry, figures


def run(received, sent):
    """The same as a whole: audio, evidence, figures."""
    dry, figures = listen(received, sent)
    return b"".join(d.audio for d in dry), b"".join(d.evidence for d in dry), figures


def starts_s(model, dry):
    """When speech is said to begin."""
    judge, detector = silero.SpeechProbability(model), SpeechDetector(0.5, 2, 0.35, 96)
    chunks = (chunk for each in dry for chunk in judged(each, judge, 0))
    edges = (detector.update(chunk.probability, chunk.end) for chunk in chunks)
    return [e.detected_at_sample / RATE for e in edges if isinstance(e, SpeechStarted)]


def raw(received):
    """Without any of it."""
    return [Dry(frame, frame) for frame in frames(received)]


def section(audio, start_s, end_s):
    return audio[int(start_s * RATE) * 2 : int(end_s * RATE) * 2]


@pytest.mark.parametrize("delay_ms", [30, 120, 300, 600])
@pytest.mark.parametrize("db", [-12.0, -25.0, -35.0])
def test_cancels_echoes_from_30_to_600_ms(delay_ms, db):
    sent = bot_speech()
    received = on_the_line(echo_of(sent, db, delay_ms))
    audio, _, figures = run(received, pcm(sent))
    taken_db = level_db(section(received, 3, 14)) - level_db(section(audio, 3, 14))
    assert taken_db > 10
    assert abs(figures.delay_ms - delay_ms) < 8
    assert abs(figures.return_loss_db + db) < 2
    assert figures.enhancement_db > 10


@pytest.mark.parametrize("db", [-12.0, -25.0])
def test_a_caller_over_the_echo_keeps_his_level(db):
    sent = bot_speech()
    near = np.zeros(len(sent))
    words = at_level(speech("No wait, I would like to order a tea instead.", "awb"), -26.0)
    near[6 * RATE : 6 * RATE + len(words)] = words
    audio, evidence, _ = run(on_the_line(echo_of(sent, db, 120) + near), pcm(sent))
    end_s = 6 + len(words) / RATE
    for heard in (audio, evidence):
        change_db = level_db(section(heard, 6, end_s)) - level_db(words)
        assert abs(change_db) < 3


def test_without_an_echo_nothing_is_touched(model):
    sent = bot_speech()
    near = np.zeros(len(sent))
    words = at_level(speech("Hello, can you hear me?", "awb"), -30.0)
    near[6 * RATE : 6 * RATE + len(words)] = words
    received = on_the_line(near)
    audio, evidence, figures = run(received, pcm(sent))
    assert audio == received
    assert evidence == received
    assert figures is None


def test_the_bot_hardly_ever_interrupts_itself(model):
    # The synthetic voice is never twice the same, so no single line is sure to be without.
    sent = bot_speech()
    starts, lines = 0, list(product((-12.0, -20.0, -30.0), (30, 120, 300, 600)))
    for db, delay_ms in lines:
        received = on_the_line(echo_of(sent, db, delay_ms, seed=delay_ms))
        dry, _ = listen(received, pcm(sent))
        assert len(starts_s(model, raw(received))) >= 2
        starts += len(starts_s(model, dry))
    minutes = len(lines) * len(sent) / RATE / 60
    assert starts / minutes < 0.5


@pytest.mark.parametrize(("db", "caller_dbfs"), [(-12.0, -26.0), (-25.0, -26.0), (-25.0, -36.0)])
def test_a_caller_is_heard_over_the_echo(model, db, caller_dbfs):
    sent = bot_speech()
    near = np.zeros(len(sent))
    words = at_level(speech("No wait, I would like to order a tea instead.", "awb"), caller_dbfs)
    near[6 * RATE : 6 * RATE + len(words)] = words
    loud_s = 6 + np.flatnonzero(np.abs(words) > np.abs(words).max() / 10)[0] / RATE
    dry, _ = listen(on_the_line(echo_of(sent, db, 120) + near), pcm(sent))
    first = starts_s(model, dry)[0]
    assert -0.1 < first - loud_s < 0.3


def test_a_path_that_moves_is_found_again():
    sent = bot_speech(28.0)
    half = len(sent) // 2
    moved = np.concatenate([echo_of(sent, -20, 60)[:half], echo_of(sent, -20, 420)[half:]])
    received = on_the_line(moved)
    audio, _, figures = run(received, pcm(sent))
    assert abs(figures.delay_ms - 420) < 8
    assert level_db(section(received, 22, 28)) - level_db(section(audio, 22, 28)) > 10


@pytest.mark.parametrize("slip_ms", [-20, 2, 20])
def test_a_jitter_buffer_that_slips_is_learned_at_once(model, slip_ms):
    sent = bot_speech()
    before, after = echo_of(sent, -15, 120), echo_of(sent, -15, 120 + slip_ms)
    at = 9 * RATE
    received = on_the_line(np.concatenate([before[:at], after[at:]]))
    dry, _ = listen(received, pcm(sent))
    assert [s for s in starts_s(model, dry) if not 9.0 < s < 9.2] == []


SLIPS = ((5.0, 20), (6.2, -10), (7.1, -10), (9.0, 100), (9.9, -10), (10.5, -10), (11.3, -10))


@pytest.mark.parametrize("delay_ms", [30, 120, 450])
@pytest.mark.parametrize("db", [-15.0, -25.0])
def test_a_busy_machine_that_slips_again_and_again_is_followed(model, db, delay_ms):
    sent = bot_speech()
    received = on_the_line(slipped(echo_of(sent, db, delay_ms), SLIPS))
    dry, figures = listen(received, pcm(sent))
    assert starts_s(model, dry) == []
    expected_ms = delay_ms + sum(ms for _, ms in SLIPS)
    assert abs(figures.delay_ms - expected_ms) < 8


def test_a_caller_is_heard_while_the_echo_slips(model):
    sent = bot_speech()
    near = np.zeros(len(sent))
    words = at_level(speech("No wait, I would like to order a tea instead.", "awb"), -30.0)
    near[7 * RATE : 7 * RATE + len(words)] = words
    loud_s = 7 + np.flatnonzero(np.abs(words) > np.abs(words).max() / 10)[0] / RATE
    dry, _ = listen(on_the_line(slipped(echo_of(sent, -15, 450), SLIPS) + near), pcm(sent))
    assert -0.1 < starts_s(model, dry)[0] - loud_s < 0.3


def test_a_silent_bot_costs_and_changes_nothing():
    words = on_the_line(at_level(speech("Is anybody there?", "awb"), -26.0))
    words = words[: len(words) // 320 * 320]
    control = EchoControl()
    for frame in frames(words):
        dry = control.push(frame, bytes(320))
        assert dry.audio is frame
        assert dry.evidence is frame
    control.close()


def test_the_same_call_gives_the_same_audio():
    sent = bot_speech()
    received = on_the_line(echo_of(sent, -20, 120))
    assert run(received, pcm(sent)) == run(received, pcm(sent))


def test_the_canceller_refuses_what_the_library_would_not_survive():
    canceller = echo.EchoCanceller()
    with pytest.raises(UnsupportedFormat):
        canceller.process(bytes(318), bytes(320))
    canceller.close()
    canceller.close()
    with pytest.raises(MediaError, match="closed"):
        canceller.process(bytes(320), bytes(320))


def test_a_missing_library_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(echo, "_LIBRARY", "libnowhere.so.9")
    echo._library.cache_clear()
    try:
        assert "apt-get install libspeexdsp1" in echo.probe()
        with pytest.raises(MediaError, match="libspeexdsp"):
            EchoControl()
    finally:
        echo._library.cache_clear()
