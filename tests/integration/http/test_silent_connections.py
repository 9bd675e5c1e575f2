"""Connections that say nothing, or nothing whole, keep nobody from the API and fill no log."""

from __future__ import annotations

import asyncio
import http.client
import socket
import time
from collections.abc import Iterator

import pytest

from tests.support.live_gateway import LiveGateway, eventually, live_gateway
from tests.support.outside import normal_call

SILENT = 330
DESCRIPTORS = 300
"""Fewer than there are connections: the gateway's limit, as a small container's."""

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveGateway]:
    config = {
        "log": {"format": "json", "level": "info"},
        "agents": {"desk": {"greeting": "Good morning."}},
        "records": {"directory": "calls"},
    }
    within = ("prlimit", f"--nofile={DESCRIPTORS}:{DESCRIPTORS}")
    with live_gateway(tmp_path_factory.mktemp("silent"), config, within=within) as running:
        yield running


def connect(gateway: LiveGateway, said: bytes = b"") -> socket.socket:
    wire = socket.create_connection(("127.0.0.1", gateway.http_port), timeout=10)
    wire.sendall(said)
    return wire


def is_healthy(gateway: LiveGateway) -> bool:
    asking = http.client.HTTPConnection("127.0.0.1", gateway.http_port, timeout=5)
    try:
        asking.request("GET", "/healthz")
        return asking.getresponse().status == 200
    finally:
        asking.close()


HALF = b"POST /v1/calls HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 50000\r\n\r\n{"


@pytest.mark.parametrize("said", [b"", HALF], ids=["silent", "half a body"])
def test_many_silent_connections(gateway: LiveGateway, said: bytes) -> None:
    log_bytes = gateway.gateway.log.stat().st_size
    wires = []
    try:
        for number in range(SILENT):
            wires.append(connect(gateway, said))
            if number % 30 == 29:
                assert is_healthy(gateway)
        assert is_healthy(gateway)
        asyncio.run(normal_call(gateway.uri()))  # the records need descriptors, too
        assert gateway.ask("GET", "/v1/calls").status_code == 200
        end_s = time.monotonic() + 30
        for wire in wires:
            wire.settimeout(max(0.1, end_s - time.monotonic()))
            assert wire_is_closed(wire)
    finally:
        for wire in wires:
            wire.close()
    assert gateway.gateway.log.stat().st_size - log_bytes < 60_000
    assert "Traceback" not in gateway.log
    assert gateway.logged("http_connection_closed")


def wire_is_closed(wire: socket.socket) -> bool:
    try:
        while wire.recv(4096):  # perhaps a 401 first
            pass
    except ConnectionResetError:
        return True
    return True  # recv raises TimeoutError while it is open


def test_bytes_now_and_then_do_not_keep_a_connection(gateway: LiveGateway) -> None:
    wire = connect(gateway, b"GET /healthz HTTP/1.1\r\nX-Slow: ")
    end_s = time.monotonic() + 30
    with wire, pytest.raises((ConnectionResetError, BrokenPipeError)):
        send_slowly(wire, end_s)


def send_slowly(wire: socket.socket, end_s: float) -> None:
    while time.monotonic() < end_s:
        wire.sendall(b"a")
        time.sleep(0.5)


def test_what_acts_is_told_and_by_whom(gateway: LiveGateway) -> None:
    missing = "20260101-000000-00000000"
    assert gateway.ask("POST", f"/v1/calls/{missing}/hangup").status_code == 404
    assert gateway.ask("GET", f"/v1/calls/{missing}").status_code == 404
    told = [entry for entry in gateway.logged("api_request") if missing in entry["path"]]
    assert [(e["method"], e["status"], e["by"]) for e in told] == [
        ("POST", 404, "this machine, without a key")
    ]


def test_two_lengths_end_the_connection(gateway: LiveGateway) -> None:
    """What one parser takes for a body another may take for a request."""
    smuggled = b"GET /v1/calls HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    head = b"POST /v1/calls HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    both = b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"
    with connect(gateway, head + both + smuggled) as wire:
        answer = b""
        while part := wire.recv(65536):
            answer += part
    assert answer.count(b"HTTP/1.1 ") == 1
    assert answer.startswith((b"HTTP/1.1 411 ", b"HTTP/1.1 400 "))


def test_calls_go_on(gateway: LiveGateway) -> None:
    asyncio.run(normal_call(gateway.uri()))
    asyncio.run(eventually(lambda: gateway.ask("GET", "/readyz").json()["ready"], 10, "ready"))
