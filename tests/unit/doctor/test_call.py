"""What `gateway doctor` makes of a call to itself, from the caller's report and the record."""

from __future__ import annotations

import pytest

from gateway.doctor.self_call import CallResult, Target, judge_call, leg_times

DIRECT = Target("sip:doctor@127.0.0.1:5060", "127.0.0.1", "doctor")
TRUNK = Target("sip:100@sip.example.net", "10.0.0.2", "alice", "pw", is_direct=False)
REPORT = {
    "status": 200,
    "problems": [],
    "invite_to_200_ms": 20.0,
    "ack_to_first_bot_ms": 80.0,
    "turns": [{"response_gap_ms": 500.0}],
    "media": {"address": "127.0.0.1", "port": 20000, "codec": "PCMU"},
    "rtp": {"received": 500, "lost": 0, "frame_gap_ms": {"p99": 22.0}},
}
TURN = {
    "caller_text": "When are you open?",
    "slowest_stage": "llm_first_token_ms",
    "endpointing_ms": 300.0,
    "llm_first_token_ms": 120.0,
    "stt_final_ms": None,
}
RECORD = {"turns": [{"caller_text": None}, TURN]}


def judged(target=DIRECT, record=RECORD, problem="", **report):
    result = CallResult(target, {**REPORT, **report} if report.get("status", 200) else {}, record)
    found = {f.name: f for f in judge_call(result)}
    for finding in found.values():
        assert finding.level not in {"warn", "fail"} or finding.fix
    return found


def test_a_good_call_names_every_leg():
    found = judged()
    assert {name: f.level for name, f in found.items()} == {
        "call set-up": "ok",
        "greeting": "ok",
        "audio from the bot": "ok",
        "answer": "ok",
    }
    assert "127.0.0.1:20000, PCMU" in found["greeting"].cause
    assert "deciding that you are done 300" in found["answer"].cause
    assert "recognizing" not in found["answer"].cause


@pytest.mark.parametrize(
    ("change", "name", "level", "words"),
    [
        ({"invite_to_200_ms": 900.0}, "call set-up", "warn", "late"),
        ({"ack_to_first_bot_ms": 4000.0}, "greeting", "warn", "late"),
        ({"ack_to_first_bot_ms": None}, "greeting", "fail", "only silence"),
        ({"ack_to_first_bot_ms": None, "rtp": {"received": 0}}, "greeting", "fail", "no audio"),
        ({"rtp": {"received": 9, "lost": 3}}, "audio from the bot", "warn", "3 of 9"),
        ({"rtp": {"received": 9, "frame_gap_ms": {"p99": 45.0}}}, "audio from the bot", "warn", ""),
        ({"turns": []}, "answer", "fail", 'it understood "When are you open?"'),
        ({"turns": [{"response_gap_ms": 2100.0}]}, "answer", "warn", "2100 ms"),
    ],
)
def test_a_call_with_a_fault(change, name, level, words):
    finding = judged(**change)[name]
    assert finding.level == level
    assert words in finding.cause


def test_a_slow_answer_is_blamed_on_its_slowest_leg():
    assert "language model" in judged(turns=[{"response_gap_ms": 2100.0}])["answer"].fix


def test_a_bot_that_heard_nothing():
    finding = judged(turns=[], record={"turns": []})["answer"]
    assert "heard no words" in finding.cause


@pytest.mark.parametrize("status", [0, 401, 403, 404, 408, 486, 488, 503])
def test_a_refused_call_through_a_trunk(status):
    finding = judged(TRUNK, status=status)["test call"]
    assert finding.level == "fail"


def test_a_gateway_that_does_not_know_this_machine():
    finding = judged(DIRECT, status=403)["test call"]
    assert finding.level == "skip"
    assert "allow_sources" in finding.fix


def test_legs():
    assert leg_times({}) == ""
