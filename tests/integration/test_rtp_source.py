"""Whose RTP a call takes, and where its own goes: by the wire, the record and the metrics."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.gateway_process import GatewayUnderTest, running_gateway
from tests.support.plain_phone import PlainPhone, calling, plain_phone, udp_socket

CONFIG = """
[sip]
rtp_relearn_s = 4
no_media_timeout_s = 3
[agents.desk]
greeting = "One two three four five six seven eight nine ten eleven twelve thirteen fourteen \
fifteen sixteen seventeen eighteen nineteen twenty twenty one twenty two twenty three twenty four."
[agents.desk.turn.barge_in]
interruptible = false
"""
STRANGER = "127.0.0.66"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayUnderTest]:
    with running_gateway(tmp_path_factory.mktemp("rtp"), CONFIG) as running:
        yield running


def record_of(gateway: GatewayUnderTest, phone: PlainPhone) -> dict[str, Any]:
    phone.bye()
    return gateway.call_of(phone.call_id)


def counted(gateway: GatewayUnderTest, name: str) -> float:
    return sum(value for sample, value in gateway.metrics().items() if sample.startswith(name))


def test_a_stranger_gets_nothing_in_a_pause_and_is_counted(gateway: GatewayUnderTest) -> None:
    with calling(gateway.sip_port) as phone, udp_socket(STRANGER) as thief:
        assert phone.speak(50) > 20
        phone.speak(12, source=thief, ssrc=9)
        assert phone.listen(1.0) > 40
        assert phone.listen(0.3, at=thief) == 0
        own = "{}:{}".format(*phone.rtp.getsockname())
        record = record_of(gateway, phone)
    assert record["rtp"]["remote_address"] == record["rtp"]["signalled_address"] == own
    assert record["rtp"]["foreign_packets"] == 12
    assert record["rtp"]["source_changes"] == 0
    assert record["rtp"]["received_packets"] == 50
    events = [e for e in gateway.events(record) if e["kind"] == "rtp_source"]
    assert [(e["address"], e["reason"]) for e in events] == [(own, "signalled")]
    end = time.monotonic() + 10
    while counted(gateway, "gateway_rtp_foreign_packets_total") < 12:
        assert time.monotonic() < end
        time.sleep(0.1)
    assert counted(gateway, "gateway_rtp_source_changes_total") >= 1


def test_who_speaks_first_does_not_win_over_the_description(gateway: GatewayUnderTest) -> None:
    with calling(gateway.sip_port) as phone, udp_socket(STRANGER) as thief:
        phone.speak(12, source=thief, ssrc=9)
        assert phone.listen(0.3, at=thief) == 0
        assert phone.speak(30) > 20


def test_an_old_source_that_comes_back_is_followed_again(gateway: GatewayUnderTest) -> None:
    with calling(gateway.sip_port) as phone, udp_socket(STRANGER) as moved:
        phone.speak(25)
        phone.listen(4.3)
        phone.speak(25, source=moved, ssrc=9)
        assert phone.listen(0.5, at=moved) > 15
        phone.speak(25)
        assert phone.speak(25) > 15
        record = record_of(gateway, phone)
    assert record["rtp"]["source_changes"] == 2
    reasons = [e["reason"] for e in gateway.events(record) if e["kind"] == "rtp_source"]
    assert reasons == ["signalled", "moved", "signalled"]


def test_a_nat_is_followed_at_once(gateway: GatewayUnderTest) -> None:
    """The description has an inner address, packets come from where SIP comes from."""
    with plain_phone(gateway.sip_port) as phone:
        assert phone.call(phone.sdp(address="127.0.0.77")).status == 200
        phone.ack()
        assert phone.speak(30) > 20


def test_a_nat_is_followed_at_once_when_it_is_called(gateway: GatewayUnderTest) -> None:
    with plain_phone(gateway.sip_port) as phone:
        host, port = phone.sip.getsockname()
        gateway.post("/v1/calls", {"to": f"sip:200@{host}:{port}"})
        phone.take_call(phone.sdp(address="127.0.0.77"))
        assert phone.speak(30) > 20


@pytest.mark.parametrize("how", ["a=inactive\r\n", "a=sendonly\r\n", "0.0.0.0"])
def test_who_sends_while_the_call_is_held_gets_nothing(gateway: GatewayUnderTest, how: str) -> None:
    with calling(gateway.sip_port) as phone, udp_socket(STRANGER) as thief:
        phone.speak(25)
        held = phone.sdp(after=how) if "=" in how else phone.sdp(address=how)
        assert phone.ask("INVITE", held).status == 200
        phone.ack()
        phone.speak(275, source=thief, ssrc=9)  # longer than sip.rtp_relearn_s
        assert phone.ask("INVITE", phone.sdp()).status == 200
        phone.ack()
        phone.speak(25, source=thief, ssrc=9)
        assert phone.speak(25) > 15
        assert phone.listen(0.3, at=thief) == 0
        record = record_of(gateway, phone)
    assert record["rtp"]["source_changes"] == 0
    assert record["rtp"]["foreign_packets"] >= 275


def test_a_caller_behind_a_nat_gets_the_call_back_by_sending(gateway: GatewayUnderTest) -> None:
    with plain_phone(gateway.sip_port) as phone, udp_socket(STRANGER) as thief:
        assert phone.call(phone.sdp(address="127.0.0.77")).status == 200
        phone.ack()
        phone.speak(25)
        phone.listen(4.3)
        phone.speak(25, source=thief, ssrc=9)
        assert phone.listen(0.5, at=thief) > 15
        phone.speak(25)
        phone.speak(12, source=thief, ssrc=9)
        assert phone.speak(25) > 15
        assert record_of(gateway, phone)["rtp"]["source_changes"] == 2


def test_nothing_is_sent_to_whom_did_not_acknowledge(gateway: GatewayUnderTest) -> None:
    with plain_phone(gateway.sip_port) as phone:
        assert phone.call().status == 200
        assert phone.listen(1.0) == 0
        phone.ack()
        assert phone.listen(1.0) > 40


def test_ports_are_not_counted_up(gateway: GatewayUnderTest) -> None:
    ports = []
    for _ in range(8):
        with calling(gateway.sip_port) as phone:
            ports.append(phone.media[1])
    steps = [after - before for before, after in itertools.pairwise(ports)]
    assert steps.count(2) < 5, ports
    assert all(port % 2 == 0 for port in ports)


def test_who_listens_is_not_hung_up_while_the_bot_speaks(gateway: GatewayUnderTest) -> None:
    """Nor afterwards as long as RTCP comes, or a request within the call."""
    with calling(gateway.sip_port) as phone, udp_socket() as rtcp:
        phone.speak(10)
        assert phone.listen(5.0) > 200
        assert not phone.was_hung_up()
        while phone.listen(1.0) and not phone.was_hung_up() and _is_loud(phone):
            pass
        for _ in range(5):
            rtcp.sendto(b"\x80\xc9\x00\x01\x00\x00\x00\x4d", (phone.media[0], phone.media[1] + 1))
            phone.listen(1.0)
        assert not phone.was_hung_up()
        for _ in range(5):
            phone.ask("OPTIONS")
            phone.listen(1.0)
        assert not phone.was_hung_up()
        phone.listen(5.0)
        assert phone.was_hung_up()


def _is_loud(phone: PlainPhone) -> bool:
    """Whether the next packets hold speech."""
    phone.rtp.settimeout(1)
    return any(set(phone.rtp.recv(2048)[12:]) != {0xFF} for _ in range(25))
