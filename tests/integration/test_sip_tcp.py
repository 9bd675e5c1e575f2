"""A call over TCP outlives its connection (RFC 3261 section 18: it is not the dialog)."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from gateway.probe.sip_messages import Message, parse, respond
from tests.support.gateway_process import GatewayUnderTest

TIMEOUT_S = 10.0
SDP = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=audio 9 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=sendrecv\r\n"
)


@dataclass(slots=True)
class TcpPhone:
    """The calling side by hand: one dialog, as many connections as it takes."""

    gateway_port: int
    listener: socket.socket
    connection: socket.socket
    peer_tag: str = ""
    cseq: int = 0

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.listener.getsockname()[1]}"

    @property
    def call_id(self) -> str:
        return f"broken-connection-{self.address}"

    def reconnect(self) -> None:
        self.connection.close()
        self.connection = connect(self.gateway_port)

    def accept(self) -> None:
        """Take a connection that the gateway opens."""
        self.connection.close()
        self.connection, _ = self.listener.accept()
        self.connection.settimeout(TIMEOUT_S)

    def send(self, method: str, body: str = "") -> None:
        if method != "ACK":
            self.cseq += 1
        address = self.address
        tag = f";tag={self.peer_tag}" if self.peer_tag else ""
        kind = "Content-Type: application/sdp\r\n" if body else ""
        text = (
            f"{method} sip:test@127.0.0.1:{self.gateway_port};transport=tcp SIP/2.0\r\n"
            f"Via: SIP/2.0/TCP {address};branch=z9hG4bK-{method}-{self.cseq}\r\n"
            f"From: <sip:tcp@{address}>;tag=tcp\r\nTo: <sip:test@127.0.0.1>{tag}\r\n"
            f"Call-ID: {self.call_id}\r\nCSeq: {self.cseq} {method}\r\nMax-Forwards: 70\r\n"
            f"Contact: <sip:tcp@{address};transport=tcp>\r\n{kind}"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        )
        self.connection.sendall(text.encode())

    def receive(self) -> Message:
        """Read one message, exactly as long as it says."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self._read(1)
        length = int(parse(head).get("content-length") or 0)
        return parse(head + self._read(length))

    def final(self) -> Message:
        while (message := self.receive()).status < 200:
            pass
        return message

    def call(self) -> None:
        self.send("INVITE", SDP)
        answer = self.final()
        assert answer.status == 200
        self.peer_tag = answer.get("to").partition(";tag=")[2]
        self.send("ACK")

    def _read(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            part = self.connection.recv(count - len(data))
            assert part, "the gateway closed the connection"
            data += part
        return data


def end_reason(gateway: GatewayUnderTest, phone: TcpPhone) -> str:
    [record] = [call for call in gateway.calls() if call["sip_call_id"] == phone.call_id]
    return str(record["end_reason"])


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), TIMEOUT_S)


@pytest.fixture
def phone(default_gateway: GatewayUnderTest) -> Iterator[TcpPhone]:
    port = default_gateway.sip_port
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(TIMEOUT_S)
        found = TcpPhone(port, listener, connect(port))
        try:
            yield found
        finally:
            found.connection.close()


def test_a_keep_alive_is_answered(default_gateway, phone):
    """RFC 5626 section 4.4.1: a telephone whose ping has no pong gives its connection up."""
    for _ in range(2):
        phone.connection.sendall(b"\r\n\r\n")
        assert phone._read(2) == b"\r\n"
    phone.connection.sendall(b"\r\n")  # no ping
    phone.call()
    phone.connection.sendall(b"\r\n\r\n")
    assert phone._read(2) == b"\r\n"
    phone.send("BYE")
    assert phone.final().status == 200
    default_gateway.wait_for_metric("gateway_call_slots_used", 0)


def test_the_caller_hangs_up_over_a_new_connection(default_gateway, phone):
    before = len(default_gateway.calls())
    phone.call()
    phone.reconnect()
    default_gateway.wait_for_metric('gateway_call_slots_used{process="worker-0"}', 1)
    phone.send("BYE")
    assert phone.final().status == 200
    default_gateway.wait_for_call(after=before)
    assert end_reason(default_gateway, phone) == "caller_hung_up"
    default_gateway.wait_for_metric("gateway_call_slots_used", 0)


def test_the_gateway_hangs_up_over_a_new_connection(default_gateway, phone):
    before = len(default_gateway.calls())
    phone.call()
    phone.connection.close()
    [call] = json.loads(default_gateway.get("/v1/calls?active=true"))["calls"]
    with ThreadPoolExecutor(1) as pool:
        hanging_up = pool.submit(default_gateway.post, f"/v1/calls/{call['call_id']}/hangup")
        phone.accept()
        bye = phone.receive()
        phone.connection.sendall(respond(bye, 200, "OK").serialise())
        hanging_up.result(TIMEOUT_S)
    assert bye.method == "BYE"
    default_gateway.wait_for_call(after=before)
    assert end_reason(default_gateway, phone) == "hung_up_by_api"
    default_gateway.wait_for_metric("gateway_call_slots_used", 0)
