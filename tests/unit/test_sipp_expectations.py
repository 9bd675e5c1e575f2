"""The folders of sipp-scenarios/ and the rules by which their records are judged."""

from __future__ import annotations

import typing
import wave
from xml.etree import ElementTree

import numpy as np
import pytest

from gateway.config.models import GatewayConfig
from gateway.load.speech import GENERATED
from gateway.records.model import CallRecord, EndReason
from tests.support.sipp import (
    SippScenario,
    check_bot_audio,
    check_events,
    check_record,
    check_records,
    load_scenarios,
    sipp_arguments,
)

SCENARIOS = load_scenarios()
KEYS = {
    "summary", "role", "transport", "calls", "rate", "timeout_s", "needs_root", "slow", "gateway",
    "pause_ms", "record", "records", "place_call", "place_trunk", "trunk_state",
}  # fmt: skip
CHECKS = {
    "at_least", "contains", "words", "digits", "events", "count",
    "bot_silent_between", "bot_audible_after",
}  # fmt: skip


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_a_folder_is_whole(scenario):
    assert set(scenario.expect) <= KEYS
    assert scenario.expect["summary"]
    GatewayConfig.model_validate(scenario.gateway(5099) | {"agents": {"front-desk": {}}})
    for expected in scenario.records:
        assert set(expected) - CHECKS <= set(CallRecord.model_fields)
        reasons = expected.get("end_reason", [])
        assert set([reasons] if isinstance(reasons, str) else reasons) <= set(
            typing.get_args(EndReason)
        )
    root = ElementTree.parse(scenario.folder / "scenario.xml").getroot()  # noqa: S314 - our own
    for action in root.iter("exec"):
        if "," in (media := action.get("rtp_stream", "")):
            file = scenario.folder / media.split(",")[0]
            assert file.is_file() or file.name in GENERATED


def test_the_bot_is_listened_to_around_events(tmp_path):
    second = np.zeros((8000, 2), dtype="<i2")
    loud = second + np.array([0, 5000], dtype="<i2")
    path = tmp_path / "audio.wav"
    with wave.open(str(path), "wb") as audio:
        audio.setparams((2, 2, 8000, 0, "NONE", ""))
        audio.writeframes(b"".join(part.tobytes() for part in (loud, second, second, loud)))
    kinds = ("answered", "held", "quiet", "resumed", "call_ended")
    events = [{"kind": kind, "audio_s": float(at)} for at, kind in enumerate(kinds)]

    def problems(**expected):
        return check_bot_audio(expected, events, path)

    assert problems(bot_silent_between=["held", "resumed"], bot_audible_after="resumed") == []
    assert problems(bot_silent_between=["answered", "held"])
    assert problems(bot_silent_between=["quiet", "call_ended"])
    assert problems(bot_audible_after="call_ended")


def test_the_command_line_names_every_log(tmp_path):
    scenario = next(s for s in SCENARIOS if s.name == "fifth-call")
    words = sipp_arguments(scenario, tmp_path, "127.0.0.1:5060", 5098, 6000, 8888)
    assert words[-1] == "127.0.0.1:5060"
    assert words[words.index("-m") + 1] == "5"
    assert words[words.index("-p") + 1] == "5098"
    assert sum(str(tmp_path) in word for word in words) == 3


RECORD = {
    "end_reason": "caller_hung_up",
    "codec": "PCMU",
    "rtp": {"received_packets": 120},
    "turns": [{"caller_text": None}, {"caller_text": "When do you open?"}],
}


@pytest.mark.parametrize(
    ("expected", "wrong"),
    [
        ({"end_reason": "caller_hung_up"}, False),
        ({"end_reason": ["cancelled", "caller_hung_up"]}, False),
        ({"end_reason": "no_media"}, True),
        ({"at_least": {"rtp.received_packets": 100, "turns": 2}}, False),
        ({"at_least": {"rtp.received_packets": 121}}, True),
        ({"at_least": {"rtp.sent_packets": 1}}, True),
        ({"at_least": {"turns": 3}}, True),
        ({"contains": {"codec": "PCM"}}, False),
        ({"contains": {"codec": "G722"}}, True),
        ({"words": ["OPEN"]}, False),
        ({"words": ["closed"]}, True),
    ],
)
def test_one_record(expected, wrong):
    assert bool(check_record(expected, RECORD)) == wrong


def test_counts_over_several_records(tmp_path):
    expect = {
        "records": [
            {"count": 2, "end_reason": "caller_hung_up"},
            {"count": 1, "end_reason": "refused"},
        ]
    }
    scenario = SippScenario("x", tmp_path, expect)
    refused = {"end_reason": "refused", "turns": []}
    assert check_records(scenario, [RECORD, refused, dict(RECORD)]) == []
    assert check_records(scenario, [RECORD, refused])
    assert check_records(scenario, [RECORD, RECORD, refused, refused])


def test_events_in_order():
    events = [{"kind": "answered"}, {"kind": "held"}, {"kind": "resumed"}]
    assert check_events({"events": ["held", "resumed"]}, events) == []
    assert check_events({"events": ["resumed", "held"]}, events)
    digits = [{"kind": "digit", "digit": d} for d in "12"]
    assert check_events({"digits": "12"}, digits) == []
    assert check_events({"digits": "21"}, digits)
