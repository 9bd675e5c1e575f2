"""Offers, requests within calls and sizes as the field sends them: each has its right answer."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.support.gateway_process import GatewayUnderTest, running_gateway
from tests.support.plain_phone import PlainPhone, Said, calling, plain_phone
from tests.support.raw_sip import SDP, RawParty, status

CONFIG = """
[sip]
no_media_timeout_s = 3
[agents.desk]
greeting = "Good morning."
"""
VIDEO = "m=video 40000 RTP/AVP 97\r\na=rtpmap:97 H264/90000\r\n"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayUnderTest]:
    with running_gateway(tmp_path_factory.mktemp("odd"), CONFIG) as running:
        yield running
        assert "worker_died" not in running.log.read_text()


@pytest.fixture
def witness(gateway: GatewayUnderTest) -> Iterator[PlainPhone]:
    """A call beside, which nothing may disturb."""
    with calling(gateway.sip_port) as phone:
        phone.speak(5)
        yield phone
        assert phone.speak(25) > 15
        assert not phone.was_hung_up()


def hang_up(gateway: GatewayUnderTest, phone: PlainPhone) -> None:
    """Have the gateway end a telephone's call."""
    calls = json.loads(gateway.get("/v1/calls?active=true"))["calls"]
    (number,) = (call["call_id"] for call in calls if call["sip_call_id"] == phone.call_id)
    gateway.post(f"/v1/calls/{number}/hangup")


# --- transports: browsers and baresip offer DTLS ---


@pytest.mark.parametrize("transport", ["UDP/TLS/RTP/SAVPF", "UDP/TLS/RTP/SAVP"])
def test_dtls_is_refused_wherever_it_comes(
    gateway: GatewayUnderTest, witness: PlainPhone, transport: str
) -> None:
    with plain_phone(gateway.sip_port) as phone:
        assert phone.call(phone.sdp(transport=transport)).status == 488
    with plain_phone(gateway.sip_port) as phone:
        both = phone.sdp(before=f"m=audio 4000 {transport} 0\r\n")
        assert phone.call(both).status == 488
    with plain_phone(gateway.sip_port) as phone:
        said = phone.ask("INVITE", in_parts(phone.sdp(transport=transport)), MULTIPART)
        phone.send(phone.build("ACK"))
        assert said.status == 488
    assert witness.ask("INVITE", witness.sdp(transport=transport)).status == 488
    witness.ack()
    assert witness.ask("UPDATE", witness.sdp(transport=transport)).status == 488


@pytest.mark.parametrize("length", [0, 20])
def test_what_stands_behind_content_length_is_judged_too(
    gateway: GatewayUnderTest, witness: PlainPhone, length: int
) -> None:
    """Over UDP the library reads a datagram to its end (RFC 3261 section 18.3 has it stop)."""
    party = RawParty(gateway.sip_port)
    try:
        sdp = SDP.replace("RTP/AVP", "UDP/TLS/RTP/SAVPF")
        offer = party.message(body=sdp)
        offer = offer.replace(
            f"Content-Length: {len(sdp)}".encode(), b"Content-Length: %d" % length
        )
        assert status(party.final(offer)) == 488
    finally:
        party.close()
    assert witness.ask("OPTIONS").status == 200


@pytest.mark.parametrize(
    "crypto",
    [
        "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:short",
        "a=crypto:1 F8_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj",
        "a=crypto:junk",
    ],
)
def test_a_bad_key_beside_plain_rtp_is_ignored(gateway: GatewayUnderTest, crypto: str) -> None:
    with plain_phone(gateway.sip_port) as phone:
        offer = phone.sdp(after=f"{crypto}\r\n")
        said = phone.call(offer)
        assert said.status == 200
        assert " RTP/AVP " in said.body
        assert "crypto" not in said.body
        phone.ack()
        assert phone.speak(25) > 15
        assert phone.ask("INVITE", offer).status == 200
        phone.ack()
    with plain_phone(gateway.sip_port) as phone:
        said = phone.ask("INVITE", in_parts(phone.sdp(after=f"{crypto}\r\n")), MULTIPART)
        assert said.status == 200
        phone.remote_to = said.header("To")
        phone.take(said)
        phone.ack()
    with plain_phone(gateway.sip_port) as phone:
        assert phone.call(offer.replace("RTP/AVP", "RTP/SAVP")).status == 488


