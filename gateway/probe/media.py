"""One RTP socket that sends a packet every ptime, speech or silence, and stamps arrivals.

Sending is paced by absolute deadlines on the event loop, so an error never adds up; it is
measured and reported.  Arrivals carry the kernel's stamp where there is one, so a loop that was
busy does not blur them.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from gateway.probe import g711
from gateway.probe.rtp import (
    PTIME_MS,
    SAMPLE_RATE_HZ,
    DigitReceiver,
    Fate,
    Fates,
    Impairments,
    Packet,
    RtpSyntaxError,
    digit_payloads,
    parse,
)
from gateway.probe.sdp import STATIC_NAMES, TELEPHONE_EVENT
from gateway.probe.timeline import Arrival, Audio, Departure

_SO_TIMESTAMPNS = 35  # Linux, asm-generic/socket.h; the socket module does not name it
_TIMESPEC = struct.Struct("@qq")
_UNKNOWN_PAYLOAD_TYPE = 77


class RtpPeer:
    """The caller's media: a stream out that never pauses and a log of all that came in."""

    def __init__(
        self,
        address: str = "127.0.0.1",
        port: int = 0,
        *,
        impairments: Impairments | None = None,
        noise_level: int = 0,
        background: g711.Samples | None = None,
        ptime_ms: int = PTIME_MS,
    ) -> None:
        """Bind the socket at once, so that the port can go into the offer.

        Args:
            address: local IPv4 address.
            port: local port, 0 = any.
            impairments: what happens to our packets on the way out.
            noise_level: peak of the comfort noise between utterances, 0 = digital silence.
            background: int16[n], 8 kHz, heard behind everything, again and again from its start.
            ptime_ms: audio per packet that we send.
        """
        self.ptime_ms = ptime_ms
        self._frame_samples = ptime_ms * SAMPLE_RATE_HZ // 1000
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.settimeout(0)
        self._socket.bind((address, port))
        self._has_stamps = _ask_for_stamps(self._socket)
        self.address, self.port = self._socket.getsockname()[:2]
        self.remote: tuple[str, int] | None = None
        """Where packets go; nothing is sent while it is None."""
        self.payload_type = 0
        """PCMU or PCMA, what we send from the next packet on."""
        self.event_payload_type: int = TELEPHONE_EVENT
        self.on_audio: Callable[[Audio], None] = lambda _: None
        self.on_digit: Callable[[str], None] = lambda _: None
        self.sent: list[Departure] = []
        self.received: list[Arrival] = []
        self.not_rtp = 0
        """Datagrams that were no RTP."""
        impairments = impairments or Impairments()
        self._fates = Fates(impairments)
        self._echo = None
        if impairments.echo_db is not None:
            self._echo = _Echo(impairments, self._frame_samples)
        self._frames: deque[g711.Samples] = deque()
        self._events: deque[tuple[bytes, bool]] = deque()
        self._digits = DigitReceiver()
        self._noise = _noise_frames(noise_level, self._frame_samples)
        self._background = None
        if background is not None:
            self._background = _looped(background, self._frame_samples)
        self._new_stream()
        self._event_timestamp = 0
        self._started_s = 0.0
        self._ticks = 0
        self._timer: asyncio.TimerHandle | None = None
        self._waiters: list[asyncio.Future[None]] = []

    def start(self) -> None:
        """Begin to listen and to send.  Loop thread."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._socket.fileno(), self._read)
        self._started_s, self._ticks = loop.time(), 0
        self._tick()

    def close(self) -> None:
        """Stop sending and give the port back.  Idempotent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
        self._wake()
        self._socket.close()

    def play(self, pcm: g711.Samples) -> tuple[int, int]:
        """Queue speech (int16[n], 8 kHz) behind what is already queued.

        Returns:
            Numbers of the first and the last tick (index into `sent`) that carry it.
        """
        padded = np.pad(pcm, (0, -len(pcm) % self._frame_samples))
        frames = padded.reshape(-1, self._frame_samples)
        first = self._ticks + len(self._events) + len(self._frames)
        self._frames.extend(frames)
        return first, first + len(frames) - 1

    def press(self, digits: str, duration_ms: int = 160) -> None:
        """Queue RFC 4733 digits; they go out in place of audio, 40 ms of audio between two."""
        for digit in digits:
            for index, payload in enumerate(digit_payloads(digit, duration_ms)):
                self._events.append((payload, index == 0))

    async def next_tick(self) -> None:
        """Wait for the next tick (returns at once when the peer is closed)."""
        if self._timer is not None:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter

    @property
    def queued_s(self) -> float:
        """How much of what was queued is not yet sent, in seconds."""
        return (len(self._frames) + len(self._events)) * self.ptime_ms / 1000

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        deadline = self._started_s + self._ticks * self.ptime_ms / 1000
        self._send(loop.time() - deadline)
        self._ticks += 1
        self._timer = loop.call_at(self._started_s + self._ticks * self.ptime_ms / 1000, self._tick)
        self._wake()

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _send(self, late_s: float) -> None:
        """Send one packet: a digit's, else speech, else silence."""
        event = self._events.popleft() if self._events else None
        speech = self._frames.popleft() if self._frames and event is None else None
        samples = next(self._noise) if speech is None else speech
        own = samples
        if self._background is not None:
            samples = _sum(samples, next(self._background))
        if self._echo is not None:
            samples = self._echo.added_to(samples)
        fate = self._fates.draw()
        if fate.is_restart:
            self._new_stream()
        packet = self._event_packet(event) if event else self._audio_packet(samples, fate)
        self._timestamp += self._frame_samples
        # A pause is no loss: the sequence counts packets, the timestamp counts time.
        self._sequence += self.remote is not None
        if self.remote is not None and not fate.lost:
            for _ in range(fate.copies):
                self._emit(packet, fate.delay_s)
        # What the caller says; an echo or the room behind it is none of that.
        heard = own if event is None and self.remote is not None else np.zeros_like(own)
        self.sent.append(Departure(time.monotonic_ns(), heard, late_s * 1000))

    def _audio_packet(self, samples: g711.Samples, fate: Fate) -> Packet:
        number = _UNKNOWN_PAYLOAD_TYPE if fate.has_wrong_payload_type else self.payload_type
        payload = g711.encode(samples, _encoding(self.payload_type))
        return Packet(number, self._sequence, self._timestamp, self._ssrc, payload)

    def _event_packet(self, event: tuple[bytes, bool]) -> Packet:
        payload, is_first = event
        if is_first:
            self._event_timestamp = self._timestamp
        number = self.event_payload_type
        stamp = self._event_timestamp
        return Packet(number, self._sequence, stamp, self._ssrc, payload, marker=is_first)

    def _emit(self, packet: Packet, delay_s: float) -> None:
        if delay_s:
            loop = asyncio.get_running_loop()
            loop.call_later(delay_s, self._write, packet.serialise())
        else:
            self._write(packet.serialise())

    def _write(self, datagram: bytes) -> None:
        if self.remote is None or self._socket.fileno() < 0:
            return
        try:
            self._socket.sendto(datagram, self.remote)
        except OSError:  # port unreachable or a full buffer: a lost packet, as on any network
            return

    def _read(self) -> None:
        """Accept every datagram that waits."""
        while True:
            try:
                datagram, ancillary, _, _ = self._socket.recvmsg(4096, 64)
            except OSError:  # nothing left (EAGAIN), or ICMP told us that the peer is gone
                return
            self._take(datagram, _stamp_ns(ancillary))

    def _take(self, datagram: bytes, at_ns: int) -> None:
        try:
            packet = parse(datagram)
        except RtpSyntaxError:
            self.not_rtp += 1
            return
        encoding = _encoding(packet.payload_type)
        if encoding:
            audio = Audio(at_ns, g711.decode(packet.payload, encoding))
            self.received.append(Arrival(at_ns, packet.sequence_number, packet.ssrc, audio))
            if self._echo is not None:
                self._echo.hear(audio.samples)
            self.on_audio(audio)
            return
        self.received.append(Arrival(at_ns, packet.sequence_number, packet.ssrc, None))
        if packet.payload_type == self.event_payload_type and (digit := self._digits.push(packet)):
            self.on_digit(digit)

    def _new_stream(self) -> None:
        """Fresh SSRC and random bases (RFC 3550 section 5.1)."""
        self._ssrc = random.getrandbits(32)
        self._sequence = random.getrandbits(15)
        self._timestamp = random.getrandbits(31)


