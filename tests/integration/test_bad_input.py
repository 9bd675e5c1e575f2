"""Hostile SIP, SDP and RTP: the worker lives, a real caller gets through, nothing is left over."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Iterable, Iterator
from contextlib import suppress

import pytest

from gateway.errors import CallRejected
from gateway.probe.media import RtpPeer
from gateway.probe.rtp import Impairments
from tests.fuzz.hostile import HOSTILE, hang_up_calls, invite, junk_packets, mutate, with_header
from tests.support.live_gateway import LiveGateway, live_gateway
from tests.support.outside import Telephone, calling, normal_call

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveGateway]:
    config = {
        "sip": {"max_calls": 4},
        "agents": {"desk": {"greeting": "Good morning, this is the front desk. How can I help?"}},
    }
    with live_gateway(tmp_path_factory.mktemp("bad"), config) as running:
        yield running
        asyncio.run(running.idle())


@pytest.fixture(autouse=True)
def _unharmed(gateway: LiveGateway) -> Iterator[None]:
    """After every test: same worker, a normal call is complete, nothing is left over."""
    pid = gateway.worker_pid
    yield

    async def look() -> None:
        await gateway.free(25)
        record = await gateway.finished(await call_again(gateway))
        assert record["end_reason"] == "caller_hung_up"
        assert record["turns"]
        assert record["audio_s"] > 0
        await gateway.free()

    asyncio.run(look())
    assert gateway.worker_pid == pid
    crashes = [
        line for line in gateway.log.splitlines() if "Traceback" in line or "crashed" in line
    ]
    assert not crashes, crashes[0]


async def call_again(gateway: LiveGateway) -> str:
    """A normal call; as many new calls as were just tried are let in per second only."""
    async with asyncio.timeout(5):
        while True:
            try:
                return await normal_call(gateway.uri())
            except CallRejected as refusal:
                assert refusal.reason == "Too many calls per second"  # noqa: PT017 (and then go on)
            await asyncio.sleep(0.2)


# --- SIP ---


def test_hostile_datagrams_over_udp(gateway: LiveGateway) -> None:
    send_over_udp(gateway, list(HOSTILE.values()))


def test_hostile_messages_over_tcp(gateway: LiveGateway) -> None:
    for message in HOSTILE.values():
        send_over_tcp(gateway, message.replace(b"SIP/2.0/UDP", b"SIP/2.0/TCP"))


def test_mutated_invites_over_udp(gateway: LiveGateway) -> None:
    chance = random.Random(20261120)
    messages = (mutate(invite(number=1000 + n), chance) for n in range(3000))
    send_over_udp(gateway, messages)


def test_mutated_invites_over_tcp(gateway: LiveGateway) -> None:
    chance = random.Random(20261121)
    for start in range(0, 600, 50):
        numbers = range(start, start + 50)
        messages = [mutate(invite(number=n, via="TCP"), chance) for n in numbers]
        send_over_tcp(gateway, b"".join(messages))


def test_an_ack_that_looks_like_a_merged_request(gateway: LiveGateway) -> None:
    """The library would answer 482 to it, and abort: two datagrams of a stranger."""
    first = invite()
    for method in (b"OPTIONS", b"NOTIFY", b"INVITE"):
        request = first.replace(b"INVITE", method).replace(b"hostile-", b"merged-" + method)
        again = request.replace(b"branch=z9hG4bK", b"branch=z9hG4bKagain")
        acks = [again.replace(method, word) for word in (b"ACK", b"ack")]
        send_over_udp(gateway, [request, *acks, again, *acks])


@pytest.mark.parametrize("size", [4_000, 32_000, 65_000])
def test_a_giant_header(gateway: LiveGateway, size: int) -> None:
    message = with_header("X-Giant", "x" * size)
    if len(message) < 65_400:
        send_over_udp(gateway, [message])
    send_over_tcp(gateway, message.replace(b"SIP/2.0/UDP", b"SIP/2.0/TCP"))
    send_over_tcp(gateway, message[: size // 2])  # never ends


def test_a_flood_of_responses(gateway: LiveGateway) -> None:
    head = "Via: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bK{n}\r\nFrom: <sip:a@b>;tag=1\r\n"
    rest = (
        "To: <sip:c@d>;tag=2\r\nCall-ID: flood-{n}\r\nCSeq: 1 {method}\r\nContent-Length: 0\r\n\r\n"
    )
    text = "SIP/2.0 {status} Flood\r\n" + head + rest
    values = [
        {"n": n, "port": gateway.sip_port, "status": status, "method": method}
        for n, (status, method) in enumerate(
            [(200, "INVITE"), (180, "INVITE"), (401, "REGISTER"), (200, "BYE"), (699, "X")] * 600
        )
    ]
    send_over_udp(gateway, (text.format(**value).encode() for value in values))


def send_over_udp(gateway: LiveGateway, messages: Iterable[bytes]) -> None:
    """Send datagrams at a pace that is answered; calls that come of them are hung up."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.connect(("127.0.0.1", gateway.sip_port))
        for number, message in enumerate(messages):
            peer.settimeout(0.0)
            with suppress(OSError):
                peer.send(message)
            if number % 10 == 9:
                hang_up_calls(peer, 0.005)
        hang_up_calls(peer, 0.3)


