"""Which call a request is for."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from gateway.call.line import CallFacts
from gateway.sip.incoming import addressed
from tests.support.received import received


@dataclass
class Call:
    facts: CallFacts
    their_tag: str = ""


def call(sip_call_id, their_tag=""):
    direction = "in" if their_tag else "out"
    return Call(CallFacts(sip_call_id, direction, "", "", sip_call_id=sip_call_id), their_tag)


@pytest.mark.parametrize(
    ("call_id", "their_tag", "found"),
    [
        ("a", "t1", ("a", "t1")),
        ("b", "t9", ("b", "")),  # placed: whoever has answered
        ("both", "ours", ("both", "ours")),  # it came back: its request is for the incoming leg
        ("both", "other", ("both", "")),
        ("a", "t2", None),
        ("c", "t1", None),
    ],
)
@pytest.mark.parametrize("order", [1, -1])
def test_calls_are_told_apart(call_id, their_tag, found, order):
    calls = [call("a", "t1"), call("b"), call("both"), call("both", "ours"), call("d")][::order]
    message = received(b"", call_id=call_id, from_tag=their_tag, to_tag="x")
    it = addressed(calls, message)
    assert (it and (it.facts.sip_call_id, it.their_tag)) == found
