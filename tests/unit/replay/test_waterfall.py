"""The picture of a call is well-formed and holds what happened, where it happened."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.providers.contracts import TextDelta
from gateway.records.model import TurnRecord
from gateway.replay import timeline
from gateway.replay.recording import LoggedEvent, read_recording
from gateway.replay.svg import Drawing, fitted
from gateway.replay.waterfall import draw
from gateway.turn.events import TurnEnded, TurnStarted
from tests.support.recorded_call import heard_again, record_call

LONG = [TextDelta("This is <rather> long & takes its time. And there is more of it.")]


async def talk(stage):
    await stage.says(2, 1.0)
    await stage.says(5.5, 0.5)
    await stage.press(12.5, "7")
    await stage.until(14)


@pytest.fixture
def recording(tmp_path):
    heard = ["How are you?", ""]
    return read_recording(record_call(tmp_path, talk, heard=heard, replies=[LONG]))


def picture(recording):
    svg = draw(recording, heard_again(recording))
    return ET.fromstring(svg)  # noqa: S314 (our own)


def texts(root):
    return [element.text for element in root.iter() if element.tag.endswith("text")]


def test_it_shows_words_cuts_keys_and_stages(recording):
    found = texts(picture(recording))
    words = ["How are you?", "Hello there.", "This is <rather> long & takes its time.", "key 7"]
    for text in [*words, "cut by speech", "no turn: no_words", "Time to each answer"]:
        assert text in found
    turn = next(turn for turn in recording.record.turns if turn.response_gap_ms)
    assert f"{turn.response_gap_ms:.0f} ms" in found


def test_speech_is_where_it_was(recording):
    hints = [e.text for e in picture(recording).iter() if e.tag.endswith("title")]
    spoken = [re.findall(r"[\d.]+", hint) for hint in hints if hint.startswith("speech ")]
    (first, *_) = [(float(start), float(end)) for start, end in spoken]
    assert first == pytest.approx((2.0, 3.0), abs=0.07)


def test_stages_lie_end_to_end_before_the_answer(recording):
    (answering, *_) = [each for each in timeline.answerings(recording) if each.stages]
    for stage, following in zip(answering.stages, answering.stages[1:], strict=False):
        assert following.start_s == pytest.approx(stage.start_s + stage.length_s)
    last = answering.stages[-1]
    gap_ms = (last.start_s + last.length_s - answering.stages[0].start_s) * 1000
    assert gap_ms == pytest.approx(answering.turn.response_gap_ms, abs=1)


def test_only_what_the_caller_waited_for_is_drawn(recording):
    """The model began 80 ms before the turn was over: that takes nobody's time."""
    turn = TurnRecord(
        index=1, started_s=2.0, caller_text="Hm.", response_gap_ms=500, endpointing_ms=100,
        llm_first_sentence_ms=400, tts_first_audio_ms=50, playout_start_ms=30, speculative=True,
    )  # fmt: skip
    ended = TurnEnded(
        now=24800, onset=16000, speech_end=24000, text="Hm.", choice=None, evidence="whole",
        waited_ms=100.0, stt_ms=0.0,
    )  # fmt: skip
    started = TurnStarted(now=16800, onset=16000, is_barge_in=False)
    events = (LoggedEvent(2.1, started, {}), LoggedEvent(3.1, ended, {}))
    record = recording.record.model_copy(update={"turns": (turn,)})
    (answering,) = timeline.answerings(replace(recording, record=record, events=events))
    lengths = {stage.name: stage.length_s for stage in answering.stages}
    expected = {"endpointing": 0.1, "language model": 0.32, "voice": 0.05, "playout": 0.03}
    assert lengths == pytest.approx(expected)
    assert answering.stages[0].start_s == pytest.approx(3.0)


def test_everything_stays_on_the_paper(recording):
    root = picture(recording)
    width, height = float(root.get("width")), float(root.get("height"))
    for element in root.iter():
        if element.get("x") is not None:
            assert 0 <= float(element.get("x")) <= width
            assert 0 <= float(element.get("y")) <= height


def test_words_at_the_very_end_are_not_lost(recording, tmp_path):
    path = recording.folder / "events.jsonl"
    line = {"at": "", "audio_s": 13.9, "kind": "bot_says", "text": "Bye."}
    with path.open("a") as file:
        file.write(json.dumps(line) + "\n")
    assert "Bye." in texts(picture(read_recording(recording.folder)))


@given(st.text())
def test_any_text_can_be_drawn(words):
    drawing = Drawing(100)
    drawing.text(1, 2, words)
    drawing.box(1, 2, 3, 4, "#fff", hint=words)
    ET.fromstring(drawing.document(50, words).encode("utf-8", "replace"))  # noqa: S314 (our own)


@given(st.text(max_size=50), st.floats(-10, 500))
def test_fitted_words_fit(words, width):
    cut = fitted(words, width)
    assert cut == words or len(cut) <= max(width / 6, 1)
