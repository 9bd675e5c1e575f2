"""Kamailio's answers, as 5.6 gives them."""

import pytest

from gateway.edge.listing import (
    Call,
    Lost,
    Seen,
    calls,
    destinations,
    is_taken_back,
    started,
    trunk_status,
)
from gateway.edge.program import complaint, kind_of
from gateway.errors import EdgeError


def listing(*flags):
    targets = [
        {"DEST": {"URI": f"sip:10.0.0.2:{port};transport=udp", "FLAGS": flag, "PRIORITY": 0,
                  "RUNTIME": {"DLGLOAD": 2}}}
        for port, flag in enumerate(flags, 5061)
    ]  # fmt: skip
    return {"NRSETS": 1, "RECORDS": [{"SET": {"ID": 1, "TARGETS": targets}}]}


def test_destinations():
    found = destinations(listing("AP", "TP", "IP", "DX"))
    assert found[0] == Seen("sip:10.0.0.2:5061;transport=udp", answers=True, calls=2)
    assert found[0].address == "10.0.0.2:5061"
    assert [one.answers for one in found] == [True, True, False, False]
    assert destinations({"NRSETS": 0, "RECORDS": []}) == []


def test_dialogs():
    assert calls([{"h_entry": 5, "h_id": 7, "call-id": "x"}]) == [Call(5, 7)]
    assert calls([]) == calls(None) == []


def test_when_it_has_started():
    since = "Sat Nov 21 22:17:05 2026"
    assert started({"now": "x", "up_since": since, "uptime": 7}) == since


@pytest.mark.parametrize("read", [destinations, calls, started])
def test_another_version(read):
    with pytest.raises(EdgeError, match="cannot be read"):
        read("surprise")


@pytest.mark.parametrize(
    ("flags", "state"),
    [(20, "registered"), (18, "registering"), (24, "registering"), (16, "failed")],
)
def test_registrations(flags, state):
    assert trunk_status("t", {"flags": flags, "expires": 300}).state == state


def test_what_was_unregistered_on_purpose():
    assert is_taken_back({"flags": 16, "expires": 0})
    assert not is_taken_back({"flags": 16, "expires": 300})
    with pytest.raises(EdgeError, match="cannot be read"):
        is_taken_back({"auth_password": "secret"})


def test_a_registration_that_cannot_be_read_is_not_shown():
    with pytest.raises(EdgeError) as caught:
        trunk_status("t", {"auth_password": "secret"})
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_lost_after_a_while_and_once():
    lost = Lost(10)
    here, away = Seen("a", answers=True, calls=0), Seen("a", answers=False, calls=0)
    assert not lost.observe([away], 0)  # never seen: it was not there yet
    assert not lost.observe([here], 20)
    assert not lost.observe([away], 21)
    assert not lost.observe([away], 30)
    assert not lost.observe([here], 30.5)  # back in time
    assert not lost.observe([away], 31)
    assert lost.observe([away], 41) == ["a"]
    assert not lost.observe([away], 60)
    assert not lost.observe([here], 61)
    assert not lost.observe([away], 62)
    assert lost.observe([away], 72) == ["a"]


def test_what_kamailio_says_of_bad_files(tmp_path):
    said = (
        ' 0(12) INFO: <core> [x.c:1]: f(): fine\n'
        ' 0(12) CRITICAL: <core> [cfg.y:3]: parse error in config file /e/settings.cfg, line 5\n'
        ' 0(12) ERROR: <core> [sr.c:1]: could not find module <tls.so>\n'
    )  # fmt: skip
    text = complaint(said, tmp_path)
    assert "line 5" in text
    assert "fine" not in text
    assert "apt-get install" in text
    assert "strange" in complaint("strange", tmp_path)


def test_what_it_says_is_of_a_bounded_number_of_kinds():
    one = kind_of("ERROR", "{a} <core> [core/parser/msg_parser.c:98]: get_hdr_field(): bad header")
    other = kind_of("ERROR", "{b} <core> [core/parser/msg_parser.c:98]: get_hdr_field(): bad")
    assert one == other
    assert one != kind_of("ERROR", "<script>: edge: worker down")
    assert one != kind_of("WARNING", "{a} <core> [core/parser/msg_parser.c:98]: x")
    assert len({kind_of("ERROR", f"[{n}.c:{n}]") for n in range(10_000)}) == 64
