"""Files for Kamailio: what gateway.toml says, and nothing that could break their syntax."""

import hashlib
import re
from pathlib import Path

import pytest

from gateway.config.models import GatewayConfig
from gateway.edge.render import HostFacts, contact_address, db_table, render
from gateway.edge.targets import Target

AROUND = HostFacts(
    Path("/run/edge"), ("10.0.0.1", "127.0.0.1"),
    {"carrier": ("192.0.2.7", "192.0.2.8")},
    {"carrier": (("192.0.2.8", 5070), ("192.0.2.7", 5072))}, "key", "template",
)  # fmt: skip
TRUNK = {"name": "carrier", "server": "sip.example:5070", "user": "al:ice", "password": r"p\:w"}


def files(**tables):
    tables["workers"] = {"edge": "kamailio"}
    return render(GatewayConfig.model_validate(tables), [Target("127.0.0.1", 5061, 4)], AROUND)


def listening(**tables):
    return re.findall(r"^listen=(.*)$", files(**tables)["settings.cfg"], re.MULTILINE)


def test_loopback():
    assert listening() == ["udp:127.0.0.1:5060", "tcp:127.0.0.1:5060"]


def test_every_interface_and_the_loopback_for_the_workers():
    assert listening(sip={"bind": "0.0.0.0"}) == [
        "udp:10.0.0.1:5060",
        "tcp:10.0.0.1:5060",
        "udp:127.0.0.1:5060",
    ]


def test_behind_nat_workers_are_still_spoken_to_from_the_loopback():
    found = listening(sip={"bind": "10.0.0.1", "public_address": "203.0.113.5"})
    assert found == [
        "udp:10.0.0.1:5060 advertise 203.0.113.5:5060",
        "tcp:10.0.0.1:5060 advertise 203.0.113.5:5060",
        "udp:127.0.0.1:5060",
    ]


def test_tls():
    edge = {"tls_certificate": "/c.pem", "tls_key": "/k.pem"}
    made = files(edge=edge, sip={"transports": ["udp"]})
    assert "listen=tls:127.0.0.1:5061" in made["settings.cfg"]
    assert "#!define WITH_TLS" in made["settings.cfg"]
    assert "certificate = /c.pem" in made["tls.cfg"]
    assert "TLSv1.2+" in made["tls.cfg"]
    assert "client" not in made["tls.cfg"]
    assert "tls.cfg" not in files()
    assert "tcp_children=1\n" in made["settings.cfg"]
    assert "tcp_children=4\n" in files()["settings.cfg"]


@pytest.mark.parametrize(("ca", "line"), [("/c/certs", "ca_path"), ("/c/own.pem", "ca_list")])
def test_tls_to_a_trunk(ca, line):
    made = files(edge={"tls_ca": ca}, trunks=[TRUNK | {"transport": "tls"}])
    assert f"{line} = {ca}" in made["tls.cfg"]
    assert "verify_certificate = yes" in made["tls.cfg"]
    assert "transport=tls" in made["db/uacreg"]
    assert "listen=tls:" in made["settings.cfg"]
    # None of our own: else Kamailio looks for cert.pem and does not start.
    assert 'certificate = ""' in made["tls.cfg"]
    assert 'private_key = ""' in made["tls.cfg"]


@pytest.mark.parametrize(
    ("transport", "own", "contact"),
    [
        (
            "tls",
            {"tls_certificate": "/c.pem", "tls_key": "/k.pem"},
            r"10.0.0.1\:5061;transport=tls",
        ),
        ("tls", {}, ""),  # nobody could reach it over a new connection
        ("udp", {"tls_certificate": "/c.pem", "tls_key": "/k.pem"}, ""),
    ],
)
def test_how_a_trunk_is_told_to_call(transport, own, contact):
    made = files(edge=own, trunks=[TRUNK | {"transport": transport}], sip={"bind": "0.0.0.0"})
    row = made["db/uacreg"].splitlines()[1]
    assert row.endswith(f":0:0:{contact}:")


def test_without_tcp():
    assert "disable_tcp=yes" in files(sip={"transports": ["udp"]})["settings.cfg"]


