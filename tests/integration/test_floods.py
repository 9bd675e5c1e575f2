"""Scans and floods of untrusted sources keep no caller out and do not fill the disk; no edge."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from gateway.errors import CallRejected
from tests.fuzz.hostile import hang_up_calls, invite
from tests.support.live_gateway import LiveGateway, live_gateway
from tests.support.outside import calling

pytestmark = pytest.mark.timeout(240)

FLOODER, ANOTHER, STRANGER = "127.0.0.66", "127.0.0.67", "127.0.0.77"
FLOOD_S = 6.0
PER_TICK, TICK_S = 40, 0.02


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveGateway]:
    """Open to everybody; this machine's own address is known."""
    config = {
        "sip": {"allow_sources": ["127.0.0.1/32", "0.0.0.0/0"]},
        "log": {"level": "info", "format": "json"},
        "agents": {"desk": {"greeting": "Good morning, this is the front desk. How can I help?"}},
    }
    with live_gateway(tmp_path_factory.mktemp("floods"), config) as running:
        yield running
        asyncio.run(running.idle())


def flood(gateway: LiveGateway, source: str, methods: list[str], stop_s: float) -> int:
    """Send as a scanner does: some thousand a second, nothing acknowledged; returns how many."""
    sent = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind((source, 0))
        peer.setblocking(False)
        own = f"{source}:{peer.getsockname()[1]}".encode()
        while time.monotonic() < stop_s:
            for _ in range(PER_TICK):
                method = methods[sent % len(methods)].encode()
                message = invite(number=sent).replace(b"INVITE", method)
                with suppress(OSError):
                    message = message.replace(b"127.0.0.1:5999", own)
                    peer.sendto(message, ("127.0.0.1", gateway.sip_port))
                sent += 1
            time.sleep(TICK_S)
    return sent


def refused(gateway: LiveGateway) -> dict[str, float]:
    """Refusals by rule, as /metrics counts them."""
    lines = gateway.ask("GET", "/metrics").text.splitlines()
    found = [line for line in lines if line.startswith("gateway_refused_total{")]
    return {line.split('rule="')[1].split('"')[0]: float(line.split()[-1]) for line in found}


async def calls_get_through(gateway: LiveGateway, until_s: float) -> int:
    """Known and unknown callers, in turn, as long as the flood lasts; everybody hears the bot."""
    done = 0
    while time.monotonic() < until_s:
        async with calling(gateway.uri(), host=(STRANGER, "127.0.0.1")[done % 2]) as phone:
            await phone.bot_speaks(6)
        done += 1
        await asyncio.sleep(0.3)
    return done


def test_a_scanner_keeps_nobody_out(gateway: LiveGateway) -> None:
    methods = ["OPTIONS", "REGISTER", "INVITE", "SUBSCRIBE", "INVITE"]
    log_before, records_before = len(gateway.log), len(gateway.records())

    async def scenario() -> tuple[int, int]:
        stop_s = time.monotonic() + FLOOD_S
        sent = asyncio.create_task(asyncio.to_thread(flood, gateway, FLOODER, methods, stop_s))
        await asyncio.sleep(0.5)
        done = await calls_get_through(gateway, stop_s)
        await gateway.free()
        return await sent, done

    sent, done = asyncio.run(scenario())
    assert done >= 2
    counts = refused(gateway)
    dropped = counts["sip.untrusted.requests_per_s"]
    assert dropped > sent / 4, (sent, counts)  # what the kernel lost of it never came
    assert counts["sip.untrusted.unacknowledged_per_source"]
    assert len(gateway.log) - log_before < 150_000
    assert len(gateway.records()) - records_before < 60 + done
    rules = {entry["rule"] for entry in gateway.logged("request_refused")}
    assert {"sip.untrusted.requests_per_s", "sip.methods"} <= rules


def test_calls_without_ack_leave_room_and_hardly_a_trace(gateway: LiveGateway) -> None:
    """Two sources hold what strangers may hold; a known caller has a slot all the same."""

    async def scenario() -> None:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as two,
        ):
            one.bind((FLOODER, 0))
            two.bind((ANOTHER, 0))
            begun_s = time.monotonic()
            for number in range(4):
                for peer in (one, two):
                    peer.sendto(invite(number=9000 + number), ("127.0.0.1", gateway.sip_port))
            await asyncio.sleep(0.5)
            assert gateway.gauge("call_slots_used") == 2
            with pytest.raises(CallRejected, match="503"):
                async with calling(gateway.uri(), host=STRANGER):
                    pass
            async with calling(gateway.uri()) as phone:
                await phone.bot_speaks(6)
            await gateway.free(12)
            assert time.monotonic() - begun_s < 12  # 3 s for the ACK, 1 s for the BYE
            async with calling(gateway.uri(), host=STRANGER) as phone:
                await phone.bot_speaks(6)
            hang_up_calls(one, 0.1)

    asyncio.run(asyncio.wait_for(scenario(), 60))
    lost = [record for record in gateway.records() if "no ACK" in (record["end_text"] or "")]
    assert len(lost) >= 2
    assert not any((gateway.gateway.bundle(record) / "audio.wav").exists() for record in lost)


def test_a_flood_of_everything_from_everywhere(gateway: LiveGateway) -> None:
    """More sources than a limit per source can hold: the known caller is served."""

    async def scenario() -> int:
        stop_s = time.monotonic() + FLOOD_S / 2
        floods = [
            asyncio.create_task(
                asyncio.to_thread(flood, gateway, f"127.0.1.{n}", ["OPTIONS", "INVITE"], stop_s)
            )
            for n in range(2, 4)
        ]
        spray = asyncio.create_task(asyncio.to_thread(spread, gateway, stop_s))
        done = 0
        while time.monotonic() < stop_s:
            async with calling(gateway.uri()) as phone:
                await phone.bot_speaks(6)
            done += 1
            await asyncio.sleep(0.3)  # one caller, not a flood of calls
        await asyncio.gather(*floods, spray)
        await gateway.free(20)
        return done

    assert asyncio.run(scenario())
    assert refused(gateway)["sip.untrusted.all_requests_per_s"]


def spread(gateway: LiveGateway, stop_s: float) -> None:
    """One OPTIONS from each of very many addresses."""
    number = 0
    while time.monotonic() < stop_s:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            peer.bind((f"127.{2 + number // 60000}.{number // 250 % 240}.{number % 250 + 1}", 0))
            message = invite().replace(b"INVITE", b"OPTIONS")
            peer.sendto(message, ("127.0.0.1", gateway.sip_port))
        number += 1
        if number % 20 == 0:
            time.sleep(TICK_S)