def send_over_tcp(gateway: LiveGateway, data: bytes) -> None:
    """Open a connection, send, hang up what comes of it, close."""
    with socket.create_connection(("127.0.0.1", gateway.sip_port), timeout=5) as peer:
        with suppress(OSError):
            peer.sendall(data)
        hang_up_calls(peer, 0.02)


# --- floods ---


def test_invites_without_ack_give_their_slots_back(gateway: LiveGateway) -> None:
    """All slots are taken by someone who never says ACK, again and again for a second."""

    async def scenario() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            peer.bind(("127.0.0.1", 0))
            for number in range(200):
                peer.sendto(invite(number=number), ("127.0.0.1", gateway.sip_port))
                await asyncio.sleep(0.005)
            with pytest.raises(CallRejected, match="503"):
                await normal_call(gateway.uri())
            # 8 s without ACK, 8 s for a BYE that nobody answers
            await gateway.free(25)

    asyncio.run(scenario())
    assert any("no ACK" in record["end_text"] for record in gateway.records())


# --- RTP ---


def test_rtp_junk_in_mid_call(gateway: LiveGateway) -> None:
    async def scenario() -> None:
        async with calling(gateway.uri()) as phone:
            await phone.bot_is_done()
            remote = phone.media.remote
            assert remote
            for packet in junk_packets():
                phone.media._socket.sendto(packet, remote)
                phone.media._socket.sendto(packet, (remote[0], remote[1] + 1))
                await asyncio.sleep(0.002)
            await answers_a_question(phone)
        await gateway.finished(phone.sip_call_id)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "impairments",
    [
        Impairments(new_ssrc_at_packet=60),
        Impairments(wrong_payload_type_percent=20),
        Impairments(loss_percent=5, jitter_ms=40),
    ],
    ids=["new ssrc", "wrong payload type", "loss and jitter"],
)
def test_a_caller_with_bad_rtp_is_understood(
    gateway: LiveGateway, impairments: Impairments
) -> None:
    async def scenario() -> None:
        async with calling(gateway.uri(), impairments=impairments) as phone:
            await phone.bot_is_done()
            await answers_a_question(phone)
        record = await gateway.finished(phone.sip_call_id)
        assert any(turn["caller_text"] for turn in record["turns"])

    asyncio.run(scenario())


def test_only_unknown_payload_types(gateway: LiveGateway) -> None:
    """Nothing that can be decoded comes: the greeting is spoken all the same."""

    async def scenario() -> None:
        bad = Impairments(wrong_payload_type_percent=100)
        async with calling(gateway.uri(), impairments=bad) as phone:
            await phone.bot_is_done()
        await gateway.finished(phone.sip_call_id)

    asyncio.run(scenario())


def test_rtp_from_another_port_than_told(gateway: LiveGateway) -> None:
    """Symmetric RTP: audio goes to where audio comes from."""

    async def scenario() -> None:
        async with calling(gateway.uri()) as phone:
            behind_nat = RtpPeer()
            try:
                behind_nat.remote, phone.media.remote = phone.media.remote, None
                behind_nat.on_audio = phone.listener.push
                behind_nat.start()
                await phone.until(lambda: len(behind_nat.received) > 20, 5, "audio at the new port")
            finally:
                behind_nat.close()
        record = await gateway.finished(phone.sip_call_id)
        assert record["rtp"]["received_packets"] > 0

    asyncio.run(scenario())


async def answers_a_question(phone: Telephone) -> None:
    """The bot understands and answers."""
    said_ns = await phone.say("When do you open tomorrow?")
    await phone.bot_speaks(10, said_ns)
