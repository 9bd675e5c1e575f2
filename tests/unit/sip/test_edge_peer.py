"""Whom a worker believes when it is told where a call comes from."""

import hashlib

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


LOCAL = EdgePeer("127.0.0.1", 5080, is_local=True, bind="127.0.0.1")


@pytest.mark.parametrize("name", ["X-Gateway-Untrusted", "X-Gateway-Stranger"])
def test_the_edge_is_believed(name):
    origin = LOCAL.word(TOLD, "127.0.0.1", 5080, ["127.0.0.1"])
    assert origin == Origin("192.0.2.7", 5062, "carrier")
    assert str(origin) == "192.0.2.7:5062"
    untrusted = invite("X-Gateway-Source: 192.0.2.7:5062", f"{name}: yes")
    origin = LOCAL.word(untrusted, "127.0.0.1", 5080, ["127.0.0.1"])
    assert origin == Origin("192.0.2.7", 5062, is_untrusted=True)


@pytest.mark.parametrize(("source", "port"), [("127.0.0.1", 5099), ("192.0.2.99", 5080)])
def test_nobody_else_is(source, port):
    assert LOCAL.word(TOLD, source, port, ["127.0.0.1"]) is None


@pytest.mark.parametrize("value", ["", "x", "192.0.2.7", "192.0.2.7:", "192.0.2.7:x", "me:5060"])
def test_what_is_no_address_is_not_taken(value):
    request = invite(f"X-Gateway-Source: {value}")
    assert LOCAL.word(request, "127.0.0.1", 5080, ["127.0.0.1"]) is None


def test_what_is_said_twice_or_not_at_all_is_not_said():
    twice = invite("X-Gateway-Source: 192.0.2.7:5062", "x-gateway-source: 192.0.2.8:5062")
    assert LOCAL.word(twice, "127.0.0.1", 5080, ["127.0.0.1"]) is None
    assert LOCAL.word(invite(), "127.0.0.1", 5080, ["127.0.0.1"]) is None


SIGNED = EdgePeer("127.0.0.1", 5080, is_local=True, bind="127.0.0.1", key="k")


def signed(*lines, said="k a@b 192.0.2.7:5062  "):
    word = hashlib.sha256(said.encode()).hexdigest()
    return invite("Call-ID: a@b", "X-Gateway-Source: 192.0.2.7:5062", *lines,
                  f"X-Gateway-Word: {word}")  # fmt: skip


@pytest.mark.parametrize(
    ("request_", "origin"),
    [
        (signed(), Origin("192.0.2.7", 5062)),
        (
            signed("X-Gateway-Trunk: carrier", said="k a@b 192.0.2.7:5062 carrier "),
            Origin("192.0.2.7", 5062, "carrier"),
        ),
        (
            signed("X-Gateway-Untrusted: yes", said="k a@b 192.0.2.7:5062  yes"),
            Origin("192.0.2.7", 5062, is_untrusted=True),
        ),
        (
            signed("X-Gateway-Stranger: yes", said="k a@b 192.0.2.7:5062  yes"),
            Origin("192.0.2.7", 5062, is_untrusted=True),
        ),
        (signed("X-Gateway-Untrusted: yes"), None),
        # Something was added, taken away or changed on its way, or it is of another call.
        (signed("X-Gateway-Trunk: carrier"), None),
        (signed(said="k a@b 192.0.2.7:5062  yes"), None),
        (signed(said="k c@d 192.0.2.7:5062  "), None),
        (signed(said="other a@b 192.0.2.7:5062  "), None),
        (signed("X-Gateway-Word: x"), None),
        (invite("Call-ID: a@b", "X-Gateway-Source: 192.0.2.7:5062"), None),
    ],
)
def test_the_word_is_signed(request_, origin):
    assert SIGNED.word(request_, "127.0.0.1", 5080, ["127.0.0.1"]) == origin


def leaving(method="INVITE", uri="sip:1@x", to="<sip:1@x>", call_id="a@b", cseq="7 INVITE"):
    lines = [f"{method} {uri} SIP/2.0", f"To: {to}", f"Call-ID: {call_id}", f"CSeq: {cseq}"]
    return SIGNED.sign(parse_request("\r\n".join([*lines, "", ""])))


def test_what_a_worker_signs():
    within = {"method": "BYE", "to": "<sip:1@x>;tag=t", "cseq": "8 BYE"}
    words = [
        leaving(),
        leaving(uri="sip:2@x"),
        leaving(call_id="c@d"),
        leaving(cseq="8 INVITE"),
        leaving(**within),
        EdgePeer("127.0.0.1", 5080, is_local=True, bind="", key="other").sign(invite()),
        hashlib.sha256(b"k a@b 7 INVITE").hexdigest(),
    ]
    assert len(set(words)) == len(words)
    assert leaving() == hashlib.sha256(b"k worker a@b 7 INVITE sip:1@x").hexdigest()
    # Where requests within calls go the edge sees unmasked, and To may be what a stranger wrote.
    assert leaving(**within) == hashlib.sha256(b"k worker a@b 8 BYE").hexdigest()
    assert leaving(**within | {"uri": "sip:3@x", "to": '"<";tag=t'}) == leaving(**within)


def test_whose_key_it_is():
    assert EdgePeer.of(config()).key == ""
    own = EdgePeer.of(config(), "own").key
    shared = EdgePeer.of(config(key="secret"), "own").key
    away = EdgePeer.of(config(key="secret", join="10.0.0.9"), "own").key
    assert len({"", own, shared}) == 3
    assert away == shared
    # Without a shared one a worker on another host cannot know that of the edge.
    assert EdgePeer.of(config(join="10.0.0.9"), "own").key == ""
    assert "secret" not in repr(EdgePeer.of(config(key="secret")))