@pytest.mark.parametrize(
    ("sip", "address"),
    [
        ({"bind": "127.0.0.1"}, "127.0.0.1:5060"),
        ({"bind": "0.0.0.0", "port": 5080}, "10.0.0.1:5080"),
        ({"bind": "0.0.0.0", "public_address": "gw.example"}, "gw.example:5060"),
    ],
)
def test_where_trunks_reach_us(sip, address):
    config = GatewayConfig.model_validate({"sip": sip})
    assert contact_address(config, AROUND.own_addresses) == address


def test_sources():
    made = files(sip={"allow_sources": ["10.1.0.0/16"]}, trunks=[TRUNK])
    assert made["sources.list"].splitlines() == [
        "1 10.1.0.0 16",
        "2 192.0.2.7 32 0 carrier",
        "2 192.0.2.8 32 0 carrier",
    ]
    assert files()["sources.list"] == "1 127.0.0.0 8\n"
    assert files(sip={"users": {"a": "b"}})["sources.list"] == ""
    assert files(sip={"bind": "0.0.0.0"})["sources.list"] == ""


@pytest.mark.parametrize(
    ("trunk", "row"),
    [
        (
            {},
            r"1:sip.example\:5070/:0:0:2|192.0.2.8\:5070;transport=udp|192.0.2.7\:5072;transport=udp:0",
        ),
        (
            {"server": "SIP.example", "transport": "tcp"},
            r"1:sip.example\:/tcp:0:0:2|192.0.2.8\:5070;transport=tcp|192.0.2.7\:5072;transport=tcp:0",
        ),
        ({"server": "192.0.2.8:5070"}, ""),  # no name: nothing to look up
        ({"name": "unknown"}, ""),
    ],
)
def test_where_the_name_of_a_trunk_leads(trunk, row):
    assert files(trunks=[TRUNK | trunk])["db/servers"].splitlines()[1:] == ([row] if row else [])


def test_users_are_kept_as_digests():
    made = files(sip={"users": {"ali:ce": "secret"}, "realm": "here"})
    digest = hashlib.md5(b"ali:ce:here:secret", usedforsecurity=False).hexdigest()
    assert made["db/users"].splitlines()[1] == rf"1:ali\:ce:0:0:{digest}:0"
    assert all("secret" not in text for text in made.values())
    assert "WITH_USERS" in made["settings.cfg"]
    assert "WITH_USERS" not in files()["settings.cfg"]


def test_registrations():
    row = files(trunks=[TRUNK | {"transport": "tcp", "expires_s": 60}])["db/uacreg"].splitlines()[1]
    assert row == (
        r"1:carrier:al\:ice:10.0.0.1:al\:ice:sip.example\:5070::al\:ice:p\\\:w:"
        r":sip\:sip.example\:5070;transport=tcp:60:0:0::"
    ).replace("10.0.0.1", "127.0.0.1")
    assert len(files(trunks=[TRUNK | {"register": False}])["db/uacreg"].splitlines()) == 1


def test_only_the_registrations_hold_a_password():
    made = files(trunks=[TRUNK])
    assert [name for name, text in made.items() if r"p\\\:w" in text or r"p\:w" in text] == [
        "db/uacreg"
    ]


def test_db_text_escapes():
    text = db_table(["a(string)", "b(int)"], [("x:y\\z\n\t\r", 5)])
    assert text == "a(string) b(int)\n" + r"x\:y\\z\n\t\r:5" + "\n"


def test_who_may_call_and_who_is_vouched_for():
    """Kamailio takes a mask of no bits for nobody."""
    made = files(sip={"allow_sources": ["10.0.0.0/8", "0.0.0.0/0"]}, trunks=[TRUNK])
    assert made["sources.list"].splitlines() == [
        "1 10.0.0.0 8",
        "3 0.0.0.0 1",
        "3 128.0.0.0 1",
        "2 192.0.2.7 32 0 carrier",
        "2 192.0.2.8 32 0 carrier",
    ]


def test_secrets_of_the_edge_are_not_the_key_that_hides_addresses():
    settings = files()["settings.cfg"]
    found = dict(re.findall(r'^#!substdef "!(\w+)!([^!]*)!g"', settings, re.MULTILINE))
    assert len({found["MASK_KEY"], found["NONCE_SECRET"][:32], found["UNKNOWN_USERS_HA1"]}) == 3
    assert re.fullmatch(r"[0-9a-f]{64}", found["NONCE_SECRET"])
    assert re.fullmatch(r"[0-9a-f]{32}", found["UNKNOWN_USERS_HA1"])