def test_a_good_key_beside_plain_rtp_is_used_and_bad_ones_are_not(
    gateway: GatewayUnderTest,
) -> None:
    good = "a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj"
    with plain_phone(gateway.sip_port) as phone:
        said = phone.call(phone.sdp(after=f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 x\r\n{good}\r\n"))
        assert said.status == 200
        assert "a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:" in said.body
        phone.ack()


MULTIPART = "multipart/mixed;boundary=x"


def in_parts(sdp: str) -> str:
    return f"--x\r\nContent-Type: application/sdp\r\n\r\n{sdp}\r\n--x--\r\n"


@pytest.mark.usefixtures("witness")
def test_the_ack_may_bring_nothing_right(gateway: GatewayUnderTest) -> None:
    """An INVITE without an offer, and an ACK without a description, or with a wrong one."""
    for late in ("", "UDP/TLS/RTP/SAVPF"):
        with plain_phone(gateway.sip_port) as phone:
            assert phone.call("").status == 200
            phone.ack(phone.sdp(transport=late) if late else "")
            end = time.monotonic() + 2
            while not phone.was_hung_up():
                assert time.monotonic() < end, f"{late or 'no description'}: still up"
                time.sleep(0.02)
        record = gateway.call_of(phone.call_id)
        assert record["end_reason"] == "failed"


def test_an_offer_in_a_part_is_served(gateway: GatewayUnderTest) -> None:
    with plain_phone(gateway.sip_port) as phone:
        said = phone.ask("INVITE", in_parts(phone.sdp()), MULTIPART)
        assert said.status == 200
        phone.remote_to = said.header("To")
        phone.take(said)
        phone.ack()
        assert phone.speak(25) > 15


# --- order of streams ---


@pytest.mark.parametrize("head", [VIDEO, "m=audio 0 RTP/SAVP 0\r\n", VIDEO.replace("40000", "0")])
def test_audio_need_not_come_first(gateway: GatewayUnderTest, head: str) -> None:
    with plain_phone(gateway.sip_port) as phone:
        assert phone.call(phone.sdp(before=head)).status == 200
        assert phone.media[1]
        phone.ack()
        phone.speak(250)
        assert not phone.was_hung_up()
        phone.bye()
        record = next(
            call for call in wait_for_calls(gateway) if call["sip_call_id"] == phone.call_id
        )
    assert record["codec"] == "PCMU"
    assert record["rtp"]["received_packets"] == 250


def wait_for_calls(gateway: GatewayUnderTest) -> list[dict[str, object]]:
    time.sleep(1.5)
    return gateway.calls()


DECLINED = "m=video 0 RTP/AVP 31\r\n"


@pytest.mark.parametrize(("before", "after"), [(DECLINED, ""), ("", DECLINED)])
def test_a_declined_stream_needs_no_address(
    gateway: GatewayUnderTest, before: str, after: str
) -> None:
    """The library aborts the process where a stream has none, declined or not."""
    with plain_phone(gateway.sip_port) as phone:
        offer = phone.sdp(before=before)
        address = f"c=IN IP4 {phone.host}\r\n"
        offer = offer.replace(address, "") + address + after
        assert phone.call(offer).status == 200
        phone.ack()
        assert phone.speak(25) > 15
        assert phone.ask("INVITE", offer).status == 200
        phone.ack()
        assert phone.ask("UPDATE", offer).status == 200
        assert phone.speak(25) > 15
        assert (
            phone.ask("INVITE", offer.replace("31", "31\r\nm=audio 4000 RTP/AVP 0")).status == 400
        )


def test_the_codec_may_be_in_the_second_audio_stream(gateway: GatewayUnderTest) -> None:
    with plain_phone(gateway.sip_port) as phone:
        wide = "m=audio 4000 RTP/AVP 96\r\na=rtpmap:96 opus/48000/2\r\n"
        assert phone.call(phone.sdp(before=wide)).status == 200
        phone.ack()
        assert phone.speak(25) > 15


# --- requests within a call ---


def test_offers_are_limited_by_call_and_by_nothing_that_others_send(
    gateway: GatewayUnderTest, witness: PlainPhone
) -> None:
    """The library keeps handles of streams that come and go; too many are its end."""
    stranger = RawParty(gateway.sip_port)
    try:
        for number in range(40):
            method = ("UPDATE", "INVITE")[number % 2]
            stranger.send(stranger.message(method, to="To: <sip:100@127.0.0.1>;tag=none"))
        assert {status(answer) for answer in stranger.heard(0.3)} == {481}
        assert witness.ask("UPDATE", witness.sdp()).status == 200
    finally:
        stranger.close()
    with calling(gateway.sip_port) as phone:
        answers = [phone.ask("UPDATE", phone.sdp()).status for _ in range(6)]
        assert answers[:3] == [200] * 3
        assert 491 in answers
        assert witness.ask("UPDATE", witness.sdp()).status == 200


def test_requests_within_a_call_never_get_500(witness: PlainPhone) -> None:
    expected = {
        ("OPTIONS", "", ""): {200},
        ("INFO", "", ""): {200},
        ("INFO", "{}", "application/json"): {415},
        ("INFO", "<x/>", "application/media_control+xml"): {415},
        ("INFO", "Signal=5\r\nDuration=160\r\n", "application/dtmf-relay"): {200},
        ("PUBLISH", "", ""): {405},
        ("MESSAGE", "hi", "text/plain"): {405},
        ("REFER", "", ""): {405},
        ("SUBSCRIBE", "", ""): {405},
        ("BREW", "", ""): {501},
        ("PRACK", "", ""): {400, 481},
        ("NOTIFY", "", ""): {489},
    }
    found = {key: witness.ask(key[0], key[1], key[2]).status for key in expected}
    assert witness.ask("NOTIFY", more=["Event: refer"]).status == 481
    wrong = {key: status for key, status in found.items() if status not in expected[key]}
    assert not wrong


def test_what_is_refused_is_not_advertised(gateway: GatewayUnderTest) -> None:
    with plain_phone(gateway.sip_port) as phone:
        answers = [phone.call(), phone.ask("OPTIONS")]
        phone.ack()
    for said in answers:
        assert "REFER" not in said.header("Allow")
        assert "INVITE" in said.header("Allow")
        assert "replaces" not in said.header("Supported")
        assert "timer" in said.header("Supported")


def test_what_comes_after_our_bye_belongs_to_no_call(gateway: GatewayUnderTest) -> None:
    with calling(gateway.sip_port) as phone:
        phone.speak(5)
        hang_up(gateway, phone)
        late = [
            phone.build("OPTIONS"),
            phone.build("INFO", "Signal=5\r\n", "application/dtmf-relay"),
            phone.build("INVITE", phone.sdp()),
            phone.build("MESSAGE", "hi", "text/plain"),
        ]
        for request in late:  # before our answer to the BYE, which `receive` gives
            phone.send(request)
        answers = [said.status for _ in range(8) if (said := phone.receive(1.0)) and said.status]
    assert answers == [481] * len(late)


@pytest.mark.parametrize(
    ("broken", "host"),
    [
        ("Session-Expires: soon", "127.0.0.31"),
        ("Expires: x", "127.0.0.32"),
        ("Authorization: Basic abc", "127.0.0.33"),
        ("Supported: ,,,", "127.0.0.34"),
        ("No colon", "127.0.0.35"),
        ("Record-Route: x", "127.0.0.36"),
    ],
)
def test_a_header_that_cannot_be_read_is_answered(
    gateway: GatewayUnderTest, broken: str, host: str
) -> None:
    """Each from an address of its own: so many answers a second are for one."""
    with plain_phone(gateway.sip_port, host) as phone:
        assert phone.ask("INVITE", phone.sdp(), more=[broken]).status == 400
        with socket.create_connection(("127.0.0.1", gateway.sip_port), 3) as tcp:
            tcp.settimeout(3)
            text = phone.build("INVITE", phone.sdp(), more=[broken])
            tcp.sendall(text.replace("SIP/2.0/UDP", "SIP/2.0/TCP").encode())
            assert _final(tcp, phone.cseq).status == 400


@pytest.mark.parametrize("method", ["INVITE", "INFO", "OPTIONS"])
def test_extensions_that_we_lack_are_refused_within_calls(witness: PlainPhone, method: str) -> None:
    body = witness.sdp() if method == "INVITE" else ""
    said = witness.ask(method, body, more=["Require: timer, precondition"])
    if method == "INVITE":
        witness.ack()
    assert said.status == 420
    assert said.header("Unsupported") == "precondition"


@pytest.mark.parametrize("method", ["BYE", "INFO", "NOTIFY", "PRACK", "UPDATE"])
def test_what_belongs_to_no_call_is_told_so(gateway: GatewayUnderTest, method: str) -> None:
    with plain_phone(gateway.sip_port) as phone:
        assert phone.ask(method).status == 481


@pytest.mark.parametrize("coding", ["gzip", "identity"])
def test_packed_bodies_are_refused(gateway: GatewayUnderTest, coding: str) -> None:
    with plain_phone(gateway.sip_port) as phone:
        said = phone.ask("INVITE", phone.sdp(), more=[f"Content-Encoding: {coding}"])
        phone.remote_to = said.header("To")
        phone.send(phone.build("ACK"))
        if said.status == 200:
            phone.take(said)
            phone.bye()
    assert said.status == (415 if coding == "gzip" else 200)


@pytest.mark.parametrize(
    "before",
    [
        "m=image 40000 udptl t38\r\n",
        "m=message 40000 TCP/MSRP *\r\n",
        "m=application 40000 UDP/BFCP *\r\n",
        "m=text 40000 RTP/AVP 98\r\na=rtpmap:98 t140/1000\r\n",
        "m=video 40000 UDP/TLS/RTP/SAVPF 97\r\na=rtpmap:97 H264/90000\r\n",
        "m=image 40000 udptl t38\r\nm=message 40000 TCP/MSRP *\r\n" + VIDEO,
    ],
)
def test_the_bot_is_heard_whatever_stands_before_the_audio(
    gateway: GatewayUnderTest, before: str
) -> None:
    with plain_phone(gateway.sip_port) as phone:
        assert phone.call(phone.sdp(before=before)).status == 200
        phone.ack()
        assert _hears_speech(phone)
        phone.bye()


def _hears_speech(phone: PlainPhone) -> bool:
    phone.rtp.settimeout(3)
    return any(set(phone.rtp.recv(2048)[12:]) - {0xFF, 0x7F, 0xFE, 0x7E} for _ in range(150))


# --- sizes ---


@pytest.mark.parametrize(("hops", "status"), [(30, 200), (110, 513)])
def test_long_routes_are_served_or_refused(
    gateway: GatewayUnderTest, hops: int, status: int
) -> None:
    """An answer repeats them, and has to fit into the library's buffer."""
    routes = ", ".join("<sip:127.0.0.1;lr;n=1234>" for _ in range(hops))
    with plain_phone(gateway.sip_port) as phone:
        said = phone.ask("INVITE", phone.sdp(), more=[f"Record-Route: {routes}"])
        assert said.status == status
        if status == 200:
            hang_up(gateway, phone)


def test_what_is_too_long_for_tcp_is_told_so(gateway: GatewayUnderTest) -> None:
    with (
        plain_phone(gateway.sip_port) as phone,
        socket.create_connection(("127.0.0.1", gateway.sip_port), 3) as tcp,
    ):
        host, port = tcp.getsockname()
        tcp.settimeout(3)
        for size in (1500, 4500, 9000):
            text = phone.build("INVITE", phone.sdp(), more=["Identity: " + "e" * size])
            text = re.sub(r"SIP/2.0/UDP [^;]+", f"SIP/2.0/TCP {host}:{port}", text)
            tcp.sendall(text.encode())
            said = _final(tcp, phone.cseq)
            assert said.status == (200 if size == 1500 else 513)
            if said.status == 200:
                phone.remote_to = said.header("To")
                phone.take(said)
                for method in ("ACK", "BYE"):
                    request = phone.build(method)
                    tcp.sendall(request.replace("SIP/2.0/UDP", "SIP/2.0/TCP").encode())
                _final(tcp, phone.cseq)
                phone.remote_to, phone.target = "<sip:100@127.0.0.1>", "sip:100@127.0.0.1"


@pytest.mark.parametrize("kept", ["Content-Length", ""])
def test_what_is_too_long_for_udp_is_told_so(gateway: GatewayUnderTest, kept: str) -> None:
    with plain_phone(gateway.sip_port) as phone:
        text = phone.build("INVITE", phone.sdp(), more=["Identity: " + "e" * 3000])
        if not kept:
            text = re.sub(r"Content-Length: \d+\r\n", "", text)
        phone.send(text + "a=x:yyyyyyyyyyyyyyyyyyyyyyyyy\r\n" * 50)
        said = phone.final()
        assert said
        assert said.status == 513
        phone.send(phone.build("ACK"))


def _final(tcp: socket.socket, cseq: int) -> Said:
    received = ""
    with suppress(TimeoutError):
        while True:
            received += tcp.recv(65535).decode()
            for part in re.split(r"(?=SIP/2\.0 \d)", received):
                if re.match(r"SIP/2\.0 [2-6]", part) and f"CSeq: {cseq} " in part:
                    return Said(part)
    raise AssertionError(f"no answer in {received!r}")
