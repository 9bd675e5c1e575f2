"""Connections that never say anything take SIP over TCP from nobody."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

from tests.support.edge import needs_kamailio
from tests.support.gateway_process import free_port, free_rtp_ports
from tests.support.live_gateway import LiveGateway, live_gateway
from tests.support.raw_sip import SDP, status

pytestmark = pytest.mark.timeout(120)

QUIET = {"provider": "openai", "model": "none", "base_url": "http://127.0.0.1:9/v1"}
SILENT = 80


@pytest.fixture(scope="module", params=["none", pytest.param("kamailio", marks=needs_kamailio)])
def gateway(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveGateway]:
    config = {
        "sip": {"port": free_port(), "rtp_ports": free_rtp_ports(160),
                "allow_sources": ["127.0.0.1/32"]},
        "workers": {"count": 1, "edge": request.param, "drain_limit_s": 2},
        "outgoing": {"allow": ["sip:*@127.0.0.1:*"]},
        "log": {"level": "info"},
        "agents": {"desk": {"greeting": "Good morning.", "llm": QUIET}},
    }  # fmt: skip
    if request.param == "kamailio":
        config["edge"] = {"probe_s": 1, "processes": 2}
    with live_gateway(tmp_path_factory.mktemp(request.param), config) as running:
        yield running


def connected(gateway: LiveGateway, host: str) -> socket.socket:
    there = ("127.0.0.1", gateway.sip_port)
    return socket.create_connection(there, timeout=5, source_address=(host, 0))


def request(
    gateway: LiveGateway, own: socket.socket, method: str, call_id: str, more: str = ""
) -> bytes:
    host, port = own.getsockname()
    body = SDP if method == "INVITE" else ""
    kind = "Content-Type: application/sdp\r\n" if body else ""
    return (
        f"{method} sip:100@127.0.0.1:{gateway.sip_port};transport=tcp SIP/2.0\r\n"
        f"Via: SIP/2.0/TCP {host}:{port};rport;branch=z9hG4bK{call_id}{method}\r\n"
        f"From: <sip:200@127.0.0.1>;tag=f\r\nTo: <sip:100@127.0.0.1>\r\nCall-ID: {call_id}\r\n"
        f"CSeq: 1 {method}\r\nMax-Forwards: 70\r\n{more}{kind}"
        f"Contact: <sip:200@{host}:{port};transport=tcp>\r\nContent-Length: {len(body)}\r\n\r\n"
        f"{body}"
    ).encode()


def answer(own: socket.socket, wait_s: float = 5.0) -> int:
    """The first final answer; 0 when the connection is closed, or nothing comes."""
    end = time.monotonic() + wait_s
    while (left_s := end - time.monotonic()) > 0:
        own.settimeout(left_s)
        try:
            data = own.recv(65536)
        except OSError:
            return 0
        if not data:
            return 0
        for part in data.split(b"SIP/2.0 ")[1:]:
            if (found := status(b"SIP/2.0 " + part)) >= 200:
                return found
    return 0


def is_closed(own: socket.socket) -> bool:
    own.settimeout(0.01)
    try:
        return own.recv(100) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


def test_silent_connections_are_closed_and_keep_nobody_out(gateway: LiveGateway) -> None:
    with ExitStack() as stack:
        begun = time.monotonic()
        silent = []
        for number in range(SILENT):
            host = "127.0.0.9" if number % 2 else f"127.0.1.{number}"
            with suppress(OSError):
                silent.append(stack.enter_context(connected(gateway, host)))
        for one in silent[::5]:
            with suppress(OSError):
                one.sendall(b"INVITE sip:100@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP")
        assert time.monotonic() - begun < 20
        # Who is known calls over TCP meanwhile, in and out.
        phone = stack.enter_context(connected(gateway, "127.0.0.1"))
        phone.sendall(request(gateway, phone, "INVITE", f"in{gateway.sip_port}"))
        assert answer(phone) == 200
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        listening.settimeout(8)
        to = f"sip:900@127.0.0.1:{listening.getsockname()[1]};transport=tcp"
        gateway.ask("POST", "/v1/calls", {"to": to, "agent": "desk"})
        callee = stack.enter_context(listening.accept()[0])
        callee.settimeout(5)
        assert callee.recv(6) == b"INVITE"
        end = time.monotonic() + 25
        while not all(map(is_closed, silent)) and time.monotonic() < end:
            time.sleep(0.2)
        assert all(map(is_closed, silent))
        assert not is_closed(phone)
    lines = [line for line in gateway.log.splitlines() if "tcp" in line.lower()]
    assert len(lines) < 70
    gateway.ask("POST", "/v1/calls", {"to": "sip:x@127.0.0.1:9", "agent": "desk"})


def test_what_is_thrown_away_costs_little_and_takes_nobodys_answers(gateway: LiveGateway) -> None:
    """Pings (RFC 5626) and requests that are too long, more than anybody needs to send."""
    if "kamailio" in gateway.gateway.config_path.read_text():
        pytest.skip("connections end at the edge")
    head = (
        b"INVITE sip:100@gw SIP/2.0\r\nv: SIP/2.0/TCP a;branch=z9hG4bK1\r\nf: <sip:a@b>;tag=1\r\n"
    )
    head += b"t: <sip:100@gw>\r\ni: long\r\nCSeq: 1 INVITE\r\nIdentity: "
    with ExitStack() as stack:
        phone = stack.enter_context(connected(gateway, "127.0.0.1"))
        strangers = [stack.enter_context(connected(gateway, "127.0.0.9")) for _ in range(4)]
        phone.settimeout(3)
        for round_ in range(10):
            for one in strangers:
                with suppress(OSError):
                    for _ in range(20):
                        one.sendall(head.ljust(4000, b"e") if round_ % 2 else b"\r\n\r\n")
            phone.sendall(b"\r\n\r\n")
            assert phone.recv(10) == b"\r\n"
            time.sleep(0.15)  # a telephone sends one in half a minute
        told = sum(received(one).count(b"SIP/2.0 513") for one in strangers)
        assert 1 <= told <= 40
        assert not is_closed(phone)


def received(own: socket.socket) -> bytes:
    own.settimeout(0.2)
    data = b""
    with suppress(OSError):
        while part := own.recv(65536):
            data += part
    return data
