"""What a bundle leaves out while recording is off or paused."""

import json
import wave
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.records.bundle_files import read_call, read_events
from gateway.records.model import CallRecord, ToolUse, TurnRecord
from gateway.records.recording_pause import RecordingPause
from gateway.records.store import CallRecords
from gateway.records.wav import StereoWavWriter

START = datetime(2026, 11, 20, 13, 22, 33, tzinfo=UTC)
CARD = "4111 1111 1111 1111"


def record() -> CallRecord:
    return CallRecord(call_id="20261120-132233-9f03ab7c", direction="in", started_at=START)


def samples(path: Path) -> np.ndarray:
    with wave.open(str(path)) as wav:
        return np.frombuffer(wav.readframes(wav.getnframes()), "<i2").reshape(-1, 2)


def tone(index: int) -> bytes:
    return np.full(160, index, dtype="<i2").tobytes()


def turn(index: int, said: str, **more: object) -> TurnRecord:
    tools = (ToolUse(name="pay", arguments=said, result=said),)
    return TurnRecord(
        index=index, caller_text=said, bot_text_generated=said, bot_text_heard=said,
        fillers=(said,), tools=tools, error=said, response_gap_ms=500.0, **more,
    )  # fmt: skip


def all_bytes(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())


def test_a_pause_leaves_silence_on_both_sides_and_keeps_the_time(tmp_path: Path) -> None:
    bundle = CallRecords(tmp_path).open(record())
    for index in range(1, 301):
        if index == 71:
            bundle.pause("request", 1.4)
            bundle.pause("request", 1.4)
        if index == 201:
            bundle.resume("request", 4.0)
        bundle.write_audio(tone(index), tone(-index))
    written = bundle.finish(bundle.record.ended(START, "caller_hung_up"))
    audio = samples(bundle.folder / "audio.wav")
    wanted = [index if not 71 <= index <= 200 else 0 for index in range(1, 301)]
    assert audio[::160, 0].tolist() == wanted
    assert audio[::160, 1].tolist() == [-value for value in wanted]
    assert written.audio_s == 6.0
    kinds = [event["kind"] for event in read_events(bundle.folder / "events.jsonl")]
    assert kinds == ["recording_paused", "recording_resumed"]


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(st.booleans(), st.integers(1, 120)), min_size=1, max_size=8
    )  # (is kept, frames)
)
def test_any_pattern_of_pauses_stays_aligned(
    tmp_path_factory: pytest.TempPathFactory, stretches: list[tuple[bool, int]]
) -> None:
    path = tmp_path_factory.mktemp("wav") / "audio.wav"
    writer, wanted = StereoWavWriter(path), []
    for is_kept, count in stretches:
        for _ in range(count):
            if is_kept:
                writer.write(tone(7), tone(-7))
            else:
                writer.skip()
            wanted.append(7 if is_kept else 0)
    writer.close()
    assert writer.seconds == pytest.approx(len(wanted) * 0.02)
    assert path.exists() == any(wanted) == writer.has_file
    if any(wanted):
        audio = samples(path)
        assert audio[::160, 0].tolist() == wanted
        assert audio[159::160, 1].tolist() == [-value for value in wanted]


