"""Names in SIP messages, and a name server that never answers: nobody waits for it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator

import pytest

from tests.support.gateway_process import GatewayUnderTest, running_gateway
from tests.support.plain_phone import PlainPhone, calling, plain_phone, udp_socket

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs a name server's port")
SERVER = "127.53.53.53"
NAME = "slow.example"
_LONGEST_S = 1.5
"""For an answer on a busy machine; a lookup takes ten."""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayUnderTest]:
    folder = tmp_path_factory.mktemp("names")
    own = folder / "resolv.conf"
    own.write_text(f"nameserver {SERVER}\noptions timeout:5 attempts:2\n")
    mounting = f'mount --bind {own} /etc/resolv.conf && exec "$@"'
    within = ["unshare", "-m", "bash", "-c", mounting, "--"]
    with udp_socket(SERVER, 53), running_gateway(folder, within=within) as running:
        yield running


def _via_maddr(phone: PlainPhone) -> None:
    text = phone.build("INVITE", phone.sdp())
    phone.send(text.replace(";rport", f";maddr={NAME};rport", 1))


def _address(phone: PlainPhone) -> None:
    assert phone.call(phone.sdp(address=NAME)).status == 488


def _rtcp(phone: PlainPhone) -> None:
    assert phone.call(phone.sdp(after=f"a=rtcp:4001 IN IP4 {NAME}\r\n")).status == 488


def _origin(phone: PlainPhone) -> None:
    own = f"IN IP4 {phone.host}\r\ns="
    assert phone.call(phone.sdp().replace(own, own.replace(phone.host, NAME))).status == 200
    phone.ack()


def _contact(phone: PlainPhone) -> None:
    host, port = phone.sip.getsockname()
    text = phone.build("INVITE", phone.sdp())
    phone.send(text.replace(f"Contact: <sip:plain@{host}:{port}>", f"Contact: <sip:x@{NAME}>"))
    said = phone.final()
    assert said
    assert said.status == 200
    phone.remote_to = said.header("To")
    phone.take(said)
    phone.ack()


@pytest.mark.parametrize("act", [_via_maddr, _address, _rtcp, _origin, _contact])
def test_a_name_holds_nobody_up(
    gateway: GatewayUnderTest, act: Callable[[PlainPhone], None]
) -> None:
    with calling(gateway.sip_port) as witness, plain_phone(gateway.sip_port) as phone:
        witness.speak(5)
        act(phone)
        end = time.monotonic() + 1
        while time.monotonic() < end:
            asked = time.monotonic()
            assert witness.ask("OPTIONS").status == 200
            assert time.monotonic() - asked < _LONGEST_S
            assert witness.listen(0.3) > 5


def test_a_route_by_name_is_looked_up_beside(gateway: GatewayUnderTest) -> None:
    """The call is hung up by the gateway, which must look up where to."""
    with calling(gateway.sip_port) as witness, plain_phone(gateway.sip_port) as phone:
        said = phone.ask("INVITE", phone.sdp(), more=[f"Record-Route: <sip:{NAME};lr>"])
        assert said.status == 200
        phone.remote_to = said.header("To")
        phone.take(said)
        phone.ack()
        living = json.loads(gateway.get("/v1/calls?state=active"))["calls"]
        call_id = next(c["call_id"] for c in living if c["sip_call_id"] == phone.call_id)
        gateway.post(f"/v1/calls/{call_id}/hangup")
        asked = time.monotonic()
        assert witness.ask("OPTIONS").status == 200
        assert time.monotonic() - asked < _LONGEST_S
