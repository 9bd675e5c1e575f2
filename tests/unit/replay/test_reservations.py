"""Where the call has no transcript that fits, the report says so."""

from __future__ import annotations

from gateway.config.models import TurnConfig
from gateway.replay import report
from gateway.replay.recording import Answer, read_recording
from gateway.replay.settings import changed
from gateway.replay.what_if import Ask, what_if
from tests.support.recorded_call import heard_again, record_call


async def two_parts(stage):
    await stage.says(2, 0.6)
    await stage.says(2.9, 0.6)
    await stage.until(6)


def run(folder, *changes, known=None):
    recording = read_recording(folder)
    (talk,) = recording.talks
    chunks = heard_again(recording)
    return what_if(talk, chunks, changed(talk.settings, changes), known)


def test_the_next_best_transcript_is_remarked(tmp_path):
    late = TurnConfig(eager_ms=400)  # the call did not ask in the pause
    folder = record_call(tmp_path, two_parts, heard=["I want tea."], turn=late)
    outcome = run(folder, "eager_ms=160")
    assert [ask.speech_end for ask in outcome.guessed] == [20992]
    (*_, said) = report.changed(["eager_ms"], outcome, [])
    assert said.strip() == "(next best transcript taken at 2.8 s)"
    assert run(folder, "eager_ms=420").guessed == []


def test_transcripts_made_for_it_go_first(tmp_path):
    patient = TurnConfig(eager_ms=160, whole_ms=480)
    folder = record_call(tmp_path, two_parts, heard=["I want tea."], turn=patient)
    ask = Ask(15872, 20992, 22400)
    made = Answer("No.", None, ask.now, ask.now, 160, was_requested=True)
    outcome = run(folder, "whole_ms=200", known={ask: made})
    ends = [d.fields["text"] for d in outcome.decisions if d.kind == "turn_ended"]
    assert ends[0] == "No."


def test_no_transcript_at_all_is_remarked(tmp_path):
    async def quiet(stage):
        await stage.says(2, 0.6)
        await stage.until(8)

    deaf = TurnConfig(start_chunks=60)  # the call noticed nothing
    outcome = run(record_call(tmp_path, quiet, turn=deaf), "start_chunks=2")
    assert len(outcome.unanswered) == 1
    (*_, said) = report.changed(["start_chunks"], outcome, [])
    assert said.strip().endswith("try --recognize)")
