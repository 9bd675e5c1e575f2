"""What other settings would have meant, in words."""

from __future__ import annotations

import pytest

from gateway.config.models import BargeInConfig, SilenceConfig, TurnConfig
from gateway.providers.contracts import TextDelta
from gateway.replay.comparison import compare
from gateway.replay.recording import read_recording
from gateway.replay.settings import changed
from gateway.replay.what_if import speech_of, what_if
from tests.support.recorded_call import heard_again, record_call

DEAF = BargeInConfig(interruptible=False)
PATIENT = TurnConfig(eager_ms=160, whole_ms=480, unfinished_ms=1000)
LONG = [TextDelta("This is a rather long answer that takes its time. And there is more of it.")]


def told(folder, *changes):
    """What would have been different, in words; the figures in it are left alone."""
    recording = read_recording(folder)
    (talk,) = recording.talks
    chunks = heard_again(recording)
    settings = changed(talk.settings, changes)
    outcome = what_if(talk, chunks, settings)
    speech = speech_of(settings.turn, chunks)
    return [d.words for d in compare(talk.decisions, outcome.decisions, speech)]


@pytest.fixture
def one_turn(tmp_path):
    async def script(stage):
        await stage.says(2, 1.0)
        await stage.until(8)

    return record_call(tmp_path, script, heard=["How are you?"], replies=[LONG], turn=PATIENT)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ((), []),
        (["whole_ms=300"], ['would have answered 180 ms sooner at 3.5 s ("How are you?", whole)']),
        (["whole_ms=800"], ['would have answered 320 ms later at 3.5 s ("How are you?", whole)']),
        (["start_chunks=80"], ['would not have noticed the caller at 2.1 s ("How are you?")']),
    ],
)
def test_an_answer_sooner_or_later(one_turn, changes, words):
    assert told(one_turn, *changes) == words


@pytest.fixture
def two_parts(tmp_path):
    async def script(stage):
        await stage.says(2, 0.6)
        await stage.says(3, 0.6)  # 0.4 s of silence between
        await stage.until(8)

    return record_call(tmp_path, script, heard=["I want tea."], replies=[LONG], turn=PATIENT)


def test_a_caller_who_would_have_been_cut(two_parts):
    cut, answered = told(two_parts, "whole_ms=260")
    assert cut.startswith("would have cut the caller at 2.9 s: speech went on ")
    assert cut.endswith(' ms later (after "I want tea.", whole)')
    assert answered.startswith("would have answered 220 ms sooner at 4.1 s")
    assert told(two_parts, "whole_ms=460") == [
        'would have answered 20 ms sooner at 4.1 s ("I want tea.", whole)'
    ]


@pytest.fixture
def interrupted(tmp_path):
    async def script(stage):
        await stage.says(2, 0.6)
        await stage.says(4.5, 0.3)
        await stage.until(10)

    return record_call(tmp_path, script, heard=["Tell me.", "Stop."], replies=[LONG, LONG])


def test_barge_in_that_would_not_have_been(interrupted):
    (words,) = told(interrupted, "barge_in=false")
    assert words == 'would not have been interrupted at 4.5 s ("Tell me. Stop.")'
    (words,) = told(interrupted, "start_chunks=12")[:1]
    assert words == 'would not have been interrupted at 4.5 s ("Tell me. Stop.")'
    (words,) = told(interrupted, "barge_in.pause_probability=0.95")[:1]
    assert words == "would have yielded 40 ms later at 4.5 s"


def test_barge_in_that_would_have_been(tmp_path):
    async def script(stage):
        await stage.says(2, 0.6)
        await stage.says(4.5, 0.3)
        await stage.until(10)

    deaf = TurnConfig(barge_in=DEAF)
    heard = ["Tell me.", "Stop."]
    folder = record_call(tmp_path, script, heard=heard, replies=[LONG, LONG], turn=deaf)
    words = 'would have been interrupted at 4.5 s ("Stop.")'
    assert words in told(folder, "barge_in=true")


def test_a_nod_causes_a_false_interruption(tmp_path):
    async def script(stage):
        await stage.says(2, 0.6)
        await stage.says(4.5, 0.3)
        await stage.until(10)

    heard = ["Tell me.", "Uh-huh."]
    folder = record_call(tmp_path, script, heard=heard, replies=[LONG])
    (words,) = told(folder, "barge_in=false")[:1]
    assert words.startswith("would not have paused at 4.5 s for ")
    assert words.endswith(" ms (backchannel)")
    folder = record_call(
        tmp_path / "deaf", script, heard=heard, replies=[LONG, LONG], turn=TurnConfig(barge_in=DEAF)
    )
    words = told(folder, "barge_in=true")
    assert 'would have left "Uh-huh." at 4.5 s unanswered (backchannel)' in words


def test_turns_that_would_have_been_one(tmp_path):
    async def script(stage):
        await stage.says(2, 0.6)
        await stage.says(3.3, 0.6)
        await stage.until(8)

    folder = record_call(tmp_path, script, heard=["I want tea.", "And cake."], replies=[LONG, LONG])
    words = told(folder, "whole_ms=900")
    assert any("as a part of the turn before" in each for each in words)


def test_the_silent_caller(tmp_path):
    async def script(stage):
        await stage.until(9)

    silence = SilenceConfig(reprompt_after_s=6.0)
    folder = record_call(tmp_path, script, silence=silence)
    assert told(folder, "reprompt_after_s=4") == [
        "would have prompted the silent caller at 4.7 s",
        "would not have prompted the silent caller at 6.7 s",
    ]
