"""A call in which a card number is said: the tools that pause the recording, on a real bundle."""

from __future__ import annotations

import wave
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from gateway.conversation.actions import builtin_tools, pause_recording, resume_recording
from gateway.records.bundle_files import read_call, read_events
from gateway.records.model import CallRecord
from gateway.records.store import CallRecords
from tests.support.scene import Scene, call_of, text

CARD = "4111 1111 1111 1111"


def play(tmp_path: Path, script, *, is_recorded: bool = True) -> tuple[Scene, CallRecord, Path]:
    llm = (
        [call_of("pause_recording")],
        text("Your number please."),
        [call_of("resume_recording")],
        text(f"Thanks, {CARD} is charged."),
        text("You are welcome."),
    )
    scene = Scene(
        llm,
        ["I want to pay.", CARD, "Thank you."],
        tools=(pause_recording, resume_recording),
        record=is_recorded,
    )
    records = CallRecords(tmp_path)
    record = CallRecord(call_id=records.new_call_id(), direction="in", started_at=datetime.now(UTC))
    bundle = scene.notes = records.open(record, is_recorded=is_recorded)
    scene.play(script)
    finished = bundle.record.model_copy(update={"turns": tuple(scene.call.turns)})
    bundle.finish(finished.ended(datetime.now(UTC), "caller_hung_up"))
    return scene, read_call(bundle.folder), bundle.folder


async def pays(scene: Scene) -> None:
    await scene.says(3, 0.5)
    await scene.says(9, 1.0)
    await scene.says(18, 0.5)
    await scene.until(24)


def test_a_card_number_is_heard_and_not_recorded(tmp_path: Path) -> None:
    scene, record, folder = play(tmp_path, pays)
    assert CARD in repr(scene.history)  # the bot has understood it
    everything = b"".join(path.read_bytes() for path in folder.iterdir())
    assert b"4111 1111" not in everything  # shorter digits occur in times and ids
    texts = [turn.caller_text for turn in record.turns]
    assert texts[-1] == "Thank you."
    assert "I want to pay." in texts or record.turns[1].withheld
    assert [turn.withheld for turn in record.turns].count(True) >= 1
    events = list(read_events(folder / "events.jsonl"))
    (paused,) = [e["audio_s"] for e in events if e["kind"] == "recording_paused"]
    (resumed,) = [e["audio_s"] for e in events if e["kind"] == "recording_resumed"]
    with wave.open(str(folder / "audio.wav")) as wav:
        audio = np.frombuffer(wav.readframes(wav.getnframes()), "<i2").reshape(-1, 2)
    loud = np.abs(audio).max(axis=1)
    assert loud[int(paused * 8000) + 160 : int(resumed * 8000) - 160].max() == 0
    assert paused < 9.0
    assert resumed > 10.0
    assert len(audio) == pytest.approx(24.3 * 8000, abs=800)
    assert np.abs(audio[18 * 8000 : 18 * 8000 + 4000, 0]).max() > 4000  # where it was said
    assert np.abs(audio[3 * 8000 : 3 * 8000 + 4000, 0]).max() > 4000


def test_an_agent_that_is_not_recorded(tmp_path: Path) -> None:
    scene, record, folder = play(tmp_path, pays, is_recorded=False)
    assert CARD in repr(scene.history)
    assert not (folder / "audio.wav").exists()
    assert record.transcript == ()
    assert all(turn.withheld for turn in record.turns)
    assert [turn.response_gap_ms is not None for turn in record.turns].count(True) >= 2
    everything = b"".join(path.read_bytes() for path in folder.iterdir())
    for said in (b"4111 1111", b"pay", b"welcome"):
        assert said not in everything


def test_the_tools_are_built_in() -> None:
    pause, resume = builtin_tools(("pause_recording", "resume_recording"), {})
    assert (pause.spec.name, resume.spec.name) == ("pause_recording", "resume_recording")
    assert pause.side_effects
    assert resume.side_effects  # never for a reply that may not be spoken
