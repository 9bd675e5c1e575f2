import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from gateway.records.bundle_files import read_call, write_call
from gateway.records.model import CallRecord, CallSummary, TurnRecord, cleaned, transcript_of

START = datetime(2026, 11, 20, 13, 22, 33, tzinfo=UTC)
CONTRACT_KEYS = {
    "caller_text",
    "bot_text_generated",
    "bot_text_heard",
    "response_gap_ms",
    "gateway_share_ms",
    "interrupted",
    "barge_in_stop_ms",
    "endpointing_ms",
    "stt_final_ms",
    "llm_first_token_ms",
    "llm_first_sentence_ms",
    "tts_first_audio_ms",
    "playout_start_ms",
}
any_text = st.text(st.characters(categories=["L", "N", "Cs", "Po"]))


def record(**more: object) -> CallRecord:
    facts = {"call_id": "20261120-132233-9f03ab7c", "direction": "in", "started_at": START}
    return CallRecord.model_validate(facts | more)


def test_a_turn_has_every_key_of_the_contract() -> None:
    assert set(TurnRecord(index=0).model_dump()) >= CONTRACT_KEYS
    times = {key for key in CONTRACT_KEYS if key.endswith("_ms")}
    assert all(TurnRecord(index=0).model_dump()[key] is None for key in times)


def test_ending_works_out_durations_and_transcript() -> None:
    turns = (
        TurnRecord(index=0, bot_text_generated="Hello. How are you?", bot_text_heard="Hello."),
        TurnRecord(index=1, started_s=2.5, caller_text="Fine", bot_text_heard="Good."),
    )
    active = record(turns=turns, answered_at=START + timedelta(seconds=1))
    ended = active.ended(START + timedelta(seconds=11.5), "caller_hung_up", "BYE", 200)
    assert (ended.state, ended.duration_s, ended.talk_s) == ("finished", 11.5, 10.5)
    assert [(line.speaker, line.text) for line in ended.transcript] == [
        ("bot", "Hello."),
        ("caller", "Fine"),
        ("bot", "Good."),
    ]
    assert active.state == "active"


def test_a_call_never_answered_has_no_talk_time() -> None:
    ended = record().ended(START + timedelta(seconds=3), "cancelled", sip_status=487)
    assert (ended.talk_s, ended.sip_status) == (None, 487)


def test_a_clock_set_back_gives_no_negative_duration() -> None:
    assert record().ended(START - timedelta(hours=1), "failed").duration_s == 0.0


@given(any_text, any_text)
def test_what_sip_headers_hold_never_stops_a_record(caller: str, reason: str) -> None:
    ended = record(caller=caller).ended(START, "failed", reason)
    assert CallRecord.model_validate_json(ended.model_dump_json()) == ended


@given(st.recursive(any_text, lambda inner: st.lists(inner) | st.dictionaries(any_text, inner)))
def test_cleaned_is_valid_utf8_at_any_depth(value: object) -> None:
    repr(cleaned(value)).encode()


def test_a_summary_is_the_record_without_its_turns() -> None:
    summary = record(turns=(TurnRecord(index=0),), agent="desk").summary()
    assert type(summary) is CallSummary
    assert summary.agent == "desk"
    assert "turns" not in summary.model_dump()


def test_a_silent_turn_leaves_no_line() -> None:
    assert transcript_of((TurnRecord(index=0, bot_text_generated="never heard"),)) == ()


VERSION_1 = Path(__file__).parents[2] / "replay" / "bundles" / "held-breath"


def test_a_record_of_version_1_is_read_and_written_anew_in_the_present_form(tmp_path) -> None:
    assert "version" not in json.loads((VERSION_1 / "call.json").read_bytes())
    old = read_call(VERSION_1)
    (pause,) = [found for turn in old.turns for found in turn.false_interruptions]
    assert (pause.evidence, pause.silent_ms) == ("backchannel", 280.0)
    write_call(tmp_path, old)
    written = json.loads((tmp_path / "call.json").read_bytes())
    assert written["version"] == 2
    for turn in written["turns"]:  # the former name stays for one release
        assert turn["held_breaths"] == turn["false_interruptions"]
    assert read_call(tmp_path) == old


def test_a_record_of_a_later_version_keeps_its_number() -> None:
    assert record(version=3, something_new=1).version == 3
