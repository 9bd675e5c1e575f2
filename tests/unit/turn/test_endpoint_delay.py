"""Evidence in, milliseconds out."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.models import Eagerness, TurnConfig
from gateway.turn.completeness import Look
from gateway.turn.endpoint_delay import Evidence, Pauses, decide

CONFIG = TurnConfig()
looks = st.sampled_from(get_args(Look))
sounds = st.one_of(st.none(), st.floats(0, 1))


@pytest.mark.parametrize(
    ("look", "sound", "setting"),
    [
        ("expected", None, "expected_ms"),
        ("expected", 0.0, "expected_ms"),
        ("dictating", 1.0, "dictation_ms"),
        ("whole", 0.99, "sure_end_ms"),
        ("whole", 0.8, "whole_ms"),
        ("whole", None, "whole_ms"),
        ("whole", 0.1, "doubtful_ms"),
        ("doubtful", 0.99, "whole_ms"),
        ("doubtful", None, "doubtful_ms"),
        ("doubtful", 0.1, "unfinished_ms"),
        ("unfinished", None, "unfinished_ms"),
        ("unfinished", 0.1, "unfinished_ms"),
        ("unfinished", 0.99, "doubtful_ms"),
    ],
)
def test_each_doubt_is_a_step(look, sound, setting):
    verdict = decide(Evidence(look, sound), CONFIG)

    assert verdict.delay_ms == getattr(CONFIG, setting) == verdict.by_text_and_sound_ms


@given(looks, st.floats(0, 1), st.floats(0, 1))
def test_the_more_it_sounds_over_the_shorter_the_wait(look, one, other):
    less, more = sorted((one, other))

    waits = [decide(Evidence(look, sound), CONFIG).delay_ms for sound in (less, more)]
    assert waits[0] >= waits[1]


@given(sounds, st.floats(0.5, 2.0))
def test_the_better_the_look_the_shorter_the_wait(sound, scale):
    order = ("whole", "doubtful", "unfinished")
    waits = [decide(Evidence(look, sound), CONFIG, scale).delay_ms for look in order]

    assert waits == sorted(waits)


@given(looks, sounds, st.one_of(st.none(), st.floats(0, 5000)))
def test_what_was_learned_only_lengthens_and_has_a_bound(look, sound, learned):
    plain = decide(Evidence(look, sound), CONFIG).delay_ms
    taught = decide(Evidence(look, sound, learned), CONFIG).delay_ms

    assert plain <= taught <= max(plain, CONFIG.unfinished_ms)


def test_nobody_is_cut_off_twice_at_the_same_pause():
    pauses = Pauses()
    pauses.was_cut(300)
    pauses.was_cut(200)

    for eagerness in get_args(Eagerness):
        learned = pauses.learned_ms(eagerness)
        assert learned is not None
        assert learned > 300


def test_auto_waits_for_a_caller_who_pauses():
    pauses = Pauses()
    pauses.went_on(120)
    assert pauses.learned_ms("auto") is None  # a gap within a word

    pauses.went_on(400)
    assert (pauses.learned_ms("auto"), pauses.learned_ms("medium")) == (464, None)

    for _ in range(20):
        pauses.went_on(200)
    assert pauses.learned_ms("auto") == 264  # what was long ago is forgotten


def test_auto_answers_a_fluent_caller_sooner():
    pauses = Pauses()
    assert pauses.scale("auto") == pauses.scale("medium")

    for _ in range(3):
        pauses.turn_ended()
    assert pauses.scale("auto") == pauses.scale("high")

    pauses.went_on(300)
    assert pauses.scale("auto") == pauses.scale("medium")


def test_eagerness_orders_the_scales():
    pauses = Pauses()
    assert pauses.scale("high") < pauses.scale("medium") < pauses.scale("low")
