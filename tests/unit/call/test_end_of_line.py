"""What a record says about a call that the line ended."""

from __future__ import annotations

import pytest

from gateway.call.line import HungUp
from gateway.call.session import end_of_line


@pytest.mark.parametrize(
    ("status", "is_outgoing", "was_answered", "is_transferred", "reason"),
    [
        (200, False, True, False, "caller_hung_up"),
        (200, True, True, False, "caller_hung_up"),
        (200, False, True, True, "transferred"),
        (408, False, True, False, "failed"),  # no session refresh, RFC 4028 section 10
        (481, False, True, False, "failed"),
        (487, False, False, False, "cancelled"),
        (486, True, False, False, "busy"),
        (603, True, False, False, "busy"),
        (480, True, False, False, "no_answer"),
        (408, True, False, False, "no_answer"),
        (404, True, False, False, "failed"),
    ],
)
def test_the_end_reason(status, is_outgoing, was_answered, is_transferred, reason):
    end = end_of_line(
        HungUp("caller", status, "why"),
        is_outgoing=is_outgoing,
        was_answered=was_answered,
        is_transferred=is_transferred,
    )
    assert (end.reason, end.text, end.status) == (reason, f"{status} why", status)


def test_a_call_that_the_gateway_ended_was_not_hung_up_by_the_caller():
    end = end_of_line(
        HungUp("gateway", 200, "the line was dead"),
        is_outgoing=False,
        was_answered=True,
        is_transferred=False,
    )
    assert end.reason == "failed"
