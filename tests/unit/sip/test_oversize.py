"""What is answered to a request of which only the beginning was read."""

from __future__ import annotations

import socket
from contextlib import ExitStack

import pytest

from gateway.sip import oversize
from gateway.sip.message import parse_answer
from gateway.sip.oversize import BROKEN, TOO_LARGE, AnswerLimits, TcpPeers, refusal

HEAD = (
    "INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP a;branch=z1\r\nv: SIP/2.0/TCP b;branch=z2\r\n"
    "f: <sip:me@x>\r\n ;tag=1\r\nTo: <sip:a@b;tag=inner>\r\nCall-ID: c\r\nCSeq: 7 INVITE\r\n"
)


def test_it_has_what_an_answer_must_have():
    answer = parse_answer(refusal(HEAD + "Identity: " + "e" * 4000, TOO_LARGE).decode())
    assert answer.uri == "513"
    assert answer.headers["via"] == ("SIP/2.0/TCP a;branch=z1", "SIP/2.0/TCP b;branch=z2")
    assert answer.header("from") == "<sip:me@x> ;tag=1"
    assert answer.header("to") == "<sip:a@b;tag=inner>;tag=refused"
    assert answer.header("cseq") == "7 INVITE"
    assert "identity" not in answer.headers


def test_a_tag_is_kept():
    answer = parse_answer(refusal(HEAD.replace("inner>", "inner>;tag=9") + "X: y", BROKEN).decode())
    assert answer.uri == "400"
    assert answer.header("to") == "<sip:a@b;tag=inner>;tag=9"


@pytest.mark.parametrize(
    "head",
    [
        HEAD.replace("INVITE sip", "ACK sip", 1),
        HEAD.replace("CSeq", "CSex"),
        HEAD.replace("Via", "X").replace("v:", "X:"),
        "e" * 4000,
        "SIP/2.0 200 OK\r\n" + HEAD,
        "",
    ],
)
def test_nobody_is_told(head):
    if "CSex" in head:
        head = head.replace("Call-ID", "X")
    assert refusal(head, TOO_LARGE) == b""


@pytest.fixture
def connections():
    """A port of ours, and connections to it: their near ends, and their far ends."""
    with ExitStack() as stack:
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        near, far = [], []
        for _ in range(2):
            far.append(stack.enter_context(socket.create_connection(listening.getsockname(), 3)))
            near.append(stack.enter_context(listening.accept()[0]))
            far[-1].settimeout(3)
        yield listening.getsockname()[1], near, far


def test_a_connection_is_looked_for_once(monkeypatch, connections):
    port, near, far = connections
    searches = []

    def search(port, kind):
        searches.append(port)
        return [one.fileno() for one in near]

    monkeypatch.setattr(oversize, "sockets_on", search)
    peers = TcpPeers(port)
    for _ in range(3):
        for one in far:
            peers.send(one.getsockname(), b"x")
    assert [one.recv(3, socket.MSG_WAITALL) for one in far] == [b"xxx"] * 2
    assert searches == [port] * 2


def test_a_number_that_is_anothers_by_now_is_not_written_to(monkeypatch, connections):
    port, near, far = connections
    monkeypatch.setattr(oversize, "sockets_on", lambda _port, _kind: [n.fileno() for n in near])
    peers = TcpPeers(port)
    peers.send(far[0].getsockname(), b"1")
    gone, number = far[0].getsockname(), near[0].fileno()
    near[0].close()
    with near[1].dup() as near[0]:
        assert near[0].fileno() == number
        peers.send(gone, b"2")
        peers.send(("127.0.0.1", 9), b"3")
        peers.send(far[1].getsockname(), b"4")
    assert far[1].recv(10) == b"4"
    assert far[0].recv(10) == b"1"


def test_answers_are_bounded_by_source_and_for_all_strangers():
    limits = AnswerLimits(lambda source: source == "known")
    assert [limits.spend("a", 1.0) for _ in range(11)] == [True] * 10 + [False]
    assert sum(limits.spend(f"s{n}", 1.0) for n in range(100)) == 30
    assert [limits.spend("known", 1.0) for _ in range(11)] == [True] * 10 + [False]
    assert limits.spend("a", 1.2)
