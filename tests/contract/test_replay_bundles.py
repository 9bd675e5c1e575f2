"""Calls that went wrong, or show what must stay right; more are added in `tests/replay/bundles`.

Each is replayed from its own audio.  When turn taking changes on purpose, look at what
`gateway replay tests/replay/bundles/*` says, then accept it with `--accept`.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import pytest

from gateway.__main__ import main
from gateway.replay.accepted import read_accepted
from gateway.replay.comparison import turns_of
from gateway.replay.hearing import chunks_of, listen_as_recorded
from gateway.replay.recording import read_recording
from gateway.replay.turn_replay import decide_again, first_difference
from gateway.replay.what_if import what_if

FOLDER = Path(__file__).parents[1] / "replay" / "bundles"
BUNDLES = sorted(path.parent for path in FOLDER.glob("*/call.json"))


def test_there_are_some():
    assert BUNDLES


@pytest.mark.parametrize("folder", BUNDLES, ids=lambda folder: folder.name)
def test_the_decisions_are_the_expected_ones(folder):
    recording = read_recording(folder)
    chunks = chunks_of(listen_as_recorded(recording.audio, recording.events))
    found = [decide_again(talk, chunks) for talk in recording.talks]
    expected = read_accepted(folder) or [list(talk.decisions) for talk in recording.talks]
    assert len(found) == len(expected)
    for before, after in zip(expected, found, strict=True):
        assert first_difference(before, after) is None


@pytest.mark.parametrize("folder", BUNDLES, ids=lambda folder: folder.name)
def test_the_settings_of_the_call_answer_the_same_turns(folder):
    recording = read_recording(folder)
    chunks = chunks_of(listen_as_recorded(recording.audio, recording.events))
    for talk in recording.talks:
        turns, again = (
            [(turn.speech_end, turn.text) for turn in turns_of(decisions) if turn.text]
            for decisions in (
                decide_again(talk, chunks),
                what_if(talk, chunks, talk.settings).decisions,
            )
        )
        assert again == turns


@pytest.fixture
def copy(tmp_path):
    return shutil.copytree(FOLDER / "barge-in", tmp_path / "copy")


def rewrite(bundle, change):
    path = bundle / "events.jsonl"
    events = [change(json.loads(line)) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(event) + "\n" for event in events if event is not None))


def recorded(bundle):
    return [[asdict(each) for each in talk.decisions] for talk in read_recording(bundle).talks]


def without_tape(event):
    return None if event["kind"].startswith(("turn_taking", "turn_input")) else event


def test_other_decisions_are_told_and_can_be_accepted(copy, capsys):
    accepted = copy / "decisions.json"
    talks = json.loads(accepted.read_text()) if accepted.exists() else recorded(copy)
    ended = next(each for each in talks[0] if each["kind"] == "turn_ended")
    ended["fields"]["now"] += 160
    accepted.write_text(json.dumps(talks))
    assert main(["replay", str(copy)]) == 3
    told = capsys.readouterr().out
    assert "not as accepted" in told
    assert "turn_ended" in told
    assert main(["replay", str(copy), "--accept"]) == 0
    assert main(["replay", str(copy)]) == 0
    assert "all as accepted" in capsys.readouterr().out


def test_audio_that_is_cut_short_is_replayed_as_far_as_it_goes(copy, capsys):
    path = copy / "audio.wav"
    path.write_bytes(path.read_bytes()[:-60_001])
    assert main(["replay", str(copy)]) == 0
    assert "cut short" in capsys.readouterr().out


def test_a_bundle_of_an_older_version_can_be_drawn(copy, tmp_path, capsys):
    rewrite(copy, without_tape)
    picture = tmp_path / "old.svg"
    assert main(["replay", str(copy), "--plot", str(picture)]) == 0
    assert "did not yet record" in capsys.readouterr().out
    assert "cut by speech" in picture.read_text()
