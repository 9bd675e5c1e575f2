"""What SIPp 3.6.1 wrote, and what is read out of it."""

from __future__ import annotations

from gateway.load.sipp_output import (
    GOODBYE,
    SippCounts,
    parse_response_times,
    parse_statistics,
    refine_causes,
    total,
)

HEAD = (
    "StartTime;LastResetTime;CurrentTime;ElapsedTime(P);ElapsedTime(C);TargetRate;CallRate(P);"
    "CallRate(C);IncomingCall(P);IncomingCall(C);OutgoingCall(P);OutgoingCall(C);TotalCallCreated;"
    "CurrentCall;SuccessfulCall(P);SuccessfulCall(C);FailedCall(P);FailedCall(C);"
    "FailedMaxUDPRetrans(P);FailedMaxUDPRetrans(C);FailedUnexpectedMessage(P);"
    "FailedUnexpectedMessage(C);Retransmissions(P);Retransmissions(C);\n"
)
TIMES = "2026-11-21\t15:06:03.1\t1795273563.1;2026-11-21\t15:06:07.1\t1;2026-11-21\t15:06:08.1\t1;"
EARLY = TIMES + "00:00:01;00:00:01;2;0.99;0.99;0;0;1;1;1;1;0;0;0;0;0;0;0;0;0;0;\n"
LATE = TIMES + "00:00:01;00:00:05;2;1.99402;1.59394;0;0;2;8;8;2;2;3;1;3;0;1;1;2;0;4;\n"

ERRORS = """\
The following events occurred:
2026-11-21\t15:06:36.981342\t1795273596.981342: Aborting call on unexpected message for Call-Id \
'1-20443@127.0.0.1': while expecting '100' (index 1), received 'SIP/2.0 503 All 4 call slots taken
Via: SIP/2.0/UDP 127.0.0.1:15092;branch=z9hG4bK-20443-1-0
Content-Length: 0

'2026-11-21\t15:06:37.485255\t1795273597.485255: Aborting call on unexpected message for Call-Id \
'2-20443@127.0.0.1': while expecting '200' (index 4), received 'BYE sip:x@127.0.0.1 SIP/2.0
Via: SIP/2.0/UDP 127.0.0.1:15092

'"""


def test_the_last_whole_line_counts():
    counts = parse_statistics(HEAD + EARLY + LATE)
    assert (counts.running, counts.started, counts.done, counts.failed) == (2, 8, 3, 3)
    assert counts.retransmissions == 4
    assert counts.rate_per_s == 1.99402
    assert counts.causes == {"no answer (SIPp gave up repeating)": 1, "unexpected message": 2}


def test_a_line_that_is_still_being_written_does_not_count():
    assert parse_statistics(HEAD + EARLY + LATE[:60]).started == 1


def test_nothing_yet():
    for text in ("", HEAD[:40], HEAD, "rubbish", "rubbish\n;;;\n"):
        assert parse_statistics(text) == SippCounts()


def test_several_are_added_up():
    one = parse_statistics(HEAD + LATE)
    both = total([one, one])
    assert (both.started, both.failed, both.retransmissions) == (16, 6, 8)
    assert both.causes["unexpected message"] == 4
    assert total([]) == SippCounts()


def test_causes_are_named_by_what_came():
    assert refine_causes(parse_statistics(HEAD + LATE), ERRORS) == {
        "no answer (SIPp gave up repeating)": 1,
        "503 All 4 call slots taken": 1,
        "BYE in the middle of the scenario": 1,
    }


def test_a_goodbye_while_the_call_only_waits():
    said = "1795903863.83: Aborting call on an unexpected BYE for call: 1-30400@127.0.0.1"
    counts = SippCounts(failed=3, causes={"unexpected message": 3})
    assert refine_causes(counts, "The following events occurred:\n" + 2 * said) == {
        GOODBYE: 2,
        "unexpected message": 1,
    }


def test_a_log_that_was_cut_short_leaves_the_rest_nameless():
    counts = SippCounts(failed=5, causes={"unexpected message": 5})
    causes = refine_causes(counts, ERRORS)
    assert causes["unexpected message"] == 3
    assert sum(causes.values()) == 5


def test_a_log_that_tells_more_than_failed_invents_nothing():
    counts = SippCounts(failed=1, causes={"unexpected message": 1})
    assert sum(refine_causes(counts, ERRORS).values()) == 1


def test_response_times():
    text = "Date_ms;response_time_ms;rtd_no\n504.001;3;1\n1004;12;1\n1504;"
    assert parse_response_times(text) == [(504.001, 3.0), (1004.0, 12.0)]
    assert parse_response_times("") == []
