"""Whom a worker believes when it is told where a call comes from."""

import pytest

from gateway.config.models import GatewayConfig
from gateway.sip.edge_peer import EdgePeer, Origin, local_signalling_address
from gateway.sip.message import parse_request


def config(bind="0.0.0.0", **edge):
    return GatewayConfig.model_validate(
        {"sip": {"bind": bind, "port": 5080}, "workers": {"edge": "kamailio"}, "edge": edge}
    )


def invite(*lines):
    return parse_request("\r\n".join(["INVITE sip:1@x SIP/2.0", "To: <sip:1@x>", *lines, "", ""]))


TOLD = invite("X-Gateway-Source: 192.0.2.7:5062", "X-Gateway-Trunk: carrier")


def test_no_edge():
    assert EdgePeer.of(GatewayConfig()) is None


@pytest.mark.parametrize(
    ("bind", "address"),
    [("0.0.0.0", "127.0.0.1"), ("127.0.0.5", "127.0.0.5"), ("10.0.0.1", "127.0.0.1")],
)
def test_edge_and_workers_of_one_host_meet_on_the_loopback(bind, address):
    peer = EdgePeer.of(config(bind))
    assert peer == EdgePeer(address, 5080, is_local=True, bind=address)
    assert peer.uri == f"sip:{address}:5080;lr"
    assert local_signalling_address(bind) == address


@pytest.mark.parametrize(
    ("bind", "join", "peer"),
    [
        ("0.0.0.0", "10.0.0.9", EdgePeer("10.0.0.9", 5060, is_local=False, bind="")),
        ("10.0.0.1", "edge:5070", EdgePeer("edge", 5070, is_local=False, bind="10.0.0.1")),
    ],
)
def test_the_edge_of_another_host(bind, join, peer):
    assert EdgePeer.of(config(bind, join=join)) == peer


def test_the_edge_is_believed():
    peer = EdgePeer("127.0.0.1", 5080, is_local=True, bind="127.0.0.1")
    origin = peer.origin(TOLD, "127.0.0.1", 5080, ["127.0.0.1"])
    assert origin == Origin("192.0.2.7", 5062, "carrier")
    assert str(origin) == "192.0.2.7:5062"


@pytest.mark.parametrize(("source", "port"), [("127.0.0.1", 5099), ("192.0.2.99", 5080)])
def test_nobody_else_is(source, port):
    peer = EdgePeer("127.0.0.1", 5080, is_local=True, bind="127.0.0.1")
    assert peer.origin(TOLD, source, port, ["127.0.0.1"]) == Origin(source, port)


@pytest.mark.parametrize("value", ["", "x", "192.0.2.7", "192.0.2.7:", "192.0.2.7:x", "me:5060"])
def test_what_is_no_address_is_not_taken(value):
    peer = EdgePeer("127.0.0.1", 5080, is_local=True, bind="127.0.0.1")
    request = invite(f"X-Gateway-Source: {value}")
    assert peer.origin(request, "127.0.0.1", 5080, ["127.0.0.1"]) == Origin("127.0.0.1", 5080)
