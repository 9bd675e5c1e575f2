"""RTP packets (RFC 3550) and telephone-event digits (RFC 4733) as values.  Pure."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from gateway.audio.format import NARROWBAND

SAMPLE_RATE_HZ = NARROWBAND.sample_rate_hz
PTIME_MS = 20
FRAME_SAMPLES = SAMPLE_RATE_HZ * PTIME_MS // 1000
DIGITS = "0123456789*#ABCD"
_HEADER = struct.Struct("!BBHII")
_EVENT = struct.Struct("!BBH")
# RFC 4733 section 2.5.1.4: the end packet is sent three times.
_END_PACKETS = 3
_OVERTAKEN_S = 2.5 * PTIME_MS / 1000


class RtpSyntaxError(ValueError):
    """A datagram that is not RTP version 2; the text names the field at fault."""


@dataclass(frozen=True, slots=True)
class Packet:
    """One RTP packet without extensions or CSRCs of its own."""

    payload_type: int
    sequence_number: int
    timestamp: int
    ssrc: int
    payload: bytes
    marker: bool = False

    def serialise(self) -> bytes:
        """Bytes for the wire."""
        second = self.payload_type | (0x80 if self.marker else 0)
        sequence, timestamp = self.sequence_number & 0xFFFF, self.timestamp & 0xFFFFFFFF
        return _HEADER.pack(0x80, second, sequence, timestamp, self.ssrc) + self.payload


def parse(datagram: bytes) -> Packet:
    """Read a packet; CSRCs, extension and padding are skipped.

    Raises:
        RtpSyntaxError: version, length, extension or padding is wrong.
    """
    if len(datagram) < _HEADER.size:
        raise RtpSyntaxError(f"length: {len(datagram)} bytes")
    first, second, sequence, timestamp, ssrc = _HEADER.unpack_from(datagram)
    if first >> 6 != 2:
        raise RtpSyntaxError(f"version: {first >> 6}")
    start = _HEADER.size + 4 * (first & 0x0F)
    if first & 0x10:
        if len(datagram) < start + 4:
            raise RtpSyntaxError("extension: header is cut off")
        start += 4 + 4 * int.from_bytes(datagram[start + 2 : start + 4])
    end = len(datagram) - (datagram[-1] if first & 0x20 else 0)
    if start > end:
        raise RtpSyntaxError("padding or extension: longer than the packet")
    return Packet(
        second & 0x7F, sequence, timestamp, ssrc, datagram[start:end], bool(second & 0x80)
    )


def digit_payloads(digit: str, duration_ms: int = 160, volume: int = 10) -> Iterator[bytes]:
    """Event payloads of one key press, one per 20 ms: growing duration, then three end packets.

    Raises:
        ValueError: not a DTMF digit.
    """
    event = DIGITS.index(digit.upper())
    packets = max(1, duration_ms // PTIME_MS)
    for index in range(1, packets):
        yield _EVENT.pack(event, volume, index * FRAME_SAMPLES)
    for _ in range(_END_PACKETS):
        yield _EVENT.pack(event, 0x80 | volume, packets * FRAME_SAMPLES)


class DigitReceiver:
    """Telephone-event packets in, each key press out once, however many packets survive."""

    def __init__(self) -> None:
        self._current: tuple[int, int] | None = None

    def push(self, packet: Packet) -> str | None:
        """Accept one event packet; return the digit when a new event begins.

        A press is known by its RTP timestamp, which all its packets share.
        """
        if len(packet.payload) < _EVENT.size:
            return None
        event, _, _ = _EVENT.unpack_from(packet.payload)
        press = (packet.ssrc, packet.timestamp)
        if press == self._current or event >= len(DIGITS):
            return None
        self._current = press
        return DIGITS[event]


@dataclass(frozen=True, slots=True)
class Impairments:
    """What a bad network or a bad peer does to the packets we send."""

    loss_percent: float = 0.0
    jitter_ms: float = 0.0
    """Each packet is delayed by 0 to this many milliseconds."""
    reorder_percent: float = 0.0
    """Share of packets that the next two overtake."""
    duplicate_percent: float = 0.0
    """Share of packets that are sent twice."""
    new_ssrc_at_packet: int | None = None
    """From this packet on another SSRC, sequence and timestamp base (a peer's restart)."""
    wrong_payload_type_percent: float = 0.0
    """Share of packets with payload type 77, which was not negotiated."""
    seed: int = 1
    echo_db: float | None = None
    """Level of what we hear in what we send (negative: quieter); none = no echo."""
    echo_delay_ms: float = 120.0


@dataclass(frozen=True, slots=True)
class Fate:
    """What happens to one packet."""

    lost: bool = False
    copies: int = 1
    delay_s: float = 0.0
    is_restart: bool = False
    has_wrong_payload_type: bool = False


class Fates:
    """Draws one fate per packet; the same seed gives the same call."""

    def __init__(self, impairments: Impairments) -> None:
        self._impairments = impairments
        self._random = random.Random(impairments.seed)  # noqa: S311 - repeatable, not secret
        self._other = random.Random(-1 - impairments.seed)  # noqa: S311 - as above
        """For what came later: the calls of a seed stay what they were."""
        self._index = -1

    def draw(self) -> Fate:
        """Decide about the next packet."""
        self._index += 1
        bad = self._impairments
        is_overtaken = self._other.random() * 100 < bad.reorder_percent
        is_twice = self._other.random() * 100 < bad.duplicate_percent
        return Fate(
            lost=self._random.random() * 100 < bad.loss_percent,
            copies=2 if is_twice else 1,
            delay_s=self._random.random() * bad.jitter_ms / 1000
            + (_OVERTAKEN_S if is_overtaken else 0.0),
            is_restart=self._index == bad.new_ssrc_at_packet,
            has_wrong_payload_type=self._random.random() * 100 < bad.wrong_payload_type_percent,
        )
