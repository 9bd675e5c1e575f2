"""The figures of a turn do not depend on how long the answer is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.audio.format import ANALYSIS
from gateway.call.audibility import AudibilityMeter
from tests.support.scene import LONG, Scene, text

LETTERS_PER_S = 20
"""Of the scripted voice."""
LOUD = b"\x00\x20" * ANALYSIS.frame_samples


@settings(max_examples=2, deadline=None)
@given(st.floats(0.5, 60.0))
@example(9.0)
@example(11.0)
@example(300.0)
def test_an_answer_of_any_length_has_the_figures_of_its_beginning(reply_s: float) -> None:
    async def script(scene: Scene) -> None:
        await scene.says(3, 1.0)
        await scene.until(7 + reply_s)

    scene = Scene([text("a" * round(reply_s * LETTERS_PER_S) + ".")], ["How are you?"])
    turn = scene.play(script).notes.turns[1]
    begun_s, ended_s = scene.line.audible()[1]
    assert ended_s - begun_s == pytest.approx(reply_s, abs=0.1)
    assert turn.response_gap_ms == pytest.approx((begun_s - 4.0) * 1000, abs=21)
    assert turn.endpointing_ms == pytest.approx(480, abs=40)
    assert turn.playout_start_ms <= 20
    assert turn.gateway_share_ms == pytest.approx(turn.response_gap_ms - 100, abs=1)


def test_who_is_not_heard_in_time_is_not_taken_for_the_next_who_speaks() -> None:
    meter = AudibilityMeter()
    sound = meter.await_bot(0)
    meter.forget(sound)
    meter.forget(sound)
    meter.feed(bytes(ANALYSIS.frame_bytes), LOUD)
    assert sound.at is None
    found = meter.await_bot(0)
    meter.forget(found)
    assert found.at == 0


def test_a_soft_beginning_counts_once_it_is_known_how_loud_the_voice_is() -> None:
    meter = AudibilityMeter()
    sound = meter.await_bot(0)
    levels = [0] * 10 + [20] * 3 + [700] * 3 + [8000] * 30  # hiss; 21 dB and 0 dB under the loudest
    for level in levels:
        frame = np.full(ANALYSIS.frame_samples, level, "<i2").tobytes()
        meter.feed(bytes(ANALYSIS.frame_bytes), frame)
    assert sound.at == 13 * ANALYSIS.frame_samples


@pytest.mark.parametrize(("input_ms", "output_ms"), [(60.0, 0.0), (0.0, 40.0), (30.0, 20.0)])
def test_the_caller_waits_longer_for_silence_by_the_delay_of_the_line(
    input_ms: float, output_ms: float
) -> None:
    """The caller hears the bot later, and is heard later: both are added to what passed here."""

    def stop_ms(input_delay_ms: float, output_delay_ms: float) -> float:
        async def script(scene: Scene) -> None:
            scene.line.input_delay_ms = input_delay_ms
            scene.line.output_delay_ms = output_delay_ms
            await scene.says(3, 1.0)
            await scene.says(7, 1.0)
            await scene.until(12)

        scene = Scene([text(LONG), text("Yes.")], ["A question.", "Stop."])
        turn = scene.play(script).notes.turns[1]
        assert turn.interrupted
        assert turn.barge_in_stop_ms is not None
        return turn.barge_in_stop_ms

    bare_ms = stop_ms(0.0, 0.0)
    assert bare_ms > 0
    assert stop_ms(input_ms, output_ms) == pytest.approx(bare_ms + input_ms + output_ms, abs=0.2)