class _Echo:
    """A bad hybrid or a loudspeaker: what comes in goes out again, late and quieter."""

    def __init__(self, impairments: Impairments, frame_samples: int) -> None:
        self._frame_samples = frame_samples
        self._gain = 10 ** ((impairments.echo_db or 0.0) / 20)
        delay = round(impairments.echo_delay_ms * SAMPLE_RATE_HZ / 1000)
        self._path = np.zeros(delay, np.int16)
        self._longest = delay + 10 * frame_samples
        """More than this has piled up only if our own clock stood still."""

    def hear(self, samples: g711.Samples) -> None:
        """Accept what came in."""
        self._path = np.concatenate([self._path, samples])[-self._longest :]

    def added_to(self, samples: g711.Samples) -> g711.Samples:
        """Return one frame with the echo that is due."""
        due = self._path[: self._frame_samples]
        self._path = self._path[self._frame_samples :]
        echo = np.zeros(len(samples))
        echo[: len(due)] = due * self._gain
        return _sum(samples, echo)


def _encoding(payload_type: int) -> str:
    name = STATIC_NAMES.get(payload_type, "").partition("/")[0]
    return name if name in {"PCMU", "PCMA"} else ""


def _ask_for_stamps(sock: socket.socket) -> bool:
    if not sys.platform.startswith("linux"):
        return False
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    except OSError:
        return False
    return True


def _stamp_ns(ancillary: list[tuple[int, int, bytes]]) -> int:
    """Arrival on the monotonic clock: now minus the age of the kernel's wall-time stamp."""
    now = time.monotonic_ns()
    for level, kind, value in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS) and len(value) >= 16:
            seconds, nanoseconds = _TIMESPEC.unpack_from(value)
            wall = time.clock_gettime_ns(time.CLOCK_REALTIME)
            age = wall - (seconds * 1_000_000_000 + nanoseconds)
            # A clock step between the stamp and now would make the age absurd.
            return now - age if 0 <= age < 1_000_000_000 else now
    return now


def _sum(one: g711.Samples, other: NDArray[np.int16 | np.float64]) -> g711.Samples:
    """Both at once, clipped as a line would."""
    both = one.astype(np.float64) + other
    return np.clip(both.round(), -32768, 32767).astype(np.int16)


def _looped(samples: g711.Samples, frame_samples: int) -> Iterator[g711.Samples]:
    """Endless frames of a recording."""
    at = 0
    while True:
        yield np.take(samples, range(at, at + frame_samples), mode="wrap")
        at = (at + frame_samples) % len(samples)


def _noise_frames(level: int, frame_samples: int) -> Iterator[g711.Samples]:
    """Endless frames of white noise with the given peak; silence for level 0."""
    generator = np.random.default_rng(1)
    while True:
        yield generator.integers(-level, level + 1, frame_samples).astype(np.int16)
