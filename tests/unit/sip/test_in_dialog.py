"""Requests within a call that are none of its business: never 500."""

from __future__ import annotations

import pytest

from gateway.sip.in_dialog import answer_within
from gateway.sip.message import parse_request


def request(method, more="", body=""):
    return parse_request(f"{method} sip:a SIP/2.0\r\nTo: <sip:a>;tag=x\r\n{more}\r\n{body}")


@pytest.mark.parametrize(
    ("asked", "status", "header"),
    [
        (request("OPTIONS"), 200, ("Supported", "100rel, timer")),
        (request("NOTIFY", "Event: keep-alive\r\n"), 489, ("Allow-Events", "refer")),
        (request("NOTIFY", "Event: refer;id=1\r\n"), None, None),
        (request("NOTIFY"), 489, None),
        (request("PUBLISH"), 405, None),
        (request("MESSAGE"), 405, None),
        (request("REFER"), 405, None),
        (request("BREW"), 501, None),
        (request("INVITE"), None, None),
        (request("bye"), None, None),
        (request("ACK"), None, None),
    ],
)
def test_answers(asked, status, header):
    found = answer_within(asked)
    assert (found.status if found else None) == status
    assert header is None or header in found.headers


def test_news_of_nothing():
    news = request("NOTIFY", "o: refer\r\n")
    assert answer_within(news) is None
    found = answer_within(news, has_referred=False)
    assert found
    assert found.status == 481


@pytest.mark.parametrize("method", ["PUBLISH", "REFER", "BREW"])
def test_what_is_refused_is_not_advertised(method):
    headers = dict(answer_within(request(method)).headers)
    assert method not in headers["Allow"]
    assert "INVITE" in headers["Allow"]
