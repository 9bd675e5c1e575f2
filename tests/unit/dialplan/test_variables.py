"""Placeholders and branches."""

import pytest

from gateway.call.line import CallFacts
from gateway.config.dialplans import Branch
from gateway.dialplan.variables import branch_target, fill_text, fill_uri

FACTS = CallFacts("id", "in", "5500", "+49 30;x", trunk="carrier")


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("{called} from {caller} over {trunk}", "5500 from +49 30;x over carrier"),
        ("pin {collected.pin}, {collected.none}", "pin 12, {collected.none}"),
        ("no braces", "no braces"),
    ],
)
def test_texts(text, spoken):
    assert fill_text(text, FACTS, {"pin": "12"}) == spoken


@pytest.mark.parametrize(
    ("caller", "uri"),
    [
        ("+4930", "sip:+4930@host;transport=tcp"),
        ("a@evil.example", "sip:a%40evil.example@host;transport=tcp"),
        ("a;b?Replaces=c", "sip:a%3Bb%3FReplaces%3Dc@host;transport=tcp"),
        ("{called}", "sip:%7Bcalled%7D@host;transport=tcp"),
        ("é\r\nVia: x", "sip:%C3%A9%0D%0AVia%3A%20x@host;transport=tcp"),
    ],
)
def test_a_caller_cannot_bend_a_target(caller, uri):
    facts = CallFacts("id", "in", "5500", caller)
    assert fill_uri("sip:{caller}@host;transport=tcp", facts, {}) == uri


BRANCH = Branch.model_validate({"on": "key", "cases": {"1": "one", "": "silent"}})


@pytest.mark.parametrize(
    ("default", "collected", "extension"),
    [
        (None, {"key": "1"}, "one"),
        (None, {"key": "2"}, None),
        (None, {}, "silent"),
        ({"extension": "other"}, {"key": "2"}, "other"),
    ],
)
def test_branches(default, collected, extension):
    branch = Branch.model_validate(BRANCH.model_dump() | {"default": default})
    jump = branch_target(branch, collected)
    assert (jump and jump.extension) == extension
