"""Sockets that were opened by somebody else: found by their ports, filtered by the kernel."""

from __future__ import annotations

import socket
from contextlib import ExitStack

import pytest

from gateway.sip.rtp_sockets import RtpSockets, filter_program
from gateway.sip.rtp_source import ANY_SOURCE, Rule


@pytest.fixture
def parties():
    with ExitStack() as stack:
        made = [
            stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(3)
        ]
        for number, one in enumerate(made):
            one.bind((f"127.0.0.{number + 1}", 0))
            one.settimeout(0.5)
        yield made


def heard(ours, *others):
    """Which of the others' packets arrive; ours always does, last."""
    for number, other in enumerate(others):
        other.sendto(b"%d" % number, ours.getsockname())
    found = set()
    while True:
        try:
            found.add(int(ours.recv(10)))
        except BlockingIOError:
            return found


def test_the_kernel_drops_what_fits_no_rule(parties):
    ours, one, two = parties
    ours.setblocking(False)
    port, first = ours.getsockname()[1], one.getsockname()
    sockets = RtpSockets(port, port)
    assert sockets.close_new() == [port]
    assert sockets.close_new() == []
    assert heard(ours, one, two) == set()
    assert sockets.last_packet(port) == b""
    assert sockets.dropped(port) == 2
    cases = [
        (ANY_SOURCE, {0, 1}),
        ((Rule(first[0]),), {0}),
        ((Rule(*first),), {0}),
        ((Rule(first[0], first[1] ^ 1),), set()),
        ((Rule(first[0], first[1] ^ 1), Rule("127.0.0.3")), {1}),
        ((Rule("", two.getsockname()[1]),), {1}),
    ]
    for rules, expected in cases:
        sockets.allow(port, rules)
        assert heard(ours, one, two) == expected, rules
    assert sockets.last_packet(port) != b""


def test_a_descriptor_that_was_given_to_another_is_left_alone(parties):
    ours, one, two = parties
    port = ours.getsockname()[1]
    sockets = RtpSockets(port, port)
    sockets.close_new()
    number = ours.fileno()
    ours.close()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as another:
        assert another.fileno() == number
        another.bind(("127.0.0.1", 0))
        another.setblocking(False)
        with pytest.raises(LookupError):
            sockets.allow(port, ())
        assert sockets.dropped(port) == 0
        assert heard(another, one, two) == {0, 1}


def test_programs_end_with_a_refusal():
    assert len(filter_program(())) == 8
    assert len(filter_program((Rule("10.0.0.1", 5), Rule("10.0.0.2")))) == 8 * (5 + 3 + 1)
