"""Which status an unanswered call is refused with, and what the other side reads."""

from __future__ import annotations

import pytest

from gateway.call.line import End
from gateway.sip.endings import phrase_of, status_of


@pytest.mark.parametrize(
    ("end", "status"),
    [
        (End("shutdown"), 503),
        (End("crashed"), 500),
        (End("hung_up_by_api"), 0),
        (End("bot_hung_up", status=486), 486),
        (End("failed", status=408), 408),
        (End("transferred", status=200), 0),
    ],
)
def test_the_status(end, status):
    assert status_of(end) == status


def test_a_crash_is_not_explained_to_the_other_side():
    assert not phrase_of(End("crashed", "KeyError: 'secret'"))
    assert phrase_of(End("bot_hung_up", "closed")) == "closed"