def test_what_was_said_in_a_pause_is_nowhere_in_the_bundle(tmp_path: Path) -> None:
    bundle = CallRecords(tmp_path).open(record())
    bundle.event("say", 0.1, text="Before.")
    bundle.turn(turn(0, "Before."), 0.5)
    bundle.pause("request", 1.0)
    bundle.event("digit", 1.1, digit="4", method="rfc4733")
    bundle.event("partial_transcript", 1.2, text=CARD)
    bundle.resume("request", 2.0)
    bundle.event("final_transcript", 2.1, text=CARD)  # it was said before the resume
    bundle.turn(turn(1, CARD, interrupted=True), 2.5)
    bundle.event("turn_waits", 2.6, text=CARD)
    kept = bundle.turn(turn(2, CARD), 3.0)
    bundle.event("say", 3.5, text="After.")
    after = bundle.turn(turn(3, "After."), 4.0)
    turns = (turn(0, "Before."), kept, after)
    finished = bundle.record.model_copy(update={"turns": turns})
    bundle.finish(finished.ended(START, "bot_hung_up", "done"))
    assert CARD.encode() not in all_bytes(bundle.folder)
    assert kept == TurnRecord(index=2, response_gap_ms=500.0, withheld=True)
    assert after == turn(3, "After.")
    events = list(read_events(bundle.folder / "events.jsonl"))
    assert [event["kind"] for event in events] == [
        "say", "turn_finished", "recording_paused", "recording_resumed", "turn_finished",
        "turn_finished", "say", "turn_finished",
    ]  # fmt: skip
    assert [line.text for line in read_call(bundle.folder).transcript if not line.is_filler] == [
        "Before.", "Before.", "After.", "After.",
    ]  # fmt: skip


def test_the_bots_reason_for_hanging_up_in_a_pause_is_left_out(tmp_path: Path) -> None:
    bundle = CallRecords(tmp_path).open(record())
    bundle.pause("request", 1.0)
    bundle.event("call_ended", 2.0, reason="bot_hung_up", text=f"has paid with {CARD}")
    written = bundle.finish(bundle.record.ended(START, "bot_hung_up", f"has paid with {CARD}"))
    assert (written.end_reason, written.end_text) == ("bot_hung_up", "")
    assert CARD.encode() not in all_bytes(bundle.folder)
    last = list(read_events(bundle.folder / "events.jsonl"))[-1]
    assert last["reason"] == "bot_hung_up"


def test_an_agent_that_is_not_recorded_leaves_figures_only(tmp_path: Path) -> None:
    bundle = CallRecords(tmp_path).open(record(), is_recorded=False)
    bundle.pause("agent", 0.0)
    for index in range(120):
        bundle.write_audio(tone(index), tone(index))
    bundle.event("bot_says", 0.5, text="secret")
    kept = bundle.turn(turn(0, "secret"), 1.0)
    bundle.resume("request", 1.5)  # nobody has paused it
    finished = bundle.record.model_copy(update={"turns": (kept,)})
    written = bundle.finish(finished.ended(START + timedelta(seconds=2), "caller_hung_up"))
    assert sorted(path.name for path in bundle.folder.iterdir()) == ["call.json", "events.jsonl"]
    assert b"secret" not in all_bytes(bundle.folder)
    assert (written.audio_s, written.transcript, written.duration_s) == (None, (), 2.0)
    assert written.turns[0].response_gap_ms == 500.0
    assert json.loads((bundle.folder / "call.json").read_bytes())["turns"][0]["withheld"]


_acts = st.lists(
    st.sampled_from(["pause", "resume", "agent_off", "agent_on", "turn", "cut_turn"]), max_size=30
)


@given(_acts)
def test_texts_are_kept_only_when_a_whole_turn_has_passed_since_the_last_pause(
    acts: list[str],
) -> None:
    recording_pause, reasons, since = RecordingPause(), set(), True
    for act in acts:
        match act:
            case "pause" | "agent_off":
                reason = "request" if act == "pause" else "agent"
                assert recording_pause.begin(reason) == (reason not in reasons)
                reasons.add(reason)
                since = False
            case "resume" | "agent_on":
                reason = "request" if act == "resume" else "agent"
                assert recording_pause.end(reason) == (reason in reasons)
                reasons.discard(reason)
            case _:
                said = TurnRecord(index=0, caller_text="x", interrupted=act == "cut_turn")
                assert recording_pause.turn_finished(said) == (bool(reasons) or not since)
                since = since or (act == "turn" and not reasons)
        assert recording_pause.omits_sound == bool(reasons)
        assert recording_pause.omits_texts == (bool(reasons) or not since)
