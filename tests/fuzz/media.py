"""RTP, RTCP and DTMF (RFC 4733): damaged packets into a call that goes on."""

from __future__ import annotations

import asyncio
import random
import struct
import time
from collections.abc import Callable

from gateway.errors import CallRejected
from gateway.probe.rtp import Packet
from tests.fuzz.figures import Figures
from tests.fuzz.hostile import junk_packets, mutate
from tests.support.outside import calling

_BURST = 25
_PER_CALL_S = 20.0
Maker = Callable[[random.Random], bytes]


def damaged_media(chance: random.Random) -> bytes:
    """RTP or RTCP, right or wrong."""
    if chance.random() < 0.3:
        return mutate(_rtcp(chance), chance)
    payload_type = chance.choice((0, 0, 8, 9, 13, 101, 127, chance.randrange(128)))
    size = chance.choice((160, 160, 160, 0, 1, 80, 240, 320, 1400, chance.randrange(1500)))
    packet = Packet(
        payload_type, chance.randrange(65536), chance.getrandbits(32),
        chance.choice((1, 2, chance.getrandbits(32))), chance.randbytes(size),
    ).serialise()  # fmt: skip
    return mutate(packet, chance) if chance.random() < 0.6 else packet


def damaged_digits(chance: random.Random) -> bytes:
    """Telephone events: all codes, volumes, durations and ends, alone and in bunches."""
    count = chance.choice((1, 1, 1, 0, 2, 50))
    payload = b"".join(
        struct.pack(
            "!BBH", chance.choice((chance.randrange(17), chance.randrange(256))),
            chance.randrange(256), chance.choice((0, 160, 1600, 65535)),
        )
        for _ in range(count)
    )  # fmt: skip
    packet = Packet(101, chance.randrange(65536), chance.getrandbits(32), 1, payload).serialise()
    return mutate(packet, chance) if chance.random() < 0.3 else packet


def _rtcp(chance: random.Random) -> bytes:
    kind = chance.choice((200, 201, 202, 203, 204, 205, 206, 207, chance.randrange(256)))
    body = chance.randbytes(chance.choice((4, 24, 28, 52, chance.randrange(200))))
    words = chance.choice((len(body) // 4, chance.randrange(65536)))
    head = struct.pack("!BBH", 0x80 | chance.randrange(32), kind, words)
    return (head + body) * chance.choice((1, 1, 3))


async def fuzz_media(target: str, uri: str, seconds: float, seed: int) -> Figures:
    """Damaged packets, from the caller's own address, into the call's RTP and RTCP ports."""
    figures, chance = Figures(target), random.Random(seed)
    make = {"rtp": damaged_media, "dtmf": damaged_digits}[target]
    begun = time.monotonic()
    while time.monotonic() - begun < seconds:
        try:
            await _one_call(
                uri, min(begun + seconds, time.monotonic() + _PER_CALL_S), figures, make, chance
            )
        except CallRejected as refusal:
            figures.answers[str(refusal.status)] += 1
            await asyncio.sleep(0.3)
    figures.seconds = time.monotonic() - begun
    return figures


async def _one_call(
    uri: str, end_s: float, figures: Figures, make: Maker, chance: random.Random
) -> None:
    async with calling(uri) as phone:
        figures.answers["calls"] += 1
        remote = phone.media.remote
        assert remote
        seeds = list(junk_packets()) if make is damaged_media else []
        while time.monotonic() < end_s and not phone.call.ended.is_set():
            for _ in range(_BURST):
                packet = chance.choice(seeds) if seeds and chance.random() < 0.1 else make(chance)
                port = remote[1] + (chance.random() < 0.2)
                phone.media._socket.sendto(packet[:60_000], (remote[0], port))
                figures.count(packet)
            await asyncio.sleep(0.01)
