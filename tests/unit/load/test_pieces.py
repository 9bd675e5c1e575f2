"""The other pure parts: targets, SIPp's command line, process names, pairing, the LLM double."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta

import pytest
from fastapi.testclient import TestClient

from gateway.load.llm_double import create_app, reply_words
from gateway.load.measuring import MeasuredCall, conversation
from gateway.load.plan import LoadError
from gateway.load.processes import family, kind_of, usages
from gateway.load.sipp import SippJob, sipp_arguments
from gateway.load.step import differences_ms, recorded_gaps_ms
from gateway.load.target import SipTarget, parse_target
from gateway.probe.scenario import Say
from gateway.records.model import CallRecord, TurnRecord

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def test_a_target():
    assert parse_target("sip:127.0.0.1") == SipTarget("127.0.0.1")
    full = parse_target("sip:desk@10.0.0.1:5070;transport=tcp")
    assert (full.user, full.host_port, full.transport) == ("desk", "10.0.0.1:5070", "tcp")
    assert full.uri == "sip:desk@10.0.0.1:5070"


@pytest.mark.parametrize("text", ["", "127.0.0.1", "sip:", "sip:a@b:0", "sip:a@b:99999", "sip:a b"])
def test_what_is_no_target(text):
    with pytest.raises(LoadError, match="not a target"):
        parse_target(text)


def test_the_command_line_of_sipp():
    job = SippJob("talk", calls=12, rate_per_s=2.5, call_s=61.0)
    words = sipp_arguments(job, SipTarget("10.0.0.1", user="desk"), {"-p": 5098})

    def value(option):
        return words[words.index(option) + 1]

    assert words[-1] == "10.0.0.1:5060"
    assert (value("-r"), value("-rp")) == ("25", "10000"), "2.5 calls a second"
    assert (value("-l"), value("-d"), value("-s"), value("-p")) == ("12", "61000", "desk", "5098")
    assert "-m" not in words
    limited = SippJob("talk", calls=1, rate_per_s=0.01, call_s=1.0, total=9)
    words = sipp_arguments(limited, SipTarget("10.0.0.1"), {})
    assert (value("-m"), value("-r")) == ("9", "1")


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        (["python", "-m", "gateway", "worker", "--index", "3"], "worker"),
        (["python", "-m", "gateway.recognizer", "--socket", "x"], "recognizer"),
        (["/venv/bin/gateway", "run", ""], "supervisor"),
        (["/usr/sbin/kamailio", "-f", "x"], "kamailio"),
        ([""], "process"),
    ],
)
def test_processes_have_names(command, kind):
    assert kind_of(command) == kind


def test_this_process_can_be_looked_at():
    found = usages(family(os.getpid()))
    assert found[os.getpid()].memory_bytes > 1_000_000
    assert usages([2**22 + 1]) == {}


def record(user, *gaps, answered=NOW):
    turns = [
        TurnRecord(index=n, started_s=5.0 * n, caller_text="x", response_gap_ms=gap)
        for n, gap in enumerate(gaps)
    ]
    return CallRecord(
        call_id="1",
        direction="in",
        caller=user,
        started_at=answered,
        answered_at=answered,
        turns=tuple(turns),
    )


def test_only_turns_of_the_measured_time_count():
    one = record("a", 100.0, 200.0, 300.0)
    assert recorded_gaps_ms([one], NOW) == [100.0, 200.0, 300.0]
    assert recorded_gaps_ms([one], NOW + timedelta(seconds=6)) == [300.0]


def test_both_sides_are_compared_where_they_count_the_same_turns():
    probes = [
        MeasuredCall(user="load-0", all_gaps_ms=(110.0, 205.0)),
        MeasuredCall(user="load-1", all_gaps_ms=(50.0,)),
    ]
    records = [record("load-0", 100.0, 200.0), record("load-1", 40.0, 41.0), record("sipp", 9.0)]
    assert differences_ms(probes, records) == [-10.0, -5.0]


def test_callers_do_not_speak_in_chorus():
    first, second = conversation(0, 60.0), conversation(5, 60.0)
    said = [[s.text for s in script.steps if isinstance(s, Say)] for script in (first, second)]
    assert said[0][0] != said[1][0]
    assert len(said[0]) >= 30


def test_the_double_never_says_the_same_twice():
    answers = {"".join(reply_words(number)) for number in range(200)}
    assert len(answers) > 195


def test_the_double_streams_as_openai_does():
    with TestClient(create_app(1.0, 0.1)) as client:
        assert client.get("/v1/models").json()["data"]
        body = {"stream": True, "messages": [], "stream_options": {"include_usage": True}}
        lines = client.post("/v1/chat/completions", json=body).text.split("\n\n")
        whole = client.post("/v1/chat/completions", json={"messages": []}).json()
    events = [json.loads(line.removeprefix("data: ")) for line in lines if "{" in line]
    words = [choice["delta"].get("content", "") for e in events for choice in e["choices"]]
    assert "".join(words) == "".join(reply_words(0))
    assert events[-1]["usage"]["completion_tokens"] == len(reply_words(0))
    assert lines[-2] == "data: [DONE]"
    assert whole["choices"][0]["message"]["content"] == "".join(reply_words(1))
