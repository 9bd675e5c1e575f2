"""Fillers: when they are due, and which."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.models import FillerConfig
from gateway.conversation.silence_budget import FillerRotation, SilenceBudget, filler_texts

SECOND = 8000
CONFIG = FillerConfig(
    after_ms=1500, every_ms=6000, first=("A.", "B.", "C."), later=("D.", "E."), give_up_s=30
)


def budget(start=0, config=CONFIG, rotation=None):
    return SilenceBudget(config, start, rotation or FillerRotation(config.first))


def said(wait, seconds, audio_s=1.0):
    """Let a reply never come: what is said at which second, each lasting `audio_s`."""
    found, silent_since = [], 0
    while (due := wait.due_at(silent_since)) is not None and due <= seconds * SECOND:
        found.append((due / SECOND, wait.next_text()))
        silent_since = due + round(audio_s * SECOND)
    return found


def test_a_long_wait_escalates_and_then_fails():
    wait = budget()
    assert said(wait, 100) == [(1.5, "A."), (8.5, "D."), (15.5, "E."), (22.5, "E."), (29.5, "E.")]
    assert wait.gives_up_at == 30 * SECOND


def test_the_first_waits_of_a_call_take_turns():
    rotation = FillerRotation(CONFIG.first)
    texts = [budget(rotation=rotation).next_text() for _ in range(5)]
    assert texts == ["A.", "B.", "C.", "A.", "B."]


def test_real_words_start_the_escalation_again():
    wait = budget()
    wait.next_text()
    assert wait.next_text() == "D."
    wait.words_heard(20 * SECOND)
    assert wait.gives_up_at == 50 * SECOND
    assert wait.due_at(20 * SECOND) == 21.5 * SECOND
    assert wait.next_text() == "B."
    assert wait.next_text() == "D."


def test_the_wait_counts_from_the_last_sound_of_either_side():
    wait = budget(start=10 * SECOND)
    assert wait.due_at(0) == 11.5 * SECOND
    assert wait.due_at(12 * SECOND) == 13.5 * SECOND


@pytest.mark.parametrize(
    ("change", "texts"),
    [
        ({"after_ms": 0}, []),
        ({"first": ()}, []),
        ({"later": ()}, ["A."]),
        ({"give_up_s": 1.0}, []),
        ({"give_up_s": 5.0}, ["A."]),
        ({"first": ("A.",)}, ["A.", "D.", "E.", "E.", "E."]),
    ],
)
def test_what_is_not_configured_is_not_said(change, texts):
    assert [text for _, text in said(budget(config=CONFIG.model_copy(update=change)), 60)] == texts


def test_what_is_rendered_ahead():
    assert filler_texts(CONFIG) == ("A.", "B.", "C.", "D.", "E.")
    assert filler_texts(FillerConfig(after_ms=0)) == ()


configs = st.builds(
    FillerConfig,
    after_ms=st.integers(1, 5000),
    every_ms=st.integers(1000, 9000),
    first=st.lists(st.sampled_from("ABC"), min_size=2, max_size=3, unique=True).map(tuple),
    later=st.lists(st.sampled_from("DEF"), min_size=1, unique=True).map(tuple),
    give_up_s=st.floats(0.1, 60),
)


@given(config=configs, audio_s=st.floats(0.3, 3), start=st.integers(0, 10**8))
def test_the_silence_is_never_longer_than_configured(config, audio_s, start):
    wait = budget(start, config)
    silent_since, limit_ms = start, config.after_ms
    while (due := wait.due_at(silent_since)) is not None:
        assert due < wait.gives_up_at
        assert due - silent_since <= limit_ms * 8
        wait.next_text()
        silent_since, limit_ms = due + round(audio_s * SECOND), config.every_ms
    assert wait.gives_up_at - silent_since <= limit_ms * 8


@given(config=configs, waits=st.lists(st.integers(0, 4), max_size=20))
def test_no_first_word_comes_twice_in_a_row(config, waits):
    rotation = FillerRotation(config.first)
    first = []
    for count in waits:
        wait = budget(0, config, rotation)
        texts = [wait.next_text() for _ in range(count)]
        first += texts[:1]
        assert texts[1:] == [config.later[min(n, len(config.later) - 1)] for n in range(count - 1)]
    assert all(one != other for one, other in pairwise(first))
